//! The link of a worker that lives in the server's own process: what a worker says becomes a transaction here.

use std::time::Duration;

use chandler_model::Id;
use chandler_model::jobs::{Fault, Hold, Job, State};
use chandler_model::logs::Entry;
use chandler_model::workers::Worker;
use chandler_store::jobs::{attempts, queue, rows, steps};
use chandler_store::seam::Notice;
use chandler_store::{Tx, environments, tags, workers};
use jiff::Timestamp;
use tokio::sync::broadcast;

use super::{Assignment, Attempt, Hello, Materials, Order, Report, Wake, Wakes, WorkerLink, output};
use crate::Core;
use crate::error::Result;
use crate::jobs::engine::{self, From, Moved};
use crate::jobs::step::{Blame, Event, Exit, Refused};
use crate::jobs::{JOB_NOTICE, QUEUE_NOTICE, STOP_NOTICE, Timing, hand_in, kin, materials};

/// The link of a worker that lives in the server's own process.
#[derive(Clone, Debug)]
pub struct Embedded {
    core: Core,
}

impl Embedded {
    #[must_use]
    pub fn new(core: Core) -> Self {
        Self { core }
    }
}

impl WorkerLink for Embedded {
    fn timing(&self) -> Timing {
        self.core.job_settings().timing
    }

    async fn hello(&self, hello: &Hello) -> Result<Worker> {
        let (core, now) = (&self.core, self.core.now());
        let uid = core.uid();
        let row: Worker = core
            .db()
            .write(async |tx| {
                let registration = workers::Registration {
                    name: &hello.name,
                    organization: None,
                    tags: tags::intern(tx, &hello.tags).await?,
                    kinds: hello.kinds,
                    slots: hello.slots,
                    version: &hello.version,
                };
                workers::register(tx, uid, now, &registration).await
            })
            .await?;
        // A worker that starts has ended whatever an earlier life of it left.
        for left in attempts::left_by(core.db(), row.id).await? {
            core.db().write(async |tx| kin::process_gone(tx, left.job_id, left.attempt).await).await?;
        }
        Ok(row)
    }

    async fn claim(&self, worker: &Worker, slots: i64) -> Result<Vec<Assignment>> {
        let (core, now) = (&self.core, self.core.now());
        let fitting = core.fits().of(core.db(), worker.tag_set_id).await?;
        let kinds: Vec<_> = worker.kinds.iter().collect();
        let fit = queue::Fit { worker: worker.id, organization: worker.organization_id, tags: &fitting, kinds: &kinds };
        self.core
            .db()
            .write(async |tx| {
                let mut assignments = Vec::new();
                let claimed = queue::claim(tx, &fit, slots).await?;
                for job in engine::begin_all(core, tx, &claimed, worker, now).await? {
                    let Job { id, attempt, name, intent, .. } = job;
                    let steps = match &intent.0 {
                        chandler_model::jobs::Intent::Terraform(_) => steps::of_job(tx, id).await?,
                        _ => Vec::new(),
                    };
                    assignments.push(Assignment { job: id, attempt, name, intent: intent.0, steps });
                }
                Ok(assignments)
            })
            .await
    }

    async fn beat(&self, attempt: Attempt, beat: i64) -> Result<Order> {
        self.core
            .db()
            .write(async |tx| {
                queue::beat(tx, attempt.job, attempt.number, beat).await?;
                order(tx, attempt).await
            })
            .await
    }

    async fn materials(&self, attempt: Attempt) -> Result<Option<Materials>> {
        materials::of(&self.core, attempt).await
    }

    async fn log(&self, attempt: Attempt, beat: i64, entries: &[Entry]) -> Result<Order> {
        let limit = self.core.job_settings().log_max;
        self.core
            .db()
            .write(async |tx| {
                let Some(job) = held(tx, attempt).await? else { return Ok(Order::Gone) };
                let told = order_of(job.state);
                // Otherwise a batch that was stored already.
                if queue::beat(tx, attempt.job, attempt.number, beat).await? {
                    output::append(tx, job.kind, attempt, entries, limit).await?;
                    tx.notify(JOB_NOTICE, attempt.job.to_string())?;
                }
                Ok(told)
            })
            .await
    }

    async fn state(&self, attempt: Attempt, beat: i64, state: &[u8]) -> Result<Order> {
        let (core, now) = (&self.core, self.core.now());
        hand_in::state(core, attempt, beat, state, now).await?;
        self.beat(attempt, beat).await
    }

    async fn file(&self, attempt: Attempt, step: i64, name: &str, bytes: &[u8]) -> Result<Order> {
        hand_in::file(&self.core, attempt, step, name, bytes, self.core.now()).await
    }

