//! Jobs as local processes, each under a keeper in its own directory.
//!
//! The directory and the note of an attempt stay until nothing of it is left; what does not die is found by its note
//! at the next start of the worker.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chandler_model::jobs::Fault;

use super::Settings;
use super::lay_out::lay_out;
use crate::executor::{BoxFuture, Event, Executor, Left, Order, Orders, Running, Teller, Work};
use crate::keep::leftovers::{self, Note};
use crate::keep::{self, Cause, Keeper, Spec};
use crate::recipe::Program;
use crate::sandbox;

/// How long a process that an earlier life left may resist before the start is given up.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(30);
/// How long a job whose keeper has died may resist.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(10);

/// The executor of jobs whose environment names no image.
#[derive(Debug)]
pub(super) struct Local {
    settings: Arc<Settings>,
    etc: Arc<Mutex<Etc>>,
}

/// What jobs may read of `/etc`, looked up now and then: the look takes longer than the rest of a job's start.
#[derive(Debug, Default)]
struct Etc {
    looked_at: Option<Instant>,
    open: Vec<PathBuf>,
}

/// After this long a change in `/etc` is seen by new jobs.
const ETC_STALE: Duration = Duration::from_secs(60);

impl Etc {
    /// Blocks for some milliseconds when it has to look again.
    fn open(&mut self) -> Vec<PathBuf> {
        if self.looked_at.is_none_or(|at| at.elapsed() > ETC_STALE) {
            self.open = sandbox::open_files();
            self.looked_at = Some(Instant::now());
        }
        self.open.clone()
    }
}

impl Local {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self { settings, etc: Arc::default() }
    }

    fn jobs_folder(&self) -> PathBuf {
        self.settings.folder.join("jobs")
    }

    fn notes_folder(&self) -> PathBuf {
        self.settings.folder.join("attempts")
    }

    async fn begin(&self, work: Work) -> Running {
        let dir = self.jobs_folder().join(format!("{}-{}", work.job, work.attempt));
        let spec = match self.prepare(&work, dir.clone()).await {
            Ok(spec) => spec,
            Err((fault, reason)) => {
                remove(move || leftovers::remove_tree(&dir)).await;
                return Running::refused(fault, reason);
            }
        };
        let attempt = u32::try_from(work.attempt).unwrap_or(u32::MAX);
        let note = Note::new(&self.notes_folder(), &work.job.to_string(), attempt, &dir);
        match Keeper::spawn(&self.settings.keeper, &spec, Some(note.clone())).await {
            Ok(keeper) => {
                let unsandboxed = self.settings.unsandboxed;
                let Keeper { stdout, stderr, control, events, .. } = keeper;
                Running::spawn(Box::new(stdout), Box::new(stderr), async move |tell, orders| {
                    if unsandboxed {
                        tell.say("This job runs without a sandbox: the operator of this worker allowed it.");
                    }
                    accompany(control, events, note, tell, orders).await;
                })
            }
            Err(error) => {
                remove(move || note.remove()).await;
                Running::refused(Fault::Platform, format!("The keeper process could not be started: {error}."))
            }
        }
    }

    /// Makes the job's directory and says what is run in it.
    async fn prepare(&self, work: &Work, dir: PathBuf) -> Result<Spec, (Fault, String)> {
        let Program::Recipe(recipe) = work.program.clone() else {
            return Err((Fault::Platform, "Only a container can run what an image brings.".to_owned()));
        };
        let (settings, etc) = (Arc::clone(&self.settings), Arc::clone(&self.etc));
        let prepare = move || {
            let mut spec = lay_out(&recipe, &dir, &settings)?;
            spec.confinement.open = Some(etc.lock().unwrap_or_else(PoisonError::into_inner).open());
            Ok(spec)
        };
        let prepared = tokio::task::spawn_blocking(prepare).await;
        let mut spec = prepared.map_err(|error| (Fault::Platform, format!("The worker failed: {error}.")))??;
        spec.renewed_at = work.claimed_at;
        spec.timing = work.timing.clone();
        spec.set_env("CHANDLER_JOB_ID", work.job.to_string());
        Ok(spec)
    }

    fn clear(&self) -> io::Result<Vec<Left>> {
        std::fs::create_dir_all(self.jobs_folder())?;
        for left in leftovers::sweep(&self.notes_folder(), LEFTOVER_PATIENCE)? {
            if !left.gone {
                let text = format!("job {} of an earlier life cannot be killed", left.job);
                return Err(io::Error::other(text));
            }
            tracing::warn!(job = left.job, attempt = left.attempt, "ended what an earlier life of this worker left");
            left.remove()?;
        }
        // Directories without a note were made just before a crash and never used.
        leftovers::remove_tree(&self.jobs_folder())?;
        std::fs::create_dir_all(self.jobs_folder())?;
        Ok(Vec::new())
    }
}

impl Executor for Local {
    fn sweep(&self) -> BoxFuture<'_, io::Result<Vec<Left>>> {
        Box::pin(async {
            let this = Self::new(Arc::clone(&self.settings));
            tokio::task::spawn_blocking(move || this.clear()).await.map_err(io::Error::other)?
        })
    }

    fn start(&self, work: Work) -> BoxFuture<'_, Running> {
        Box::pin(self.begin(work))
    }
}

/// Passes orders to the keeper and its events on, until nothing is left; then removes the attempt's files.
async fn accompany(control: keep::Control, mut events: keep::Events, note: Note, tell: Teller, mut orders: Orders) {
    let mut control = Some(control);
    let last = loop {
        tokio::select! {
            event = events.next() => match event {
                keep::Event::Started { .. } => tell.event(Event::Started { ran: None }),
                keep::Event::Exited { code, signal } => tell.event(Event::Exited { code, signal }),
                keep::Event::Gone => break Event::Gone,
                keep::Event::KillUnanswered => break Event::KillUnanswered,
                keep::Event::Refused { cause, reason } => {
                    let fault = match cause {
                        Cause::Program => Fault::Work,
                        Cause::Platform => Fault::Platform,
                    };
                    break Event::Refused { fault, reason };
                }
                keep::Event::KeeperLost => {
                    end_without_keeper(&note).await;
                    break Event::Lost { reason: "the keeper process of the job has died".to_owned() };
                }
            },
            // A keeper that no longer listens tells so by its events.
            order = orders.next(), if control.is_some() => match (order, &control) {
                (Some(Order::Signal(signal)), Some(control)) => drop(control.signal(signal)),
                (Some(Order::Renew(at)), Some(control)) => drop(control.renew(at)),
                // The attempt has gone: without its socket the keeper ends everything.
                _ => control = None,
            },
        }
    };
    let dead = last != Event::KillUnanswered;
    tell.event(last);
    drop(tell);
    // What the attempt has to say comes first: until the end is reported, the files are the job's.
    orders.ended().await;
    if dead {
        remove(move || note.remove()).await;
    }
}

async fn end_without_keeper(note: &Note) {
    let note = note.clone();
    let killed = tokio::task::spawn_blocking(move || note.kill(ORPHAN_PATIENCE)).await;
    if !matches!(killed, Ok(Ok(true))) {
        tracing::error!("the keeper of a job has died and something of it may still run");
    }
}

async fn remove(work: impl FnOnce() -> io::Result<()> + Send + 'static) {
    if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
        tracing::warn!(%error, "the directory of an attempt stays");
    }
}
