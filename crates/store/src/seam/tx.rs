//! A transaction on either engine.

use std::time::{Duration, Instant};

use super::column::Record;
use super::db::built;
use super::engine::{self, Engine};
use super::error::{Error, Result};
use super::notices::{Effects, Notice};
use super::postgres::PostgresTx;
use super::sql::Sql;
use super::sqlite::SqliteTx;
use super::value::Value;

/// A transaction that has been open for longer is ended at its next statement: on SQLite everybody waits for it.
const LIMIT: Duration = Duration::from_secs(5);
/// PostgreSQL takes no longer payload.
const NOTICE_BYTES: usize = 7_900;
/// What a transaction should need at most; debug builds warn.
const STATEMENTS: u32 = 20;
const WORK: Duration = Duration::from_millis(10);

/// A transaction (READ COMMITTED on PostgreSQL, the only writer on SQLite). Dropped without [`Tx::commit`], it is rolled
/// back.
///
/// A statement that fails, or whose future is dropped, ends the transaction on both engines: every later statement and
/// the commit fail.
pub struct Tx {
    driver: Driver,
    effects: Effects,
    began: Instant,
    limit: Duration,
    /// No further statement, and no commit.
    broken: bool,
    statements: u32,
    work: Duration,
}

enum Driver {
    Sqlite(SqliteTx),
    Postgres(PostgresTx),
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tx").field(&self.engine()).finish()
    }
}

impl Tx {
    pub(super) fn sqlite(tx: SqliteTx) -> Self {
        Self::new(Driver::Sqlite(tx))
    }

    pub(super) fn postgres(tx: PostgresTx) -> Self {
        Self::new(Driver::Postgres(tx))
    }

    fn new(driver: Driver) -> Self {
        Self {
            driver,
            effects: Effects::default(),
            began: Instant::now(),
            limit: LIMIT,
            broken: false,
            statements: 0,
            work: Duration::ZERO,
        }
    }

