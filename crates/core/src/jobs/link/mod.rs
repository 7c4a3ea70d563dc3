//! What a worker may say and is told. The embedded worker calls these functions; a remote one will say the same things
//! over HTTP. Every word names job and attempt, and a word of an attempt that no longer holds its job changes nothing.

mod embedded;
mod output;

use std::collections::BTreeMap;

pub use embedded::Embedded;
pub(super) use embedded::{held, order, order_of};

use chandler_model::Id;
use chandler_model::jobs::{Fault, Intent, Job, JobKinds, JobStep, Stage, StopFor, Success};
use chandler_model::logs::Entry;
use chandler_model::tags::Tags;
use chandler_model::workers::Worker;

use super::Timing;
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
