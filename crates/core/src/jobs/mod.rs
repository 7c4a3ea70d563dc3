//! Jobs: launching, watching, cancelling, and the engine that moves them (`docs/core/jobs.md`).
//!
//! [`step`] decides every transition and is pure; `engine` writes what it says under the job's queue lock; [`link`] is
//! what a worker may say; `keep` holds the loops that look for lost workers and due timers.

mod effects;
mod engine;
mod fit;
mod hand_in;
mod keep;
mod keys;
mod kin;
mod launch;
pub mod link;
mod log;
mod materials;
mod requests;
mod sealed_blobs;
pub mod step;
mod submit;
mod timing;

use chandler_model::{Id, Kind};
use chandler_store::blobs::Blob;

use crate::Core;
use crate::error::Result;
use chandler_model::jobs::JobFamily;
use chandler_model::templates::TemplateKind;

pub use chandler_store::jobs::attempts::{Attempt, Transition};
pub use chandler_store::jobs::rows::{NewJob, Part, Standing};
pub use chandler_store::jobs::steps::File;
pub(crate) use fit::Fits;
pub use keep::{Reaper, fire_timers, keep_house, run_housekeeping, run_reaper, run_timers};
pub use keys::Keyring;
pub(crate) use keys::{lock_workspace, unlock_workspace};
pub use launch::{JobInput, What};
pub use log::{LogReader, Mode};
pub use materials::LaunchSecrets;
pub use requests::JobFilter;
pub use submit::Along;
pub use timing::Timing;

/// What a job is to authorization before anybody knows which.
pub(crate) const KIND: Kind = Kind::ScriptJob;

/// What jobs of a family are to authorization.
pub(crate) const fn kind_of(family: JobFamily) -> Kind {
    match family {
        JobFamily::AnsibleJob => Kind::AnsibleJob,
        JobFamily::TerraformRun => Kind::TerraformRun,
        JobFamily::Workload => Kind::Workload,
        // Those of the dialects come with them.
        JobFamily::ScriptJob
        | JobFamily::ProvisionerJob
        | JobFamily::InferenceWorkload
        | JobFamily::HostBuild
        | JobFamily::HostJob => Kind::ScriptJob,
    }
}

/// What a job of a template is to authorization.
const fn kind_of_template(kind: TemplateKind) -> Kind {
    match kind {
        TemplateKind::Script => Kind::ScriptJob,
        TemplateKind::Ansible => Kind::AnsibleJob,
        TemplateKind::Flow => Kind::TerraformRun,
        TemplateKind::Workload => Kind::Workload,
    }
}

/// The content of a sealed blob.
pub(crate) async fn open_blob(core: &Core, id: Id<Blob>) -> Result<Vec<u8>> {
    sealed_blobs::open(core, core.db(), id).await
}

/// Notice: something about this job changed (its id).
pub const JOB_NOTICE: &str = "job";
/// Notice: there is something to claim.
pub const QUEUE_NOTICE: &str = "queue";
/// Notice: the worker that holds this job (its id) has new orders.
pub const STOP_NOTICE: &str = "stop";

/// How the engine of one installation is set.
#[derive(Clone, Debug)]
pub struct Settings {
    pub timing: Timing,
    /// Bytes of log that one job may write; the rest is cut with a mark.
    pub log_max: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { timing: Timing::default(), log_max: 64 * 1024 * 1024 }
    }
}
