//! Container environments: AWX execution environments and Run:ai environment assets, one row (`docs/core/model.md` 5).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::kinds::{Place, Scope};
use crate::organizations::Organization;
use crate::run_spec::RunSpec;
use crate::users::User;
use crate::{Id, Json, Uid};

/// When a worker asks the registry for the image. Null in the row means: always for `latest` or no tag, else missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Pull {
    Always,
    Missing,
    Never,
}

/// Longest image reference, in characters.
pub const IMAGE_MAX: usize = 1024;

/// What a job runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Environment {
    pub id: Id<Self>,
    pub uid: Uid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub created_by: Option<Id<User>>,
    pub updated_by: Option<Id<User>>,
    pub version: i64,
    pub scope: Scope,
    /// Set for organization scope.
    pub organization_id: Option<Id<Organization>>,
    /// Unique in its place.
    pub name: String,
    pub description: Option<String>,
    /// Container image reference, kept as given. Without one the environment is a local process.
    pub image: Option<String>,
    pub pull: Option<Pull>,
    /// Made by the installation: only `pull` may be edited, never deleted.
    pub managed: bool,
    pub spec: Json<RunSpec>,
    /// Successful writes in any dialect, the first one included.
    pub update_count: i64,
}

impl Environment {
    /// Where the row lies.
    #[must_use]
    pub const fn place(&self) -> Place {
        match self.organization_id {
            Some(id) => Place::Organization(id),
            None => Place::Global,
        }
    }
}
