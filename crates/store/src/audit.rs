//! Statements on the audit trail: append and read, never change.

use chandler_model::RawJson;
use chandler_model::audit::{AuditAction, AuditEntry};
use chandler_model::kinds::Kind;
use chandler_model::paging::PageRequest;
use jiff::Timestamp;

use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

static INSERT: Sql<()> = Sql::new(
    "INSERT INTO audit (uid, at, actor_id, actor_name, dialect, request_id, action, kind, row_id, row_uid, title, \
     organization_id, changes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
);

static OF_KIND: Sql<Recorded> =
    Sql::new("SELECT {columns} FROM audit WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3");

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&INSERT, &OF_KIND];

/// An audit row as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub id: i64,
    pub at: Timestamp,
    pub actor_name: String,
    pub action: AuditAction,
    pub title: String,
    pub changes: RawJson,
}

record!(Recorded { id, at, actor_name, action, title, changes });

/// Up to `limit + 1` audit rows of a kind after the given one, in order.
pub async fn of_kind(db: &Db, kind: Kind, page: PageRequest) -> Result<Vec<Recorded>> {
    db.query(&OF_KIND, &[kind.into(), page.after.unwrap_or(0).into(), (i64::from(page.limit) + 1).into()]).await
}

pub async fn append(tx: &mut Tx, entry: &AuditEntry) -> Result<()> {
    tx.exec(
        &INSERT,
        &[
            entry.uid.into(),
            entry.at.into(),
            entry.actor_id.into(),
            entry.actor_name.as_str().into(),
            entry.dialect.into(),
            entry.request_id.as_str().into(),
            entry.action.into(),
            entry.kind.into(),
            entry.row_id.into(),
            entry.row_uid.into(),
            entry.title.as_str().into(),
            entry.organization_id.into(),
            entry.changes.clone().into(),
        ],
    )
    .await
    .map(drop)
}
