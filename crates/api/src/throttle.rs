//! Slows down guessing: counts failed log-ins per source address.
//!
//! Only failures count, and only a log-in that would cost a password check is refused for them: tokens cannot be
//! guessed, so somebody behind the same address who has one is not locked out. State is this process's own and bounded;
//! time is handed in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Failures in a row that are free.
const BURST: i32 = 10;
/// Every failure is forgotten after this long, one after the other.
const PERIOD: SignedDuration = SignedDuration::from_secs(6);
/// Most failures that are held against a source: those that were under way when it was refused.
const DEBT: i32 = 30;
/// Sources that are remembered.
const SOURCES: usize = 10_000;

/// The failed log-ins of all sources.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// When everything that a source did wrong will be forgotten.
    forgotten_at: Mutex<HashMap<Option<IpAddr>, Timestamp>>,
}

impl Throttle {
    /// Whether this source may try a password now.
    ///
    /// # Errors
    /// The seconds after which it may.
    pub(crate) fn check(&self, source: Option<IpAddr>, now: Timestamp) -> Result<(), u32> {
        let key = network(source);
        let Some(forgotten) = self.lock().get(&key).copied() else { return Ok(()) };
        let wait = ahead(forgotten, now) - PERIOD * (BURST - 1);
        if wait > SignedDuration::ZERO { Err(seconds(wait)) } else { Ok(()) }
    }

    /// Notes a failed log-in.
    pub(crate) fn failed(&self, source: Option<IpAddr>, now: Timestamp) {
        let key = network(source);
        let mut sources = self.lock();
        if sources.len() >= SOURCES && !sources.contains_key(&key) {
            make_room(&mut sources, now);
        }
        let forgotten = sources.entry(key).or_insert(now);
        let next = (ahead(*forgotten, now) + PERIOD).min(PERIOD * DEBT);
        *forgotten = now.checked_add(next).unwrap_or(now);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, Timestamp>> {
        self.forgotten_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long failures are still held against a source. A clock that was set back must not lock anybody out.
fn ahead(forgotten: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_until(forgotten).clamp(SignedDuration::ZERO, PERIOD * DEBT)
}

fn make_room(sources: &mut HashMap<Option<IpAddr>, Timestamp>, now: Timestamp) {
    sources.retain(|_, forgotten| *forgotten > now);
    if sources.len() >= SOURCES {
        // That many sources at once: forgetting the one that is nearest to being forgotten costs least.
        let oldest = sources.iter().min_by_key(|(_, forgotten)| **forgotten).map(|(source, _)| *source);
        if let Some(oldest) = oldest {
            sources.remove(&oldest);
        }
    }
}

/// What counts as one source: an address, or with IPv6 the network that one customer gets.
fn network(source: Option<IpAddr>) -> Option<IpAddr> {
    source.map(|address| match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into(),
    })
}

/// Whole seconds, rounded up.
fn seconds(wait: SignedDuration) -> u32 {
    u32::try_from(wait.as_secs() + i64::from(wait.subsec_nanos() > 0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_323_045 + seconds).unwrap()
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn ten_failures_are_free_and_each_is_forgotten_after_six_seconds() {
        let throttle = Throttle::default();
        for _ in 0..10 {
            assert_eq!(throttle.check(ip("192.0.2.1"), at(0)), Ok(()));
            throttle.failed(ip("192.0.2.1"), at(0));
        }
        assert_eq!(throttle.check(ip("192.0.2.1"), at(0)), Err(6));
        assert_eq!(throttle.check(ip("192.0.2.1"), at(5)), Err(1));
        assert_eq!(throttle.check(ip("192.0.2.1"), at(6)), Ok(()));
        assert_eq!(throttle.check(ip("192.0.2.2"), at(0)), Ok(()));
        throttle.failed(ip("192.0.2.1"), at(6));
        assert_eq!(throttle.check(ip("192.0.2.1"), at(6)), Err(6));
    }

    #[test]
    fn nobody_is_locked_out_for_longer_than_the_debt() {
        let throttle = Throttle::default();
        for _ in 0..10_000 {
            throttle.failed(None, at(0));
        }
        assert_eq!(throttle.check(None, at(0)), Err(126));
        // The clock was an hour ahead when they failed.
        assert_eq!(throttle.check(None, at(-3600)), Err(126));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let throttle = Throttle::default();
        for _ in 0..10 {
            throttle.failed(ip("2001:db8:0:1::1"), at(0));
        }
        assert!(throttle.check(ip("2001:db8:0:1:ffff::2"), at(0)).is_err());
        assert!(throttle.check(ip("2001:db8:0:2::1"), at(0)).is_ok());
    }

    #[test]
    fn no_more_sources_are_remembered_than_there_is_room_for() {
        let throttle = Throttle::default();
        for n in 0..2 * SOURCES as u32 {
            throttle.failed(Some(IpAddr::V4(n.into())), at(i64::from(n) / 1000));
        }
        assert!(throttle.lock().len() <= SOURCES);
    }
}
