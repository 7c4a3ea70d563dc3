//! Workspaces: what a Terraform configuration is applied to, with its state in versions (`docs/core/model.md` 5,
//! `docs/core/jobs.md` 2 and 4.5).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::jobs::Job;
use crate::organizations::Organization;
use crate::users::User;
use crate::{Id, Uid};

/// Whose workspace it is: several people's (Terrakube, native) or one person's (Coder).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Flavour {
    Shared,
    Personal,
}

/// A workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Workspace {
    pub id: Id<Self>,
    pub uid: Uid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub created_by: Option<Id<User>>,
    pub updated_by: Option<Id<User>>,
    pub version: i64,
    pub organization_id: Id<Organization>,
    pub flavour: Flavour,
    /// Unique in its organization.
    pub name: String,
    pub description: Option<String>,
    /// Somebody keeps every job of it from starting.
    pub locked: bool,
    pub lock_note: Option<String>,
}

/// Longest note of a lock, in characters.
pub const LOCK_NOTE_MAX: usize = 1024;
/// Longest state, in bytes.
pub const STATE_MAX: usize = 64 * 1024 * 1024;

/// Where a version of a state came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Origin {
    Job,
    Upload,
    Rollback,
    /// A job handed it in when it could not become current any more: kept, never merged.
    Recovered,
}

/// One version of the state of a workspace. Its content is a sealed blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateVersion {
    pub id: Id<Self>,
    pub uid: Uid,
    pub created_at: Timestamp,
    pub created_by: Option<Id<User>>,
    pub workspace_id: Id<Workspace>,
    /// As the state itself says them; none if it is not Terraform's.
    pub serial: Option<i64>,
    pub lineage: Option<String>,
    pub job_id: Option<Id<Job>>,
    pub attempt: Option<i64>,
    pub origin: Origin,
    /// Bytes of the content in clear.
    pub size: i64,
}
