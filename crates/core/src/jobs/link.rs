//! What a worker may say and is told. The embedded worker calls these functions; a remote one will say the same things
//! over HTTP. Every word names job and attempt, and a word of an attempt that no longer holds its job changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use chandler_model::Id;
use chandler_model::jobs::{Fault, Intent, Job, JobKind, JobKinds, JobStep, Stage, State, StopFor, Success};
use chandler_model::logs::{Entry, Level, NewChunk, Stream};
use chandler_model::tags::Tags;
use chandler_model::workers::Worker;
use chandler_store::jobs::{attempts, queue, rows};
use chandler_store::seam::Notice;
use chandler_store::{Tx, environments, logs, workers};
use jiff::Timestamp;

use super::engine::{self, From, Moved};
use super::step::{Blame, Event, Exit, Refused};
use super::{JOB_NOTICE, QUEUE_NOTICE, STOP_NOTICE, Timing};
use tokio::sync::broadcast;

use crate::Core;
use crate::error::Result;

/// A worker introduces itself.
#[derive(Clone, Debug)]
pub struct Hello {
    pub name: String,
    pub tags: Tags,
    pub kinds: JobKinds,
    pub slots: i64,
    pub version: String,
}

/// A job that this worker now holds.
#[derive(Clone, Debug)]
pub struct Assignment {
    pub job: Id<Job>,
    pub attempt: i64,
    pub name: String,
    pub intent: Intent,
    /// All steps, in order; empty for a job without.
    pub steps: Vec<JobStep>,
}

/// What an attempt is handed when it begins: everything that is no part of the intent.
#[derive(Clone, Debug, Default)]
pub struct Materials {
    /// The state that it starts from; none if its workspace has none yet.
    pub state: Option<Vec<u8>>,
    /// What earlier steps left.
    pub files: Vec<JobFile>,
    pub secrets: Secrets,
    /// For the registry of the job's image.
    pub registry: Option<RegistryLogin>,
}

/// A file that a step left.
#[derive(Clone, PartialEq, Eq)]
pub struct JobFile {
    pub step: i64,
    pub name: String,
    pub bytes: Vec<u8>,
}

/// What only the job may see, as files and environment.
#[derive(Clone, Default)]
pub struct Secrets {
    pub env: BTreeMap<String, String>,
    /// By path in the job's directory.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Secrets {
    /// The values that must not be seen in its log.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.env.values().map(String::as_bytes).chain(self.files.values().map(Vec::as_slice))
    }
}

/// Who the worker is to a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryLogin {
    /// Authority, as it stands in the image's name; `docker.io` for none.
    pub host: String,
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for JobFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of step {} ({} bytes)", self.name, self.step, self.bytes.len())
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets")
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("files", &self.files.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl std::fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryLogin").field("host", &self.host).finish_non_exhaustive()
    }
}

/// One attempt, as its worker names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    pub job: Id<Job>,
    pub number: i64,
}

/// What a worker reports of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    Stage(Stage),
    /// The attempt runs in a container of this image; `digest` is what the runtime has under that name.
    Ran {
        image: String,
        digest: String,
    },
    /// This step was done well; a job without steps has one, number 1.
    Done {
        step: i64,
        outcome: Option<Success>,
    },
    Error {
        fault: Fault,
        /// A sentence.
        message: String,
        exit_code: Option<i64>,
        /// The first thing that the tool itself complained of.
        diagnostic: Option<String>,
    },
    Stopped {
        exit_code: Option<i64>,
    },
    KillUnanswered,
    /// What did not answer the KILL is gone. Said of attempts that are over too.
    ProcessGone,
    /// The worker wants to stop it itself: it is being shut down.
    Drain,
}

/// What a worker is told in answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Go on.
    Continue,
    /// Stop it: gently, then by force.
    Stop(StopFor),
    /// The attempt is over for the server: kill what is left and say nothing more of it.
    Gone,
}

