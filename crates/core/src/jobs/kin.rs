//! What the move of a job means for others: its parent, its children, those that need it; and its own removal.

use std::pin::Pin;

use chandler_model::Id;
use chandler_model::jobs::{Job, State};
use chandler_store::jobs::{attempts, keys, queue, rows, steps};
use chandler_store::{Tx, blobs, logs, task_events};
use jiff::Timestamp;

use super::QUEUE_NOTICE;
use super::engine::{self, ITSELF};
use super::step::{Canceler, Effect, Event, Needed};
use crate::Core;
use crate::error::Result;

/// Takes the lock of a parent: whoever may end a child of it, or touches it, holds it.
pub(super) async fn enter(tx: &mut Tx, parent: Id<Job>) -> Result<()> {
    Ok(tx.lock(&format!("job:{parent}")).await?)
}

/// Does what the effects say of others. The job's own row stands. Whether anything was touched that may have come back
/// to the job itself.
pub(super) async fn settle(core: &Core, tx: &mut Tx, job: &Job, effects: &[Effect], now: Timestamp) -> Result<bool> {
    let mut touched = false;
    for effect in effects {
        match *effect {
            Effect::StopChildren(by) => {
                stop_children(core, tx, job.id, by, now).await?;
                touched = true;
            }
            Effect::SettleParent(parent) => bring(core, tx, parent, Event::ChildEnded, now).await?,
            Effect::SettleDependents(needed) => dependents(core, tx, job.id, needed, now).await?,
            Effect::DeleteRow => delete(tx, job, now).await?,
            // It was not in the queue when the job that it needs ended.
            Effect::Requeue(_) if has_failed(tx, job).await? => {
                bring(core, tx, job.id, Event::NeededFailed, now).await?;
                touched = true;
            }
            // No flow names commands yet, and no host is built yet: there is nothing that could be run.
            Effect::RunCommands(_) | Effect::CleanUp => {}
            _ => {}
        }
    }
    Ok(touched)
}

/// Brings an event to another job. What it is refused for does not matter to whoever brings it.
fn bring<'a>(
    core: &'a Core,
    tx: &'a mut Tx,
    job: Id<Job>,
    event: Event,
    now: Timestamp,
) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
    Box::pin(async move { engine::transition_locked(core, tx, job, ITSELF, event, now).await.map(drop) })
}

async fn stop_children(core: &Core, tx: &mut Tx, parent: Id<Job>, by: Canceler, now: Timestamp) -> Result<()> {
    for child in queue::unfinished_children(tx, parent).await? {
        bring(core, tx, child.job_id, Event::Cancel { by, expect: None }, now).await?;
    }
    Ok(())
}

/// Jobs that need this one go on, or fail with it. They are of its own lane or of none.
async fn dependents(core: &Core, tx: &mut Tx, job: Id<Job>, needed: Needed, now: Timestamp) -> Result<()> {
    for dependent in queue::dependents(tx, job).await? {
        match needed {
            Needed::Failed => bring(core, tx, dependent.job_id, Event::NeededFailed, now).await?,
            Needed::Succeeded => {
                queue::lock(tx, dependent.job_id).await?;
                if keys::wake_one(tx, dependent.job_id).await? {
                    tx.notify(QUEUE_NOTICE, String::new())?;
                }
            }
        }
    }
    Ok(())
}

/// Whether the job that this one needs has ended otherwise than succeeded. One that is gone did. The caller holds the
/// queue row of this job, where the end of the other looks for it, or that of the other; the other's is not locked
/// after this one's, because its end locks them the other way round.
pub(super) async fn has_failed(tx: &mut Tx, job: &Job) -> Result<bool> {
    let Some(needed) = job.needs_job_id else { return Ok(false) };
    Ok(matches!(rows::state(tx, needed).await?.as_deref(), None | Some("failed" | "canceled")))
}

/// The row goes with all that hangs on it. What a process that is not known to be gone keeps for it stays until then.
async fn delete(tx: &mut Tx, job: &Job, now: Timestamp) -> Result<()> {
    let id = job.id;
    for blob in steps::delete(tx, id).await? {
        blobs::orphan(tx, blob, now).await?;
    }
    logs::delete(tx, id).await?;
    task_events::delete(tx, id).await?;
    attempts::delete_history(tx, id).await?;
    if !attempts::process_left(tx, id).await? {
        attempts::delete(tx, id).await?;
    }
    if matches!(job.state, State::Succeeded(_)) {
        // Whoever needed it has it, and must not wait for a row that is no more.
        for dependent in queue::dependents(tx, id).await? {
            queue::lock(tx, dependent.job_id).await?;
        }
        rows::no_longer_needed(tx, id).await?;
    }
    Ok(rows::delete(tx, id).await?)
}

/// The worker says that what did not answer its KILL is gone: what its job kept for it is given up, and whatever waited
/// goes on.
pub(super) async fn process_gone(tx: &mut Tx, id: Id<Job>, attempt: i64) -> Result<()> {
    // An ended job has no queue row to say its lane any more, but it may have keys.
    if let Some(lane) = lane_of(tx, id).await? {
        super::keys::enter(tx, &lane).await?;
    }
    let queued = queue::lock(tx, id).await?;
    let job = rows::lock(tx, id).await?;
    if !attempts::note_gone(tx, id, attempt).await? {
        return Ok(());
    }
    let Some(job) = job else {
        // Somebody has deleted it meanwhile; only its keys and attempts were left.
        if keys::give_up(tx, id).await? {
            tx.notify(QUEUE_NOTICE, String::new())?;
        }
        return Ok(attempts::delete(tx, id).await?);
    };
    let subject = engine::subject(tx, job, &Event::Lost).await?;
    let mut woken = false;
    if !subject.holds_keys() {
        woken |= keys::give_up(tx, id).await?;
    } else if let Some(workspace) = subject.job.workspace_id.filter(|_| !subject.holds_apply_key()) {
        woken |= keys::give_up_one(tx, id, &super::keys::apply_key(workspace)).await?;
    }
    if queued.is_some() {
        woken |= keys::wake_one(tx, id).await?;
    }
    if woken {
        tx.notify(QUEUE_NOTICE, String::new())?;
    }
    Ok(())
}

/// The lane of a job, ended or not.
async fn lane_of(tx: &mut Tx, job: Id<Job>) -> Result<Option<String>> {
    if let Some(ground) = queue::ground(tx, job).await? {
        return Ok(ground.lane);
    }
    let keys = keys::of_job(tx, job).await?;
    Ok(keys.first().and_then(|key| super::keys::lane_of_key(&key.key)))
}
