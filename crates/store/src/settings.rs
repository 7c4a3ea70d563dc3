//! Statements on settings: one value per (dialect, name).

use chandler_model::{RawJson, Uid};
use jiff::Timestamp;

use crate::seam::{Catalogued, Db, Result, Sql, Tx};

static GET: Sql<(RawJson,)> =
    Sql::new("SELECT value FROM settings WHERE dialect = $1 AND name = $2 AND value IS NOT NULL");
static INSERT: Sql<()> = Sql::new(
    "INSERT INTO settings (uid, created_at, updated_at, dialect, name, value) VALUES ($1, $2, $2, $3, $4, $5) \
     ON CONFLICT (dialect, name) DO NOTHING",
);

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&GET, &INSERT];

pub async fn get(db: &Db, dialect: &str, name: &str) -> Result<Option<RawJson>> {
    Ok(db.optional(&GET, &[dialect.into(), name.into()]).await?.map(|(value,)| value))
}

/// Sets a value that was never set; keeps the present one otherwise. Returns whether it was set.
pub async fn init(tx: &mut Tx, uid: Uid, at: Timestamp, dialect: &str, name: &str, value: &RawJson) -> Result<bool> {
    let args = [uid.into(), at.into(), dialect.into(), name.into(), value.clone().into()];
    Ok(tx.exec(&INSERT, &args).await? > 0)
}
