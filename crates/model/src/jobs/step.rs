//! The steps of a job that has more than one thing to do, each a row of `job_steps`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::state::Success;
use crate::Id;
use crate::users::User;

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum StepKind {
    Plan,
    PlanDestroy,
    Apply,
    Destroy,
    /// Commands of the flow's author.
    Script,
    /// Waits for a decision, then runs the commands that the flow hung on it, usually none.
    Approval,
    ScheduleTemplates,
    DisableWorkspace,
    /// One thing that a host build makes, changes or removes.
    Task,
}

impl StepKind {
    /// Whether it only looks: running it a second time is harmless.
    #[must_use]
    pub const fn is_plan(self) -> bool {
        matches!(self, Self::Plan | Self::PlanDestroy)
    }

    /// Whether plans of the same workspace wait while it executes.
    #[must_use]
    pub const fn holds_apply_key(self) -> bool {
        matches!(self, Self::Apply | Self::Destroy | Self::Script)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum StepState {
    Pending,
    Running,
    Succeeded,
    Failed,
    Canceled,
    /// The job ended before it was its turn. Why is what the job's outcome says.
    NotReached,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Verdict {
    Approved,
    Rejected,
}

/// What was decided on a step, once and for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    pub verdict: Verdict,
    /// None = the installation itself.
    pub by: Option<Id<User>>,
    pub at: Timestamp,
}

/// Where one step of a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStep {
    /// Unique within the job. Steps run in ascending order; numbers may have gaps.
    pub number: i64,
    pub name: String,
    pub kind: StepKind,
    pub state: StepState,
    /// It is not begun before somebody approved it.
    pub needs_decision: bool,
    pub decision: Option<Decision>,
    /// Whether it changed anything, where its kind can tell.
    pub outcome: Option<Success>,
    /// When it was begun the last time; null while pending.
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

impl JobStep {
    /// Whether it must not be begun yet.
    #[must_use]
    pub fn lacks_decision(&self) -> bool {
        self.needs_decision && self.decision.is_none_or(|decision| decision.verdict != Verdict::Approved)
    }
}
