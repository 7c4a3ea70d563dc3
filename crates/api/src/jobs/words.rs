//! The words of this API for where a job stands, and what each means in the core's states.

use chandler_core::jobs::{Part, Standing};
use chandler_model::jobs::{State, StopFor, WaitingFor};
use serde::Serialize;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// Where a job stands. The last three are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(super) enum Status {
    Pending,
    Running,
    WaitingApproval,
    Suspending,
    Suspended,
    Canceling,
    Succeeded,
    Failed,
    Canceled,
}

impl Status {
    pub(super) const fn of(state: State) -> Self {
        match state {
            State::Pending { .. } => Self::Pending,
            State::Running(_)
            | State::Waiting(WaitingFor::Children)
            | State::Stopping { why: StopFor::Drain | StopFor::Timeout, .. } => Self::Running,
            State::Waiting(WaitingFor::Approval) => Self::WaitingApproval,
            State::Stopping { why: StopFor::Suspend, .. } => Self::Suspending,
            State::Suspended => Self::Suspended,
            State::Stopping { why: StopFor::Cancel, .. } => Self::Canceling,
            State::Succeeded(_) => Self::Succeeded,
            State::Failed(_) => Self::Failed,
            State::Canceled(_) => Self::Canceled,
        }
    }

    /// Exactly the jobs that show as this word.
    pub(super) const fn standing(self) -> &'static [Standing] {
        const fn all(state: &'static str) -> Standing {
            Standing { state, only: None }
        }
        const fn some(state: &'static str, part: Part, words: &'static [&'static str]) -> Standing {
            Standing { state, only: Some((part, words)) }
        }
        match self {
            Self::Pending => const { &[all("pending")] },
            Self::Running => {
                const {
                    &[
                        all("running"),
                        some("waiting", Part::WaitingFor, &["children"]),
                        some("stopping", Part::StopFor, &["drain", "timeout"]),
                    ]
                }
            }
            Self::WaitingApproval => const { &[some("waiting", Part::WaitingFor, &["approval"])] },
            Self::Suspending => const { &[some("stopping", Part::StopFor, &["suspend"])] },
            Self::Suspended => const { &[all("suspended")] },
            Self::Canceling => const { &[some("stopping", Part::StopFor, &["cancel"])] },
            Self::Succeeded => const { &[all("succeeded")] },
            Self::Failed => const { &[all("failed")] },
            Self::Canceled => const { &[all("canceled")] },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chandler_model::jobs::{Canceled, Fault, Stage, Success};

    fn every_state() -> Vec<State> {
        let stages = || Stage::VARIANTS.iter().copied();
        let mut all = vec![State::Pending { resuming: false }, State::Pending { resuming: true }, State::Suspended];
        all.extend(stages().map(State::Running));
        all.extend(WaitingFor::VARIANTS.iter().map(|what| State::Waiting(*what)));
        for why in StopFor::VARIANTS {
            all.extend(stages().map(Some).chain([None]).map(|stage| State::Stopping { stage, why: *why }));
        }
        all.extend(Success::VARIANTS.iter().copied().map(Some).chain([None]).map(State::Succeeded));
        all.extend(Fault::VARIANTS.iter().map(|fault| State::Failed(*fault)));
        all.extend(Canceled::VARIANTS.iter().map(|cause| State::Canceled(*cause)));
        all
    }

    fn stands(state: State, standing: &Standing) -> bool {
        let columns = state.columns();
        let part = |part| match part {
            Part::Stage => columns.stage,
            Part::StopFor => columns.stop_for,
            Part::WaitingFor => columns.waiting_for,
            Part::Outcome => columns.outcome,
        };
        columns.state == standing.state
            && standing.only.is_none_or(|(column, words)| part(column).is_some_and(|word| words.contains(&word)))
    }

    #[test]
    fn a_filter_on_a_word_finds_exactly_the_states_that_show_as_it() {
        for state in every_state() {
            for word in Status::VARIANTS {
                let found = word.standing().iter().any(|standing| stands(state, standing));
                assert_eq!(found, Status::of(state) == *word, "{state:?} {word:?}");
            }
        }
    }
}
