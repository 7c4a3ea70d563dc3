//! A little world that does what the effects say, and nothing else, and what must hold of a job and of that world.

use chandler_model::jobs::{Decision, Fault, JobKind, State, StepState, StopFor, Verdict, WaitingFor};

use super::super::{Clock, Effect, Event, Held, Keys, RETURNS_MAX, Steps, Subject};
use super::show;

/// What stands around the job, moved by effects alone.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) queue: Option<Row>,
    pub(super) left_queue: u32,
    pub(super) deadline: Option<Clock>,
    pub(super) kill_clock: bool,
    pub(super) keys: bool,
    /// Rows of keys stay for a process that is not known to be gone.
    pub(super) kept: bool,
    pub(super) apply_key: bool,
    pub(super) attempts: u32,
    pub(super) at_work: bool,
    pub(super) told: Option<StopFor>,
    pub(super) settled_parent: u32,
    pub(super) children_stopped: bool,
    pub(super) cancel_accepted: bool,
    pub(super) delete_accepted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    Open,
    Held(Held),
}

impl World {
    pub(super) fn write(&mut self, job: &Subject, effects: &[Effect]) {
        for effect in effects {
            match *effect {
                Effect::Enqueue => {
                    assert_eq!((self.queue, self.left_queue), (None, 0));
                    self.queue = Some(Row::Open);
                }
                Effect::Requeue(_) => self.queue = Some(Row::Open),
                Effect::Hold(held) => self.queue = Some(Row::Held(held)),
                Effect::LeaveQueue => {
                    assert!(self.queue.take().is_some());
                    self.left_queue += 1;
                }
                Effect::Keys(Keys::Take) => self.keys = true,
                Effect::Keys(Keys::GiveUp) => (self.keys, self.apply_key) = (false, false),
                Effect::Keys(Keys::Keep) => {
                    self.kept = true;
                    self.keys = !job.is_parked() && !job.job.state.is_final();
                    self.apply_key = false;
                }
                Effect::Keys(Keys::TakeApply) => self.apply_key = true,
                Effect::Keys(Keys::GiveUpApply) => self.apply_key = false,
                Effect::SetDeadline(clock) => self.deadline = Some(clock),
                Effect::ClearDeadline => self.deadline = None,
                Effect::StartKillClock => self.kill_clock = true,
                Effect::ClearKillClock => self.kill_clock = false,
                Effect::EndAttempt(..) => {
                    assert!(std::mem::take(&mut self.at_work), "an attempt ends once");
                    self.told = None;
                }
                Effect::SettleParent(_) => self.settled_parent += 1,
                Effect::StopChildren(_) => self.children_stopped = true,
                Effect::TellWorker => self.told = job.job.state.stop_for(),
                Effect::DeleteRow => assert!(!job.job.kind.is_kept_when_deleted()),
                Effect::WriteSteps
                | Effect::EraseSealed
                | Effect::SettleDependents(_)
                | Effect::RunCommands(_)
                | Effect::CleanUp
                | Effect::WakeWorkers => {}
            }
        }
    }

    /// What the effects have written is what the job says.
    pub(super) fn agrees_with(&self, s: &Subject) {
        let state = s.job.state;
        let row = match state {
            State::Pending { .. } => Some(Row::Open),
            State::Running(_) | State::Stopping { stage: Some(_), .. } => Some(Row::Held(Held::Claimed)),
            State::Waiting(WaitingFor::Approval) => Some(Row::Held(Held::Waiting)),
            State::Waiting(WaitingFor::Children) | State::Stopping { stage: None, .. } => Some(Row::Held(Held::Parent)),
            State::Suspended => Some(Row::Held(Held::Suspended)),
            _ => None,
        };
        assert_eq!(self.queue, row);
        assert_eq!(self.left_queue, u32::from(state.is_final()), "one end per job");
        assert_eq!(self.settled_parent, u32::from(state.is_final() && s.facts.parent.is_some()));
        assert_eq!(self.at_work, state.stage().is_some());
        assert_eq!(self.told, state.stop_for().filter(|_| state.stage().is_some()), "the worker knows of every raise");
        let never = state.is_final() || state == State::Suspended || s.is_parked();
        assert!(!(never && self.deadline.is_some()), "a limit runs while nothing can be late");
        if let State::Stopping { stage: Some(_), .. } = state {
            assert_eq!(self.kill_clock, s.job.kind != JobKind::Invocation);
        } else {
            assert!(!self.kill_clock);
        }
        assert_eq!(self.keys, !state.is_final() && !s.is_parked());
        assert!(!self.apply_key || (self.keys && s.is_held()));
        if s.job.kind == JobKind::TerraformFlow && self.deadline != Some(Clock::Flow) {
            // Fired, or not to fire.
            assert!(never || state.stop_for() >= Some(StopFor::Timeout));
        }
    }
}

