//! Credentials and their types (`docs/core/model.md` 4.2, 5 and 8). No secret is in any struct here: a row has its
//! public inputs and the names of the secret ones, whose values only the core opens.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::kinds::{Kind, Place, Scope};
use crate::organizations::Organization;
use crate::users::User;
use crate::{Id, Json, Uid};

/// The types that the installation itself knows; one that somebody made has none of these words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Namespace {
    /// User name and password for a registry of container images.
    Registry,
    /// User name with password or key for a server of sources.
    Scm,
    SshKey,
    /// The log-in of an application at a git hosting service.
    GitProvider,
    /// Secret texts under names of one's own choosing.
    Generic,
    /// User name and password for anything else.
    Userpass,
}

impl Namespace {
    /// What credentials of this type are to authorization.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Registry => Kind::RegistryCredential,
            Self::Scm | Self::SshKey | Self::GitProvider => Kind::GitCredential,
            Self::Generic | Self::Userpass => Kind::AssetCredential,
        }
    }
}

/// The family of a type: AWX's word for what it is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TypeKind {
    Registry,
    Scm,
    Token,
    Cloud,
}

/// What credentials of one type are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CredentialType {
    pub id: Id<Self>,
    pub uid: Uid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: i64,
    /// Unique in its kind.
    pub name: String,
    pub kind: TypeKind,
    pub namespace: Option<Namespace>,
    /// Made by the installation.
    pub managed: bool,
    pub inputs: Json<InputSchema>,
}

/// The inputs of a type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputSchema {
    pub fields: Vec<InputField>,
    pub required: Vec<String>,
    /// Takes secret texts under any other name, too.
    pub any: bool,
}

/// One input of a type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputField {
    pub id: String,
    pub label: String,
    #[serde(rename = "type")]
    pub kind: InputKind,
    pub secret: bool,
    pub multiline: bool,
    /// Says where the secrets are sent: whoever changes it gives them again.
    pub address: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    #[default]
    String,
    Boolean,
}

impl InputSchema {
    /// The input of that name, if the type names it.
    #[must_use]
    pub fn field(&self, id: &str) -> Option<&InputField> {
        self.fields.iter().find(|field| field.id == id)
    }
}

/// The value of a public input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Input {
    Flag(bool),
    Text(String),
}

impl Input {
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Flag(_) => None,
        }
    }
}

/// Public inputs by name; one that is not set is not there.
pub type Inputs = BTreeMap<String, Input>;

/// What jobs are given to show elsewhere. Its secrets are not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Credential {
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
    /// For its owner alone, wherever it lies.
    pub private: bool,
    pub owner_id: Option<Id<User>>,
    pub type_id: Id<CredentialType>,
    /// The word of its type.
    pub namespace: Option<Namespace>,
    /// Unique among those of its type in its place; of private ones there may be several.
    pub name: String,
    pub description: Option<String>,
    pub inputs: Json<Inputs>,
    /// Names of the secret inputs that are set, sorted.
    pub secrets: Json<Vec<String>>,
    /// Of a registry's: the authority to which it is sent, in lower case; without one it is sent nowhere.
    pub host: Option<String>,
    pub managed: bool,
}

impl Credential {
    /// Where the row lies.
    #[must_use]
    pub const fn place(&self) -> Place {
        match self.organization_id {
            Some(id) => Place::Organization(id),
            None => Place::Global,
        }
    }

    /// What it is to authorization.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.namespace.map_or(Kind::Credential, Namespace::kind)
    }
}
