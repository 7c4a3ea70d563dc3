//! Finding the runtime, and removing what is labelled as this worker's.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::{KillContainerOptions, ListContainersOptions, RemoveContainerOptions};
use bollard::{API_DEFAULT_VERSION, Docker};

use chandler_runner::executor::Memo;

use crate::create::{ATTEMPT_LABEL, JOB_LABEL, MEMO_LABEL, WORKER_LABEL};
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

/// A container that an earlier life of this worker left.
#[derive(Debug)]
pub(crate) struct Swept {
    pub(crate) id: String,
    pub(crate) job: Option<i64>,
    pub(crate) attempt: Option<i64>,
    /// What is to be handed in before it is removed; empty if it was removed.
    pub(crate) memo: Memo,
}

/// Kills every container with this worker's label and removes those that have nothing to hand in; returns all.
///
/// # Errors
/// One of them resists, or the runtime does not answer any more.
pub(crate) async fn sweep(docker: &Docker, worker: &str) -> Result<Vec<Swept>, String> {
    let started = tokio::time::Instant::now();
    let mut seen: BTreeMap<String, Swept> = BTreeMap::new();
    loop {
        let mut resisting = false;
        for left in labelled(docker, worker).await.map_err(|error| said::line(&error))? {
            let Some(id) = left.id.clone() else { continue };
            let runs = !matches!(left.state, Some(ContainerSummaryStateEnum::EXITED | ContainerSummaryStateEnum::DEAD));
            let swept = seen.entry(id.clone()).or_insert_with(|| {
                tracing::warn!(container = id, "ending what an earlier life of this worker left");
                swept(id.clone(), &left)
            });
            let done = if swept.memo.keep.is_empty() {
                resisting = true;
                remove(docker, &id).await
            } else {
                resisting |= runs;
                if runs {
                    // One that was never started has nothing to hand in, and does not end by a signal.
                    kill(docker, &id, "KILL").await;
                    if left.state == Some(ContainerSummaryStateEnum::CREATED) {
                        swept.memo.keep.clear();
                    }
                }
                Ok(())
            };
            if let Err(error) = done
                && started.elapsed() >= PATIENCE
            {
                return Err(format!("The container {id} of an earlier life stays: {}.", said::line(&error)));
            }
        }
        if !resisting {
            return Ok(seen.into_values().collect());
        }
        if started.elapsed() >= PATIENCE * 2 {
            return Err("A container of an earlier life does not end.".to_owned());
        }
        tokio::time::sleep(ROUND).await;
    }
}

fn swept(id: String, left: &ContainerSummary) -> Swept {
    let label = |name: &str| left.labels.as_ref().and_then(|labels| labels.get(name));
    let number = |name: &str| label(name).and_then(|text| text.parse().ok());
    let memo = label(MEMO_LABEL).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    Swept { id, job: number(JOB_LABEL), attempt: number(ATTEMPT_LABEL), memo }
}

/// The containers of one attempt of this worker.
pub(crate) async fn of_attempt(docker: &Docker, worker: &str, job: i64, attempt: i64) -> Result<Vec<String>, Error> {
    let all = labelled(docker, worker).await?;
    let found = all.into_iter().filter_map(|left| left.id.clone().map(|id| swept(id, &left)));
    Ok(found.filter(|found| found.job == Some(job) && found.attempt == Some(attempt)).map(|found| found.id).collect())
}

async fn labelled(docker: &Docker, worker: &str) -> Result<Vec<ContainerSummary>, Error> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{WORKER_LABEL}={worker}")])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
    docker.list_containers(Some(options)).await
}

/// Kills and removes a container, whatever it is doing. One that is gone already is fine.
pub(crate) async fn remove(docker: &Docker, id: &str) -> Result<(), Error> {
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