/// How a worker talks to the engine.
pub trait WorkerLink: Clone + Send + Sync + 'static {
    /// The periods that this installation works by.
    fn timing(&self) -> Timing;
    fn hello(&self, hello: &Hello) -> impl Future<Output = Result<Worker>> + Send;
    /// Claims up to `slots` jobs.
    fn claim(&self, worker: &Worker, slots: i64) -> impl Future<Output = Result<Vec<Assignment>>> + Send;
    /// Says that an attempt lives. `beat` grows with every beat, log batch and report of the attempt.
    fn beat(&self, attempt: Attempt, beat: i64) -> impl Future<Output = Result<Order>> + Send;
    /// What the attempt needs to begin; none if it is not the worker's any more.
    fn materials(&self, attempt: Attempt) -> impl Future<Output = Result<Option<Materials>>> + Send;
    /// Appends to the log; it is a beat too.
    fn log(&self, attempt: Attempt, beat: i64, entries: &[Entry]) -> impl Future<Output = Result<Order>> + Send;
    /// Hands in the state as it stands now; it is a beat too, and an older one than the last changes nothing. Accepted
    /// of attempts that are over: then it is kept as recovered.
    fn state(&self, attempt: Attempt, beat: i64, state: &[u8]) -> impl Future<Output = Result<Order>> + Send;
    /// Hands in what the step leaves, before the step is reported done. The same name again replaces it.
    fn file(&self, attempt: Attempt, step: i64, name: &str, bytes: &[u8])
    -> impl Future<Output = Result<Order>> + Send;
    fn report(&self, attempt: Attempt, report: Report) -> impl Future<Output = Result<Order>> + Send;
    /// What the worker should look at, from now on.
    fn wakes(&self) -> impl Wakes;
}

/// Something that a worker should look at. Missing one costs a poll period, never a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// There may be something to claim.
    Queue,
    /// There may be a new order for this job.
    Job(Id<Job>),
}

/// A source of wake-ups.
pub trait Wakes: Send + 'static {
    /// The next one; `Queue` when nothing happened for the poll period. Cancel safe.
    fn next(&mut self) -> impl Future<Output = Wake> + Send;
}

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

/// Marks where a log was cut.
const TRUNCATED: &str = "\n[the log ends here: it has reached the limit of this installation]\n";

impl WorkerLink for Embedded {
    fn timing(&self) -> Timing {
        self.core.job_settings().timing
    }

    async fn hello(&self, hello: &Hello) -> Result<Worker> {
        let (core, now) = (&self.core, self.core.now());
        let uid = core.uid();
        let row = core
            .db()
            .write(async |tx| {
                let tags = chandler_store::tags::intern(tx, &hello.tags).await?;
                let registration = workers::Registration {
                    name: &hello.name,
                    organization: None,
                    tags,
                    kinds: hello.kinds,
                    slots: hello.slots,
                    version: &hello.version,
                };
                workers::register(tx, uid, now, &registration).await
            })
            .await?;
        Ok(row)
    }

