//! Statements on workers.

use chandler_model::Uid;
use chandler_model::workers::Worker;
use jiff::Timestamp;

use crate::seam::{Catalogued, Result, Sql, Tx, record};

record!(Worker { id, uid, name, slots, version, enabled, last_seen_at });

static REGISTER: Sql<Worker> = Sql::new(
    "INSERT INTO workers (uid, created_at, updated_at, name, slots, version, last_seen_at) \
     VALUES ($1, $2, $2, $3, $4, $5, $2) \
     ON CONFLICT (name) DO UPDATE SET slots = excluded.slots, version = excluded.version, \
     updated_at = excluded.updated_at, last_seen_at = excluded.last_seen_at RETURNING {columns}",
);

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&REGISTER];

/// A worker's row under its name, made or renewed.
pub async fn register(tx: &mut Tx, uid: Uid, at: Timestamp, name: &str, slots: i64, version: &str) -> Result<Worker> {
    tx.one(&REGISTER, &[uid.into(), at.into(), name.into(), slots.into(), version.into()]).await
}
