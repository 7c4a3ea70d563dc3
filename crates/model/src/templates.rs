//! Templates: what is launched again and again. Their content lives in immutable revisions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::environments::{Environment, Pull};
use crate::jobs::StepKind;
use crate::organizations::Organization;
use crate::run_spec::RunSpec;
use crate::users::User;
use crate::{Id, Json, Uid};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TemplateKind {
    Script,
    Ansible,
    /// Terraform in steps.
    Flow,
    /// A container of its own making.
    Workload,
}

/// Longest script text, in bytes.
pub const SCRIPT_MAX: usize = 256 * 1024;

/// A template, with the content of its active revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Template {
    pub id: Id<Self>,
    pub uid: Uid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub created_by: Option<Id<User>>,
    pub updated_by: Option<Id<User>>,
    pub version: i64,
    pub organization_id: Id<Organization>,
    pub kind: TemplateKind,
    pub name: String,
    pub description: Option<String>,
    pub environment_id: Option<Id<Environment>>,
    pub active_revision_id: Id<TemplateRevision>,
    pub spec: Json<TemplateSpec>,
}

/// Names the table of revisions for `Id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateRevision {}

/// What a revision holds, by kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TemplateSpec {
    Script(ScriptSpec),
    Ansible(AnsibleSpec),
    Flow(FlowSpec),
    Workload(WorkloadSpec),
}

impl TemplateSpec {
    /// The kind of template that holds such content. It never changes.
    #[must_use]
    pub const fn kind(&self) -> TemplateKind {
        match self {
            Self::Script(_) => TemplateKind::Script,
            Self::Ansible(_) => TemplateKind::Ansible,
            Self::Flow(_) => TemplateKind::Flow,
            Self::Workload(_) => TemplateKind::Workload,
        }
    }

    /// How often a job of it is tried again after a failure, if its kind may repeat.
    #[must_use]
    pub const fn retries(&self) -> u16 {
        match self {
            Self::Script(spec) => spec.retries,
            Self::Workload(spec) => spec.retries,
            Self::Ansible(_) | Self::Flow(_) => 0,
        }
    }
}

/// Longest playbook, inventory, variables or configuration file, in bytes each.
pub const TEXT_MAX: usize = 1024 * 1024;

/// A playbook and how it is run, all in the template: sources of files come with their own issue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnsibleSpec {
    /// The playbook, YAML.
    pub playbook: String,
    /// The inventory as Ansible reads it (INI or YAML); empty = the worker itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub inventory: String,
    /// Extra variables, YAML or JSON; empty = none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub extra_vars: String,
    /// Patterns as Ansible's command line takes them; empty = none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub limit: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tags: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub skip_tags: String,
    /// 0…=4.
    #[serde(default)]
    pub verbosity: u8,
    /// Only say what would change.
    #[serde(default)]
    pub check: bool,
    /// Jobs of this template may run at the same time; else one waits for the other.
    #[serde(default)]
    pub simultaneous: bool,
    /// Seconds after which it is stopped; none = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
}

/// A Terraform configuration and the steps in which it is run. Its state is its workspace's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowSpec {
    /// Name of a file → its text: `main.tf`, `modules/a/main.tf`, `.terraform.lock.hcl`, …
    pub configuration: BTreeMap<String, String>,
    /// Values of input variables, as `terraform.tfvars.json` has them.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub variables: serde_json::Map<String, serde_json::Value>,
    /// In order; empty = a plan and an apply that needs an approval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<FlowStep>,
    /// The plan is kept until somebody applies or discards it, without time limit and without keeping others away.
    #[serde(default)]
    pub save_plan: bool,
    /// None = whichever is on the worker, Terraform first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<IacTool>,
}

/// One step of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowStep {
    /// `plan`, `plan_destroy`, `apply` or `destroy`. An `apply` applies the plan before it, if there is one.
    pub kind: StepKind,
    /// None = its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// It is not begun before somebody approved it.
    #[serde(default)]
    pub approval: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum IacTool {
    Terraform,
    Tofu,
}

/// A container and how it is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSpec {
    /// None = the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// For `image` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<Pull>,
    /// Laid over the environment's: what is set here counts.
    #[serde(default)]
    pub run: RunSpec,
    /// How often it is tried again after a failure or a lost worker.
    #[serde(default)]
    pub retries: u16,
    /// Seconds after which it is stopped; none = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
}

/// A script and how it is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptSpec {
    /// The text. Its first line may name an interpreter (`#!`); otherwise `/bin/sh` runs it.
    pub script: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Whether running it a second time after a failure or a lost worker is harmless.
    #[serde(default)]
    pub may_repeat: bool,
    /// How often it is tried again if it may repeat.
    #[serde(default)]
    pub retries: u16,
    /// Seconds after which it is stopped; none = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
}
