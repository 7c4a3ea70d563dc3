//! Counters for the metrics page.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Totals since the database was opened, but for the two pool gauges. Fields of the other engine stay 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Write transactions begun.
    pub transactions: u64,
    /// Transactions that were run again because they had collided with another: deadlocks, for the most part.
    pub reruns: u64,
    /// SQLite: time spent waiting for the writer, and time for which transactions held it.
    pub writer_wait: Duration,
    pub writer_hold: Duration,
    /// SQLite: real COMMITs; `transactions / commits` is how many shared one.
    pub commits: u64,
    /// SQLite: reads that ran on a reader thread because they exceeded the step budget or no connection was idle.
    pub reader_fallbacks: u64,
    /// PostgreSQL: open connections, and those of them that nobody uses.
    pub pool_open: u64,
    pub pool_idle: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub transactions: AtomicU64,
    pub reruns: AtomicU64,
    pub writer_wait: AtomicU64,
    pub writer_hold: AtomicU64,
    pub commits: AtomicU64,
    pub reader_fallbacks: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Relaxed);
    }

    pub(super) fn add_time(counter: &AtomicU64, time: Duration) {
        Self::add(counter, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn read(&self) -> Stats {
        let time = |counter: &AtomicU64| Duration::from_micros(counter.load(Relaxed));
        Stats {
            transactions: self.transactions.load(Relaxed),
            reruns: self.reruns.load(Relaxed),
            writer_wait: time(&self.writer_wait),
            writer_hold: time(&self.writer_hold),
            commits: self.commits.load(Relaxed),
            reader_fallbacks: self.reader_fallbacks.load(Relaxed),
            pool_open: 0,
            pool_idle: 0,
        }
    }
}
