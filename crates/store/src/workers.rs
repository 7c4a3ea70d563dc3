//! Statements on workers.

use chandler_model::jobs::JobKinds;
use chandler_model::organizations::Organization;
use chandler_model::workers::{TagSet, Worker};
use chandler_model::{Id, Uid};
use jiff::Timestamp;

use crate::seam::{Catalogued, Result, Sql, Tx, record};

record!(Worker { id, uid, name, organization_id, tag_set_id, kinds, slots, version, enabled, last_seen_at });

static REGISTER: Sql<Worker> = Sql::new(
    "INSERT INTO workers (uid, created_at, updated_at, name, organization_id, tag_set_id, kinds, slots, version, \
     last_seen_at) VALUES ($1, $2, $2, $3, $4, $5, $6, $7, $8, $2) \
     ON CONFLICT (name) DO UPDATE SET organization_id = excluded.organization_id, tag_set_id = excluded.tag_set_id, \
     kinds = excluded.kinds, slots = excluded.slots, version = excluded.version, updated_at = excluded.updated_at, \
     last_seen_at = excluded.last_seen_at RETURNING {columns}",
);

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&REGISTER];

/// How a worker presents itself.
#[derive(Clone, Debug)]
pub struct Registration<'a> {
    pub name: &'a str,
    pub organization: Option<Id<Organization>>,
    pub tags: Id<TagSet>,
    pub kinds: JobKinds,
    pub slots: i64,
    pub version: &'a str,
}

/// A worker's row under its name, made or renewed.
pub async fn register(tx: &mut Tx, uid: Uid, at: Timestamp, new: &Registration<'_>) -> Result<Worker> {
    let args = [
        uid.into(),
        at.into(),
        new.name.into(),
        new.organization.into(),
        new.tags.into(),
        new.kinds.into(),
        new.slots.into(),
        new.version.into(),
    ];
    tx.one(&REGISTER, &args).await
}
