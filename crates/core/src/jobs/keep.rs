//! The loops that keep the engine honest: the reaper looks for lost workers, the timers fire what is due, housekeeping
//! removes what has served. Each runs until its token is cancelled and survives a database that is away.

use std::collections::HashMap;
use std::time::Duration;

use chandler_model::Id;
use chandler_model::jobs::{Hold, Job};
use chandler_store::jobs::{keys, queue};
use chandler_store::{blobs, changes, timers};
use jiff::{SignedDuration, Timestamp};
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

/// What a reaper has seen. Life is told by beats and by this process's own clock, never by times that another machine
/// wrote; a restart starts the observation anew.
#[derive(Debug, Default)]
pub struct Reaper {
    /// By job and attempt: the beat, and since when it has been that.
    seen: HashMap<(Id<Job>, i64), (i64, Instant)>,
    last_read: Option<Instant>,
}

impl Reaper {
    /// Looks once at every job that a worker holds, and declares those lost whose beat has stood still for too long.
    /// `now` is this process's own clock. A job that cannot be declared lost is tried again at the next look.
    ///
    /// # Errors
    /// The queue cannot be read.
    pub async fn look(&mut self, core: &Core, now: impl Fn() -> Instant + Send) -> Result<()> {
        let timing = core.job_settings().timing;
        // Between the two the rows were read: a beat has stood still from `after` of one look to `before` of another.
        let before = now();
        let rows = queue::claimed(core.db()).await?;
        let after = now();
        if self.last_read.is_some_and(|last| after - last > timing.blind) {
            // What happened meanwhile was not seen: nobody is lost for standing still then.
            self.seen.clear();
        }
        self.last_read = Some(after);
        let mut still = HashMap::with_capacity(rows.len());
        for row in rows {
            let key = (row.job_id, row.attempt);
            let since = match self.seen.get(&key) {
                Some((beat, since)) if *beat == row.beat => *since,
                _ => after,
            };
            if before.saturating_duration_since(since) >= timing.lost {
                if let Err(error) = declare_lost(core, row.job_id, row.attempt, row.beat).await {
                    tracing::warn!(job = %row.job_id, %error, "a lost job could not be declared lost");
                    still.insert(key, (row.beat, since));
                }
            } else {
                still.insert(key, (row.beat, since));
            }
        }
        self.seen = still;
        Ok(())
    }
}

/// Looks for lost workers until it is told to stop.
pub async fn run_reaper(core: Core, stop: CancellationToken) {
    let timing = core.job_settings().timing;
    let mut reaper = Reaper::default();
    while sleep(timing.beat / 4, &stop).await {
        if let Err(error) = reaper.look(&core, Instant::now).await {
            tracing::warn!(%error, "the reaper cannot read the queue");
        }
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

/// Fires timers when they are due, until it is told to stop.
pub async fn run_timers(core: Core, stop: CancellationToken) {
    let timing = core.job_settings().timing;
    while sleep(timing.poll / 4, &stop).await {
        if let Err(error) = fire_timers(&core).await {
            tracing::warn!(%error, "timers could not be fired");
        }
    }
}

/// Fires the timers that are due now, the longest due first. One that cannot be fired stays due and is no reason to
/// leave the others.
///
/// # Errors
/// The timers cannot be read.
pub async fn fire_timers(core: &Core) -> Result<()> {
    let now = core.now();
    for timer in timers::due(core.db(), now, TIMERS_AT_ONCE).await? {
        if let Err(error) = fire(core, &timer, now).await {
            tracing::warn!(what = timer.what, row = timer.row_id, %error, "a timer could not be fired");
        }
    }
    Ok(())
}

async fn fire(core: &Core, timer: &timers::Timer, now: Timestamp) -> Result<()> {
    let job = Id::new(timer.row_id);
    let event = match timer.what.as_str() {
        KILL => Event::KillUnanswered,
        _ => Event::Deadline,
    };
    core.db()
        .write(async |tx| {
            // Names and the queue row come first, as in every transition; then whether the timer still stands.
            engine::lock_names(tx, job).await?;
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
                    Ok(tx.notify(QUEUE_NOTICE, String::new())?)
                }
                _ => Ok(()),
            }
        })
        .await
}

/// Does a round of housekeeping once a minute, until it is told to stop.
pub async fn run_housekeeping(core: Core, stop: CancellationToken) {
    let period = core.job_settings().timing.housekeeping;
    while sleep(period, &stop).await {
        match keep_house(&core).await {
            Ok(0) => {}
            Ok(n) => tracing::error!(n, "jobs were blocked with nothing in their way; they go on now. This is a bug"),
            Err(error) => tracing::warn!(%error, "housekeeping could not be done"),
        }
    }
}

/// Removes what nobody reads any more, and makes jobs ready that were forgotten in the queue. The answer is how many
/// those were: one is a bug.
///
/// # Errors
/// The database is away.
pub async fn keep_house(core: &Core) -> Result<u32> {
    clean(core).await?;
    remember(core).await
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
async fn remember(core: &Core) -> Result<u32> {
    let mut found = 0;
    for job in keys::forgotten(core.db()).await?.into_iter().map(Id::new) {
        let woken = core
            .db()
            .write(async |tx| {
                engine::lock_names(tx, job).await?;
                queue::lock(tx, job).await?;
                let woken = keys::wake_one(tx, job).await?;
                if woken {
                    tx.notify(QUEUE_NOTICE, String::new())?;
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
