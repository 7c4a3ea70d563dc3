//! Writes what `step` decides. Every transition of an unfinished job takes its named locks, then its queue row, then
//! reads the job, then writes queue and job (`docs/core/jobs.md` 4.1 and 5).

use chandler_model::Id;
use chandler_model::jobs::{Hold, Job, JobKind};
use chandler_model::workers::Worker;
use chandler_store::jobs::{attempts, queue, rows, steps};
use chandler_store::{Tx, logs, task_events};
use jiff::{SignedDuration, Timestamp};

use super::step::{Children, Event, Outcome, Refused, Steps, Subject, step};
use super::{JOB_NOTICE, effects, keys, kin};
use crate::Core;
use crate::error::{Error, Result};

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

/// The installation itself, as the history names it.
pub(super) const ITSELF: From<'static> = From::Anyone { actor: "system" };

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

/// Brings an event to a job inside a transaction that has touched no job yet.
pub(super) async fn transition(
    core: &Core,
    tx: &mut Tx,
    id: Id<Job>,
    from: From<'_>,
    event: Event,
    now: Timestamp,
) -> Result<Moved> {
    lock_names(tx, id).await?;
    transition_locked(core, tx, id, from, event, now).await
}

/// Takes the named locks that an event of the job may need, in their order: first those of parents, then lanes.
pub(super) async fn lock_names(tx: &mut Tx, id: Id<Job>) -> Result<()> {
    let Some(ground) = queue::ground(tx, id).await? else { return Ok(()) };
    let invocation = ground.kind == JobKind::Invocation;
    let mut families: Vec<Id<Job>> = ground.parent_id.into_iter().chain(invocation.then_some(id)).collect();
    families.sort_unstable();
    for family in families {
        kin::enter(tx, family).await?;
    }
    let mut lanes: Vec<String> = ground.lane.into_iter().collect();
    if invocation {
        lanes.extend(queue::unfinished_children(tx, id).await?.into_iter().filter_map(|child| child.lane));
        lanes.sort_unstable();
        lanes.dedup();
    }
    for lane in lanes {
        keys::enter(tx, &lane).await?;
    }
    Ok(())
}

/// The same where the named locks are held.
pub(super) async fn transition_locked(
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
    let subject = subject(tx, job, &event).await?;
    let word = event.word();
    let actor = match from {
        From::Anyone { actor } => Some(actor),
        From::Attempt(_) | From::Reaper { .. } => None,
    };
    match step(&subject, &event, now) {
        Err(refused) => Ok(Moved::Refused(refused, Box::new(subject.job))),
        Ok(Outcome::Same) => Ok(Moved::Same(Box::new(subject.job))),
        Ok(Outcome::Moved(mut after, effects)) => {
            if after.job.events_complete && !subject.job.events_complete {
                note_log_end(core, tx, &mut after.job).await?;
            }
            effects::on_queue(core, tx, &subject, &after, &effects, now).await?;
            rows::write(tx, &after.job).await?;
            attempts::append_transition(tx, id, now, word, after.job.state, actor).await?;
            tx.notify(JOB_NOTICE, id.to_string())?;
            let touched = kin::settle(core, tx, &after.job, &effects, now).await?;
            Ok(Moved::To(Box::new(match touched {
                // What became of its kin may have moved it on.
                true => rows::lock(tx, id).await?.unwrap_or(after.job),
                false => after.job,
            })))
        }
    }
}

/// The job with everything that `step` looks at for this event.
pub(super) async fn subject(tx: &mut Tx, job: Job, event: &Event) -> Result<Subject> {
    let mut subject = Subject::simple(job);
    let id = subject.job.id;
    match subject.job.kind {
        JobKind::TerraformFlow | JobKind::HostBuild => subject.steps = Steps::Rows(steps::of_job(tx, id).await?),
        JobKind::Invocation => subject.steps = Steps::Rows(Vec::new()),
        _ => {}
    }
    if matches!(event, Event::ChildEnded | Event::ChildrenInserted) {
        subject.facts.children = children(tx, id).await?;
    }
    if subject.job.attempt > 0 && !matches!(event, Event::Stage(_) | Event::Claim { .. }) {
        subject.facts.process_left = attempts::process_left(tx, id).await?;
    }
    Ok(subject)
}

async fn children(tx: &mut Tx, parent: Id<Job>) -> Result<Children> {
    let mut children = Children::default();
    for standing in rows::children(tx, parent).await? {
        let n = u32::try_from(standing.n).unwrap_or(u32::MAX);
        match standing.state.as_str() {
            "succeeded" => children.succeeded += n,
            "failed" => children.failed += n,
            "canceled" => children.canceled += n,
            _ => children.unfinished += n,
        }
    }
    Ok(children)
}

/// Copies where the log ends into the job row, in the transaction that ends it.
async fn note_log_end(core: &Core, tx: &mut Tx, job: &mut Job) -> Result<()> {
    let tail =
        if job.kind.has_task_events() { task_events::tail(tx, job.id).await? } else { logs::tail(tx, job.id).await? };
    job.log_bytes = tail.bytes;
    job.log_lines = tail.lines;
    job.log_truncated = tail.bytes > core.job_settings().log_max;
    Ok(())
}

pub(super) fn after(at: Timestamp, period: std::time::Duration) -> Timestamp {
    SignedDuration::try_from(period).ok().and_then(|d| at.checked_add(d).ok()).unwrap_or(Timestamp::MAX)
}

/// Begins the attempts that a claim has made, whose queue rows it has locked. A claim takes no other lock and touches no
/// other job, so all that it writes goes in one turn.
pub(super) async fn begin_all(
    core: &Core,
    tx: &mut Tx,
    claimed: &[queue::Queued],
    worker: &Worker,
    now: Timestamp,
) -> Result<Vec<Job>> {
    if claimed.is_empty() {
        return Ok(Vec::new());
    }
    let locked = rows::lock_all(tx, claimed.iter().map(|row| row.job_id)).await?;
    let (mut jobs, mut written) = (Vec::with_capacity(locked.len()), Vec::with_capacity(3 * locked.len()));
    for (row, job) in claimed.iter().zip(locked) {
        let event = Event::Claim { attempt: row.attempt, worker: worker.id, worker_name: worker.name.clone() };
        let subject = subject(tx, job, &event).await?;
        // The row was ready and is locked by us, so `step` cannot refuse; if it does, the claim must not stand.
        let Ok(Outcome::Moved(after, effects)) = step(&subject, &event, now) else {
            return Err(Error::internal("a claimed job refused its claim"));
        };
        effects::on_queue(core, tx, &subject, &after, &effects, now).await?;
        let job = after.job;
        written.push(rows::moved(&job));
        written.push(attempts::transition(job.id, now, event.word(), job.state, None));
        written.push(attempts::begin(core.uid(), &job, worker.id, &worker.name, now));
        tx.notify(JOB_NOTICE, job.id.to_string())?;
        jobs.push(job);
    }
    if jobs.len() != claimed.len() {
        return Err(Error::internal("a claimed job has no row"));
    }
    tx.exec_all(&written).await?;
    Ok(jobs)
}
