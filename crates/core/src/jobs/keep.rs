//! The loops that keep the engine honest: the reaper looks for lost workers, the timers fire what is due, housekeeping
//! removes what has served. Each runs until its token is cancelled and survives a database that is away.

use std::collections::HashMap;
use std::time::Duration;

use chandler_model::Id;
use chandler_model::jobs::{Hold, Job};
use chandler_store::jobs::{keys, queue};
use chandler_store::{blobs, changes, timers};
use jiff::SignedDuration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::QUEUE_NOTICE;
use super::effects::{DEADLINE, KILL, RETRY};
use super::engine::{self, From};
use super::step::Event;
use crate::Core;
use crate::error::Result;

/// Change events are kept this long.
const CHANGES_KEPT: SignedDuration = SignedDuration::from_hours(1);
/// Bytes that nothing points at any more are kept this long.
const BLOBS_KEPT: SignedDuration = SignedDuration::from_hours(1);
/// Timers fired in one round.
const TIMERS_AT_ONCE: i64 = 100;

/// Declares jobs lost whose beat stands still. Life is told by beats and by this process's own clock, never by times
/// that another machine wrote; a restart starts the observation anew.
pub async fn run_reaper(core: Core, stop: CancellationToken) {
    let timing = core.job_settings().timing;
    let mut seen: HashMap<(Id<Job>, i64), (i64, Instant)> = HashMap::new();
    let mut last_read = Instant::now();
    while sleep(timing.beat / 4, &stop).await {
        let rows = match queue::claimed(core.db()).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, "the reaper cannot read the queue");
                continue;
            }
        };
        let now = Instant::now();
        if now - last_read > timing.blind {
            // What happened meanwhile was not seen: nobody is lost for standing still then.
            seen.clear();
        }
        last_read = now;
        let mut still = HashMap::with_capacity(rows.len());
        for row in rows {
            let key = (row.job_id, row.attempt);
            let since = match seen.get(&key) {
                Some((beat, since)) if *beat == row.beat => *since,
                _ => now,
            };
            if now - since >= timing.lost {
                if let Err(error) = declare_lost(&core, row.job_id, row.attempt, row.beat).await {
                    tracing::warn!(job = %row.job_id, %error, "a lost job could not be declared lost");
                    still.insert(key, (row.beat, since));
                }
            } else {
                still.insert(key, (row.beat, since));
            }
        }
        seen = still;
    }
}

async fn declare_lost(core: &Core, job: Id<Job>, attempt: i64, beat: i64) -> Result<()> {
    tracing::warn!(%job, attempt, "a worker has not been heard of: its job is lost");
    let now = core.now();
    core.db()
        .write(async |tx| {
            engine::transition(core, tx, job, From::Reaper { attempt, beat }, Event::Lost, now).await.map(drop)
        })
        .await
}

/// Fires timers that are due.
pub async fn run_timers(core: Core, stop: CancellationToken) {
    let timing = core.job_settings().timing;
    while sleep(timing.poll / 4, &stop).await {
        if let Err(error) = fire_due(&core).await {
            tracing::warn!(%error, "timers could not be fired");
        }
    }
}

async fn fire_due(core: &Core) -> Result<()> {
    let now = core.now();
    for timer in timers::due(core.db(), now, TIMERS_AT_ONCE).await? {
        let job = Id::new(timer.row_id);
        let event = match timer.what.as_str() {
            KILL => Event::KillUnanswered,
            _ => Event::Deadline,
        };
        core.db()
            .write(async |tx| {
                // Names and the queue row come first, as in every transition; then whether the timer still stands.
                engine::lock_names(tx, job, &event).await?;
                let queued = queue::lock(tx, job).await?;
                if !timers::fire(tx, timer.id, now).await? {
                    return Ok(());
                }
                let from = From::Anyone { actor: "timer" };
                match (timer.what.as_str(), queued) {
                    (DEADLINE | KILL, Some(_)) => {
                        engine::transition_locked(core, tx, job, from, event.clone(), now).await.map(drop)
                    }
                    (RETRY, Some(row)) if row.hold == Hold::Delayed => {
                        let hold = if keys::is_ready(tx, job).await? { Hold::Ready } else { Hold::Blocked };
                        queue::hold(tx, job, hold, None, None).await?;
                        Ok(tx.notify(QUEUE_NOTICE, String::new()).await?)
                    }
                    _ => Ok(()),
                }
            })
            .await?;
    }
    Ok(())
}

/// Removes what nobody reads any more, and looks for jobs that were forgotten in the queue.
pub async fn run_housekeeping(core: Core, stop: CancellationToken) {
    let period = core.job_settings().timing.housekeeping;
    while sleep(period, &stop).await {
        if let Err(error) = clean(&core).await {
            tracing::warn!(%error, "housekeeping could not be done");
        }
        match remember(&core).await {
            Ok(0) => {}
            Ok(n) => tracing::error!(n, "jobs were blocked with nothing in their way; they go on now. This is a bug"),
            Err(error) => tracing::warn!(%error, "the blocked jobs could not be read"),
        }
    }
}

async fn clean(core: &Core) -> Result<()> {
    let now = core.now();
    core.db()
        .write(async |tx| {
            changes::delete_before(tx, now - CHANGES_KEPT).await?;
            blobs::collect(tx, now - BLOBS_KEPT).await
        })
        .await
        .map_err(Into::into)
}

/// Makes ready what nothing stands in the way of, and says how many there were. A job that is just being made ready by
/// somebody is not forgotten, so each is looked at again under its lane.
pub(super) async fn remember(core: &Core) -> Result<u32> {
    let mut found = 0;
    for job in keys::forgotten(core.db()).await?.into_iter().map(Id::new) {
        let woken = core
            .db()
            .write(async |tx| {
                engine::lock_names(tx, job, &Event::Deadline).await?;
                queue::lock(tx, job).await?;
                let woken = keys::wake_one(tx, job).await?;
                if woken {
                    tx.notify(QUEUE_NOTICE, String::new()).await?;
                }
                Ok::<_, crate::error::Error>(woken)
            })
            .await?;
        found += u32::from(woken);
    }
    Ok(found)
}

/// Waits; `false` when it is time to stop.
async fn sleep(period: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(period) => true,
    }
}
