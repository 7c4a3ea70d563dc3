//! The database handle: reads, and the way into a transaction.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::column::Record;
use super::config::{DbConfig, DbUrl};
use super::engine::{Engine, build};
use super::error::{Error, Result, Transient};
use super::notices::{self, Notice, Notices};
use super::postgres::Postgres;
use super::sql::{Described, Sql};
use super::sqlite::Sqlite;
use super::stats::{Counters, Stats};
use super::tx::Tx;
use super::value::Value;
use super::work::Work;

/// How often a transaction that collided with another is run again.
const RETRIES: u32 = 2;

/// A database. Clones are cheap and share everything; threads and connections end with the last one.
#[derive(Clone)]
pub struct Db {
    driver: Driver,
    notices: Notices,
    counters: Arc<Counters>,
}

#[derive(Clone)]
enum Driver {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Db").field(&self.engine()).finish()
    }
}

impl Db {
    /// Opens the database; fails if the file cannot be opened or the server cannot be reached. Must be called inside a
    /// tokio runtime.
    pub async fn open(config: &DbConfig) -> Result<Self> {
        let (notices, counters) = (notices::channel(), Arc::<Counters>::default());
        let driver = match &config.url {
            DbUrl::Sqlite(path) => Driver::Sqlite(Sqlite::open(config, path, notices.clone(), counters.clone())?),
            DbUrl::Postgres(url) => Driver::Postgres(Postgres::open(config, url, notices.clone()).await?),
        };
        let db = Self { driver, notices, counters };
        db.load_constraints().await?;
        Ok(db)
    }

    #[must_use]
    pub fn engine(&self) -> Engine {
        match &self.driver {
            Driver::Sqlite(_) => Engine::Sqlite,
            Driver::Postgres(_) => Engine::Postgres,
        }
    }

    /// All rows.
    pub async fn query<R: Record>(&self, sql: &'static Sql<R>, args: &[Value]) -> Result<Vec<R>> {
        self.run(sql.on(self.engine()), args).await
    }

    /// The first row; [`Error::NotFound`] if there is none.
    pub async fn one<R: Record>(&self, sql: &'static Sql<R>, args: &[Value]) -> Result<R> {
        self.optional(sql, args).await?.ok_or(Error::NotFound)
    }

    /// The first row, if there is one.
    pub async fn optional<R: Record>(&self, sql: &'static Sql<R>, args: &[Value]) -> Result<Option<R>> {
        Ok(self.query(sql, args).await?.into_iter().next())
    }

    /// All rows of a statement that was put together at run time: lists with the client's filters. It must select the
    /// record's columns in their order.
    pub async fn dynamic<R: Record>(&self, statement: sea_query::SelectStatement) -> Result<Vec<R>> {
        let (text, args) = built(self.engine(), &statement)?;
        self.run(&text, &args).await
    }

    async fn run<R: Record>(&self, text: &str, args: &[Value]) -> Result<Vec<R>> {
        match &self.driver {
            Driver::Sqlite(sqlite) => sqlite.query(text, args).await,
            Driver::Postgres(postgres) => postgres.query(text, args).await,
        }
    }

    /// Runs `work` in a transaction and commits it if it returns `Ok`, rolls it back if not: `db.write(async |tx| ..)`.
    /// Returns when the commit is durable and its hooks have run. A transaction that collided with another one is run
    /// again, twice at most: `work` must not have effects outside the transaction.
    ///
    /// Inside, nothing but `tx` may be awaited; another `write` would wait for this one. What the closure may capture is
    /// told at [`Work`].
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send,
        E: From<Error> + Transient + Send,
        F: Send + AsyncFn(&mut Tx) -> Result<T, E> + for<'t> Work<&'t mut Tx, Result<T, E>>,
    {
        let mut retries = 0;
        loop {
            let mut tx = self.begin().await?;
            let outcome = match work.run(&mut tx).await {
                Ok(value) => tx.commit().await.map(|()| value).map_err(E::from),
                Err(error) => {
                    // Waited for, so that the next try does not meet the locks of this one.
                    tx.roll_back().await;
                    Err(error)
                }
            };
            match outcome {
                Err(error) if error.transient() && retries < RETRIES => {
                    Counters::add(&self.counters.reruns, 1);
                    retries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Begins a transaction. [`Db::write`] is the normal way; this one neither commits nor retries by itself.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(match &self.driver {
            Driver::Sqlite(sqlite) => Tx::sqlite(sqlite.begin().await?),
            Driver::Postgres(postgres) => {
                Counters::add(&self.counters.transactions, 1);
                Tx::postgres(postgres.begin().await?)
            }
        })
    }

    /// Runs several statements, separated by `;`, in one transaction without a time limit: migrations and tests.
    pub async fn script(&self, text: &str) -> Result<()> {
        let mut tx = self.begin().await?.unlimited();
        tx.script(text).await?;
        tx.commit().await
    }

    /// What transactions of this process (SQLite) or of all processes (PostgreSQL) send with [`Tx::notify`], from now on.
    #[must_use]
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Learns the names of the unique indexes again; the migrator calls it.
    pub async fn load_constraints(&self) -> Result<()> {
        match &self.driver {
            Driver::Sqlite(sqlite) => sqlite.load_constraints().await,
            Driver::Postgres(_) => Ok(()),
        }
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.counters.read();
        if let Driver::Postgres(postgres) = &self.driver {
            postgres.add_stats(&mut stats);
        }
        stats
    }

    pub(super) async fn describe(&self, text: &str) -> Result<Vec<Described>> {
        match &self.driver {
            Driver::Sqlite(sqlite) => sqlite.describe(text).await,
            Driver::Postgres(postgres) => postgres.describe(text).await,
        }
    }
}

/// The text and the arguments of a statement that was put together at run time.
pub(super) fn built(engine: Engine, statement: &sea_query::SelectStatement) -> Result<(String, Vec<Value>)> {
    let (text, args) = build(engine, statement);
    let args = args.into_iter().map(Value::from_sea).collect::<Result<_>>()?;
    Ok((text, args))
}
