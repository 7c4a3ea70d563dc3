//! What kinds of jobs there are (`docs/core/jobs.md` 1). Each dialect shows its own; the engine moves all of them.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum JobKind {
    Script,
    Ansible,
    AnsibleAdhoc,
    SourceSync,
    TerraformImport,
    TerraformDryRun,
    TerraformBuild,
    /// Plans and applies in steps, with a decision between them where the flow wants one.
    TerraformFlow,
    Container,
    HostBuild,
    HostScript,
    HostAnsible,
    /// Has no work of its own: it resolves its hosts into children and waits for them.
    Invocation,
}

/// Whether a second run of what has begun is harmless. A job that had not begun yet is repeated whatever its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Repeat {
    Always,
    Never,
    /// Each job's intent says it.
    IntentSays,
    /// While a step that only plans is the present one.
    PlanSteps,
}

impl JobKind {
    /// The families that jobs of this kind may belong to; more than one where the intent chooses.
    #[must_use]
    pub const fn families(self) -> &'static [JobFamily] {
        match self {
            Self::Script => &[JobFamily::ScriptJob],
            Self::Ansible | Self::AnsibleAdhoc | Self::SourceSync => &[JobFamily::AnsibleJob],
            Self::TerraformImport | Self::TerraformDryRun | Self::TerraformBuild => &[JobFamily::ProvisionerJob],
            Self::TerraformFlow => &[JobFamily::TerraformRun],
            Self::Container => &[JobFamily::Workload, JobFamily::InferenceWorkload],
            Self::HostBuild => &[JobFamily::HostBuild],
            Self::HostScript | Self::HostAnsible | Self::Invocation => &[JobFamily::HostJob],
        }
    }

    #[must_use]
    pub const fn repeat(self) -> Repeat {
        match self {
            // A build that only cleans up says that it may.
            Self::Script | Self::HostBuild => Repeat::IntentSays,
            Self::SourceSync | Self::TerraformImport | Self::TerraformDryRun | Self::Container => Repeat::Always,
            Self::TerraformFlow => Repeat::PlanSteps,
            Self::Ansible
            | Self::AnsibleAdhoc
            | Self::TerraformBuild
            | Self::HostScript
            | Self::HostAnsible
            | Self::Invocation => Repeat::Never,
        }
    }

    /// Whether it is work for a workspace of a template: such a job must be claimed in time.
    #[must_use]
    pub const fn is_provisioner(self) -> bool {
        matches!(self, Self::TerraformImport | Self::TerraformDryRun | Self::TerraformBuild)
    }

    /// Whether its log is the text of its task events.
    #[must_use]
    pub const fn has_task_events(self) -> bool {
        matches!(self, Self::Ansible | Self::AnsibleAdhoc | Self::SourceSync)
    }

    /// Whether a deleted job of this kind keeps its row, marked. Of every other kind the row goes.
    #[must_use]
    pub const fn is_kept_when_deleted(self) -> bool {
        matches!(self, Self::Container)
    }
}

/// A set of kinds, stored as one number: bit n stands for the n-th kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobKinds(pub i64);

impl JobKinds {
    pub const ALL: Self = Self((1 << JobKind::VARIANTS.len()) - 1);

    #[must_use]
    pub fn of(kinds: &[JobKind]) -> Self {
        Self(kinds.iter().fold(0, |bits, kind| bits | 1 << *kind as i64))
    }

    #[must_use]
    pub const fn has(self, kind: JobKind) -> bool {
        self.0 & (1 << kind as i64) != 0
    }

    pub fn iter(self) -> impl Iterator<Item = JobKind> {
        JobKind::VARIANTS.iter().copied().filter(move |kind| self.has(*kind))
    }
}

/// What a job is to authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum JobFamily {
    ScriptJob,
    AnsibleJob,
    ProvisionerJob,
    TerraformRun,
    Workload,
    InferenceWorkload,
    HostBuild,
    HostJob,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_the_family_of_some_kind() {
        for family in JobFamily::VARIANTS {
            assert!(JobKind::VARIANTS.iter().any(|kind| kind.families().contains(family)), "{family:?}");
        }
    }

    #[test]
    fn words_of_the_text_are_the_words_of_the_enums() {
        let kinds: Vec<&str> = JobKind::VARIANTS.iter().map(Into::into).collect();
        assert_eq!(
            kinds.join(" "),
            "script ansible ansible_adhoc source_sync terraform_import terraform_dry_run terraform_build terraform_flow \
             container host_build host_script host_ansible invocation"
        );
        let families: Vec<&str> = JobFamily::VARIANTS.iter().map(Into::into).collect();
        assert_eq!(
            families.join(" "),
            "script_job ansible_job provisioner_job terraform_run workload inference_workload host_build host_job"
        );
    }
}