    async fn claim(&self, worker: &Worker, slots: i64) -> Result<Vec<Assignment>> {
        let (core, now) = (&self.core, self.core.now());
        self.core
            .db()
            .write(async |tx| {
                let mut claimed = queue::claim(tx, JobKind::Script, worker.id, slots).await?;
                claimed.sort_by_key(|row| row.job_id);
                let mut assignments = Vec::with_capacity(claimed.len());
                for row in &claimed {
                    if let Some(job) = engine::begin(core, tx, row, worker, now).await? {
                        let Job { id, attempt, name, intent, .. } = job;
                        assignments.push(Assignment { job: id, attempt, name, intent: intent.0, steps: Vec::new() });
                    }
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

    async fn materials(&self, _attempt: Attempt) -> Result<Option<Materials>> {
        Ok(Some(Materials::default()))
    }

    async fn state(&self, _attempt: Attempt, _beat: i64, _state: &[u8]) -> Result<Order> {
        Ok(Order::Continue)
    }

    async fn file(&self, _attempt: Attempt, _step: i64, _name: &str, _bytes: &[u8]) -> Result<Order> {
        Ok(Order::Continue)
    }

    async fn log(&self, attempt: Attempt, beat: i64, entries: &[Entry]) -> Result<Order> {
        let limit = self.core.job_settings().log_max;
        self.core
            .db()
            .write(async |tx| {
                let told = order(tx, attempt).await?;
                if told == Order::Gone || !queue::beat(tx, attempt.job, attempt.number, beat).await? {
                    // Not ours any more, or a batch that was stored already.
                    return Ok(told);
                }
                let mut tail = logs::tail(tx, attempt.job).await?;
                for entry in entries {
                    let Entry::Chunk(chunk) = entry else { continue };
                    if tail.bytes > limit {
                        break;
                    }
                    tail = append_within(tx, attempt, tail, chunk, limit).await?;
                }
                tx.notify(JOB_NOTICE, attempt.job.to_string()).await?;
                Ok(told)
            })
            .await
    }

    async fn report(&self, attempt: Attempt, report: Report) -> Result<Order> {
        let (core, now) = (&self.core, self.core.now());
        self.core
            .db()
            .write(async |tx| {
                let event = match report.clone() {
                    Report::Ran { image, digest } => return note_image(tx, attempt, &image, &digest, now).await,
                    Report::Stage(stage) => Event::Stage(stage),
                    Report::Done { step, outcome } => Event::StepDone { step, outcome },
                    Report::Error { fault, message, exit_code, diagnostic } => {
                        let exit = Exit { code: exit_code, diagnostic };
                        Event::Error { blame: blame(fault), reason: message, exit }
                    }
                    Report::Stopped { exit_code } => {
                        Event::Stopped { exit: Exit { code: exit_code, diagnostic: None } }
                    }
                    Report::ProcessGone => return Ok(Order::Gone),
                    Report::KillUnanswered => Event::KillUnanswered,
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

/// Appends a chunk; the one that crosses the limit is cut and marked.
async fn append_within(
    tx: &mut Tx,
    attempt: Attempt,
    tail: logs::Tail,
    chunk: &NewChunk,
    limit: i64,
) -> Result<logs::Tail> {
    let room = usize::try_from(limit - tail.bytes).unwrap_or(0);
    if chunk.bytes.len() <= room {
        return Ok(logs::append(tx, attempt.job, attempt.number, tail, chunk).await?);
    }
    let kept = NewChunk { bytes: chunk.bytes[..room].to_vec(), ..chunk.clone() };
    let tail = if room > 0 { logs::append(tx, attempt.job, attempt.number, tail, &kept).await? } else { tail };
    let bytes = TRUNCATED.as_bytes().to_vec();
    let mark = NewChunk { stream: Stream::System, level: Level::Warn, bytes, ..chunk.clone() };
    Ok(logs::append(tx, attempt.job, attempt.number, tail, &mark).await?)
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
    tx.notify(JOB_NOTICE, job.id.to_string()).await?;
    Ok(order_of(job.state))
}

/// What the holder of an attempt should do now. Takes the job's queue lock.
async fn order(tx: &mut Tx, attempt: Attempt) -> Result<Order> {
    Ok(held(tx, attempt).await?.map_or(Order::Gone, |job| order_of(job.state)))
}

/// The job, if this attempt holds it. Takes its queue lock.
async fn held(tx: &mut Tx, attempt: Attempt) -> Result<Option<Job>> {
    let held = queue::lock(tx, attempt.job)
        .await?
        .is_some_and(|row| row.hold == chandler_model::jobs::Hold::Claimed && row.attempt == attempt.number);
    if held { Ok(rows::lock(tx, attempt.job).await?) } else { Ok(None) }
}

fn order_of(state: State) -> Order {
    match state {
        State::Running(_) => Order::Continue,
        State::Stopping { why, .. } => Order::Stop(why),
        _ => Order::Gone,
    }
}
