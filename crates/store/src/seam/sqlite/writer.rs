//! The one connection that writes, and the commits that transactions share.
//!
//! A transaction is a savepoint inside a shared `BEGIN IMMEDIATE`, and holds a fair lock while it runs. Whoever is done
//! releases its savepoint, leaves an acknowledgement to be given, and calls the commit thread, which queues for the same
//! lock: all who were ahead of it in the queue are in its COMMIT. So one wait for the disk serves everybody, and nobody is
//! told "done" before it. If that COMMIT fails, or if SQLite rolls the shared transaction back on its own (disk full, I/O
//! error), all who wait fail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use rusqlite::Connection;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use crate::seam::error::{Error, Result};
use crate::seam::notices::{Effects, Notices};
use crate::seam::stats::Counters;

/// How long a transaction may queue for the writer.
const QUEUE: Duration = Duration::from_secs(5);

/// A transaction that is released but not yet committed.
struct Waiter {
    effects: Effects,
    acknowledge: oneshot::Sender<Result<(), String>>,
}

struct Writer {
    connection: Connection,
    /// A shared transaction has been begun.
    open: bool,
    /// Whose savepoints are released into it.
    waiting: Vec<Waiter>,
    /// The commit thread has been called and has not come yet.
    called: bool,
}

impl Writer {
    fn begin(&mut self) -> rusqlite::Result<()> {
        self.notice_loss();
        if !self.open {
            if !self.connection.is_autocommit() {
                // A ROLLBACK failed; it is tried again, for without it nobody can write any more.
                self.run("ROLLBACK")?;
            }
            self.run("BEGIN IMMEDIATE")?;
            self.open = true;
        }
        self.run("SAVEPOINT s")
    }

    /// Takes back what the current transaction did.
    fn roll_back(&mut self) {
        self.notice_loss();
        if !self.open {
            return;
        }
        if self.waiting.is_empty() || self.run("ROLLBACK TO s").and_then(|()| self.run("RELEASE s")).is_err() {
            if let Err(error) = self.run("ROLLBACK") {
                tracing::error!("cannot roll back: {error}");
            }
            self.open = false;
            self.fail_all("the shared transaction had to be rolled back");
        }
    }

    /// Some errors make SQLite roll back the whole transaction, the released savepoints of others included.
    fn notice_loss(&mut self) {
        if self.open && self.connection.is_autocommit() {
            self.open = false;
            self.fail_all("SQLite rolled the shared transaction back");
        }
    }

    /// The real COMMIT. Returns those who waited for it, if it succeeded; else they have been told.
    fn commit(&mut self) -> Vec<Waiter> {
        self.called = false;
        self.notice_loss();
        if !self.open {
            return Vec::new();
        }
        self.open = false;
        if let Err(error) = self.run("COMMIT") {
            // It may still be open: COMMIT is tried once, then the transaction is over.
            if !self.connection.is_autocommit() {
                let _ = self.run("ROLLBACK");
            }
            self.fail_all(&format!("commit failed: {error}"));
        }
        std::mem::take(&mut self.waiting)
    }

    fn fail_all(&mut self, why: &str) {
        if !self.waiting.is_empty() {
            tracing::error!(transactions = self.waiting.len(), "SQLite lost a shared transaction: {why}");
        }
        for waiter in self.waiting.drain(..) {
            // Whoever waited may have gone.
            let _ = waiter.acknowledge.send(Err(why.to_owned()));
        }
    }

    fn run(&self, text: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(text)?.execute([]).map(|_| ())
    }
}

/// The writer and the way to its commit thread.
#[derive(Clone)]
pub(super) struct SharedWriter {
    writer: Arc<Mutex<Writer>>,
    commits: Sender<()>,
    counters: Arc<Counters>,
}

impl SharedWriter {
    /// Starts the commit thread; it ends when the last `SharedWriter` is gone.
    pub(super) fn start(connection: Connection, notices: Notices, counters: Arc<Counters>) -> Result<Self> {
        let writer = Arc::new(Mutex::new(Writer { connection, open: false, waiting: Vec::new(), called: false }));
        let (commits, calls) = crossbeam_channel::unbounded::<()>();
        let (shared, counted) = (writer.clone(), counters.clone());
        let serve = move || {
            for () in calls {
                // The guard ends with this line, so that the next transactions run while the effects do.
                let committed = shared.blocking_lock().commit();
                Counters::add(&counted.commits, u64::from(!committed.is_empty()));
                for waiter in committed {
                    waiter.effects.run(&notices);
                    let _ = waiter.acknowledge.send(Ok(()));
                }
            }
        };
        let thread = std::thread::Builder::new().name("sqlite-commit".to_owned()).spawn(serve);
        thread.map_err(|error| Error::unavailable(&error))?;
        Ok(Self { writer, commits, counters })
    }

    /// Waits for the writer, first come first served.
    pub(super) async fn lock(&self) -> Result<WriteLock> {
        let asked = Instant::now();
        let lock = tokio::time::timeout(QUEUE, self.writer.clone().lock_owned()).await;
        let writer = lock.map_err(|_| Error::Unavailable("the writer was busy for too long".to_owned()))?;
        let locked = Instant::now();
        Counters::add_time(&self.counters.writer_wait, locked - asked);
        Ok(WriteLock { writer, shared: self.clone(), locked, in_transaction: false })
    }

    /// Waits for the writer and begins a transaction.
    pub(super) async fn begin(&self) -> Result<rusqlite::Result<WriteLock>> {
        let mut lock = self.lock().await?;
        Counters::add(&self.counters.transactions, 1);
        // If only the savepoint failed, dropping the lock sees to the rest.
        Ok(lock.writer.begin().map(|()| {
            lock.in_transaction = true;
            lock
        }))
    }
}

/// The writer while one caller has it. Dropped inside a transaction, it rolls that transaction back.
pub(super) struct WriteLock {
    writer: OwnedMutexGuard<Writer>,
    shared: SharedWriter,
    locked: Instant,
    in_transaction: bool,
}

impl WriteLock {
    pub(super) fn connection(&self) -> &Connection {
        &self.writer.connection
    }

    /// To be called after each error, before anything else is run.
    pub(super) fn notice_loss(&mut self) {
        self.writer.notice_loss();
    }

    /// Ends the transaction and asks for the COMMIT; the receiver learns how it went.
    pub(super) fn release(mut self, effects: Effects) -> rusqlite::Result<oneshot::Receiver<Result<(), String>>> {
        let (acknowledge, acknowledged) = oneshot::channel();
        self.writer.notice_loss();
        if self.writer.open {
            self.writer.run("RELEASE s")?;
            self.writer.waiting.push(Waiter { effects, acknowledge });
        } else {
            let _ = acknowledge.send(Err("SQLite rolled the shared transaction back".to_owned()));
        }
        self.in_transaction = false;
        Ok(acknowledged)
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        if self.in_transaction {
            self.writer.roll_back();
        }
        // Whoever leaves something open calls the commit thread, once.
        if self.writer.open && !self.writer.called {
            self.writer.called = true;
            let _ = self.shared.commits.send(());
        }
        Counters::add_time(&self.shared.counters.writer_hold, self.locked.elapsed());
    }
}
