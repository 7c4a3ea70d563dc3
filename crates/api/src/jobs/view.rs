//! A job as this API shows it.

use chandler_model::environments::Environment;
use chandler_model::jobs::{Job, JobKind, LaunchType, Snapshot};
use chandler_model::organizations::Organization;
use chandler_model::templates::{Template, TemplateRevision};
use chandler_model::users::User;
use chandler_model::workspaces::{StateVersion, Workspace};
use chandler_model::{Dialect, Id, Uid};
use jiff::Timestamp;
use serde::Serialize;

use super::words::Status;

#[derive(Serialize)]
pub(super) struct View<'a> {
    id: Id<Job>,
    uid: Uid,
    kind: JobKind,
    name: &'a str,
    organization_id: Option<Id<Organization>>,
    template_id: Option<Id<Template>>,
    revision_id: Option<Id<TemplateRevision>>,
    environment_id: Option<Id<Environment>>,
    workspace_id: Option<Id<Workspace>>,
    /// The state that its latest attempt started from.
    base_state_id: Option<Id<StateVersion>>,
    parent_id: Option<Id<Job>>,
    needs_job_id: Option<Id<Job>>,
    initiator_id: Option<Id<User>>,
    names: Names<'a>,
    dialect: Dialect,
    launch_type: LaunchType,
    priority: i64,
    status: Status,
    stage: Option<&'static str>,
    outcome: Option<&'static str>,
    error: Option<&'a str>,
    exit_code: Option<i64>,
    /// What its latest attempt ran in.
    image: Option<&'a str>,
    digest: Option<&'a str>,
    /// The only digest that it may run.
    pinned_digest: Option<&'a str>,
    attempt: i64,
    retries_left: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    cancel_requested_at: Option<Timestamp>,
    delete_requested_at: Option<Timestamp>,
    deleted_at: Option<Timestamp>,
    log: Log,
}

/// What the rows were called that the job points at, whether or not they are still there.
#[derive(Serialize)]
struct Names<'a> {
    organization: Option<&'a str>,
    template: Option<&'a str>,
    environment: Option<&'a str>,
    initiator: Option<&'a str>,
    worker: Option<&'a str>,
}

#[derive(Serialize)]
struct Log {
    bytes: i64,
    lines: i64,
    truncated: bool,
    complete: bool,
}

impl<'a> View<'a> {
    pub(super) fn of(job: &'a Job) -> Self {
        let columns = job.state.columns();
        Self {
            id: job.id,
            uid: job.uid,
            kind: job.kind,
            name: &job.name,
            organization_id: job.organization_id,
            template_id: job.template_id,
            revision_id: job.revision_id,
            environment_id: job.environment_id,
            workspace_id: job.workspace_id,
            base_state_id: job.base_state_id,
            parent_id: job.parent_id,
            needs_job_id: job.needs_job_id,
            initiator_id: job.initiator_id,
            names: Names::of(&job.snapshot),
            dialect: job.dialect,
            launch_type: job.launch_type,
            priority: job.priority,
            status: Status::of(job.state),
            stage: columns.stage,
            outcome: columns.outcome,
            error: job.error.as_deref(),
            exit_code: job.exit_code,
            image: job.image.as_deref(),
            digest: job.digest.as_deref(),
            pinned_digest: job.intent.image().and_then(|image| image.pin.as_deref()),
            attempt: job.attempt,
            retries_left: job.retries_left,
            created_at: job.created_at,
            updated_at: job.updated_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            cancel_requested_at: job.cancel_requested_at,
            delete_requested_at: job.delete_requested_at,
            deleted_at: job.deleted_at,
            log: Log::of(job),
        }
    }
}

impl<'a> Names<'a> {
    fn of(names: &'a Snapshot) -> Self {
        let Snapshot { organization, template, environment, initiator, worker } = names;
        Self {
            organization: organization.as_deref(),
            template: template.as_deref(),
            environment: environment.as_deref(),
            initiator: initiator.as_deref(),
            worker: worker.as_deref(),
        }
    }
}

impl Log {
    fn of(job: &Job) -> Self {
        Self { bytes: job.log_bytes, lines: job.log_lines, truncated: job.log_truncated, complete: job.events_complete }
    }
}
