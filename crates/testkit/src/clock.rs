//! A clock that stands still until a test moves it.

use std::sync::{Mutex, PoisonError};

use chandler_core::Clock;
use jiff::{SignedDuration, Timestamp};

/// 2030-01-02T03:04:05.000006Z, in microseconds: long after whatever the template databases hold, so that a test can
/// tell its own rows by their time.
const START: i64 = 1_893_553_445_000_006;

/// The clock of a test.
#[derive(Debug)]
pub struct StandingClock(Mutex<Timestamp>);

impl Default for StandingClock {
    fn default() -> Self {
        Self(Mutex::new(Timestamp::from_microsecond(START).unwrap_or(Timestamp::MAX)))
    }
}

impl StandingClock {
    /// Moves it.
    pub fn forward(&self, seconds: i64) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    }
}

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
