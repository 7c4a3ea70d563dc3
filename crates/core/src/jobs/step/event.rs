//! What may happen to a job, and why it may change nothing.

use chandler_model::Id;
use chandler_model::jobs::{Canceler, Fault, Stage, State, StopFor, Success};
use chandler_model::users::User;
use chandler_model::workers::Worker;

/// Something that happens to a job. Whoever brings it has established that it is true and that its sender may say it;
/// a worker's word comes only from the attempt that holds the job, or held it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A worker claimed it; `attempt` is the new number.
    Claim {
        attempt: i64,
        worker: Id<Worker>,
        worker_name: String,
    },
    /// The job that it needs ended otherwise than succeeded.
    NeededFailed,
    /// It cannot be prepared: a reference is gone, a value is missing, there is no environment.
    Unpreparable {
        blame: Blame,
        reason: String,
    },

    /// The worker says how far it is.
    Stage(Stage),
    /// The worker did this step well. A job without rows of steps has one, `Steps::SINGLE`.
    StepDone {
        step: i64,
        outcome: Option<Success>,
    },
    /// The work ended badly by itself. `reason` is the standard text: a sentence.
    Error {
        blame: Blame,
        reason: String,
        exit: Exit,
    },
    /// It ended, in whatever way, after it had been signalled.
    Stopped {
        exit: Exit,
    },
    /// Its worker has not been heard of.
    Lost,
    /// The KILL was not answered for as long as the engine waits for it.
    KillUnanswered,

    /// An invocation has inserted its children; `Facts::children` counts them.
    ChildrenInserted,
    /// Whoever started an invocation is suspended or gone.
    InitiatorGone,
    /// A child ended; `Facts::children` counts without it.
    ChildEnded,

    /// Somebody decided on the step.
    Approve {
        step: i64,
        by: Option<Id<User>>,
    },
    Reject {
        step: i64,
        by: Option<Id<User>>,
    },

    /// Its worker is being shut down.
    Drain,
    Suspend,
    Resume,
    /// Its time is up.
    Deadline,
    /// `expect`: the states, all named, in which its caller wants it to be; none = any.
    Cancel {
        by: Canceler,
        expect: Option<&'static [State]>,
    },
    Delete {
        by: Canceler,
    },
}

impl Event {
    /// The word of the transition in the job's history.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Claim { .. } => "claim",
            Self::NeededFailed => "needed_failed",
            Self::Unpreparable { .. } => "unpreparable",
            Self::Stage(_) => "stage",
            Self::StepDone { .. } => "done",
            Self::Error { .. } => "error",
            Self::Stopped { .. } => "stopped",
            Self::Lost => "lost",
            Self::KillUnanswered => "kill_unanswered",
            Self::ChildrenInserted => "children_inserted",
            Self::InitiatorGone => "initiator_gone",
            Self::ChildEnded => "child_ended",
            Self::Approve { .. } => "approve",
            Self::Reject { .. } => "reject",
            Self::Drain => "drain",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Deadline => "deadline",
            Self::Cancel { .. } => "cancel",
            Self::Delete { .. } => "delete",
        }
    }
}

/// Whose fault it is that work ended badly or could not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The job's own: an exit code, a wrong configuration.
    Work,
    /// Ours or the machine's.
    Platform,
}

impl From<Blame> for Fault {
    fn from(blame: Blame) -> Self {
        match blame {
            Blame::Work => Self::Work,
            Blame::Platform => Self::Platform,
        }
    }
}

/// How a process ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    pub code: Option<i64>,
    /// The first thing that the tool itself complained of.
    pub diagnostic: Option<String>,
}

/// Why an event changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is already being stopped for this, which is the same or stronger.
    AlreadyStopping(StopFor),
    /// It is being stopped: the worker should stop instead of going on.
    Stopping(StopFor),
    /// The decision names a step that is not the present one.
    OtherStep,
    /// It is not in one of the states that the caller expects.
    Unexpected,
    /// It has ended.
    Ended,
    /// The event does not fit the state or the kind.
    NotNow,
}
