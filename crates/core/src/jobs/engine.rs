//! Writes what `step` decides. Every transition of an unfinished job locks its queue row first, then reads the job,
//! then writes queue and job (`docs/core/jobs.md` 4.1).

use chandler_model::Id;
use chandler_model::jobs::{Hold, Intent, Job};
use chandler_model::workers::Worker;
use chandler_store::jobs::{attempts, queue, rows};
use chandler_store::{Tx, logs, timers};
use jiff::{SignedDuration, Timestamp};

use super::step::{Effect, Event, Refused, step};
use super::{JOB_NOTICE, QUEUE_NOTICE, STOP_NOTICE};
use crate::Core;
use crate::error::{Error, Result};

/// Timer words.
pub(super) const DEADLINE: &str = "deadline";
pub(super) const RETRY: &str = "retry";
pub(super) const TIMER_KIND: &str = "job";

/// Who brings an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum From<'a> {
    /// A person or the installation; `actor` is the name in the job's history.
    Anyone { actor: &'a str },
    /// The worker of this attempt. Another attempt's word no longer counts.
    Attempt(i64),
    /// The reaper, which saw this attempt stand at this beat.
    Reaper { attempt: i64, beat: i64 },
}

/// What came of an event.
#[derive(Debug)]
pub(super) enum Moved {
    /// The job stands like this now.
    To(Box<Job>),
    /// Nothing changed, for this reason; the job stands like this.
    Refused(Refused, Box<Job>),
    /// The job is not held by this attempt any more, or was seen alive meanwhile. Nothing changed.
    Fenced,
}

/// Brings an event to a job inside a transaction.
pub(super) async fn transition(
    core: &Core,
    tx: &mut Tx,
    id: Id<Job>,
    from: From<'_>,
    event: Event,
    now: Timestamp,
) -> Result<Moved> {
    let queued = queue::lock(tx, id).await?;
    let held = match (&queued, from) {
        (_, From::Anyone { .. }) => true,
        (Some(row), From::Attempt(attempt)) => row.hold == Hold::Claimed && row.attempt == attempt,
        (Some(row), From::Reaper { attempt, beat }) => {
            row.hold == Hold::Claimed && row.attempt == attempt && row.beat == beat
        }
        (None, _) => false,
    };
    if !held {
        return Ok(Moved::Fenced);
    }
    let job = rows::lock(tx, id).await?.ok_or_else(|| Error::absent(super::KIND, chandler_model::Action::Read))?;
    let word = event.word();
    let actor = match from {
        From::Anyone { actor } => Some(actor),
        From::Attempt(_) | From::Reaper { .. } => None,
    };
    match step(job.clone(), event, now) {
        Err(refused) => Ok(Moved::Refused(refused, Box::new(job))),
        Ok((mut job, effects)) => {
            if job.events_complete {
                note_log_end(core, tx, &mut job).await?;
            }
            apply(core, tx, &job, &effects, now).await?;
            rows::write(tx, &job).await?;
            attempts::append_transition(tx, id, now, word, job.state, actor).await?;
            tx.notify(JOB_NOTICE, id.to_string()).await?;
            Ok(Moved::To(Box::new(job)))
        }
    }
}

async fn apply(core: &Core, tx: &mut Tx, job: &Job, effects: &[Effect], now: Timestamp) -> Result<()> {
    let back_off = effects.contains(&Effect::BackOff);
    let timing = core.job_settings().timing;
    let not_before = back_off.then(|| after(now, timing.back_off));
    for effect in effects {
        match *effect {
            // The claim has written the queue row already.
            Effect::Hold(Hold::Claimed) => {}
            Effect::Hold(hold) => queue::hold(tx, job.id, hold, not_before, None).await?,
            Effect::BackOff => {
                timers::set(tx, not_before.unwrap_or(now), RETRY, TIMER_KIND, job.id.get()).await?;
            }
            Effect::LeaveQueue => queue::delete(tx, job.id).await?,
            Effect::EndAttempt(word) => {
                attempts::end(tx, job.id, job.attempt, word, job.exit_code, now).await?;
            }
            Effect::StartDeadline => {
                if let Some(limit) = time_limit(job) {
                    timers::set(tx, after(now, limit), DEADLINE, TIMER_KIND, job.id.get()).await?;
                }
            }
            Effect::ClearDeadline => timers::clear(tx, DEADLINE, TIMER_KIND, job.id.get()).await?,
            Effect::WakeWorkers => tx.notify(QUEUE_NOTICE, String::new()).await?,
            Effect::TellWorker => tx.notify(STOP_NOTICE, job.id.to_string()).await?,
        }
    }
    Ok(())
}

/// Copies where the log ends into the job row, in the transaction that ends it.
async fn note_log_end(core: &Core, tx: &mut Tx, job: &mut Job) -> Result<()> {
    let tail = logs::tail(tx, job.id).await?;
    job.log_bytes = tail.bytes;
    job.log_lines = tail.lines;
    job.log_truncated = tail.bytes > core.job_settings().log_max;
    Ok(())
}

fn time_limit(job: &Job) -> Option<std::time::Duration> {
    let Intent::Script(script) = &job.intent.0;
    script.spec.timeout_s.map(|s| std::time::Duration::from_secs(u64::from(s)))
}

pub(super) fn after(at: Timestamp, period: std::time::Duration) -> Timestamp {
    SignedDuration::try_from(period).ok().and_then(|d| at.checked_add(d).ok()).unwrap_or(Timestamp::MAX)
}

/// Begins the attempt that a claim has made.
pub(super) async fn begin(
    core: &Core,
    tx: &mut Tx,
    claimed: &queue::Queued,
    worker: &Worker,
    now: Timestamp,
) -> Result<Option<Job>> {
    let event = Event::Claim { attempt: claimed.attempt, worker: worker.id, worker_name: worker.name.clone() };
    match transition(core, tx, claimed.job_id, From::Attempt(claimed.attempt), event, now).await? {
        Moved::To(job) => {
            attempts::begin(tx, core.uid(), &job, worker.id, &worker.name, now).await?;
            Ok(Some(*job))
        }
        // The row was ready and is locked by us, so `step` cannot refuse; if it does, the claim must not stand.
        Moved::Refused(..) | Moved::Fenced => Err(Error::internal("a claimed job refused its claim")),
    }
}
