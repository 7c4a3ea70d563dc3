//! Workers: processes that claim and run jobs. The embedded one is a row like any other.

use jiff::Timestamp;
use serde::Serialize;

use crate::{Id, Uid};

/// A worker as the queue sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Worker {
    pub id: Id<Self>,
    pub uid: Uid,
    pub name: String,
    pub slots: i64,
    pub version: String,
    pub enabled: bool,
    pub last_seen_at: Option<Timestamp>,
}
