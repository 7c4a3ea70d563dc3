//! People and service accounts. The password hash is not part of the row that travels: `store::users` reads it alone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::{Id, Uid};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum UserStatus {
    Active,
    /// Made, never logged in.
    Dormant,
    /// Refused everywhere on the next request.
    Suspended,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    pub id: Id<Self>,
    pub uid: Uid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: i64,
    /// Unique without regard to case.
    pub login: String,
    pub email: String,
    pub status: UserStatus,
    /// Mirrors the direct grant of system.admin.
    pub is_admin: bool,
}
