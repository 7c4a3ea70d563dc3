//! The loops that keep the engine honest: the reaper looks for lost workers, the timers fire what is due, housekeeping
//! removes what has served. Each runs until its token is cancelled and survives a database that is away.

use std::collections::HashMap;
use std::time::Duration;

use chandler_model::Id;
use chandler_model::jobs::{Hold, Job};
use chandler_store::jobs::queue;
use chandler_store::{changes, timers};
use jiff::SignedDuration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::QUEUE_NOTICE;
use super::engine::{self, DEADLINE, From, KILL, RETRY};
use super::step::Event;
use crate::Core;
use crate::error::Result;

/// Change events are kept this long.
const CHANGES_KEPT: SignedDuration = SignedDuration::from_hours(1);
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
        core.db()
            .write(async |tx| {
                // The queue row comes first, as in every transition; then whether the timer still stands.
                let queued = queue::lock(tx, job).await?;
                if !timers::fire(tx, timer.id, now).await? {
                    return Ok(());
                }
                let from = From::Anyone { actor: "timer" };
                match (timer.what.as_str(), queued) {
                    (DEADLINE, Some(_)) => {
                        engine::transition(core, tx, job, from, Event::Deadline, now).await.map(drop)
                    }
                    (KILL, Some(_)) => {
                        engine::transition(core, tx, job, from, Event::KillUnanswered, now).await.map(drop)
                    }
                    (RETRY, Some(row)) if row.hold == Hold::Delayed => {
                        queue::hold(tx, job, Hold::Ready, None, None).await?;
                        Ok(tx.notify(QUEUE_NOTICE, String::new()).await?)
                    }
                    _ => Ok(()),
                }
            })
            .await?;
    }
    Ok(())
}

/// Removes change events that nobody reads any more.
pub async fn run_housekeeping(core: Core, stop: CancellationToken) {
    let period = core.job_settings().timing.housekeeping;
    while sleep(period, &stop).await {
        let before = core.now() - CHANGES_KEPT;
        let removed = core.db().write(async |tx| changes::delete_before(tx, before).await).await;
        if let Err(error) = removed {
            tracing::warn!(%error, "old change events could not be removed");
        }
    }
}

/// Waits; `false` when it is time to stop.
async fn sleep(period: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(period) => true,
    }
}
