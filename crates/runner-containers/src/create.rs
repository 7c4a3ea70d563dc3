//! What a container is made of: what the job decides, the labels, the limits.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, ResourcesUlimits};
use chandler_runner::executor::Work;

use crate::setup::Setup;

pub(crate) const WORKER_LABEL: &str = "chandler.worker";
pub(crate) const JOB_LABEL: &str = "chandler.job";
pub(crate) const ATTEMPT_LABEL: &str = "chandler.attempt";
/// What a later life of the worker has to know of it, where files are to be handed back.
pub(crate) const MEMO_LABEL: &str = "chandler.memo";

/// Open files, and processes of the container's user. Named, because what runtimes set by themselves is above the hard
/// limits of some machines, and then nothing starts.
const ULIMITS: [(&str, i64); 2] = [("nofile", 1024), ("nproc", 1024)];

/// What a container may use. `None`: what the runtime allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes; swap is not added to it.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// The container of an attempt. `init`: whether a small init process passes signals on and reaps; without one a script
/// that does not expect it is deaf to TERM, because it is the first process of its container.
pub(crate) fn body(
    work: &Work,
    worker: &str,
    image: String,
    setup: &Setup,
    limits: Limits,
    init: bool,
) -> ContainerCreateBody {
    let mut labels = HashMap::from([
        (WORKER_LABEL.to_owned(), worker.to_owned()),
        (JOB_LABEL.to_owned(), work.job.to_string()),
        (ATTEMPT_LABEL.to_owned(), work.attempt.to_string()),
    ]);
    let memo = work.memo();
    if !memo.keep.is_empty()
        && let Ok(text) = serde_json::to_string(&memo)
    {
        labels.insert(MEMO_LABEL.to_owned(), text);
    }
    let ulimit = |(name, limit): (&str, i64)| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(limit),
        hard: Some(limit),
    };
    let memory = limits.memory.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let host = HostConfig {
        init: init.then_some(true),
        privileged: Some(false),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        ulimits: Some(ULIMITS.map(ulimit).to_vec()),
        memory,
        memory_swap: memory,
        pids_limit: limits.pids.map(i64::from),
        // The output is read while it is written; a second copy on disk would have no limit.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        image: Some(image),
        entrypoint: setup.entrypoint.clone(),
        cmd: setup.args.clone(),
        env: Some(setup.env.clone()),
        working_dir: setup.working_dir.clone(),
        labels: Some(labels),
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(setup.tty),
        open_stdin: Some(setup.stdin),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}
