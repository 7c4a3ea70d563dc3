//! Statements on change events: what replicas and event streams read; kept an hour.

use chandler_model::kinds::Kind;
use chandler_model::organizations::Organization;
use chandler_model::{Id, Uid};
use jiff::Timestamp;

use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

static INSERT: Sql<()> =
    Sql::new("INSERT INTO changes (at, kind, row_uid, organization_id, what) VALUES ($1, $2, $3, $4, $5)");
static AFTER: Sql<Event> = Sql::new("SELECT {columns} FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2");
static DELETE_BEFORE: Sql<()> = Sql::new("DELETE FROM changes WHERE at < $1");

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&INSERT, &AFTER, &DELETE_BEFORE];

/// A change event as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub seq: i64,
    pub at: Timestamp,
    pub kind: Kind,
    pub row_uid: Uid,
    pub what: String,
}

record!(Event { seq, at, kind, row_uid, what });

/// Up to `limit` events after a known one, in order.
pub async fn after(db: &Db, seq: i64, limit: i64) -> Result<Vec<Event>> {
    db.query(&AFTER, &[seq.into(), limit.into()]).await
}

/// What happened to which row.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    pub at: Timestamp,
    pub kind: Kind,
    pub row_uid: Uid,
    pub organization_id: Option<Id<Organization>>,
    pub what: &'a str,
}

pub async fn append(tx: &mut Tx, change: &Change<'_>) -> Result<()> {
    let args = [
        change.at.into(),
        change.kind.into(),
        change.row_uid.into(),
        change.organization_id.into(),
        change.what.into(),
    ];
    tx.exec(&INSERT, &args).await.map(drop)
}

pub async fn delete_before(tx: &mut Tx, at: Timestamp) -> Result<u64> {
    tx.exec(&DELETE_BEFORE, &[at.into()]).await
}
