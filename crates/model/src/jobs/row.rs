//! The job row. Jobs carry no foreign keys: what a job pointed at may be gone, and its snapshot still names it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::kind::{JobFamily, JobKind};
use super::state::{Canceler, State};
use crate::environments::{Environment, RunImage};
use crate::kinds::Dialect;
use crate::organizations::Organization;
use crate::run_spec::RunSpec;
use crate::templates::{AnsibleSpec, FlowSpec, ScriptSpec, Template, TemplateRevision};
use crate::users::User;
use crate::workers::Worker;
use crate::workspaces::{StateVersion, Workspace};
use crate::{Id, Json, Uid};

/// Why a job was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LaunchType {
    Manual,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: Id<Self>,
    pub uid: Uid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub family: JobFamily,
    pub kind: JobKind,
    pub organization_id: Option<Id<Organization>>,
    pub template_id: Option<Id<Template>>,
    pub revision_id: Option<Id<TemplateRevision>>,
    pub environment_id: Option<Id<Environment>>,
    pub workspace_id: Option<Id<Workspace>>,
    /// The job whose child it is.
    pub parent_id: Option<Id<Self>>,
    /// The job that must have succeeded before this one begins.
    pub needs_job_id: Option<Id<Self>>,
    pub initiator_id: Option<Id<User>>,
    pub dialect: Dialect,
    pub launch_type: LaunchType,
    pub name: String,
    pub intent: Json<Intent>,
    pub priority: i64,
    pub state: State,
    pub error: Option<String>,
    pub exit_code: Option<i64>,
    pub retries_left: i64,
    /// Times that a worker vanished before it had done anything (`docs/core/jobs.md` 3, "lost").
    pub returns: i64,
    /// Number of the latest claim: the fence. It only grows.
    pub attempt: i64,
    pub worker_id: Option<Id<Worker>>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub cancel_requested_at: Option<Timestamp>,
    /// Whose cancel is carried out; the first counts.
    pub canceler: Canceler,
    /// Somebody asked for its deletion while it was unfinished.
    pub delete_requested_at: Option<Timestamp>,
    pub deleted_at: Option<Timestamp>,
    /// The state that its latest attempt started from.
    pub base_state_id: Option<Id<StateVersion>>,
    /// The log is whole: nothing will be appended.
    pub events_complete: bool,
    pub log_bytes: i64,
    pub log_lines: i64,
    pub log_truncated: bool,
    /// The image that its latest attempt ran in, as the environment named it.
    pub image: Option<String>,
    /// `sha256:…` of what the runtime had under that name.
    pub digest: Option<String>,
    pub snapshot: Json<Snapshot>,
}

/// What the runner reads: resolved, without secrets, never changed after the submit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Intent {
    Script(ScriptIntent),
    Ansible(AnsibleIntent),
    Terraform(TerraformIntent),
    Container(ContainerIntent),
}

impl Intent {
    #[must_use]
    pub const fn kind(&self) -> JobKind {
        match self {
            Self::Script(_) => JobKind::Script,
            Self::Ansible(_) => JobKind::Ansible,
            Self::Terraform(_) => JobKind::TerraformFlow,
            Self::Container(_) => JobKind::Container,
        }
    }

    #[must_use]
    pub const fn family(&self) -> JobFamily {
        match self {
            Self::Script(_) => JobFamily::ScriptJob,
            Self::Ansible(_) => JobFamily::AnsibleJob,
            Self::Terraform(_) => JobFamily::TerraformRun,
            Self::Container(_) => JobFamily::Workload,
        }
    }

    /// Whether a second run after a failure or a lost worker is harmless. It counts for the kinds that leave the answer
    /// to their intent (`Repeat::IntentSays`).
    #[must_use]
    pub const fn may_repeat(&self) -> bool {
        match self {
            Self::Script(intent) => intent.spec.may_repeat,
            Self::Ansible(_) | Self::Terraform(_) | Self::Container(_) => false,
        }
    }

    /// The image that the job runs in; none = a local process.
    #[must_use]
    pub const fn image(&self) -> Option<&RunImage> {
        match self {
            Self::Script(intent) => intent.image.as_ref(),
            Self::Ansible(intent) => intent.image.as_ref(),
            Self::Terraform(intent) => intent.image.as_ref(),
            Self::Container(intent) => Some(&intent.image),
        }
    }

    /// Seconds after which the job is stopped; none = never, or not by its own word.
    #[must_use]
    pub const fn timeout_s(&self) -> Option<u32> {
        match self {
            Self::Script(intent) => intent.spec.timeout_s,
            Self::Ansible(intent) => intent.spec.timeout_s,
            Self::Container(intent) => intent.timeout_s,
            Self::Terraform(_) => None,
        }
    }

    /// Whether a plan is kept without keys and time limit until somebody decides on it.
    #[must_use]
    pub const fn save_plan(&self) -> bool {
        match self {
            Self::Terraform(intent) => intent.spec.save_plan,
            Self::Script(_) | Self::Ansible(_) | Self::Container(_) => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptIntent {
    pub spec: ScriptSpec,
    /// What the environment named at the time of the submit; none = a local process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<RunImage>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsibleIntent {
    pub spec: AnsibleSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<RunImage>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerraformIntent {
    pub spec: FlowSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<RunImage>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerIntent {
    pub image: RunImage,
    /// Resolved: the environment's with what the launch laid over it.
    pub run: RunSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
}

/// Names of what a job pointed at, kept for when those rows are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiator: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
}
