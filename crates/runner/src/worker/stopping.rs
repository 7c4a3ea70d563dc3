//! The stopping of work: first the signal that it understands, after the grace period the one that nothing survives.

use std::time::Duration;

use chandler_core::jobs::link::Order;
use tokio::time::Instant;

use crate::keep::Signal;

/// How far the stopping has come.
pub(super) struct Stopping {
    /// What asks the work to stop.
    first: Signal,
    grace: Duration,
    /// Whether a signal has been sent; what ends afterwards was stopped.
    pub(super) signalled: bool,
    /// When the next stronger means is due.
    next: Option<Instant>,
}

impl Stopping {
    pub(super) fn new(first: Signal, grace: Duration) -> Self {
        Self { first, grace, signalled: false, next: None }
    }

    /// The signal that the latest order asks for now, if one.
    pub(super) fn obey(&mut self, order: Order) -> Option<Signal> {
        match order {
            Order::Continue => None,
            Order::Stop(_) if self.signalled => None,
            Order::Stop(_) => {
                self.signalled = true;
                self.next = Some(Instant::now() + self.grace);
                Some(self.first)
            }
            Order::Gone if self.signalled && self.next.is_none() => None,
            Order::Gone => {
                self.signalled = true;
                self.next = None;
                Some(Signal::Kill)
            }
        }
    }

    /// Returns when the grace period is over, once. Cancel safe.
    pub(super) async fn patience_ends(&mut self) {
        match self.next {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chandler_model::jobs::StopFor;

    #[tokio::test(start_paused = true)]
    async fn the_first_signal_is_the_works_own_and_force_comes_after_the_grace_period() {
        let grace = Duration::from_secs(10);
        let mut stopping = Stopping::new(Signal::Int, grace);
        assert_eq!((stopping.obey(Order::Continue), stopping.signalled), (None, false));
        assert_eq!(stopping.obey(Order::Stop(StopFor::Cancel)), Some(Signal::Int));
        assert_eq!(stopping.obey(Order::Stop(StopFor::Cancel)), None);
        let begun = Instant::now();
        stopping.patience_ends().await;
        assert_eq!(begun.elapsed(), grace);
        assert_eq!(stopping.obey(Order::Gone), None);
    }

    #[test]
    fn an_attempt_that_is_over_is_ended_by_force_at_once() {
        let mut stopping = Stopping::new(Signal::Term, Duration::ZERO);
        assert_eq!(stopping.obey(Order::Gone), Some(Signal::Kill));
        assert_eq!(stopping.obey(Order::Gone), None);
    }
}
