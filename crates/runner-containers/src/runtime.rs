//! Finding the runtime, and removing what is labelled as this worker's.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::query_parameters::{KillContainerOptions, ListContainersOptions, RemoveContainerOptions};
use bollard::{API_DEFAULT_VERSION, Docker};

use crate::create::WORKER_LABEL;
use crate::said;

/// A runtime answers the first question within this time or is taken for absent.
const ANSWER: Duration = Duration::from_secs(20);
/// Longest time until a later answer begins, in seconds; making a container of a large image takes its time.
const REQUEST_S: u64 = 300;
/// How long a container that an earlier life left may resist.
const PATIENCE: Duration = Duration::from_secs(30);
const ROUND: Duration = Duration::from_millis(200);

/// The first runtime that answers, and where.
///
/// # Errors
/// One line that names every place and what was wrong there.
pub(crate) async fn find(sockets: &[PathBuf]) -> Result<(Docker, PathBuf), String> {
    let mut wrong = Vec::new();
    for socket in sockets {
        match connect(socket).await {
            Ok(docker) => return Ok((docker, socket.clone())),
            Err(reason) => wrong.push(format!("{}: {reason}", socket.display())),
        }
    }
    Err(format!("No container runtime answers ({}).", wrong.join("; ")))
}

async fn connect(socket: &Path) -> Result<Docker, String> {
    if !socket.exists() {
        return Err("there is no such socket".to_owned());
    }
    let docker = Docker::connect_with_unix(&socket.to_string_lossy(), REQUEST_S, API_DEFAULT_VERSION)
        .map_err(|error| said::line(&error))?;
    match tokio::time::timeout(ANSWER, docker.negotiate_version()).await {
        Ok(Ok(docker)) => Ok(docker),
        Ok(Err(error)) => Err(said::line(&error)),
        Err(_) => Err("no answer".to_owned()),
    }
}

/// Kills and removes every container with this worker's label; returns how many there were.
///
/// # Errors
/// One of them resists, or the runtime does not answer any more.
pub(crate) async fn sweep(docker: &Docker, worker: &str) -> Result<usize, String> {
    let started = tokio::time::Instant::now();
    let mut seen = 0;
    loop {
        let left = labelled(docker, worker).await.map_err(|error| said::line(&error))?;
        seen = seen.max(left.len());
        if left.is_empty() {
            return Ok(seen);
        }
        for id in &left {
            tracing::warn!(container = id, "removing what an earlier life of this worker left");
            if let Err(error) = remove(docker, id).await
                && started.elapsed() >= PATIENCE
            {
                return Err(format!("The container {id} of an earlier life stays: {}.", said::line(&error)));
            }
        }
        tokio::time::sleep(ROUND).await;
    }
}

async fn labelled(docker: &Docker, worker: &str) -> Result<Vec<String>, bollard::errors::Error> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{WORKER_LABEL}={worker}")])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
    let found = docker.list_containers(Some(options)).await?;
    Ok(found.into_iter().filter_map(|container| container.id).collect())
}

/// Kills and removes a container, whatever it is doing. One that is gone already is fine.
pub(crate) async fn remove(docker: &Docker, id: &str) -> Result<(), bollard::errors::Error> {
    // Removal by force alone waits for the stop time of the container, 10 s with some runtimes.
    kill(docker, id, "KILL").await;
    let options = RemoveContainerOptions { v: true, force: true, ..RemoveContainerOptions::default() };
    match docker.remove_container(id, Some(options)).await {
        Err(error) if !said::is_missing(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Sends a signal. One that has no receiver any more is no error, and what else goes wrong shows when nothing ends.
pub(crate) async fn kill(docker: &Docker, id: &str, signal: &str) {
    let options = KillContainerOptions { signal: signal.to_owned() };
    if let Err(error) = docker.kill_container(id, Some(options)).await
        && !said::is_missing(&error)
    {
        tracing::debug!(container = id, signal, error = said::line(&error), "a signal was not taken");
    }
}
