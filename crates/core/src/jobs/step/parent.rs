//! Rows of the table for a job that waits for its children, stopped or not. No worker holds it, so nothing but the end
//! of the last child ends it.

use chandler_model::jobs::{Canceled, Fault, State, StopFor};
use jiff::Timestamp;

use super::event::{Event, Refused};
use super::moves::{Change, Decided, Order};
use super::subject::Subject;
use super::texts;

/// `waiting(children)`.
pub(super) fn waiting(s: &mut Subject, event: &Event, now: Timestamp) -> Decided {
    match event {
        Event::ChildEnded => Ok(settle(s)),
        Event::Deadline | Event::Cancel { .. } => match Order::of(event, s) {
            Some(order) => s.stop(None, order, now),
            None => Err(Refused::NotNow),
        },
        _ => Err(Refused::NotNow),
    }
}

/// `stopping`, of a parent.
pub(super) fn stopping(s: &mut Subject, event: &Event, why: StopFor, now: Timestamp) -> Decided {
    match event {
        Event::ChildEnded if s.facts.children.unfinished > 0 => Ok(Change::Same),
        Event::ChildEnded if why == StopFor::Cancel => {
            s.cancel(s.job.canceler.into());
            Ok(Change::Moved)
        }
        Event::ChildEnded => {
            s.fail(Fault::Timeout, texts::TOO_LONG, None);
            Ok(Change::Moved)
        }
        _ => match Order::of(event, s) {
            Some(order) => s.stop(None, order, now),
            None => Err(Refused::NotNow),
        },
    }
}

/// Ends a parent that is not being stopped with what its children came to, once none is left.
pub(super) fn settle(s: &mut Subject) -> Change {
    let children = s.facts.children;
    if children.unfinished > 0 {
        return Change::Same;
    }
    if children.failed > 0 {
        s.fail(Fault::Work, &texts::children_failed(children), None);
    } else if children.canceled > 0 {
        s.cancel(Canceled::Request);
    } else {
        s.succeed(None);
    }
    Change::Moved
}

/// Whether the job is in a state in which the end of a child matters.
pub(super) const fn is_one(state: State) -> bool {
    matches!(state, State::Waiting(chandler_model::jobs::WaitingFor::Children) | State::Stopping { stage: None, .. })
}
