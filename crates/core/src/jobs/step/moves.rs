//! What the rows of the table do to a job. Which row fits is decided by the file of its state.

use chandler_model::jobs::{Canceled, Canceler, Fault, JobKind, Stage, State, StopFor, Success, WaitingFor};
use jiff::Timestamp;

use super::RETURNS_MAX;
use super::event::{Event, Exit, Refused};
use super::steps::Next;
use super::subject::Subject;
use super::texts;

/// What a fitting row answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Moved,
    /// Accepted, and nothing changes: it was said before.
    Same,
}

pub(super) type Decided = Result<Change, Refused>;

impl Subject {
    pub(super) fn succeed(&mut self, outcome: Option<Success>) {
        self.job.state = State::Succeeded(outcome);
        self.job.error = None;
    }

    /// `text` is the standard text; what the tool complained of first is appended.
    pub(super) fn fail(&mut self, fault: Fault, text: &str, exit: Option<&Exit>) {
        self.job.state = State::Failed(fault);
        self.job.exit_code = exit.and_then(|exit| exit.code);
        self.job.error = Some(texts::reason(text, exit.and_then(|exit| exit.diagnostic.as_deref())));
    }

    pub(super) fn cancel(&mut self, outcome: Canceled) {
        self.job.state = State::Canceled(outcome);
        self.job.error = None;
    }

    /// A cancel that needs nobody's answer. The request counts from now.
    pub(super) fn cancel_at_once(&mut self, by: Canceler, now: Timestamp) {
        self.job.cancel_requested_at = Some(now);
        self.cancel(by.into());
    }

    /// Back to the queue: what the latest claim noted goes.
    pub(super) fn requeue(&mut self, resuming: bool) {
        self.release(State::Pending { resuming });
        self.job.started_at = None;
    }

    /// It waits or rests without a worker; a `stop_for` goes with the state that had it.
    pub(super) fn release(&mut self, to: State) {
        self.job.state = to;
        self.job.worker_id = None;
        self.job.exit_code = None;
        self.steps.rest();
    }

    /// Back to the queue after an error, later.
    pub(super) fn try_again(&mut self, text: &str, exit: &Exit) {
        self.job.retries_left -= 1;
        self.requeue(false);
        self.job.error = Some(texts::reason(text, exit.diagnostic.as_deref()));
    }

    /// A worker vanished before it had done anything, so another may have the job, whatever its kind; but not for ever.
    pub(super) fn hand_back(&mut self) {
        self.job.returns += 1;
        if self.job.returns >= RETURNS_MAX {
            self.fail(Fault::Platform, &texts::given_up(), None);
        } else {
            self.requeue(false);
        }
    }

    pub(super) fn may_try_again(&self) -> bool {
        self.job.retries_left > 0 && self.may_repeat()
    }

    pub(super) fn wait_for_approval(&mut self) {
        self.release(State::Waiting(WaitingFor::Approval));
    }

    /// Notes that the present step is done; the job itself does not move yet.
    pub(super) fn finish_step(&mut self, outcome: Option<Success>, now: Timestamp) -> Next {
        let next = self.steps.finish(outcome, now);
        if next == Next::Nothing {
            self.job.exit_code = Some(0);
        }
        next
    }

    /// The outcome of a job whose last step ended with this one.
    pub(super) fn outcome(&self, last: Option<Success>) -> Option<Success> {
        self.steps.outcome().or(last)
    }

    /// Whether people may suspend it at all.
    pub(super) fn may_be_suspended(&self) -> bool {
        self.job.kind != JobKind::Invocation
    }

    /// Whether it is deleted while it is unfinished: then that is a cancel.
    pub(super) const fn may_be_deleted(&self) -> bool {
        self.job.kind.is_kept_when_deleted()
    }

    /// Begins or strengthens a stopping. `stage` is kept in it; none = a parent's, which no worker holds.
    pub(super) fn stop(&mut self, stage: Option<Stage>, order: Order, now: Timestamp) -> Decided {
        let why = order.why();
        if let Some(present) = self.job.state.stop_for()
            && why <= present
        {
            return Err(Refused::AlreadyStopping(present));
        }
        self.job.state = State::Stopping { stage, why };
        if let Order::Cancel(by) = order {
            self.job.cancel_requested_at = Some(now);
            self.job.canceler = by;
        }
        Ok(Change::Moved)
    }

    /// What is the same for all ends.
    pub(super) fn seal(&mut self, now: Timestamp) {
        self.job.finished_at = Some(now);
        self.job.events_complete = true;
        if matches!(self.job.state, State::Canceled(_)) {
            self.job.cancel_requested_at.get_or_insert(now);
        }
        if self.job.delete_requested_at.is_some() {
            self.job.deleted_at = Some(now);
        }
        self.steps.close(self.job.state, now);
    }
}

/// A request to stop what is at work.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Drain,
    Suspend,
    Timeout,
    Cancel(Canceler),
}

impl Order {
    const fn why(self) -> StopFor {
        match self {
            Self::Drain => StopFor::Drain,
            Self::Suspend => StopFor::Suspend,
            Self::Timeout => StopFor::Timeout,
            Self::Cancel(_) => StopFor::Cancel,
        }
    }

    /// The stop that an event asks of this job; none if it asks for something else, or for what its kind cannot do.
    pub(super) fn of(event: &Event, of: &Subject) -> Option<Self> {
        match event {
            Event::Drain => Some(Self::Drain),
            Event::Suspend => of.may_be_suspended().then_some(Self::Suspend),
            Event::Deadline => Some(Self::Timeout),
            Event::Cancel { by, .. } => Some(Self::Cancel(*by)),
            _ => None,
        }
    }
}
