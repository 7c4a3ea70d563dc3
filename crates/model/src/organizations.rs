//! Organizations: the tenants. One row is an AWX organization, a Run:ai department, a Foreman, Coder and Terrakube
//! organization (`docs/core/model.md` 3 and 5).

use jiff::Timestamp;
use serde::Serialize;

use crate::{Id, Uid, users::User};

/// A Run:ai cluster: the level above organizations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    pub id: Id<Self>,
    pub uid: Uid,
    pub name: String,
}

/// The name of the cluster that every installation has.
pub const DEFAULT_CLUSTER: &str = "default";

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Organization {
    pub id: Id<Self>,
    pub uid: Uid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub created_by: Option<Id<User>>,
    pub updated_by: Option<Id<User>>,
    pub version: i64,
    /// Last part of the title.
    pub name: String,
    /// Unique among living organizations, compared byte by byte.
    pub title: String,
    /// Coder's name of it: ASCII, at most 32 characters, unique without regard to case.
    pub slug: String,
    /// Free text, never unique; `None` shows as the title.
    pub display_name: Option<String>,
    pub description: Option<String>,
    pub cluster_id: Id<Cluster>,
    /// Exactly one organization is the default one; it cannot be deleted.
    pub is_default: bool,
    pub default_environment_id: Option<Id<crate::environments::Environment>>,
}
