//! Where a job stands: the states of `docs/core/jobs.md` 3 as one type, in which a stage without a running job or an
//! outcome before the end cannot be written down.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// How far an attempt is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Stage {
    /// Claimed; nothing has been done yet.
    Assigned,
    /// Fetching, pulling, initialising.
    Preparing,
    Executing,
    Finishing,
}

/// Why a running job is being stopped. Within one stopping it only rises.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum StopFor {
    Drain,
    Suspend,
    Timeout,
    Cancel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum WaitingFor {
    Approval,
    Children,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Success {
    Changed,
    Unchanged,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Fault {
    /// The job's own: an exit code, a wrong configuration.
    Work,
    /// Ours or the machine's: it could not be run as asked.
    Platform,
    Timeout,
    /// Its worker vanished.
    Lost,
    /// A job that it needed ended otherwise than succeeded.
    Dependency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Canceled {
    Request,
    Rejected,
    System,
}

/// Who wants a job's end.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Canceler {
    #[default]
    Person,
    /// The installation: what the job hangs on is being deleted, or its parent has run out of time.
    System,
}

impl From<Canceler> for Canceled {
    fn from(by: Canceler) -> Self {
        match by {
            Canceler::Person => Self::Request,
            Canceler::System => Self::System,
        }
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Pending { resuming: bool },
    Running(Stage),
    Waiting(WaitingFor),
    Suspended,
    Stopping { stage: Option<Stage>, why: StopFor },
    Succeeded(Option<Success>),
    Failed(Fault),
    Canceled(Canceled),
}

/// The five columns of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateColumns {
    pub state: &'static str,
    pub stage: Option<&'static str>,
    pub stop_for: Option<&'static str>,
    pub waiting_for: Option<&'static str>,
    pub outcome: Option<&'static str>,
}

impl State {
    /// Whether the job has ended. Nothing ever leaves a final state.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded(_) | Self::Failed(_) | Self::Canceled(_))
    }

    /// The stage of a job that a worker holds.
    #[must_use]
    pub const fn stage(self) -> Option<Stage> {
        match self {
            Self::Running(stage) => Some(stage),
            Self::Stopping { stage, .. } => stage,
            _ => None,
        }
    }

    #[must_use]
    pub const fn stop_for(self) -> Option<StopFor> {
        match self {
            Self::Stopping { why, .. } => Some(why),
            _ => None,
        }
    }

    /// How the state is stored.
    #[must_use]
    pub fn columns(self) -> StateColumns {
        let mut columns = StateColumns { state: "", stage: None, stop_for: None, waiting_for: None, outcome: None };
        columns.state = match self {
            Self::Pending { resuming } => {
                columns.stage = resuming.then_some("resuming");
                "pending"
            }
            Self::Running(stage) => {
                columns.stage = Some(stage.into());
                "running"
            }
            Self::Waiting(what) => {
                columns.waiting_for = Some(what.into());
                "waiting"
            }
            Self::Suspended => "suspended",
            Self::Stopping { stage, why } => {
                columns.stage = stage.map(Into::into);
                columns.stop_for = Some(why.into());
                "stopping"
            }
            Self::Succeeded(what) => {
                columns.outcome = what.map(Into::into);
                "succeeded"
            }
            Self::Failed(fault) => {
                columns.outcome = Some(fault.into());
                "failed"
            }
            Self::Canceled(cause) => {
                columns.outcome = Some(cause.into());
                "canceled"
            }
        };
        columns
    }

    /// Reads a stored state. `None` if the columns do not form one.
    #[must_use]
    pub fn from_columns(
        state: &str,
        stage: Option<&str>,
        stop_for: Option<&str>,
        waiting_for: Option<&str>,
        outcome: Option<&str>,
    ) -> Option<Self> {
        let stage_word = |text: Option<&str>| text.map(str::parse).transpose().ok();
        Some(match state {
            "pending" => Self::Pending { resuming: stage == Some("resuming") },
            "running" => Self::Running(stage?.parse().ok()?),
            "waiting" => Self::Waiting(waiting_for?.parse().ok()?),
            "suspended" => Self::Suspended,
            "stopping" => Self::Stopping { stage: stage_word(stage)?, why: stop_for?.parse().ok()? },
            "succeeded" => Self::Succeeded(outcome.map(str::parse).transpose().ok()?),
            "failed" => Self::Failed(outcome?.parse().ok()?),
            "canceled" => Self::Canceled(outcome?.parse().ok()?),
            _ => return None,
        })
    }
}

/// What the queue row of an unfinished job says of it (`docs/core/jobs.md` 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Hold {
    Ready,
    Delayed,
    Blocked,
    Claimed,
    Waiting,
    Parent,
    Suspended,
}

/// What a key of a job means: a holder keeps everybody with a later turn away, a waiter nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum KeyMode {
    Hold,
    Wait,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_state() -> Vec<State> {
        let mut all = vec![
            State::Pending { resuming: false },
            State::Pending { resuming: true },
            State::Suspended,
            State::Succeeded(None),
        ];
        all.extend(Stage::VARIANTS.iter().map(|s| State::Running(*s)));
        all.extend(WaitingFor::VARIANTS.iter().map(|w| State::Waiting(*w)));
        for why in StopFor::VARIANTS {
            all.push(State::Stopping { stage: None, why: *why });
            all.extend(Stage::VARIANTS.iter().map(|s| State::Stopping { stage: Some(*s), why: *why }));
        }
        all.extend(Success::VARIANTS.iter().map(|o| State::Succeeded(Some(*o))));
        all.extend(Fault::VARIANTS.iter().map(|o| State::Failed(*o)));
        all.extend(Canceled::VARIANTS.iter().map(|o| State::Canceled(*o)));
        all
    }

    #[test]
    fn every_state_is_read_back_as_it_was_stored() {
        for state in every_state() {
            let c = state.columns();
            assert_eq!(State::from_columns(c.state, c.stage, c.stop_for, c.waiting_for, c.outcome), Some(state));
        }
    }

    #[test]
    fn columns_that_form_no_state_are_refused() {
        assert_eq!(State::from_columns("running", None, None, None, None), None);
        assert_eq!(State::from_columns("failed", None, None, None, None), None);
        assert_eq!(State::from_columns("stopping", Some("nowhere"), Some("cancel"), None, None), None);
        assert_eq!(State::from_columns("done", None, None, None, None), None);
    }

    #[test]
    fn a_stop_only_rises_in_the_order_of_the_text() {
        assert!(StopFor::Drain < StopFor::Suspend);
        assert!(StopFor::Suspend < StopFor::Timeout);
        assert!(StopFor::Timeout < StopFor::Cancel);
    }
}
