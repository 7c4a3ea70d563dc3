//! The worker: claims jobs as long as it has free slots, runs each in an attempt of its own, and ends in order.
//!
//! It talks to the engine through a [`WorkerLink`] only, so it is the same code in the server's process and far away.
//! What it knows of a job is the intent it was given; what becomes of the job is decided elsewhere.

mod attempt;
mod hiding;
mod kept;
mod lay_out;
mod leftovers;
mod local;
mod output;
mod reading;
mod stopping;
mod tend;
#[cfg(test)]
mod tests;
mod voice;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chandler_core::Clock;
use chandler_core::jobs::link::{self, Assignment, Hello, Wake, Wakes, WorkerLink};
use chandler_model::Id;
use chandler_model::jobs::{Job, JobKind, JobKinds};
use chandler_model::tags::Tags;
use chandler_model::workers::Worker as Row;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::executor::Executor;
use crate::keep::Boottime;

/// How one worker is set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Unique among the workers of the installation, and the same after a restart.
    pub name: String,
    /// Jobs at once.
    pub slots: usize,
    /// Where attempts have their directories and notes; this worker's alone.
    pub folder: PathBuf,
    /// The program that is started as `program keep`.
    pub keeper: PathBuf,
    /// Folders of the server that no job may see.
    pub cover: Vec<PathBuf>,
    /// Further folders that jobs may read, and write.
    pub read: Vec<PathBuf>,
    pub write: Vec<PathBuf>,
    /// Folders in which the tools of jobs are looked for; the worker's own `PATH`.
    pub path: Vec<PathBuf>,
    /// Run jobs without a sandbox: the operator's decision, said in the log of each.
    pub unsandboxed: bool,
    /// Runs the jobs whose environment names an image. Without one they fail.
    pub containers: Option<Arc<dyn Executor>>,
    pub clock: Arc<dyn Clock>,
}

/// What runs attempts. Cheap to clone.
#[derive(Clone, Debug)]
struct Executors {
    local: Arc<dyn Executor>,
    containers: Option<Arc<dyn Executor>>,
}

/// Between two tries to reach the engine.
const RETRY: Duration = Duration::from_secs(1);

/// The executor of jobs whose environment names no image.
#[must_use]
pub fn local_executor(settings: Arc<Settings>) -> Arc<dyn Executor> {
    Arc::new(local::Local::new(settings))
}

/// Runs a worker until `drain` is cancelled and its jobs have ended.
///
/// # Errors
/// What an earlier life left cannot be ended or removed, or the folder cannot be used. Then nothing was claimed.
pub async fn run<L: WorkerLink>(link: L, settings: Settings, drain: CancellationToken) -> std::io::Result<()> {
    let settings = Arc::new(settings);
    let local = local_executor(Arc::clone(&settings));
    let executors = Executors { local, containers: settings.containers.clone() };
    let mut found = Vec::new();
    for executor in std::iter::once(&executors.local).chain(&executors.containers) {
        let left = executor.sweep().await?;
        found.extend(left.into_iter().map(|left| (Arc::clone(executor), left)));
    }
    let Some(row) = introduce(&link, &settings, &drain).await else { return Ok(()) };
    for (executor, left) in found {
        leftovers::hand_in(&link, executor.as_ref(), left, &drain).await;
    }
    Loop { link, settings, executors, row, drain, attempts: JoinSet::new(), bells: HashMap::new() }.run().await;
    Ok(())
}

/// Registers; `None` if it is time to stop before the engine could be reached.
async fn introduce<L: WorkerLink>(link: &L, settings: &Settings, drain: &CancellationToken) -> Option<Row> {
    let hello = Hello {
        name: settings.name.clone(),
        tags: Tags::default(),
        kinds: JobKinds::of(&[JobKind::Script, JobKind::Ansible, JobKind::TerraformFlow, JobKind::Container]),
        slots: i64::try_from(settings.slots).unwrap_or(i64::MAX),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    loop {
        match link.hello(&hello).await {
            Ok(row) => return Some(row),
            Err(error) => tracing::warn!(%error, "the worker cannot register"),
        }
        tokio::select! {
            () = drain.cancelled() => return None,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

struct Loop<L> {
    link: L,
    settings: Arc<Settings>,
    executors: Executors,
    row: Row,
    drain: CancellationToken,
    attempts: JoinSet<Id<Job>>,
    /// Rung when there may be a new order for a running job.
    bells: HashMap<Id<Job>, Arc<Notify>>,
}

impl<L: WorkerLink> Loop<L> {
    async fn run(mut self) {
        let mut wakes = self.link.wakes();
        let mut claim = true;
        while !self.drain.is_cancelled() {
            if claim {
                self.claim().await;
            }
            let drain = self.drain.clone();
            claim = tokio::select! {
                () = drain.cancelled() => false,
                Some(ended) = self.attempts.join_next() => self.ended(ended),
                wake = wakes.next() => self.woken(wake),
            };
        }
        // Each attempt sees the token itself and gets its grace.
        loop {
            tokio::select! {
                ended = self.attempts.join_next() => match ended {
                    Some(ended) => drop(self.ended(ended)),
                    None => return,
                },
                wake = wakes.next() => drop(self.woken(wake)),
            }
        }
    }

    async fn claim(&mut self) {
        let free = self.settings.slots.saturating_sub(self.attempts.len());
        if free == 0 {
            return;
        }
        let sent_at = Boottime::now();
        match self.link.claim(&self.row, i64::try_from(free).unwrap_or(i64::MAX)).await {
            Ok(assignments) => {
                for assignment in assignments {
                    self.begin(assignment, sent_at);
                }
            }
            Err(error) => tracing::warn!(%error, "the worker cannot claim"),
        }
    }

    fn begin(&mut self, assignment: Assignment, claimed_at: Boottime) {
        let bell = Arc::new(Notify::new());
        self.bells.insert(assignment.job, Arc::clone(&bell));
        let attempt = attempt::Attempt::new(
            self.link.clone(),
            Arc::clone(&self.settings),
            self.executors.clone(),
            assignment,
            claimed_at,
            bell,
            self.drain.clone(),
        );
        self.attempts.spawn(attempt.run());
    }

    /// Forgets an attempt; there is a free slot again.
    fn ended(&mut self, ended: Result<Id<Job>, tokio::task::JoinError>) -> bool {
        match ended {
            Ok(job) => drop(self.bells.remove(&job)),
            Err(error) => tracing::error!(%error, "an attempt ended by a panic; its job will be found lost"),
        }
        true
    }

    /// Whether there may be something to claim.
    fn woken(&mut self, wake: Wake) -> bool {
        match wake {
            Wake::Queue => true,
            Wake::Job(job) => {
                if let Some(bell) = self.bells.get(&job) {
                    bell.notify_one();
                }
                false
            }
        }
    }
}

/// How an attempt is named to the engine.
fn name_of(assignment: &Assignment) -> link::Attempt {
    link::Attempt { job: assignment.job, number: assignment.attempt }
}
