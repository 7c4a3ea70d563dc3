//! The kinds of rows that rights speak of, the actions on them, and the dialects in which requests arrive
//! (`docs/core/authz.md` 2 and 3). A kind is added here together with its first table.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::Id;
use crate::organizations::Organization;

/// What a row is to authorization, audit, events and tallies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    Organization,
    User,
    Token,
    Environment,
    ScriptTemplate,
    AnsibleTemplate,
    Flow,
    WorkloadTemplate,
    ScriptJob,
    AnsibleJob,
    TerraformRun,
    Workload,
    SharedWorkspace,
    State,
    Setting,
    /// Of a type that is none of the following; also a credential before anybody knows of which type.
    Credential,
    RegistryCredential,
    GitCredential,
    AssetCredential,
    CredentialType,
}

/// What an actor may do to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Action {
    Read,
    Create,
    Update,
    Delete,
    /// Attach it to something else.
    Use,
    /// Start work from it.
    Execute,
    Approve,
    Cancel,
    /// Hand out roles on it.
    Grant,
    /// Read protected content.
    Secret,
}

/// The API through which a request came, or through which a row was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Dialect {
    Native,
    Awx,
    Runai,
    Foreman,
    Coder,
    Terrakube,
}

/// How wide a scoped row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Scope {
    Global,
    Cluster,
    Organization,
    Project,
}

/// The place of a scoped row: its scope and exactly the ids which that scope needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "scope", content = "id")]
pub enum Place {
    Global,
    Organization(Id<Organization>),
}

impl Place {
    /// The number under which rows of this place are listed, counted and kept unique (`docs/core/model.md` 4).
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::Global => Unit(0),
            // Ids of requests come here before anybody looks whether there is such a row.
            Self::Organization(id) => Unit(id.get().saturating_mul(4).saturating_add(2)),
        }
    }

    #[must_use]
    pub const fn scope(self) -> Scope {
        match self {
            Self::Global => Scope::Global,
            Self::Organization(_) => Scope::Organization,
        }
    }

    #[must_use]
    pub const fn organization(self) -> Option<Id<Organization>> {
        match self {
            Self::Global => None,
            Self::Organization(id) => Some(id),
        }
    }
}

/// The number of a place: 0 global, cluster×4+1, organization×4+2, project×4+3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit(pub i64);

impl Unit {
    /// The tally row that counts a kind over all places.
    pub const ALL: Self = Self(-1);
}

/// Which rows of a kind an actor may see, as a list's condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    All,
    Nothing,
}