    /// Lifts the time limit, for migrations.
    pub(crate) fn unlimited(mut self) -> Self {
        self.limit = Duration::MAX;
        self
    }

    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.driver {
            Driver::Sqlite(_) => Engine::Sqlite,
            Driver::Postgres(_) => Engine::Postgres,
        }
    }

    /// All rows.
    pub async fn query<R: Record>(&mut self, sql: &'static Sql<R>, args: &[Value]) -> Result<Vec<R>> {
        self.run(sql.on(self.engine()), args).await
    }

    /// The first row; [`Error::NotFound`] if there is none, which does not end the transaction.
    pub async fn one<R: Record>(&mut self, sql: &'static Sql<R>, args: &[Value]) -> Result<R> {
        self.optional(sql, args).await?.ok_or(Error::NotFound)
    }

    /// The first row, if there is one.
    pub async fn optional<R: Record>(&mut self, sql: &'static Sql<R>, args: &[Value]) -> Result<Option<R>> {
        Ok(self.query(sql, args).await?.into_iter().next())
    }

    /// See [`Db::dynamic`](super::Db::dynamic).
    pub async fn dynamic<R: Record>(&mut self, statement: sea_query::SelectStatement) -> Result<Vec<R>> {
        let (text, args) = built(self.engine(), &statement)?;
        self.run(&text, &args).await
    }

    async fn run<R: Record>(&mut self, text: &str, args: &[Value]) -> Result<Vec<R>> {
        let started = self.start()?;
        let answer = match &mut self.driver {
            Driver::Sqlite(tx) => tx.query(text, args),
            Driver::Postgres(tx) => tx.query(text, args).await,
        };
        self.finish(started, answer)
    }

    /// Runs a statement that returns no rows; the result is how many rows it wrote.
    pub async fn exec(&mut self, sql: &'static Sql<()>, args: &[Value]) -> Result<u64> {
        let text = sql.on(self.engine());
        let started = self.start()?;
        let answer = match &mut self.driver {
            Driver::Sqlite(tx) => tx.exec(text, args),
            Driver::Postgres(tx) => tx.exec(text, args).await,
        };
        self.finish(started, answer)
    }

    /// Runs statements that return no rows and do not depend on each other's order. On PostgreSQL all are sent before
    /// the first answer is waited for, so that many cost one way to the server and back.
    pub async fn exec_all(&mut self, statements: &[(&'static Sql<()>, Vec<Value>)]) -> Result<()> {
        let engine = self.engine();
        let started = self.start()?;
        let texts: Vec<(&str, &[Value])> =
            statements.iter().map(|(sql, args)| (sql.on(engine), args.as_slice())).collect();
        let answer = match &mut self.driver {
            Driver::Sqlite(tx) => texts.iter().try_for_each(|(text, args)| tx.exec(text, args).map(drop)),
            Driver::Postgres(tx) => tx.exec_all(&texts).await,
        };
        self.finish(started, answer)
    }

    /// Runs several statements, separated by `;`: migrations and tests.
    pub async fn script(&mut self, text: &str) -> Result<()> {
        let started = self.start()?;
        let answer = match &mut self.driver {
            Driver::Sqlite(tx) => tx.script(text),
            Driver::Postgres(tx) => tx.script(text).await,
        };
        self.finish(started, answer)
    }

    /// Holds the lock of this name, against `lock` and `lock_shared` of others, until the transaction ends.
    pub async fn lock(&mut self, name: &str) -> Result<()> {
        self.lock_as(name, false).await
    }

    /// Holds the lock of this name, against `lock` of others, until the transaction ends.
    pub async fn lock_shared(&mut self, name: &str) -> Result<()> {
        self.lock_as(name, true).await
    }

    async fn lock_as(&mut self, name: &str, shared: bool) -> Result<()> {
        // A statement of its own: a lock inside a query would read rows as they were before it was granted.
        if let Some(sql) = engine::lock(self.engine(), shared) {
            self.query(sql, &[Value::Int(lock_number(name))]).await?;
        }
        Ok(())
    }

    /// Runs `hook` right after the COMMIT has succeeded, even if by then nobody waits for it any more, and before
    /// [`Tx::commit`] returns. It must be short and must not block: other transactions wait behind it.
    pub fn after_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.effects.hook(hook);
    }

    /// Sends a notice to every receiver of [`Db::notices`](super::Db::notices) once the transaction is committed.
    pub fn notify(&mut self, channel: &'static str, payload: String) -> Result<()> {
        if payload.len() > NOTICE_BYTES {
            return Err(Error::other(format!("a notice on {channel} of {} bytes is too long", payload.len())));
        }
        self.effects.notice(Notice { channel: channel.to_owned(), payload });
        Ok(())
    }

    /// Returns when the transaction is durable and its hooks have run. An error means that it was rolled back, except
    /// [`Error::Unavailable`] on PostgreSQL, after which nobody knows.
    pub async fn commit(mut self) -> Result<()> {
        self.warn_if_large();
        if self.broken {
            self.roll_back().await;
            return Err(Error::other("commit after a failed or abandoned statement"));
        }
        let effects = std::mem::take(&mut self.effects);
        match self.driver {
            Driver::Sqlite(tx) => tx.commit(effects).await,
            Driver::Postgres(tx) => tx.commit(effects).await,
        }
    }

    /// Rolls back and waits for it, which dropping does not.
    pub async fn roll_back(self) {
        match self.driver {
            Driver::Sqlite(tx) => drop(tx),
            Driver::Postgres(tx) => tx.roll_back().await,
        }
    }

    /// Called before each statement. The transaction counts as broken until the answer is there, so that a statement
    /// whose future is dropped half-way breaks it.
    fn start(&mut self) -> Result<Instant> {
        if self.broken {
            return Err(Error::other("a statement after a failed or abandoned one"));
        }
        self.broken = true;
        let now = Instant::now();
        if now - self.began > self.limit {
            return Err(Error::Unavailable("the transaction took too long".to_owned()));
        }
        Ok(now)
    }

    fn finish<T>(&mut self, started: Instant, answer: Result<T>) -> Result<T> {
        self.broken = answer.is_err();
        self.statements += 1;
        self.work += started.elapsed();
        answer
    }

    fn warn_if_large(&self) {
        let large = self.statements > STATEMENTS || self.work > WORK;
        if cfg!(debug_assertions) && large && self.limit == LIMIT {
            tracing::warn!(statements = self.statements, work = ?self.work, "a large write transaction");
        }
    }
}

/// The number of a named lock: the first 64 bits of the name's SHA-256, so that all versions of the program agree.
fn lock_number(name: &str) -> i64 {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(name.as_bytes());
    digest.iter().take(8).fold(0_i64, |number, byte| (number << 8) | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::{Db, DbConfig};

    static ONE: Sql<i64> = Sql::new("SELECT 1");

    #[tokio::test]
    async fn a_transaction_that_is_too_old_is_ended_at_its_next_statement() {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open(&DbConfig::sqlite(directory.path().join("test.db"))).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        assert_eq!(tx.one(&ONE, &[]).await.unwrap(), 1);
        tx.limit = Duration::ZERO;
        assert!(matches!(tx.one(&ONE, &[]).await, Err(Error::Unavailable(_))));
        assert!(tx.commit().await.is_err());
        let mut tx = db.begin().await.unwrap().unlimited();
        assert_eq!(tx.one(&ONE, &[]).await.unwrap(), 1);
    }

    #[test]
    fn the_number_of_a_lock_never_changes() {
        // All replicas, of all versions, must mean the same lock.
        assert_eq!(lock_number("schema_migrations"), 2_791_888_192_033_081_259);
    }
}
