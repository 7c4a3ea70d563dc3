//! Connections that read: idle ones for the calling task, and threads for what takes longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crossbeam_channel::Sender;
use crossbeam_queue::ArrayQueue;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::Failure;
use super::connection::Opener;
use crate::seam::error::{Error, Result};
use crate::seam::stats::Counters;

/// A read on the calling task may take `TICKS * STEPS` virtual machine steps, about 2 ms. Ticks are counted here because
/// SQLite's own count goes on from one run of a prepared statement to the next.
const STEPS: i32 = 10_000;
const TICKS: u32 = 20;

type Job = Box<dyn FnOnce(&Connection) + Send>;

pub(super) struct Readers {
    idle: ArrayQueue<Reader>,
    threads: Sender<Job>,
    counters: Arc<Counters>,
}

struct Reader {
    connection: Connection,
    ticks: Arc<AtomicU32>,
}

impl Readers {
    pub(super) fn open(opener: &Opener, count: usize, counters: Arc<Counters>) -> rusqlite::Result<Self> {
        let idle = ArrayQueue::new(count);
        let (threads, jobs) = crossbeam_channel::unbounded::<Job>();
        for number in 0..count {
            let mut connection = opener.reader()?;
            let ticks = Arc::new(AtomicU32::new(0));
            let counted = ticks.clone();
            connection.progress_handler(STEPS, Some(move || counted.fetch_add(1, Relaxed) + 1 >= TICKS))?;
            // Cannot be full: it was made for `count`.
            let _ = idle.push(Reader { connection, ticks });

            let (connection, jobs) = (opener.reader()?, jobs.clone());
            let serve = move || jobs.iter().for_each(|job| job(&connection));
            let thread = std::thread::Builder::new().name(format!("sqlite-read-{number}"));
            thread.spawn(serve).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        }
        Ok(Self { idle, threads, counters })
    }

    /// Runs a read here and now. `None` if it exceeded the budget, or if no connection is idle.
    pub(super) fn inline<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Failure>) -> Option<Result<T, Failure>> {
        let reader = self.idle.pop()?;
        reader.ticks.store(0, Relaxed);
        let answer = read(&reader.connection);
        // Cannot be full: it came from there.
        let _ = self.idle.push(reader);
        match answer {
            Err(Failure::Driver(rusqlite::Error::SqliteFailure(error, _)))
                if error.code == ErrorCode::OperationInterrupted =>
            {
                None
            }
            answer => Some(answer),
        }
    }

    /// Runs a read on a thread, without a budget.
    pub(super) async fn on_thread<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> Result<T> {
        Counters::add(&self.counters.reader_fallbacks, 1);
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Whoever asked may have gone.
            if !answer.is_closed() {
                let _ = answer.send(read(connection));
            }
        });
        let gone = || Error::Unavailable("the reader threads have ended".to_owned());
        self.threads.send(job).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}
