//! Jobs as local processes, each under a keeper in its own directory.
//!
//! The directory and the note of an attempt stay until nothing of it is left; what does not die is found by its note
//! at the next start of the worker.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chandler_model::Id;
use chandler_model::jobs::{Fault, Job};

use super::Settings;
use super::kept::{Found, Keeping, look};
use super::lay_out::lay_out;
use crate::executor::{BoxFuture, Event, Executor, Left, Memo, Order, Orders, Running, Teller, Work};
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

    /// Directory and note of an attempt.
    fn place(&self, job: Id<Job>, attempt: i64) -> (PathBuf, Note) {
        let dir = self.jobs_folder().join(format!("{job}-{attempt}"));
        let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
        let note = Note::new(&self.notes_folder(), &job.to_string(), attempt, &dir);
        (dir, note)
    }

    async fn begin(&self, work: Work) -> Running {
        let (dir, note) = self.place(work.job, work.attempt);
        let spec = match self.prepare(&work, dir.clone()).await {
            Ok(spec) => spec,
            Err((fault, reason)) => {
                remove(move || leftovers::remove_tree(&dir)).await;
                return Running::refused(fault, reason);
            }
        };
        let memo = work.memo();
        let note = note.with_memo(serde_json::to_string(&memo).unwrap_or_default());
        let keeping = Keeping::new(dir, memo.keep);
        let every = work.timing.look();
        match Keeper::spawn(&self.settings.keeper, &spec, Some(note.clone())).await {
            Ok(keeper) => {
                let unsandboxed = self.settings.unsandboxed;
                let Keeper { stdout, stderr, control, events, .. } = keeper;
                Running::spawn(Box::new(stdout), Box::new(stderr), async move |tell, orders| {
                    if unsandboxed {
                        tell.say("This job runs without a sandbox: the operator of this worker allowed it.");
                    }
                    let watched = Watched { events, note, keeping: Some(keeping), every };
                    watched.accompany(control, tell, orders).await;
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
            leftovers::remove_tree(&dir)
                .map_err(|error| (Fault::Platform, format!("The job's directory could not be emptied: {error}.")))?;
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
        let mut found = Vec::new();
        for left in leftovers::sweep(&self.notes_folder(), LEFTOVER_PATIENCE)? {
            if !left.gone {
                let text = format!("job {} of an earlier life cannot be killed", left.job);
                return Err(io::Error::other(text));
            }
            tracing::warn!(job = left.job, attempt = left.attempt, "ended what an earlier life of this worker left");
            let Ok(job) = left.job.parse() else {
                left.remove()?;
                continue;
            };
            let memo: Memo = serde_json::from_str(&left.memo).unwrap_or_default();
            let mut files = Vec::new();
            for kept in &memo.keep {
                match look(&left.dir, kept) {
                    Found::File(bytes) => files.push((kept.path.clone(), bytes)),
                    Found::Nothing => {}
                    Found::Unfit(reason) => tracing::warn!(job = left.job, reason, "a file is not handed in"),
                }
            }
            found.push(Left { job: Id::new(job), attempt: i64::from(left.attempt), memo, files });
        }
        // Directories without a note were made just before a crash and never used.
        let noted: Vec<PathBuf> = found.iter().map(|left| self.place(left.job, left.attempt).0).collect();
        for entry in std::fs::read_dir(self.jobs_folder())? {
            let dir = entry?.path();
            if !noted.contains(&dir) {
                leftovers::remove_tree(&dir)?;
            }
        }
        Ok(found)
    }
}

impl Executor for Local {
    fn sweep(&self) -> BoxFuture<'_, io::Result<Vec<Left>>> {
        Box::pin(async {
            let this = Self::new(Arc::clone(&self.settings));
            tokio::task::spawn_blocking(move || this.clear()).await.map_err(io::Error::other)?
        })
    }

    fn discard(&self, left: Left) -> BoxFuture<'_, io::Result<()>> {
        let (_, note) = self.place(left.job, left.attempt);
        Box::pin(async { tokio::task::spawn_blocking(move || note.remove()).await.map_err(io::Error::other)? })
    }

    fn start(&self, work: Work) -> BoxFuture<'_, Running> {
        Box::pin(self.begin(work))
    }
}

