//! What a container is made of: the command, the labels, the limits.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, ResourcesUlimits};
use chandler_runner::executor::Work;

use crate::script::DIR;

pub(crate) const WORKER_LABEL: &str = "chandler.worker";
const JOB_LABEL: &str = "chandler.job";
const ATTEMPT_LABEL: &str = "chandler.attempt";

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
    command: Vec<String>,
    limits: Limits,
    init: bool,
) -> ContainerCreateBody {
    let labels = [
        (WORKER_LABEL, worker.to_owned()),
        (JOB_LABEL, work.job.to_string()),
        (ATTEMPT_LABEL, work.attempt.to_string()),
    ];
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
        // All of it as entry point: with some runtimes the image's own arguments would be added to it otherwise.
        entrypoint: Some(command),
        cmd: Some(Vec::new()),
        env: Some(vec![
            format!("HOME={DIR}/home"),
            format!("TMPDIR={DIR}/tmp"),
            "LANG=C.UTF-8".to_owned(),
            format!("CHANDLER_JOB_ID={}", work.job),
        ]),
        working_dir: Some(DIR.to_owned()),
        labels: Some(labels.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<HashMap<_, _>>()),
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}
