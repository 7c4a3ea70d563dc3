//! Jobs in containers, through the Docker API of Podman or Docker.
//!
//! The only crate that knows `bollard`. A container gets the script by upload and nothing of the host: no mount, no
//! socket, no privilege beyond the runtime's default set. It carries labels that say whose it is, so that a starting
//! worker finds what an earlier life left, and it is removed at the end whatever happens.

mod create;
mod image;
mod life;
mod runtime;
mod said;
mod script;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bollard::Docker;
use chandler_model::jobs::{Fault, Intent};
use chandler_runner::executor::{BoxFuture, Executor, Running, Work};
use tokio::sync::Mutex;

pub use create::Limits;

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
    /// The runtime. The first time that it answers, what an earlier life of this worker left is removed first.
    ///
    /// # Errors
    /// One line that says where was looked and what answered.
    async fn find(&self) -> Result<Found, String> {
        let mut found = self.found.lock().await;
        if let Some(found) = &*found {
            return Ok(found.clone());
        }
        let (docker, socket) = runtime::find(&self.settings.sockets).await?;
        let removed = runtime::sweep(&docker, &self.settings.worker).await?;
        tracing::info!(socket = %socket.display(), removed, "jobs whose environment names an image run in containers");
        Ok(found.insert(Found { docker, socket }).clone())
    }
}

impl Executor for Containers {
    fn sweep(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async {
            // Where no runtime answers there is nothing that could be asked; it is swept before its first use.
            match runtime::find(&self.inner.settings.sockets).await {
                Ok(_) => self.inner.find().await.map(drop).map_err(io::Error::other),
                Err(reason) => {
                    tracing::info!(reason, "jobs whose environment names an image will fail");
                    Ok(())
                }
            }
        })
    }

    fn start(&self, work: Work) -> BoxFuture<'_, Running> {
        let Intent::Script(intent) = &work.intent;
        let Some(image) = intent.image.clone() else {
            let reason = "The job names no image to make a container of.".to_owned();
            return Box::pin(async { Running::refused(Fault::Platform, reason) });
        };
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { life::begin(inner, work, image) })
    }
}
