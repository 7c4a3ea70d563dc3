//! Statements on grants: who holds which role where (`docs/core/authz.md` 4).

use chandler_model::Uid;
use jiff::Timestamp;

use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

/// A role that a subject holds in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub role_key: String,
    pub scope_key: String,
}

record!(Held { role_key, scope_key });

static HELD_BY: Sql<Held> = Sql::new("SELECT {columns} FROM grants WHERE subject_key = $1 ORDER BY id");
static INSERT: Sql<()> = Sql::new(
    "INSERT INTO grants (uid, created_at, updated_at, subject_key, role_key, scope_key) VALUES ($1, $2, $2, $3, $4, $5)",
);

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&HELD_BY, &INSERT];

/// All that one subject (`u:12`) holds directly.
pub async fn held_by(db: &Db, subject_key: &str) -> Result<Vec<Held>> {
    db.query(&HELD_BY, &[subject_key.into()]).await
}

pub async fn insert(tx: &mut Tx, uid: Uid, at: Timestamp, subject: &str, role: &str, scope: &str) -> Result<()> {
    tx.exec(&INSERT, &[uid.into(), at.into(), subject.into(), role.into(), scope.into()]).await.map(drop)
}
