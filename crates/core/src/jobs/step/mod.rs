//! The one function that decides what becomes of a job: `step(subject, event, now) -> (subject, effects)`.
//!
//! It is the table of `docs/core/jobs.md` 3 and nothing else: it reads no clock and no row but what it is given.
//! Whoever calls it holds the job's queue lock and does what the effects say. Each file of a state reads like the rows
//! of that state; the first arm that fits counts.

mod effect;
mod ended;
mod event;
mod moves;
mod parent;
mod pending;
mod running;
mod steps;
mod stopping;
mod subject;
mod suspended;
#[cfg(test)]
mod tests;
mod texts;
mod waiting;

pub use chandler_model::jobs::Canceler;
pub use effect::{AttemptEnd, Clock, Commands, Effect, Held, Keys, Needed, When};
pub use event::{Blame, Event, Exit, Refused};
pub use steps::Steps;
pub use subject::{Children, Facts, Subject};

use chandler_model::jobs::{State, Success, WaitingFor};
use jiff::Timestamp;

use moves::Change;

/// Returns of a job from `assigned` after which it is given up: the tenth fails it.
pub const RETURNS_MAX: i64 = 10;

/// What comes of an event that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The job stands like this now, and the effects are to be written.
    Moved(Box<Subject>, Vec<Effect>),
    /// It was said before, or does not matter to this job: there is nothing to write.
    Same,
}

/// Decides what becomes of a job.
///
/// # Errors
/// `Refused`: the event changes nothing.
pub fn step(before: &Subject, event: &Event, now: Timestamp) -> Result<Outcome, Refused> {
    if let Event::Cancel { expect: Some(expected), .. } = event
        && !expected.contains(&before.job.state)
    {
        return Err(Refused::Unexpected);
    }
    if is_repeated(before, event) {
        return Ok(Outcome::Same);
    }
    let mut after = before.clone();
    let change = match before.job.state {
        State::Pending { .. } => pending::decide(&mut after, event, now),
        State::Running(stage) => running::decide(&mut after, event, stage, now),
        State::Waiting(WaitingFor::Approval) => waiting::decide(&mut after, event, now),
        State::Waiting(WaitingFor::Children) => parent::waiting(&mut after, event, now),
        State::Suspended => suspended::decide(&mut after, event, now),
        State::Stopping { stage: Some(stage), why } => stopping::decide(&mut after, event, stage, why, now),
        State::Stopping { stage: None, why } => parent::stopping(&mut after, event, why, now),
        State::Succeeded(_) | State::Failed(_) | State::Canceled(_) => ended::decide(&mut after, event, now),
    }?;
    if change == Change::Same {
        return Ok(Outcome::Same);
    }
    if after.job.state.is_final() && !before.job.state.is_final() {
        after.seal(now);
    }
    after.job.updated_at = now;
    let effects = effect::of_move(before, &after, event);
    Ok(Outcome::Moved(Box::new(after), effects))
}

/// A job enters the queue. Called in the transaction that inserts its rows.
///
/// It stands as pending; a job whose first step nobody has approved yet waits for that at once, since a claim would
/// begin the step.
#[must_use]
pub fn submit(mut job: Subject) -> (Subject, Vec<Effect>) {
    let lacks_decision = job.lacks_decision();
    job.job.state =
        if lacks_decision { State::Waiting(WaitingFor::Approval) } else { State::Pending { resuming: false } };
    let effects = effect::of_submit(&job);
    (job, effects)
}

/// The work of a job was done elsewhere, or there is none: it only exists to be seen. It never has a queue row, keys or
/// timers, so nothing is to be done besides writing it.
#[must_use]
pub fn record(mut job: Subject, outcome: Option<Success>, now: Timestamp) -> Subject {
    job.succeed(outcome);
    job.seal(now);
    job
}

/// Whether an event tells what is known already, or nothing that matters to this job.
fn is_repeated(subject: &Subject, event: &Event) -> bool {
    match event {
        // A report that was on its way while another took its place (section 4.1).
        Event::StepDone { step, .. } if !subject.job.state.is_final() => match subject.steps.present_number() {
            Some(present) if subject.is_held() => *step != present,
            _ => subject.steps.is_done(*step),
        },
        // Children that run a flow's commands have a parent which does not wait for them.
        Event::ChildEnded => !parent::is_one(subject.job.state),
        _ => false,
    }
}
