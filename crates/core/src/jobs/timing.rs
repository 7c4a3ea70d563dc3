//! Every period of the job engine in one value, so that tests can run the whole engine faster.

use std::time::Duration;

/// Periods of `docs/core/jobs.md` 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A worker sends a beat at least this often.
    pub beat: Duration,
    /// A job whose beat the reaper has seen unchanged for this long is lost. Longer than [`Self::kill`].
    pub lost: Duration,
    /// A reaper whose own reads failed for longer than this starts its observation anew.
    pub blind: Duration,
    /// A keeper without an answered renewal for this long ends its job gently …
    pub lease: Duration,
    /// … and after this long by force.
    pub kill: Duration,
    /// Between TERM and KILL of a stopped job.
    pub grace: Duration,
    /// After this long an unanswered KILL is given up on.
    pub kill_unanswered: Duration,
    /// Between two looks at the queue when nothing wakes the worker, and at the timers.
    pub poll: Duration,
    /// A provisioner job that is not claimed within this time fails.
    pub claim: Duration,
    /// A flow's whole life, except while it is parked or suspended.
    pub flow: Duration,
    /// Before a failed job that may repeat is tried again.
    pub back_off: Duration,
    /// Longest time that a line of output waits in the worker.
    pub log_flush: Duration,
    /// Between two rounds of housekeeping.
    pub housekeeping: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            beat: s(10),
            lost: s(45),
            blind: s(10),
            lease: s(30),
            kill: s(40),
            grace: s(10),
            kill_unanswered: s(600),
            poll: s(2),
            claim: s(30 * 60),
            flow: s(6 * 3600),
            back_off: s(5),
            log_flush: Duration::from_millis(100),
            housekeeping: s(60),
        }
    }
}

impl Timing {
    /// All periods divided, for tests. The flush of log lines stays, because it is not waited for.
    #[must_use]
    pub fn divided_by(self, n: u32) -> Self {
        Self {
            beat: self.beat / n,
            lost: self.lost / n,
            blind: self.blind / n,
            lease: self.lease / n,
            kill: self.kill / n,
            grace: self.grace / n,
            kill_unanswered: self.kill_unanswered / n,
            poll: self.poll / n,
            claim: self.claim / n,
            flow: self.flow / n,
            back_off: self.back_off / n,
            log_flush: self.log_flush,
            housekeeping: self.housekeeping / n,
        }
    }
}
