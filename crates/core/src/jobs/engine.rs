//! Writes what `step` decides. Every transition of an unfinished job locks its queue row first, then reads the job,
//! then writes queue and job (`docs/core/jobs.md` 4.1).

use chandler_model::Id;
use chandler_model::jobs::{Hold, Job};
use chandler_model::workers::Worker;
use chandler_store::jobs::{attempts, queue, rows};
use chandler_store::{Tx, logs, timers};
use jiff::{SignedDuration, Timestamp};

use super::step::{Clock, Effect, Event, Held, Keys, Outcome, Refused, Subject, When, step};
use super::{JOB_NOTICE, QUEUE_NOTICE, STOP_NOTICE};
use crate::Core;
use crate::error::{Error, Result};

/// Timer words.
pub(super) const DEADLINE: &str = "deadline";
pub(super) const KILL: &str = "kill";
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
    /// It was said before; the job stands like this.
    Same(Box<Job>),
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
    let subject = Subject::simple(job);
    match step(&subject, &event, now) {
        Err(refused) => Ok(Moved::Refused(refused, Box::new(subject.job))),
        Ok(Outcome::Same) => Ok(Moved::Same(Box::new(subject.job))),
        Ok(Outcome::Moved(after, effects)) => {
            let mut job = after.job;
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

/// Writes what follows from a transition, or from a submit.
pub(super) async fn apply(core: &Core, tx: &mut Tx, job: &Job, effects: &[Effect], now: Timestamp) -> Result<()> {
    let timing = core.job_settings().timing;
    let timer = job.id.get();
    for effect in effects {
        match *effect {
            Effect::Enqueue => {
                let tags = chandler_store::tags::intern(tx, &chandler_model::tags::Tags::default()).await?;
                queue::insert(tx, job, tags, None, Hold::Ready).await?;
            }
            Effect::Requeue(When::Now) => queue::hold(tx, job.id, Hold::Ready, None, None).await?,
            Effect::Requeue(When::AfterBackOff) => {
                let not_before = after(now, timing.back_off);
                queue::hold(tx, job.id, Hold::Delayed, Some(not_before), None).await?;
                timers::set(tx, not_before, RETRY, TIMER_KIND, timer).await?;
            }
            // The claim has written the queue row already.
            Effect::Hold(Held::Claimed) => {}
            Effect::Hold(held) => queue::hold(tx, job.id, held.into(), None, None).await?,
            Effect::LeaveQueue => queue::delete(tx, job.id).await?,
            Effect::EndAttempt(end, exit_code) => {
                attempts::end(tx, job.id, job.attempt, end.word(), exit_code, now).await?;
            }
            Effect::SetDeadline(clock) => {
                if let Some(limit) = limit(job, clock) {
                    timers::set(tx, after(now, limit), DEADLINE, TIMER_KIND, timer).await?;
                }
            }
            Effect::ClearDeadline => timers::clear(tx, DEADLINE, TIMER_KIND, timer).await?,
            Effect::StartKillClock => {
                timers::set(tx, after(now, timing.kill_unanswered), KILL, TIMER_KIND, timer).await?;
            }
            Effect::ClearKillClock => timers::clear(tx, KILL, TIMER_KIND, timer).await?,
            Effect::WakeWorkers => tx.notify(QUEUE_NOTICE, String::new()).await?,
            Effect::TellWorker => tx.notify(STOP_NOTICE, job.id.to_string()).await?,
            // A script has no keys, nothing sealed, and nobody needs it.
            Effect::Keys(Keys::Take | Keys::GiveUp | Keys::Keep)
            | Effect::EraseSealed
            | Effect::SettleDependents(_) => {}
            // Of no kind that can be launched. Silence here would leave children or secrets behind.
            Effect::Keys(Keys::TakeApply | Keys::GiveUpApply)
            | Effect::WriteSteps
            | Effect::StopChildren(_)
            | Effect::SettleParent(_)
            | Effect::RunCommands(_)
            | Effect::CleanUp
            | Effect::DeleteRow => return Err(Error::internal(format!("nobody does {effect:?}"))),
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

/// How long a clock of this job runs; none = for ever.
fn limit(job: &Job, clock: Clock) -> Option<std::time::Duration> {
    match clock {
        Clock::Run => job.intent.timeout_s().map(|s| std::time::Duration::from_secs(u64::from(s))),
        // Of other kinds.
        Clock::Claim | Clock::Flow => None,
    }
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
        Moved::Same(_) | Moved::Refused(..) | Moved::Fenced => Err(Error::internal("a claimed job refused its claim")),
    }
}
