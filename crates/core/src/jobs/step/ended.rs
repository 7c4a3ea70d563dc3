//! Rows of the table for a job that has ended. Nothing leaves a final state.

use chandler_model::jobs::{Canceled, Fault, State};
use jiff::Timestamp;

use super::event::{Event, Refused};
use super::moves::{Change, Decided};
use super::steps::Steps;
use super::subject::Subject;

pub(super) fn decide(s: &mut Subject, event: &Event, now: Timestamp) -> Decided {
    match event {
        // Of other kinds the row itself goes, which is an effect.
        Event::Delete { .. } if !s.job.kind.is_kept_when_deleted() => Ok(Change::Moved),
        Event::Delete { .. } if s.job.deleted_at.is_some() => Ok(Change::Same),
        Event::Delete { .. } => {
            s.job.deleted_at = Some(now);
            Ok(Change::Moved)
        }
        _ if is_the_same_end(s, event) => Ok(Change::Same),
        _ => Err(Refused::Ended),
    }
}

/// Whether a worker says again what has ended the job: its first word was heard, but not the answer.
fn is_the_same_end(s: &Subject, event: &Event) -> bool {
    let state = s.job.state;
    let ran = s.job.worker_id.is_some();
    ran && match event {
        Event::StepDone { step, .. } => match &s.steps {
            Steps::Rows(_) => s.steps.is_done(*step),
            Steps::Single => *step == Steps::SINGLE && s.job.exit_code == Some(0) && !matches!(state, State::Failed(_)),
        },
        Event::Error { blame, exit, .. } => state == State::Failed((*blame).into()) && s.job.exit_code == exit.code,
        Event::Stopped { exit } => {
            let stopped = matches!(
                state,
                State::Canceled(Canceled::Request | Canceled::System) | State::Failed(Fault::Timeout | Fault::Lost)
            );
            stopped && s.job.exit_code == exit.code
        }
        Event::KillUnanswered => state == State::Failed(Fault::Lost),
        _ => false,
    }
}
