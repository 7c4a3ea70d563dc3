//! Jobs and outcomes as short text.

use chandler_model::jobs::{JobStep, State, StepState};

use super::super::{Effect, Outcome, Refused, Steps, Subject};

pub(super) fn state(state: State) -> String {
    let columns = state.columns();
    let mut text = columns.state.to_owned();
    for part in [columns.waiting_for, columns.stop_for].into_iter().flatten() {
        text.push_str(&format!("({part})"));
    }
    for part in [columns.stage, columns.outcome].into_iter().flatten() {
        text.push_str(&format!("/{part}"));
    }
    text
}

pub(super) fn effects(effects: &[Effect]) -> String {
    let words: Vec<String> = effects.iter().map(|effect| format!("{effect:?}")).collect();
    words.join(" ")
}

/// What an event came to: the new state, what else of the row differs, and the effects.
pub(super) fn outcome(before: &Subject, outcome: &Result<Outcome, Refused>) -> String {
    match outcome {
        Err(refused) => format!("refused: {refused:?}"),
        Ok(Outcome::Same) => "same".to_owned(),
        Ok(Outcome::Moved(after, list)) => {
            let (from, to) = (state(before.job.state), state(after.job.state));
            let mut text = if from == to { "·".to_owned() } else { to };
            for note in notes(before, after) {
                text.push_str(&format!(", {note}"));
            }
            if !list.is_empty() {
                text.push_str(&format!("; {}", effects(list)));
            }
            text
        }
    }
}

fn notes(before: &Subject, after: &Subject) -> Vec<String> {
    let (old, new) = (&before.job, &after.job);
    let mut notes = Vec::new();
    if new.attempt != old.attempt {
        notes.push(format!("attempt {:+}", new.attempt - old.attempt));
    }
    if new.retries_left != old.retries_left {
        notes.push(format!("retries {:+}", new.retries_left - old.retries_left));
    }
    if new.returns != old.returns {
        notes.push(format!("returns {:+}", new.returns - old.returns));
    }
    for (name, old, new) in [
        ("cancel_requested", old.cancel_requested_at, new.cancel_requested_at),
        ("delete_requested", before.job.delete_requested_at, after.job.delete_requested_at),
        ("deleted", before.job.deleted_at, after.job.deleted_at),
    ] {
        if old != new {
            notes.push(name.to_owned());
        }
    }
    if before.steps != after.steps {
        notes.push(format!("steps {}", steps(&after.steps)));
    }
    if new.state.is_final()
        && let Some(error) = &new.error
        && !old.state.is_final()
    {
        notes.push(format!("{error:?}"));
    }
    notes
}

/// One letter per step: pending, running, done, failed, canceled, not reached.
fn steps(of: &Steps) -> String {
    let letter = |step: &JobStep| match step.state {
        StepState::Pending => 'p',
        StepState::Running => 'r',
        StepState::Succeeded => 'd',
        StepState::Failed => 'f',
        StepState::Canceled => 'c',
        StepState::NotReached => '-',
    };
    match of {
        Steps::Single => String::new(),
        Steps::Rows(rows) => rows.iter().map(letter).collect(),
    }
}
