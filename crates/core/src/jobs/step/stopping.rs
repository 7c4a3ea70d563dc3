//! Rows of the table for a job that is being stopped while a worker holds it.

use chandler_model::jobs::{Fault, JobKind, Stage, State, StopFor};
use jiff::Timestamp;

use super::event::{Event, Exit, Refused};
use super::moves::{Change, Decided, Order};
use super::steps::Next;
use super::subject::Subject;
use super::texts;

pub(super) fn decide(s: &mut Subject, event: &Event, stage: Stage, why: StopFor, now: Timestamp) -> Decided {
    if let Some(order) = Order::of(event, s) {
        return s.stop(Some(stage), order, now);
    }
    match event {
        // Nothing new is begun; the answer says why.
        Event::Stage(_) | Event::ChildrenInserted | Event::InitiatorGone => return Err(Refused::Stopping(why)),
        Event::StepDone { .. } if s.job.kind == JobKind::Invocation => return Err(Refused::NotNow),
        Event::StepDone { outcome, .. } => match (s.finish_step(*outcome, now), why) {
            (_, StopFor::Cancel) => s.cancel(s.job.canceler.into()),
            (Next::Nothing, _) => s.succeed(s.outcome(*outcome)),
            // What comes next has not begun, so it may be handed over whatever the kind.
            (Next::Step, StopFor::Drain) => s.requeue(false),
            (Next::Decision, StopFor::Drain) => s.wait_for_approval(),
            (_, StopFor::Suspend) => s.release(State::Suspended),
            (_, StopFor::Timeout) => s.fail(Fault::Timeout, texts::TOO_LONG, None),
        },
        Event::Stopped { exit } => stopped(s, stage, why, exit),
        Event::Lost => stopped(s, stage, why, &Exit::default()),
        Event::Error { blame, reason, exit } => s.fail((*blame).into(), reason, Some(exit)),
        Event::KillUnanswered if s.job.kind == JobKind::Invocation => return Err(Refused::NotNow),
        Event::KillUnanswered => match why {
            StopFor::Suspend => s.release(State::Suspended),
            StopFor::Cancel => s.fail(Fault::Lost, texts::CANCEL_TIMED_OUT, None),
            StopFor::Drain | StopFor::Timeout => s.fail(Fault::Lost, texts::NOT_KILLED, None),
        },
        Event::Delete { by } if s.may_be_deleted() => return delete(s, stage, why, *by, now),
        _ => return Err(Refused::NotNow),
    }
    Ok(Change::Moved)
}

/// It is gone after the signal, or its worker is.
fn stopped(s: &mut Subject, stage: Stage, why: StopFor, exit: &Exit) {
    match why {
        // Before its first side effect every kind goes back, as if the worker had vanished.
        StopFor::Drain if stage == Stage::Assigned => s.hand_back(),
        StopFor::Drain if s.may_repeat() => s.requeue(false),
        StopFor::Drain => s.fail(Fault::Lost, texts::DRAINED, Some(exit)),
        StopFor::Suspend => s.release(State::Suspended),
        StopFor::Timeout => s.fail(Fault::Timeout, texts::TOO_LONG, Some(exit)),
        StopFor::Cancel => {
            s.job.exit_code = exit.code;
            s.cancel(s.job.canceler.into());
        }
    }
}

fn delete(s: &mut Subject, stage: Stage, why: StopFor, by: super::Canceler, now: Timestamp) -> Decided {
    if s.job.delete_requested_at.is_some() {
        return Ok(Change::Same);
    }
    s.job.delete_requested_at = Some(now);
    if why < StopFor::Cancel {
        return s.stop(Some(stage), Order::Cancel(by), now);
    }
    Ok(Change::Moved)
}
