//! SQLite: reads run on the calling task, writes share one connection and its commits.
//!
//! A thread hop costs more than a point read, so a read takes an idle connection and runs right here, under a budget of
//! virtual machine steps; one that exceeds it is interrupted and run again on a reader thread. Writing is in `writer.rs`.

mod connection;
mod functions;
mod names;
mod readers;
mod writer;

use std::sync::Arc;

use rusqlite::Connection;

use self::connection::Opener;
use self::names::Names;
use self::readers::Readers;
use self::writer::{SharedWriter, WriteLock};
use super::column::{Cells, Record, Row};
use super::config::DbConfig;
use super::error::{Error, Result};
use super::notices::{Effects, Notices};
use super::sql::Described;
use super::stats::Counters;
use super::value::Value;

#[derive(Clone)]
pub(super) struct Sqlite {
    readers: Arc<Readers>,
    writer: SharedWriter,
    names: Arc<Names>,
}

impl Sqlite {
    pub(super) fn open(
        config: &DbConfig,
        path: &std::path::Path,
        notices: Notices,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        let opener = Opener::new(path, config.synchronous);
        let open = || -> rusqlite::Result<_> {
            // First and alone: several connections that switch a file to WAL together fail with "database is locked".
            let writer = opener.writer()?;
            let readers = Readers::open(&opener, config.readers.max(1), counters.clone())?;
            Ok((writer, readers))
        };
        let (writer, readers) = open().map_err(|error| Error::from_sqlite(error, |_| None))?;
        let sqlite = Self {
            readers: Arc::new(readers),
            writer: SharedWriter::start(writer, notices, counters)?,
            names: Arc::default(),
        };
        Ok(sqlite)
    }

    /// Learns the names of the unique indexes, to be done again after a migration.
    pub(super) async fn load_constraints(&self) -> Result<()> {
        let writer = self.writer.lock().await?;
        let loaded = self.names.load(writer.connection());
        loaded.map_err(|error| self.error(error))
    }

    pub(super) async fn query<R: Record>(&self, text: &str, args: &[Value]) -> Result<Vec<R>> {
        match self.readers.inline(|connection| rows(connection, text, args)) {
            Some(answer) => answer.map_err(|failure| self.failure(failure)),
            None => {
                let (text, args) = (text.to_owned(), args.to_vec());
                let answer = self.readers.on_thread(move |connection| rows(connection, &text, &args)).await?;
                answer.map_err(|failure| self.failure(failure))
            }
        }
    }

    pub(super) async fn describe(&self, text: &str) -> Result<Vec<Described>> {
        let writer = self.writer.lock().await?;
        let statement = writer.connection().prepare(text).map_err(|error| self.error(error))?;
        let names = statement.column_names();
        Ok(names.into_iter().map(|name| Described { name: name.to_owned(), kind: None }).collect())
    }

    /// Waits for the writer and begins a transaction inside the shared one.
    pub(super) async fn begin(&self) -> Result<SqliteTx> {
        let lock = self.writer.begin().await?.map_err(|error| self.error(error))?;
        Ok(SqliteTx { db: self.clone(), lock: Some(lock) })
    }

    fn failure(&self, failure: Failure) -> Error {
        match failure {
            Failure::Driver(error) => self.error(error),
            Failure::Reading(error) => error,
        }
    }

    fn error(&self, error: rusqlite::Error) -> Error {
        Error::from_sqlite(error, |columns| self.names.index_of(columns))
    }
}

/// A transaction: it holds the writer until it is committed or dropped; dropped means rolled back.
pub(super) struct SqliteTx {
    db: Sqlite,
    lock: Option<WriteLock>,
}

impl SqliteTx {
    pub(super) fn query<R: Record>(&mut self, text: &str, args: &[Value]) -> Result<Vec<R>> {
        self.run(|connection| rows(connection, text, args))
    }

    pub(super) fn exec(&mut self, text: &str, args: &[Value]) -> Result<u64> {
        self.run(|connection| {
            let changed = connection.prepare_cached(text)?.execute(rusqlite::params_from_iter(args))?;
            Ok(changed as u64)
        })
    }

    pub(super) fn script(&mut self, text: &str) -> Result<()> {
        self.run(|connection| Ok(connection.execute_batch(text)?))
    }

    fn run<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T> {
        let lock = self.lock.as_mut().ok_or_else(ended)?;
        let answer = work(lock.connection());
        if answer.is_err() {
            lock.notice_loss();
        }
        answer.map_err(|failure| self.db.failure(failure))
    }

    /// Returns when the shared COMMIT has succeeded and the effects have run.
    pub(super) async fn commit(mut self, effects: Effects) -> Result<()> {
        let lock = self.lock.take().ok_or_else(ended)?;
        let acknowledged = lock.release(effects).map_err(|error| self.db.error(error))?;
        match acknowledged.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(Error::Unavailable(why)),
            Err(_) => Err(Error::Unavailable("the commit thread has ended".to_owned())),
        }
    }
}

fn ended() -> Error {
    Error::other("the transaction has ended")
}

/// Why rows could not be read: the driver says so, or a record does not fit.
enum Failure {
    Driver(rusqlite::Error),
    Reading(Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Driver(error)
    }
}

fn rows<R: Record>(connection: &Connection, text: &str, args: &[Value]) -> Result<Vec<R>, Failure> {
    let mut statement = connection.prepare_cached(text)?;
    let mut rows = statement.query(rusqlite::params_from_iter(args))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(R::read(&Row(Cells::Sqlite(row))).map_err(Failure::Reading)?);
    }
    Ok(records)
}
