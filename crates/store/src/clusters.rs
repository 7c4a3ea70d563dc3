//! Statements on clusters. The foundation only makes and reads the default one.

use chandler_model::Uid;
use chandler_model::organizations::Cluster;
use jiff::Timestamp;

use crate::seam::{Catalogued, Result, Sql, Tx, record};

record!(Cluster { id, uid, name });

static BY_NAME: Sql<Cluster> = Sql::new("SELECT {columns} FROM clusters WHERE name = $1");
static INSERT: Sql<Cluster> =
    Sql::new("INSERT INTO clusters (uid, created_at, updated_at, name) VALUES ($1, $2, $2, $3) RETURNING {columns}");

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&BY_NAME, &INSERT];

pub async fn by_name(tx: &mut Tx, name: &str) -> Result<Option<Cluster>> {
    tx.optional(&BY_NAME, &[name.into()]).await
}

pub async fn insert(tx: &mut Tx, uid: Uid, at: Timestamp, name: &str) -> Result<Cluster> {
    tx.one(&INSERT, &[uid.into(), at.into(), name.into()]).await
}
