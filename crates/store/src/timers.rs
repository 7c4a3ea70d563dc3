//! Statements on timers: what is due when. Due ones are read without a lock; a timer fires in the transaction that
//! removes it, after that transaction has taken the lock of the row it is about, so that no two orders of locks meet.

use chandler_model::Id;
use jiff::Timestamp;

use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

/// Something that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    pub id: Id<Self>,
    pub what: String,
    pub row_id: i64,
}

record!(Timer { id, what, row_id });

static SET: Sql<()> = Sql::new(
    "INSERT INTO timers (due_at, what, kind, row_id) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (what, kind, row_id) DO UPDATE SET due_at = excluded.due_at",
);
static CLEAR: Sql<()> = Sql::new("DELETE FROM timers WHERE what = $1 AND kind = $2 AND row_id = $3");
static DUE: Sql<Timer> = Sql::new("SELECT {columns} FROM timers WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2");
static FIRE: Sql<()> = Sql::new("DELETE FROM timers WHERE id = $1 AND due_at <= $2");

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&SET, &CLEAR, &DUE, &FIRE];

/// Sets or moves a timer.
pub async fn set(tx: &mut Tx, due_at: Timestamp, what: &str, kind: &str, row_id: i64) -> Result<()> {
    tx.exec(&SET, &[due_at.into(), what.into(), kind.into(), row_id.into()]).await.map(drop)
}

pub async fn clear(tx: &mut Tx, what: &str, kind: &str, row_id: i64) -> Result<()> {
    tx.exec(&CLEAR, &[what.into(), kind.into(), row_id.into()]).await.map(drop)
}

/// Timers that are due, the longest due first.
pub async fn due(db: &Db, now: Timestamp, limit: i64) -> Result<Vec<Timer>> {
    db.query(&DUE, &[now.into(), limit.into()]).await
}

/// Removes a timer that is still due. `false`: somebody else fired, moved or cleared it.
pub async fn fire(tx: &mut Tx, id: Id<Timer>, now: Timestamp) -> Result<bool> {
    Ok(tx.exec(&FIRE, &[id.into(), now.into()]).await? > 0)
}
