//! PostgreSQL: a pool of connections with prepared statements, one connection that listens, and one that tells.

mod announcer;
mod listener;

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::NoTls;
use tokio_postgres::types::ToSql;

use self::announcer::Announcer;
use self::listener::Listener;
use super::column::{Cells, Record, Row};
use super::config::DbConfig;
use super::error::{Error, Result};
use super::notices::{Effects, Notices};
use super::sql::Described;
use super::stats::Stats;
use super::value::Value;

/// How long to wait for a connection.
const WAIT: Duration = Duration::from_secs(5);
/// Statements with texts made at run time could fill a connection's cache without end.
const CACHED_STATEMENTS: usize = 512;

#[derive(Clone)]
pub(super) struct Postgres {
    pool: Pool,
    notices: Notices,
    announcer: Announcer,
    _listener: Listener,
}

impl Postgres {
    /// Connects at once, so that a wrong address is found at start.
    pub(super) async fn open(config: &DbConfig, url: &str, notices: Notices) -> Result<Self> {
        let mut server = tokio_postgres::Config::from_str(url)?;
        server.connect_timeout(WAIT).keepalives_idle(Duration::from_secs(30));
        if server.get_application_name().is_none() {
            server.application_name("chandler");
        }
        let announcer = Announcer::start(server.clone());
        let listener = Listener::start(server.clone(), notices.clone(), announcer.backend()).await?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(server, NoTls, recycling))
            .max_size(config.pool_size.max(1))
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(WAIT))
            .recycle_timeout(Some(WAIT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::unavailable(&error))?;
        Ok(Self { pool, notices, announcer, _listener: listener })
    }

    pub(super) async fn query<R: Record>(&self, text: &str, args: &[Value]) -> Result<Vec<R>> {
        rows(&self.pool.get().await?, text, args).await
    }

    pub(super) async fn describe(&self, text: &str) -> Result<Vec<Described>> {
        let statement = self.pool.get().await?.prepare(text).await?;
        let columns = statement.columns().iter();
        Ok(columns
            .map(|column| Described { name: column.name().to_owned(), kind: Some(column.type_().clone()) })
            .collect())
    }

    pub(super) async fn begin(&self) -> Result<PostgresTx> {
        let client = self.pool.get().await?;
        let (notices, announcer) = (self.notices.clone(), self.announcer.clone());
        let mut tx = PostgresTx { client: Some(client), notices, announcer, in_flight: true };
        tx.client()?.batch_execute("BEGIN").await?;
        tx.in_flight = false;
        Ok(tx)
    }

    pub(super) fn add_stats(&self, stats: &mut Stats) {
        let pool = self.pool.status();
        stats.pool_open = pool.size as u64;
        stats.pool_idle = pool.available as u64;
    }
}

/// A transaction on a connection of its own; dropped means rolled back.
pub(super) struct PostgresTx {
    client: Option<Object>,
    notices: Notices,
    announcer: Announcer,
    /// A statement has been sent and its answer has not been seen.
    in_flight: bool,
}

impl PostgresTx {
    pub(super) async fn query<R: Record>(&mut self, text: &str, args: &[Value]) -> Result<Vec<R>> {
        self.in_flight = true;
        let answer = rows(self.client()?, text, args).await;
        self.in_flight = false;
        answer
    }

    pub(super) async fn exec(&mut self, text: &str, args: &[Value]) -> Result<u64> {
        self.in_flight = true;
        let answer = execute(self.client()?, text, args).await;
        self.in_flight = false;
        answer
    }

    pub(super) async fn exec_all(&mut self, statements: &[(&str, &[Value])]) -> Result<()> {
        self.in_flight = true;
        let answer = execute_all(self.client()?, statements).await;
        self.in_flight = false;
        answer
    }

    pub(super) async fn script(&mut self, text: &str) -> Result<()> {
        self.in_flight = true;
        let answer = self.client()?.batch_execute(text).await;
        self.in_flight = false;
        Ok(answer?)
    }

    /// The COMMIT and what follows it run in a task of their own: they are finished even if nobody waits any more.
    pub(super) async fn commit(mut self, effects: Effects) -> Result<()> {
        let client = self.client.take().ok_or_else(ended)?;
        let (notices, announcer) = (self.notices.clone(), self.announcer.clone());
        let committing = tokio::spawn(async move {
            client.batch_execute("COMMIT").await?;
            drop(client);
            announcer.announce(effects.notices());
            effects.run(&notices);
            Ok(())
        });
        committing.await.unwrap_or_else(|stopped| Err(Error::unavailable(&stopped)))
    }

    /// Waits for the ROLLBACK, unless a statement is still in flight: then dropping sees to it.
    pub(super) async fn roll_back(mut self) {
        if self.in_flight {
            return;
        }
        if let Some(client) = self.client.take() {
            roll_back(client).await;
        }
    }

    fn client(&self) -> Result<&Object> {
        self.client.as_ref().ok_or_else(ended)
    }
}

impl Drop for PostgresTx {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        match (tokio::runtime::Handle::try_current(), self.in_flight) {
            (Ok(runtime), false) => drop(runtime.spawn(roll_back(client))),
            (Ok(runtime), true) => {
                // The server is busy with a statement that nobody waits for. A ROLLBACK would queue behind it, and a
                // cancellation could hit that ROLLBACK instead: the connection is given up.
                let cancel = client.cancel_token();
                drop(Object::take(client));
                drop(runtime.spawn(async move { cancel.cancel_query(NoTls).await }));
            }
            (Err(_), _) => drop(Object::take(client)),
        }
    }
}

async fn roll_back(client: Object) {
    if client.batch_execute("ROLLBACK").await.is_err() {
        // Never back into the pool with an open transaction.
        drop(Object::take(client));
    }
}

fn ended() -> Error {
    Error::other("the transaction has ended")
}

async fn prepare(client: &Object, text: &str) -> Result<tokio_postgres::Statement> {
    if client.statement_cache.size() >= CACHED_STATEMENTS {
        client.statement_cache.clear();
    }
    Ok(client.prepare_cached(text).await?)
}

fn params(args: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    args.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

async fn rows<R: Record>(client: &Object, text: &str, args: &[Value]) -> Result<Vec<R>> {
    let statement = prepare(client, text).await?;
    let rows = client.query(&statement, &params(args)).await?;
    rows.iter().map(|row| R::read(&Row(Cells::Postgres(row)))).collect()
}

async fn execute(client: &Object, text: &str, args: &[Value]) -> Result<u64> {
    let statement = prepare(client, text).await?;
    Ok(client.execute(&statement, &params(args)).await?)
}

async fn execute_all(client: &Object, statements: &[(&str, &[Value])]) -> Result<()> {
    let mut sent = Vec::with_capacity(statements.len());
    for (text, args) in statements {
        sent.push((prepare(client, text).await?, params(args)));
    }
    // Each is sent when it is polled first, which is before any answer is waited for.
    let answers = sent.iter().map(|(statement, params)| client.execute(statement, params));
    futures_util::future::try_join_all(answers).await?;
    Ok(())
}
