//! Statements on the audit trail: append and read, never change.

use chandler_model::audit::AuditEntry;

use crate::seam::{Catalogued, Result, Sql, Tx};

static INSERT: Sql<()> = Sql::new(
    "INSERT INTO audit (uid, at, actor_id, actor_name, dialect, request_id, action, kind, row_id, row_uid, title, \
     organization_id, changes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
);

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&INSERT];

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
