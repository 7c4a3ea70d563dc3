//! Jobs in containers, through the Docker API of Podman or Docker.
//!
//! The only crate that knows `bollard`. A container gets its files by upload and nothing of the host: no mount, no
//! socket, no privilege beyond the runtime's default set. It carries labels that say whose it is, so that a starting
//! worker finds what an earlier life left, and it is removed at the end whatever happens.

mod archive;
mod create;
mod image;
mod kept;
mod life;
mod missing;
mod pump;
mod registry;
mod runtime;
mod said;
mod setup;
mod start;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bollard::Docker;
use chandler_model::Id;
use chandler_model::jobs::Fault;
use chandler_runner::executor::{BoxFuture, Executor, Left, Running, Work};
use tokio::sync::Mutex;

pub use create::Limits;

use runtime::Swept;
use setup::Setup;

/// How containers are run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the worker: containers with it in their label are this worker's.
    pub worker: String,
    /// Sockets to look for a runtime at; the first that answers is used.
    pub sockets: Vec<PathBuf>,
    /// The program that is started as `program keep --container`.
    pub keeper: PathBuf,
    pub limits: Limits,
}

/// The executor of jobs whose environment names an image.
#[derive(Clone, Debug)]
pub struct Containers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    /// Found once; a runtime that goes away and comes back is the same one.
    found: Mutex<Option<Found>>,
}

/// A runtime that has answered.
#[derive(Clone, Debug)]
struct Found {
    docker: Docker,
    socket: PathBuf,
}

impl Containers {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { inner: Arc::new(Inner { settings, found: Mutex::new(None) }) }
    }

    /// Whether an image of this name is on this machine. `None` if no runtime answers. Changes nothing.
    pub async fn has_image(&self, reference: &str) -> Option<bool> {
        let (docker, _) = runtime::find(&self.inner.settings.sockets).await.ok()?;
        Some(image::local(&docker, reference).await.ok()?.is_some())
    }
}

impl Inner {
    /// The runtime. The first time that it answers, what an earlier life of this worker left is ended first.
    ///
    /// # Errors
    /// One line that says where was looked and what answered.
    async fn find(&self) -> Result<Found, String> {
        self.find_and_sweep().await.map(|(found, _)| found)
    }

    /// The runtime, and the first time that it answers what was left. What has something to hand in and is not asked
    /// for now stays until the next start.
    async fn find_and_sweep(&self) -> Result<(Found, Vec<Swept>), String> {
        let mut found = self.found.lock().await;
        if let Some(found) = &*found {
            return Ok((found.clone(), Vec::new()));
        }
        let (docker, socket) = runtime::find(&self.settings.sockets).await?;
        let swept = runtime::sweep(&docker, &self.settings.worker).await?;
        let left = swept.len();
        tracing::info!(socket = %socket.display(), left, "jobs whose environment names an image run in containers");
        Ok((found.insert(Found { docker, socket }).clone(), swept))
    }

    async fn sweep(&self) -> io::Result<Vec<Left>> {
        // Where no runtime answers there is nothing that could be asked; it is swept before its first use.
        if let Err(reason) = runtime::find(&self.settings.sockets).await {
            tracing::info!(reason, "jobs whose environment names an image will fail");
            return Ok(Vec::new());
        }
        let (found, swept) = self.find_and_sweep().await.map_err(io::Error::other)?;
        let mut all = Vec::new();
        for Swept { id, job, attempt, memo } in swept {
            let (Some(job), Some(attempt)) = (job, attempt) else { continue };
            let mut files = Vec::new();
            for (path, there) in kept::Keeping::new(found.docker.clone(), id, memo.keep.clone()).all().await {
                match there {
                    kept::Found::File(bytes) => files.push((path, bytes)),
                    kept::Found::Nothing => {}
                    kept::Found::Unfit(reason) => tracing::warn!(job, reason, "a file is not handed in"),
                }
            }
            all.push(Left { job: Id::new(job), attempt, memo, files });
        }
        Ok(all)
    }

    async fn discard(&self, left: Left) -> io::Result<()> {
        let other = |error| io::Error::other(said::line(&error));
        let docker = self.find().await.map_err(io::Error::other)?.docker;
        let job = left.job.get();
        for id in runtime::of_attempt(&docker, &self.settings.worker, job, left.attempt).await.map_err(other)? {
            runtime::remove(&docker, &id).await.map_err(other)?;
        }
        Ok(())
    }
}

impl Executor for Containers {
    fn sweep(&self) -> BoxFuture<'_, io::Result<Vec<Left>>> {
        Box::pin(self.inner.sweep())
    }

    fn discard(&self, left: Left) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.inner.discard(left))
    }

    fn start(&self, work: Work) -> BoxFuture<'_, Running> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let Some(image) = work.image.clone() else {
                let reason = "The job names no image to make a container of.".to_owned();
                return Running::refused(Fault::Platform, reason);
            };
            match Setup::of(&work) {
                Ok(setup) => life::begin(inner, work, setup, image),
                Err((fault, reason)) => Running::refused(fault, reason),
            }
        })
    }
}
