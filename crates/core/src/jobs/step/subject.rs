//! A job with everything that the table looks at: its row, its steps, and what its surroundings are at the moment.

use chandler_model::Id;
use chandler_model::jobs::{Job, JobKind, JobStep, Repeat, Stage, State, StepKind, WaitingFor};

use super::effect::Clock;
use super::steps::Steps;

/// A job as it stands under its lock. `step` changes all of it but the facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub job: Job,
    pub steps: Steps,
    pub facts: Facts,
}

/// What `step` must know besides the rows that it moves. Read under the same lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What the intent says of repeating. It counts for the kinds that leave it to their intent.
    pub intent_may_repeat: bool,
    /// The plan is kept and applied some other day: it waits for its approval without keys and without a deadline.
    pub save_plan: bool,
    pub parent: Option<Id<Job>>,
    pub children: Children,
    /// The worker told of a KILL that is not answered, and has not yet said that the process is gone.
    pub process_left: bool,
}

/// How the children of a job stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Children {
    pub unfinished: u32,
    pub succeeded: u32,
    pub failed: u32,
    pub canceled: u32,
}

impl Children {
    pub(super) const fn all(self) -> u32 {
        self.unfinished + self.succeeded + self.failed + self.canceled
    }
}

impl Subject {
    /// A job of one step without parent or children, whose intent says all that there is to know of it.
    #[must_use]
    pub fn simple(job: Job) -> Self {
        let facts = Facts {
            intent_may_repeat: job.intent.may_repeat(),
            save_plan: job.intent.save_plan(),
            parent: job.parent_id,
            children: Children::default(),
            process_left: false,
        };
        Self { job, steps: Steps::Single, facts }
    }

    /// Whether a second run of the present step is harmless.
    #[must_use]
    pub fn may_repeat(&self) -> bool {
        match self.job.kind.repeat() {
            Repeat::Always => true,
            Repeat::Never => false,
            Repeat::IntentSays => self.facts.intent_may_repeat,
            Repeat::PlanSteps => self.step_kind().is_some_and(StepKind::is_plan),
        }
    }

    /// Whether the present step must not be begun before somebody approved it.
    #[must_use]
    pub fn lacks_decision(&self) -> bool {
        self.steps.present().is_some_and(JobStep::lacks_decision)
    }

    /// Whether a worker holds it.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.job.state.stage().is_some()
    }

    /// Whether it is a saved plan that nobody has approved yet. Suspending it changes nothing about that.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        self.facts.save_plan
            && self.lacks_decision()
            && matches!(self.job.state, State::Waiting(WaitingFor::Approval) | State::Suspended)
    }

    /// Whether its keys, if it has any, keep others out. The process of an ended attempt may hold them longer.
    pub(in crate::jobs) fn holds_keys(&self) -> bool {
        !self.job.state.is_final() && !self.is_parked()
    }

    /// Whether plans of its workspace have to wait for it: a step that changes things executes.
    pub(in crate::jobs) fn holds_apply_key(&self) -> bool {
        self.job.kind == JobKind::TerraformFlow
            && self.job.state.stage().is_some_and(|stage| stage > Stage::Assigned)
            && self.step_kind().is_some_and(StepKind::holds_apply_key)
    }

    /// The time limit that runs in the present state.
    pub(super) fn clock(&self) -> Option<Clock> {
        match (self.job.kind, self.job.state) {
            (_, state) if state.is_final() => None,
            (_, State::Suspended) => None,
            // From the submit on, whatever it waits for meanwhile, except as a saved plan.
            (JobKind::TerraformFlow, _) => (!self.is_parked()).then_some(Clock::Flow),
            (kind, State::Pending { .. }) => kind.is_provisioner().then_some(Clock::Claim),
            (_, State::Running(_) | State::Stopping { .. } | State::Waiting(WaitingFor::Children)) => Some(Clock::Run),
            (_, State::Waiting(WaitingFor::Approval) | _) => None,
        }
    }

    fn step_kind(&self) -> Option<StepKind> {
        self.steps.present().map(|step| step.kind)
    }
}
