//! Stored counts per (kind, unit), so that a list of a million rows need not be counted (`docs/core/model.md` 7).

use chandler_model::kinds::{Kind, Unit};

use crate::seam::{Catalogued, Db, Result, Sql, Tx};

/// Rows that one count is spread over on PostgreSQL, so that writers of different connections do not queue on it.
pub const SHARDS: i64 = 8;

static ADD: Sql<()> = Sql::new(
    "INSERT INTO tallies (kind, unit, shard, n) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (kind, unit, shard) DO UPDATE SET n = tallies.n + excluded.n",
);
static GET: Sql<i64> =
    Sql::new("SELECT CAST(coalesce(sum(n), 0) AS bigint) FROM tallies WHERE kind = $1 AND unit = $2");

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&ADD, &GET];

/// Adds to counts. The caller sorts by (kind, unit) and uses one shard in a transaction, so that two never deadlock.
pub async fn add(tx: &mut Tx, kind: Kind, unit: Unit, shard: i64, delta: i64) -> Result<()> {
    tx.exec(&ADD, &[kind.into(), unit.0.into(), shard.into(), delta.into()]).await.map(drop)
}

pub async fn get(db: &Db, kind: Kind, unit: Unit) -> Result<i64> {
    db.one(&GET, &[kind.into(), unit.0.into()]).await
}
