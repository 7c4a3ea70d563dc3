//! Rows of the table for a job that somebody has suspended.

use chandler_model::jobs::Fault;
use jiff::Timestamp;

use super::event::{Event, Refused};
use super::moves::{Change, Decided};
use super::subject::Subject;
use super::texts;

pub(super) fn decide(s: &mut Subject, event: &Event, now: Timestamp) -> Decided {
    match event {
        Event::NeededFailed => {
            s.fail(Fault::Dependency, texts::NEEDED_FAILED, None);
            s.job.started_at = None;
        }
        Event::Cancel { by, .. } => s.cancel_at_once(*by, now),
        Event::Delete { by } if s.may_be_deleted() => {
            s.job.delete_requested_at = Some(now);
            s.cancel_at_once(*by, now);
        }
        // What it was: a job that was suspended while it waited must not run unapproved.
        Event::Resume if s.lacks_decision() => s.wait_for_approval(),
        Event::Resume => s.requeue(true),
        _ => return Err(Refused::NotNow),
    }
    Ok(Change::Moved)
}
