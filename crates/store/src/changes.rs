//! Statements on change events: what replicas and event streams read; kept an hour.

use chandler_model::kinds::Kind;
use chandler_model::organizations::Organization;
use chandler_model::{Id, Uid};
use jiff::Timestamp;

use crate::seam::{Catalogued, Result, Sql, Tx};

static INSERT: Sql<()> =
    Sql::new("INSERT INTO changes (at, kind, row_uid, organization_id, what) VALUES ($1, $2, $3, $4, $5)");
static DELETE_BEFORE: Sql<()> = Sql::new("DELETE FROM changes WHERE at < $1");

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&INSERT, &DELETE_BEFORE];

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