    async fn report(&self, attempt: Attempt, report: Report) -> Result<Order> {
        let (core, now) = (&self.core, self.core.now());
        self.core
            .db()
            .write(async |tx| {
                let event = match report.clone() {
                    Report::Ran { image, digest } => return note_image(tx, attempt, &image, &digest, now).await,
                    Report::ProcessGone => {
                        kin::process_gone(tx, attempt.job, attempt.number).await?;
                        return Ok(Order::Gone);
                    }
                    Report::Stage(stage) => Event::Stage(stage),
                    Report::Done { step, outcome } => Event::StepDone { step, outcome },
                    Report::Error { fault, message, exit_code, diagnostic } => {
                        let exit = Exit { code: exit_code, diagnostic };
                        Event::Error { blame: blame(fault), reason: message, exit }
                    }
                    Report::Stopped { exit_code } => {
                        Event::Stopped { exit: Exit { code: exit_code, diagnostic: None } }
                    }
                    Report::KillUnanswered => {
                        engine::lock_names(tx, attempt.job).await?;
                        // However the attempt ends then, it has left something.
                        if held(tx, attempt).await?.is_some() {
                            attempts::note_left(tx, attempt.job, attempt.number).await?;
                        }
                        Event::KillUnanswered
                    }
                    Report::Drain => Event::Drain,
                };
                let from = From::Attempt(attempt.number);
                Ok(match engine::transition(core, tx, attempt.job, from, event, now).await? {
                    Moved::To(job) | Moved::Same(job) => order_of(job.state),
                    Moved::Refused(Refused::Stopping(why) | Refused::AlreadyStopping(why), _) => Order::Stop(why),
                    Moved::Refused(Refused::Ended, _) | Moved::Fenced => Order::Gone,
                    Moved::Refused(Refused::NotNow | Refused::OtherStep | Refused::Unexpected, job) => {
                        order_of(job.state)
                    }
                })
            })
            .await
    }

    fn wakes(&self) -> impl Wakes {
        EmbeddedWakes { notices: self.core.db().notices(), poll: self.timing().poll }
    }
}

/// Wake-ups by the notices of the store.
struct EmbeddedWakes {
    notices: broadcast::Receiver<Notice>,
    poll: Duration,
}

impl Wakes for EmbeddedWakes {
    async fn next(&mut self) -> Wake {
        let poll = tokio::time::sleep(self.poll);
        tokio::pin!(poll);
        loop {
            let received = tokio::select! {
                () = &mut poll => return Wake::Queue,
                received = self.notices.recv() => received,
            };
            match received {
                Ok(notice) if notice.channel == QUEUE_NOTICE => return Wake::Queue,
                Ok(notice) if notice.channel == STOP_NOTICE => {
                    return notice.payload.parse().map_or(Wake::Queue, |id| Wake::Job(Id::new(id)));
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return Wake::Queue,
                // The store is closing; the poll goes on until the worker is told to stop.
                Err(broadcast::error::RecvError::Closed) => {
                    poll.as_mut().await;
                    return Wake::Queue;
                }
            }
        }
    }
}

/// Only the engine knows of the other faults.
fn blame(fault: Fault) -> Blame {
    match fault {
        Fault::Work => Blame::Work,
        Fault::Platform | Fault::Timeout | Fault::Lost | Fault::Dependency => Blame::Platform,
    }
}

/// Writes down what really runs: with the job, with its attempt, with the environment that named it.
async fn note_image(tx: &mut Tx, attempt: Attempt, image: &str, digest: &str, now: Timestamp) -> Result<Order> {
    let Some(job) = held(tx, attempt).await? else { return Ok(Order::Gone) };
    rows::ran(tx, job.id, image, digest).await?;
    attempts::ran(tx, job.id, attempt.number, image, digest).await?;
    if let Some(environment) = job.environment_id {
        environments::seen(tx, environment, image, digest, now).await?;
    }
    tx.notify(JOB_NOTICE, job.id.to_string())?;
    Ok(order_of(job.state))
}

/// What the holder of an attempt should do now. Takes the job's queue lock.
pub(in crate::jobs) async fn order(tx: &mut Tx, attempt: Attempt) -> Result<Order> {
    Ok(held(tx, attempt).await?.map_or(Order::Gone, |job| order_of(job.state)))
}

/// The job, if this attempt holds it. Takes its queue lock.
pub(in crate::jobs) async fn held(tx: &mut Tx, attempt: Attempt) -> Result<Option<Job>> {
    let held = queue::lock(tx, attempt.job)
        .await?
        .is_some_and(|row| row.hold == Hold::Claimed && row.attempt == attempt.number);
    if held { Ok(rows::lock(tx, attempt.job).await?) } else { Ok(None) }
}

pub(in crate::jobs) fn order_of(state: State) -> Order {
    match state {
        State::Running(_) => Order::Continue,
        State::Stopping { why, .. } => Order::Stop(why),
        _ => Order::Gone,
    }
}
