//! Workers: processes that claim and run jobs. The embedded one is a row like any other.

use jiff::Timestamp;
use serde::Serialize;

use crate::jobs::JobKinds;
use crate::organizations::Organization;
use crate::{Id, Uid};

/// Names the table of tag sets for `Id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagSet {}

/// A worker as the queue sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Worker {
    pub id: Id<Self>,
    pub uid: Uid,
    pub name: String,
    /// Whose jobs it runs; none = everybody's.
    pub organization_id: Option<Id<Organization>>,
    pub tag_set_id: Id<TagSet>,
    pub kinds: JobKinds,
    pub slots: i64,
    pub version: String,
    pub enabled: bool,
    pub last_seen_at: Option<Timestamp>,
}
