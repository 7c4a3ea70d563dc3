//! The audit trail: one row for every change of a resource, whichever dialect it came through.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::kinds::{Dialect, Kind};
use crate::organizations::Organization;
use crate::users::User;
use crate::{Id, RawJson, Uid};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AuditAction {
    Create,
    Update,
    Delete,
    Launch,
    Cancel,
    Approve,
    Reject,
    Suspend,
    Resume,
}

/// One audited change, as it is appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub uid: Uid,
    pub at: Timestamp,
    pub actor_id: Option<Id<User>>,
    pub actor_name: String,
    pub dialect: Dialect,
    pub request_id: String,
    pub action: AuditAction,
    pub kind: Kind,
    pub row_id: i64,
    pub row_uid: Uid,
    pub title: String,
    pub organization_id: Option<Id<Organization>>,
    /// Field → [old, new], in core names, without secrets.
    pub changes: RawJson,
}
