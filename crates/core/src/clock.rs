//! The one place that reads the clock of the machine. Everything else is handed a time.

use jiff::Timestamp;

/// Where the time comes from; tests bring their own.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present moment in UTC, in whole microseconds (what both engines store).
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // this is the place
    fn now(&self) -> Timestamp {
        whole_microseconds(Timestamp::now())
    }
}

fn whole_microseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
