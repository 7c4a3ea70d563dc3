//! The steps of a job in the order in which they run, and what becomes of them when the job moves.

use chandler_model::jobs::{Decision, JobStep, State, StepState, Success, Verdict};
use jiff::Timestamp;

/// The steps of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Steps {
    /// One thing to do, without a row of its own.
    Single,
    /// Rows in ascending order of their numbers. An invocation has none.
    Rows(Vec<JobStep>),
}

/// What comes after a step that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    Step,
    /// A step that nobody has approved yet.
    Decision,
}

impl Steps {
    /// The number by which a worker names the step of a job that has no rows of them.
    pub const SINGLE: i64 = 1;

    /// The row of the first step that is not done.
    #[must_use]
    pub fn present(&self) -> Option<&JobStep> {
        match self {
            Self::Single => None,
            Self::Rows(rows) => rows.iter().find(|step| step.state != StepState::Succeeded),
        }
    }

    /// The number of the first step that is not done.
    #[must_use]
    pub fn present_number(&self) -> Option<i64> {
        match self {
            Self::Single => Some(Self::SINGLE),
            Self::Rows(_) => self.present().map(|step| step.number),
        }
    }

    /// Whether this step was reported as done.
    pub(super) fn is_done(&self, number: i64) -> bool {
        match self {
            Self::Single => false,
            Self::Rows(rows) => rows.iter().any(|step| step.number == number && step.state == StepState::Succeeded),
        }
    }

    fn present_mut(&mut self) -> Option<&mut JobStep> {
        match self {
            Self::Single => None,
            Self::Rows(rows) => rows.iter_mut().find(|step| step.state != StepState::Succeeded),
        }
    }

    /// Notes that the present step is done.
    pub(super) fn finish(&mut self, outcome: Option<Success>, now: Timestamp) -> Next {
        let mut plans_nothing = false;
        if let Some(step) = self.present_mut() {
            step.state = StepState::Succeeded;
            step.outcome = outcome;
            step.started_at.get_or_insert(now);
            step.finished_at = Some(now);
            plans_nothing = step.kind.is_plan() && outcome == Some(Success::Unchanged);
        }
        match self.present() {
            // There is nothing to approve and nothing to apply.
            _ if plans_nothing => Next::Nothing,
            None => Next::Nothing,
            Some(step) if step.lacks_decision() => Next::Decision,
            Some(_) => Next::Step,
        }
    }

    /// The outcome of all steps that are done: one that changed something counts more than one that did not.
    pub(super) fn outcome(&self) -> Option<Success> {
        let Self::Rows(rows) = self else { return None };
        let mut outcomes =
            rows.iter().filter(|step| step.state == StepState::Succeeded).filter_map(|step| step.outcome);
        let first = outcomes.next()?;
        Some(if outcomes.any(|other| other == Success::Changed) { Success::Changed } else { first })
    }

    /// Notes that the present step has begun.
    pub(super) fn begin(&mut self, now: Timestamp) {
        if let Some(step) = self.present_mut() {
            step.state = StepState::Running;
            step.started_at.get_or_insert(now);
        }
    }

    /// The present step is not worked at any more and may be begun again.
    pub(super) fn rest(&mut self) {
        if let Some(step) = self.present_mut() {
            step.state = StepState::Pending;
            step.started_at = None;
        }
    }

    pub(super) fn decide(&mut self, decision: Decision) {
        if let Some(step) = self.present_mut() {
            step.decision = Some(decision);
        }
    }

    /// The job has ended: its present step, if it was begun or rejected, ended with it, and no other comes.
    pub(super) fn close(&mut self, end: State, now: Timestamp) {
        let Self::Rows(rows) = self else { return };
        for step in rows.iter_mut().filter(|step| step.state != StepState::Succeeded) {
            let rejected = step.decision.is_some_and(|decision| decision.verdict == Verdict::Rejected);
            if step.state == StepState::Running || rejected {
                step.state = if matches!(end, State::Failed(_)) { StepState::Failed } else { StepState::Canceled };
                step.finished_at = Some(now);
            } else {
                step.state = StepState::NotReached;
            }
        }
    }
}