/// What must hold of a job wherever it stands.
pub(super) fn check(s: &Subject, world: &World) {
    let (job, state) = (&s.job, s.job.state);
    assert!(job.retries_left >= 0 && job.returns <= RETURNS_MAX);
    match state {
        State::Pending { .. } => assert!(job.started_at.is_none() && job.worker_id.is_none()),
        State::Running(_) | State::Stopping { .. } => assert!(job.started_at.is_some()),
        State::Failed(Fault::Dependency) if job.kind != JobKind::Invocation => {
            assert!(job.started_at.is_none());
        }
        _ => assert!(job.attempt > 0 || job.started_at.is_none()),
    }
    assert_eq!(job.worker_id.is_some(), s.is_held() || (state.is_final() && job.worker_id.is_some()));
    assert_eq!(job.finished_at.is_some(), state.is_final());
    assert_eq!(job.events_complete, state.is_final());
    assert_eq!(i64::from(world.attempts), job.attempt);
    match state {
        State::Failed(_) => assert!(job.error.as_deref().is_some_and(|error| !error.trim().is_empty())),
        State::Succeeded(_) => assert!(job.error.is_none()),
        State::Canceled(_) => assert!(job.cancel_requested_at.is_some() && job.error.is_none()),
        _ => {}
    }
    if world.cancel_accepted {
        assert!(job.cancel_requested_at.is_some());
        let ends = matches!(state, State::Canceled(_) | State::Failed(_));
        assert!(ends || state.stop_for() == Some(StopFor::Cancel), "a cancel is lost: {}", show::state(state));
    }
    if world.delete_accepted {
        assert_eq!(s.job.deleted_at.is_some(), state.is_final(), "a deletion is lost");
    }
    if let State::Stopping { stage: None, .. } = state {
        assert!(world.children_stopped);
    }
    if let Steps::Rows(rows) = &s.steps {
        let done = rows.iter().take_while(|step| step.state == StepState::Succeeded).count();
        for (at, step) in rows.iter().enumerate() {
            let decided = step.decision.is_some_and(|Decision { verdict, .. }| verdict == Verdict::Approved);
            let begun = matches!(step.state, StepState::Running | StepState::Succeeded);
            assert!(!begun || !step.needs_decision || decided, "a step was begun that nobody approved");
            assert!(
                at <= done || matches!(step.state, StepState::Pending | StepState::NotReached),
                "steps run in order"
            );
            let open = matches!(step.state, StepState::Pending | StepState::Running);
            assert!(!(state.is_final() && open), "a step outlives its job");
            assert!(step.state != StepState::Running || s.is_held(), "a step runs without a worker");
        }
    }
}

/// What no event may do to a job.
pub(super) fn compare(before: &Subject, after: &Subject, event: &Event) {
    let (old, new) = (&before.job, &after.job);
    if old.state.is_final() {
        assert_eq!(old.state, new.state, "nothing leaves a final state");
        assert_eq!((old.finished_at, &old.error, old.attempt), (new.finished_at, &new.error, new.attempt));
    }
    if let (Some(why), Some(then)) = (old.state.stop_for(), new.state.stop_for()) {
        assert!(then >= why, "stop_for falls");
        assert_eq!(old.state.stage(), new.state.stage(), "stopping keeps its stage");
    }
    let claimed = matches!(event, Event::Claim { .. });
    assert_eq!(new.attempt, old.attempt + i64::from(claimed));
    assert!(new.retries_left <= old.retries_left && new.retries_left >= old.retries_left - 1);
    assert!(new.returns >= old.returns);
    assert!(old.cancel_requested_at.is_none() || new.cancel_requested_at.is_some());
    if old.retries_left == 0 && matches!(event, Event::Error { .. }) {
        assert!(new.state.is_final(), "retries are bounded");
    }
    assert_eq!(before.facts, after.facts);
}
