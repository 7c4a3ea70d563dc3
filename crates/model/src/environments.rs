//! Container environments: AWX execution environments and Run:ai environment assets, one row (`docs/core/model.md` 5).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::credentials::Credential;
use crate::kinds::{Place, Scope};
use crate::organizations::Organization;
use crate::run_spec::RunSpec;
use crate::users::User;
use crate::{Id, Json, Uid};

/// When a worker asks the registry for the image. Null in the row means: always for `latest` or no tag, else missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Pull {
    Always,
    Missing,
    Never,
}

/// Longest image reference, in characters.
pub const IMAGE_MAX: usize = 1024;

/// What a job runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Environment {
    pub id: Id<Self>,
    pub uid: Uid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub created_by: Option<Id<User>>,
    pub updated_by: Option<Id<User>>,
    pub version: i64,
    pub scope: Scope,
    /// Set for organization scope.
    pub organization_id: Option<Id<Organization>>,
    /// Unique in its place.
    pub name: String,
    pub description: Option<String>,
    /// Container image reference, kept as given. Without one the environment is a local process.
    pub image: Option<String>,
    pub pull: Option<Pull>,
    /// Shown to the image's registry, if that is its host.
    pub credential_id: Option<Id<Credential>>,
    /// Made by the installation: only `pull` may be edited, never deleted.
    pub managed: bool,
    pub spec: Json<RunSpec>,
    /// `sha256:…`: jobs that would run another image of this name fail.
    pub pinned_digest: Option<String>,
    /// What a job has last run under this name, and when.
    pub seen_digest: Option<String>,
    pub seen_at: Option<Timestamp>,
    /// Successful writes in any dialect, the first one included.
    pub update_count: i64,
}

impl Environment {
    /// Where the row lies.
    #[must_use]
    pub const fn place(&self) -> Place {
        match self.organization_id {
            Some(id) => Place::Organization(id),
            None => Place::Global,
        }
    }

    /// What a job takes along of it; none = a local process.
    #[must_use]
    pub fn run_image(&self) -> Option<RunImage> {
        let reference = self.image.clone()?;
        let pull = self.pull.unwrap_or_else(|| Pull::of(&reference));
        Some(RunImage { reference, pull, pin: self.pinned_digest.clone() })
    }
}

/// The image of a job, resolved when it was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunImage {
    /// As the environment gave it.
    pub reference: String,
    pub pull: Pull,
    /// The only digest that may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
}

impl Pull {
    /// What holds for an image if its environment does not say: a name that moves is asked for each time.
    #[must_use]
    pub fn of(reference: &str) -> Self {
        let last = reference.rsplit('/').next().unwrap_or(reference);
        let fixed = last.contains('@') || last.split_once(':').is_some_and(|(_, tag)| tag != "latest");
        if fixed { Self::Missing } else { Self::Always }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_moves_is_pulled_each_time() {
        for moving in ["busybox", "busybox:latest", "registry:5000/busybox", "docker.io/library/busybox:latest"] {
            assert_eq!(Pull::of(moving), Pull::Always, "{moving}");
        }
        for fixed in ["busybox:1", "registry:5000/busybox:1.36", "busybox@sha256:00"] {
            assert_eq!(Pull::of(fixed), Pull::Missing, "{fixed}");
        }
    }
}
