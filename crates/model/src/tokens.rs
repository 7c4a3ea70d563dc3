//! Tokens: what a client shows instead of a password. Only the hash is stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::kinds::Dialect;
use crate::users::User;
use crate::{Id, Uid};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TokenKind {
    Api,
}

/// A token as its owner sees it in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    pub id: Id<Self>,
    pub uid: Uid,
    pub created_at: Timestamp,
    pub kind: TokenKind,
    /// Where it was made.
    pub dialect: Dialect,
    pub user_id: Id<User>,
    pub name: Option<String>,
    pub expires_at: Option<Timestamp>,
}
