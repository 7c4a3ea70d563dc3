//! Migrations: numbered SQL files, applied in order, never changed once released, never undone.
//!
//! One text serves both engines through the type tokens of `seam/engine.rs`. Each migration is one transaction, together
//! with its row in `schema_migrations`, so that an interrupted run continues where it stopped. Several processes may start
//! at once: a named lock makes all but one wait.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::seam::{self, Db, Engine, Sql, Tx, args, expand_types, preamble, record, table_exists};

/// One step of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The file name without `.sql`.
    pub name: &'static str,
    pub sql: &'static str,
    /// What PostgreSQL runs instead, where one text cannot serve both.
    pub postgres_override: Option<&'static str>,
}

/// All migrations in order; the first has number 1.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_foundation",
    sql: include_str!("../../../migrations/0001_foundation.sql"),
    postgres_override: None,
}];

/// Why the schema could not be brought up to date. `Display` is for logs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("migration {name} has been changed after it was applied to this database; restore the released file")]
    Changed { name: &'static str },
    #[error("this database has migration {found} as number {number}, this program has {wanted}")]
    Diverged { number: i64, found: String, wanted: &'static str },
    #[error("migration {name} failed: {source}")]
    Failed { name: &'static str, source: seam::Error },
    #[error(transparent)]
    Database(#[from] seam::Error),
}

/// Applies what is missing and returns its names. A database that is ahead of this program is left as it is: during a
/// rolling update old replicas run on the new schema.
pub async fn run(db: &Db, now: Timestamp) -> Result<Vec<&'static str>, Error> {
    run_list(db, MIGRATIONS, now).await
}

/// The names of the migrations that [`run`] would apply.
pub async fn pending(db: &Db) -> Result<Vec<&'static str>, Error> {
    pending_list(db, MIGRATIONS).await
}

/// [`run`] with another list, for tests.
pub async fn run_list(db: &Db, migrations: &[Migration], now: Timestamp) -> Result<Vec<&'static str>, Error> {
    let mut names = Vec::new();
    while let Some(name) = step(db, migrations, now).await? {
        tracing::info!(migration = name, "applied");
        names.push(name);
    }
    db.load_constraints().await?;
    Ok(names)
}

/// [`pending`] with another list, for tests.
pub async fn pending_list(db: &Db, migrations: &[Migration]) -> Result<Vec<&'static str>, Error> {
    let applied = if db.one(table_exists(db.engine()), args![TABLE]).await? {
        db.query(&APPLIED, args![]).await?
    } else {
        Vec::new()
    };
    Ok(missing(migrations, &applied)?.iter().map(|migration| migration.name).collect())
}

const TABLE: &str = "schema_migrations";
const CREATE: &str = "CREATE TABLE schema_migrations (
    number {int} NOT NULL PRIMARY KEY, name {text} NOT NULL, checksum {text} NOT NULL, applied_at {time} NOT NULL)";

struct Applied {
    number: i64,
    name: String,
    checksum: String,
}
record!(Applied { number, name, checksum });

static APPLIED: Sql<Applied> = Sql::new("SELECT {columns} FROM schema_migrations ORDER BY number");
static RECORD: Sql<()> =
    Sql::new("INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)");

/// Applies the next migration, if there is one. The lock is taken anew for each, so that it ends with the transaction.
async fn step(db: &Db, migrations: &[Migration], now: Timestamp) -> Result<Option<&'static str>, Error> {
    let mut tx = db.begin().await?.unlimited();
    tx.lock("schema_migrations").await?;
    if !tx.one(table_exists(tx.engine()), args![TABLE]).await? {
        tx.script(&expand_types(tx.engine(), CREATE)).await?;
    }
    let applied = tx.query(&APPLIED, args![]).await?;
    let Some(next) = missing(migrations, &applied)?.first() else {
        tx.roll_back().await;
        return Ok(None);
    };
    apply(&mut tx, next).await.map_err(|source| Error::Failed { name: next.name, source })?;
    tx.exec(&RECORD, args![number(applied.len()), next.name, checksum(next), now]).await?;
    tx.commit().await.map_err(|source| Error::Failed { name: next.name, source })?;
    Ok(Some(next.name))
}

async fn apply(tx: &mut Tx, migration: &Migration) -> seam::Result<()> {
    let engine = tx.engine();
    tx.script(preamble(engine)).await?;
    let replaced = migration.postgres_override.filter(|_| engine == Engine::Postgres);
    tx.script(&expand_types(engine, replaced.unwrap_or(migration.sql))).await
}

/// The migrations after the applied ones, which must be the same as the first of the list.
fn missing<'a>(migrations: &'a [Migration], applied: &[Applied]) -> Result<&'a [Migration], Error> {
    for (index, (wanted, found)) in migrations.iter().zip(applied).enumerate() {
        if found.number != number(index) || found.name != wanted.name {
            return Err(Error::Diverged {
                number: number(index),
                found: format!("{} ({})", found.name, found.number),
                wanted: wanted.name,
            });
        }
        if found.checksum != checksum(wanted) {
            return Err(Error::Changed { name: wanted.name });
        }
    }
    if applied.len() > migrations.len() {
        tracing::warn!(applied = applied.len(), known = migrations.len(), "the database is newer than this program");
    }
    Ok(migrations.get(applied.len()..).unwrap_or_default())
}

fn number(index: usize) -> i64 {
    i64::try_from(index).map_or(i64::MAX, |index| index + 1)
}

fn checksum(migration: &Migration) -> String {
    let mut digest = Sha256::new();
    digest.update(migration.sql);
    if let Some(text) = migration.postgres_override {
        digest.update([0]);
        digest.update(text);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
