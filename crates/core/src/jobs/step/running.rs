//! Rows of the table for a job that a worker holds and nobody stops.

use chandler_model::jobs::{Fault, JobKind, Stage, State, WaitingFor};
use jiff::Timestamp;

use super::event::{Event, Refused};
use super::moves::{Change, Decided, Order};
use super::parent;
use super::steps::Next;
use super::subject::Subject;
use super::texts;

pub(super) fn decide(s: &mut Subject, event: &Event, stage: Stage, now: Timestamp) -> Decided {
    if let Some(order) = Order::of(event, s) {
        return s.stop(Some(stage), order, now);
    }
    let invocation = s.job.kind == JobKind::Invocation;
    match event {
        // The children are its only effect, so it never says that it has begun, nor that it has done something else.
        Event::Stage(_) | Event::StepDone { .. } if invocation => return Err(Refused::NotNow),
        Event::Stage(next) if *next == stage => return Ok(Change::Same),
        // What has begun never counts as not begun again.
        Event::Stage(Stage::Assigned) => return Err(Refused::NotNow),
        Event::Stage(next) => {
            s.job.state = State::Running(*next);
            s.steps.begin(now);
        }
        Event::StepDone { outcome, .. } => match s.finish_step(*outcome, now) {
            Next::Nothing => s.succeed(s.outcome(*outcome)),
            Next::Step => {
                // Something was done, so the job is not handed back as if nothing had been, even if its worker forgot
                // to say that it has begun.
                s.job.state = State::Running(stage.max(Stage::Executing));
                s.steps.begin(now);
            }
            Next::Decision => s.wait_for_approval(),
        },
        Event::ChildrenInserted if invocation && stage == Stage::Assigned => {
            s.release(State::Waiting(WaitingFor::Children));
            // No host at all: there is no end of a child to wait for.
            parent::settle(s);
        }
        Event::InitiatorGone if invocation && stage == Stage::Assigned => {
            s.fail(Fault::Dependency, texts::INITIATOR_GONE, None);
        }
        Event::Error { reason, exit, .. } if s.may_try_again() => s.try_again(reason, exit),
        Event::Error { blame, reason, exit } => s.fail((*blame).into(), reason, Some(exit)),
        Event::Delete { by } if s.may_be_deleted() => {
            s.job.delete_requested_at = Some(now);
            return s.stop(Some(stage), Order::Cancel(*by), now);
        }
        Event::Lost if stage == Stage::Assigned => s.hand_back(),
        Event::Lost if s.may_try_again() => {
            s.job.retries_left -= 1;
            s.requeue(false);
        }
        Event::Lost => s.fail(Fault::Lost, texts::lost(s.job.kind), None),
        _ => return Err(Refused::NotNow),
    }
    Ok(Change::Moved)
}
