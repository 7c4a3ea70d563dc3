//! Rows of the table for a job that waits to be claimed.

use chandler_model::jobs::{Fault, Stage, State};
use jiff::Timestamp;

use super::event::{Event, Refused};
use super::moves::{Change, Decided};
use super::subject::Subject;
use super::texts;

pub(super) fn decide(s: &mut Subject, event: &Event, now: Timestamp) -> Decided {
    match event {
        // A step that lacks its decision is never in the queue; were it ever, nobody may begin it.
        Event::Claim { attempt, worker, worker_name } if *attempt > s.job.attempt && !s.lacks_decision() => {
            s.job.state = State::Running(Stage::Assigned);
            s.job.attempt = *attempt;
            s.job.worker_id = Some(*worker);
            s.job.snapshot.worker = Some(worker_name.clone());
            s.job.started_at = Some(now);
        }
        Event::NeededFailed => s.fail(Fault::Dependency, texts::NEEDED_FAILED, None),
        Event::Unpreparable { blame, reason } => s.fail((*blame).into(), reason, None),
        Event::Deadline if s.clock().is_some() => s.fail(Fault::Timeout, texts::not_claimed(s.job.kind), None),
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
