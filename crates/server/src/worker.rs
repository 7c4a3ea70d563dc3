//! The embedded worker and the loops of the job engine: started with the server, ended in order.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use chandler_core::jobs::link::Embedded;
use chandler_core::{Core, SystemClock, jobs};
use chandler_runner::executor::Executor;
use chandler_runner::keep::own_program;
use chandler_runner::{sandbox, worker};
use chandler_runner_containers::{Containers, Limits, Settings};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Size};

/// What runs behind the listeners.
#[derive(Debug)]
pub struct Engine {
    /// Ends the worker: it claims nothing more and stops its jobs after their grace.
    drain: CancellationToken,
    /// Ends the loops, after the worker.
    stop: CancellationToken,
    worker: TaskTracker,
    loops: TaskTracker,
}

impl Engine {
    /// Starts everything that the configuration wants.
    ///
    /// # Errors
    /// What an earlier life of the worker left running cannot be ended, or its folder cannot be used.
    pub fn start(core: &Core, config: &Config) -> anyhow::Result<Self> {
        let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
        let (worker, loops) = (TaskTracker::new(), TaskTracker::new());
        loops.spawn(jobs::run_reaper(core.clone(), stop.clone()));
        loops.spawn(jobs::run_timers(core.clone(), stop.clone()));
        loops.spawn(jobs::run_housekeeping(core.clone(), stop.clone()));
        if config.worker.enabled {
            let settings = settings(config)?;
            let (link, drain) = (Embedded::new(core.clone()), drain.clone());
            worker.spawn(async move {
                if let Err(error) = worker::run(link, settings, drain).await {
                    tracing::error!(%error, "the worker does not run: jobs stay pending until the server is restarted");
                }
            });
        }
        worker.close();
        loops.close();
        Ok(Self { drain, stop, worker, loops })
    }

    /// Tells the worker to end; it is waited for by [`Self::finished`].
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Waits until the worker's jobs have ended, then ends the loops.
    pub async fn finished(self) {
        self.drain.cancel();
        self.worker.wait().await;
        self.stop.cancel();
        self.loops.wait().await;
    }
}

fn settings(config: &Config) -> anyhow::Result<worker::Settings> {
    let data = config.data.canonicalize().context("the data directory has no path")?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let keeper = own_program();
    // Without a sandbox only where there is none, and only by the operator's decision.
    let verdict = sandbox::support(&keeper).map_err(|error| error.to_string()).and_then(|support| support.verdict());
    let unsandboxed = match verdict {
        Ok(()) => false,
        Err(reason) if config.worker.unsandboxed => {
            tracing::warn!(reason, "local jobs run without a sandbox, as configured");
            true
        }
        Err(reason) => {
            tracing::warn!(reason, "local jobs will be refused; `--unsandboxed` allows them without a sandbox");
            false
        }
    };
    let name = worker_name(host.trim(), &data);
    let containers = containers(config, &name).map(|containers| Arc::new(containers) as Arc<dyn Executor>);
    Ok(worker::Settings {
        name,
        slots: usize::try_from(config.worker.slots).unwrap_or(usize::MAX),
        folder: data.join("work"),
        keeper,
        cover: vec![data],
        read: config.worker.sandbox.read.clone(),
        write: config.worker.sandbox.write.clone(),
        path: std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default(),
        unsandboxed,
        containers,
        clock: Arc::new(SystemClock),
    })
}

/// What runs jobs in containers, unless the configuration forbids them.
pub(crate) fn containers(config: &Config, worker: &str) -> Option<Containers> {
    let sockets = match config.worker.container_socket.as_deref() {
        Some("off") => return None,
        Some(path) => vec![PathBuf::from(path)],
        None => usual_sockets(),
    };
    let limits = Limits {
        memory: config.worker.container_memory.map(|Size(bytes)| bytes as u64),
        pids: config.worker.container_pids,
    };
    Some(Containers::new(Settings { worker: worker.to_owned(), sockets, keeper: own_program(), limits }))
}

/// Where runtimes listen. The folder of a user's own services has his number in its name.
fn usual_sockets() -> Vec<PathBuf> {
    let own = std::fs::metadata("/proc/self").map(|own| format!("/run/user/{}/podman/podman.sock", own.uid()));
    let own = own.ok().map(PathBuf::from);
    own.into_iter().chain(["/run/podman/podman.sock", "/var/run/docker.sock"].map(PathBuf::from)).collect()
}

/// The same after every start on one data directory, another for every other one, and without the path itself, because
/// clients see it.
fn worker_name(host: &str, data: &Path) -> String {
    let digest = Sha256::digest(data.as_os_str().as_encoded_bytes());
    let mark: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{host}-{mark}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_named_after_its_host_and_its_directory_without_telling_it() {
        let name = worker_name("node1", Path::new("/srv/chandler"));
        assert_eq!(name, worker_name("node1", Path::new("/srv/chandler")));
        assert_ne!(name, worker_name("node1", Path::new("/srv/other")));
        assert!(name.starts_with("node1-") && !name.contains("srv"));
    }
}