/// A job under its keeper.
struct Watched {
    events: keep::Events,
    note: Note,
    /// None while a thread reads.
    keeping: Option<Keeping>,
    /// Between two looks at the kept files.
    every: Duration,
}

impl Watched {
    /// Passes orders to the keeper and its events on, until nothing is left; then removes the attempt's files.
    async fn accompany(mut self, control: keep::Control, tell: Teller, mut orders: Orders) {
        let mut control = Some(control);
        let mut looks = tokio::time::interval(self.every.max(Duration::from_millis(1)));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let live = self.keeping.as_ref().is_some_and(Keeping::is_live);
        let (mut running, mut unanswered, mut keep_files) = (false, false, false);
        let last = loop {
            tokio::select! {
                event = self.events.next() => match event {
                    keep::Event::Started { .. } => {
                        running = true;
                        tell.event(Event::Started { ran: None });
                    }
                    keep::Event::Exited { code, signal } => {
                        running = false;
                        tell.event(Event::Exited { code, signal });
                    }
                    keep::Event::Gone => {
                        self.hand_back(&tell).await;
                        break Event::Gone;
                    }
                    keep::Event::KillUnanswered => {
                        unanswered = true;
                        self.hand_back(&tell).await;
                        tell.event(Event::KillUnanswered);
                    }
                    keep::Event::Refused { cause, reason } => {
                        let fault = match cause {
                            Cause::Program => Fault::Work,
                            Cause::Platform => Fault::Platform,
                        };
                        break Event::Refused { fault, reason };
                    }
                    keep::Event::KeeperLost => {
                        keep_files = !end_without_keeper(&self.note).await;
                        self.hand_back(&tell).await;
                        break Event::Lost { reason: "the keeper process of the job has died".to_owned() };
                    }
                },
                _ = looks.tick(), if live && running => self.look(&tell).await,
                // A keeper that no longer listens tells so by its events.
                order = orders.next(), if control.is_some() => match (order, &control) {
                    (Some(Order::Signal(signal)), Some(control)) => drop(control.signal(signal)),
                    (Some(Order::Renew(at)), Some(control)) => drop(control.renew(at)),
                    (Some(Order::Leave), _) => keep_files = true,
                    // The attempt waits no longer; the keeper does, and the note is found at the next start.
                    _ if unanswered => return,
                    // The attempt has gone: without its socket the keeper ends everything.
                    _ => control = None,
                },
            }
        };
        tell.event(last);
        drop(tell);
        // What the attempt has to say comes first: until the end is reported, the files are the job's.
        let removable = orders.ended().await && !keep_files;
        if removable {
            let note = self.note;
            remove(move || note.remove()).await;
        }
    }

    /// Tells the live files that have changed.
    async fn look(&mut self, tell: &Teller) {
        let Some(mut keeping) = self.keeping.take() else { return };
        let looked = tokio::task::spawn_blocking(move || (keeping.changed(), keeping)).await;
        let Ok((changed, keeping)) = looked else { return };
        self.keeping = Some(keeping);
        changed.into_iter().for_each(|(path, bytes)| tell.event(Event::File { path, bytes }));
    }

    /// Tells every kept file as it is in the end.
    async fn hand_back(&mut self, tell: &Teller) {
        let Some(keeping) = self.keeping.take() else { return };
        let Ok((all, keeping)) = tokio::task::spawn_blocking(move || (keeping.all(), keeping)).await else { return };
        self.keeping = Some(keeping);
        for (path, found) in all {
            match found {
                Found::File(bytes) => tell.event(Event::File { path, bytes }),
                Found::Nothing => {}
                Found::Unfit(reason) => tell.say(reason),
            }
        }
    }
}

/// Whether nothing is left.
async fn end_without_keeper(note: &Note) -> bool {
    let note = note.clone();
    let killed = tokio::task::spawn_blocking(move || note.kill(ORPHAN_PATIENCE)).await;
    let dead = matches!(killed, Ok(Ok(true)));
    if !dead {
        tracing::error!("the keeper of a job has died and something of it may still run");
    }
    dead
}

async fn remove(work: impl FnOnce() -> io::Result<()> + Send + 'static) {
    if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
        tracing::warn!(%error, "the directory of an attempt stays");
    }
}
