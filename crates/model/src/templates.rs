//! Templates: what is launched again and again. Their content lives in immutable revisions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::environments::Environment;
use crate::organizations::Organization;
use crate::users::User;
use crate::{Id, Json, Uid};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TemplateKind {
    Script,
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
