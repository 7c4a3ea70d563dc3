//! Rows of the table for a job that waits for somebody's decision.

use chandler_model::Id;
use chandler_model::jobs::{Canceled, Decision, Fault, State, Verdict};
use chandler_model::users::User;
use jiff::Timestamp;

use super::event::{Event, Refused};
use super::moves::{Change, Decided};
use super::subject::Subject;
use super::texts;

pub(super) fn decide(s: &mut Subject, event: &Event, now: Timestamp) -> Decided {
    match event {
        // A decision is about the step that its maker saw.
        Event::Approve { step, .. } | Event::Reject { step, .. } if s.steps.present_number() != Some(*step) => {
            return Err(Refused::OtherStep);
        }
        Event::Approve { by, .. } => {
            note(s, Verdict::Approved, *by, now);
            s.requeue(false);
        }
        Event::Reject { by, .. } => {
            note(s, Verdict::Rejected, *by, now);
            s.cancel(Canceled::Rejected);
        }
        // A saved plan waits as long as it wants.
        Event::Deadline if s.clock().is_some() => s.fail(Fault::Timeout, texts::NOT_IN_TIME, None),
        Event::Cancel { by, .. } => s.cancel_at_once(*by, now),
        Event::Delete { by } if s.may_be_deleted() => {
            s.job.delete_requested_at = Some(now);
            s.cancel_at_once(*by, now);
        }
        Event::Suspend if s.may_be_suspended() => s.release(State::Suspended),
        _ => return Err(Refused::NotNow),
    }
    Ok(Change::Moved)
}

fn note(s: &mut Subject, verdict: Verdict, by: Option<Id<User>>, now: Timestamp) {
    s.steps.decide(Decision { verdict, by, at: now });
}
