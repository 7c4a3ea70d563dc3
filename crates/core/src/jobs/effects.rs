//! Does what `step` says of the job's own rows: queue, keys, timers, attempt, steps.

use chandler_model::Id;
use chandler_model::jobs::{Hold, Job};
use chandler_model::workspaces::Workspace;
use chandler_store::jobs::{attempts, keys, queue, steps};
use chandler_store::{Tx, timers};
use jiff::Timestamp;

use super::engine::after;
use super::step::{Clock, Effect, Held, Keys, Steps, Subject, When};
use super::{QUEUE_NOTICE, STOP_NOTICE};
use crate::Core;
use crate::error::Result;

/// Timer words.
pub(super) const DEADLINE: &str = "deadline";
pub(super) const KILL: &str = "kill";
pub(super) const RETRY: &str = "retry";
pub(super) const TIMER_KIND: &str = "job";

/// Writes everything but the job row itself and its kin. The caller holds the lane and the queue row.
pub(super) async fn on_queue(
    core: &Core,
    tx: &mut Tx,
    before: &Subject,
    job: &Subject,
    effects: &[Effect],
    now: Timestamp,
) -> Result<()> {
    let timing = core.job_settings().timing;
    let id = job.job.id;
    let timer = id.get();
    for effect in effects {
        match *effect {
            Effect::Requeue(when) => requeue(core, tx, job, when, now).await?,
            // The claim has written the queue row already.
            Effect::Hold(Held::Claimed) => {}
            Effect::Hold(held) => queue::hold(tx, id, held.into(), None, None).await?,
            Effect::LeaveQueue => queue::delete(tx, id).await?,
            Effect::Keys(what) => on_keys(tx, job, what).await?,
            Effect::EndAttempt(end, exit_code) => {
                attempts::end(tx, id, job.job.attempt, end.word(), exit_code, now).await?;
            }
            Effect::SetDeadline(clock) => {
                if let Some(limit) = limit(core, &job.job, clock) {
                    timers::set(tx, after(now, limit), DEADLINE, TIMER_KIND, timer).await?;
                }
            }
            Effect::ClearDeadline => timers::clear(tx, DEADLINE, TIMER_KIND, timer).await?,
            Effect::StartKillClock => {
                timers::set(tx, after(now, timing.kill_unanswered), KILL, TIMER_KIND, timer).await?;
            }
            Effect::ClearKillClock => timers::clear(tx, KILL, TIMER_KIND, timer).await?,
            Effect::WakeWorkers => tx.notify(QUEUE_NOTICE, String::new())?,
            Effect::TellWorker => tx.notify(STOP_NOTICE, id.to_string())?,
            Effect::WriteSteps => write_steps(tx, id, &before.steps, &job.steps).await?,
            // Goes with the job row's own statement.
            Effect::EraseSealed => {}
            // The submit has inserted the row; kin are settled when the job row stands.
            Effect::Enqueue
            | Effect::StopChildren(_)
            | Effect::SettleParent(_)
            | Effect::SettleDependents(_)
            | Effect::RunCommands(_)
            | Effect::CleanUp
            | Effect::DeleteRow => {}
        }
    }
    Ok(())
}

/// Back into the queue: behind whoever came before on its keys, and not before its time.
async fn requeue(core: &Core, tx: &mut Tx, job: &Subject, when: When, now: Timestamp) -> Result<()> {
    let id = job.job.id;
    if !keys::of_job(tx, id).await?.is_empty() {
        let turn = keys::draw_turn(tx).await?;
        keys::redraw_waits(tx, id, turn).await?;
    }
    match when {
        When::AfterBackOff => {
            let not_before = after(now, core.job_settings().timing.back_off);
            queue::hold(tx, id, Hold::Delayed, Some(not_before), None).await?;
            timers::set(tx, not_before, RETRY, TIMER_KIND, id.get()).await?;
        }
        When::Now => {
            let hold = if keys::is_ready(tx, id).await? { Hold::Ready } else { Hold::Blocked };
            queue::hold(tx, id, hold, None, None).await?;
        }
    }
    Ok(())
}

async fn on_keys(tx: &mut Tx, job: &Subject, what: Keys) -> Result<()> {
    let (id, workspace) = (job.job.id, job.job.workspace_id);
    let woken = match (what, workspace) {
        (Keys::Take, Some(workspace)) => {
            if let Steps::Rows(steps) = &job.steps {
                let turn = keys::draw_turn(tx).await?;
                keys::take(tx, id, &super::keys::of_flow(workspace, steps).keys, turn).await?;
            }
            false
        }
        (Keys::GiveUp, _) => keys::give_up(tx, id).await?,
        (Keys::Keep, _) => {
            attempts::note_left(tx, id, job.job.attempt).await?;
            false
        }
        (Keys::TakeApply, Some(workspace)) => {
            take_apply(tx, id, workspace).await?;
            false
        }
        (Keys::GiveUpApply, Some(workspace)) => keys::give_up_one(tx, id, &super::keys::apply_key(workspace)).await?,
        // Only flows on a workspace take keys after their submit.
        (Keys::Take | Keys::TakeApply | Keys::GiveUpApply, None) => false,
    };
    if woken {
        tx.notify(QUEUE_NOTICE, String::new())?;
    }
    Ok(())
}

/// Holds `apply:<workspace>`; plans that have not begun go behind it.
async fn take_apply(tx: &mut Tx, job: Id<Job>, workspace: Id<Workspace>) -> Result<()> {
    let key = super::keys::apply_key(workspace);
    let (own, behind) = (keys::draw_turn(tx).await?, keys::draw_turn(tx).await?);
    let held = keys::Key { key: key.clone(), mode: chandler_model::jobs::KeyMode::Hold };
    keys::take(tx, job, &[held], own).await?;
    keys::send_waits_behind(tx, &key, behind).await?;
    Ok(keys::block(tx, &key).await?)
}

async fn write_steps(tx: &mut Tx, job: Id<Job>, before: &Steps, after: &Steps) -> Result<()> {
    let (Steps::Rows(before), Steps::Rows(after)) = (before, after) else { return Ok(()) };
    for (_, step) in before.iter().zip(after).filter(|(old, new)| old != new) {
        steps::update(tx, job, step).await?;
    }
    Ok(())
}

/// How long a clock of this job runs; none = for ever.
fn limit(core: &Core, job: &Job, clock: Clock) -> Option<std::time::Duration> {
    let timing = core.job_settings().timing;
    match clock {
        Clock::Run => job.intent.timeout_s().map(|s| std::time::Duration::from_secs(u64::from(s))),
        Clock::Claim => Some(timing.claim),
        Clock::Flow => Some(timing.flow),
    }
}
