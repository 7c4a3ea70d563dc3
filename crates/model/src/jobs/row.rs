//! The job row. Jobs carry no foreign keys: what a job pointed at may be gone, and its snapshot still names it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::kind::{JobFamily, JobKind};
use super::state::State;
use crate::environments::{Environment, RunImage};
use crate::kinds::Dialect;
use crate::organizations::Organization;
use crate::templates::{ScriptSpec, Template, TemplateRevision};
use crate::users::User;
use crate::workers::Worker;
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
}

impl Intent {
    #[must_use]
    pub const fn kind(&self) -> JobKind {
        match self {
            Self::Script(_) => JobKind::Script,
        }
    }

    #[must_use]
    pub const fn family(&self) -> JobFamily {
        match self {
            Self::Script(_) => JobFamily::ScriptJob,
        }
    }

    /// Whether a second run after a failure or a lost worker is harmless. It counts for the kinds that leave the answer
    /// to their intent (`Repeat::IntentSays`).
    #[must_use]
    pub const fn may_repeat(&self) -> bool {
        match self {
            Self::Script(intent) => intent.spec.may_repeat,
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
