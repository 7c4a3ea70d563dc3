//! Who asks, through which dialect, when: the context of one request. The auth layer of a dialect makes it; every core
//! function takes it by reference; it appears in every audit row.

use std::net::IpAddr;
use std::sync::Arc;

use chandler_model::Id;
use chandler_model::kinds::Dialect;
use chandler_model::users::User;
use jiff::Timestamp;

use crate::authz::Access;

/// The context of one request.
#[derive(Clone, Debug)]
pub struct Cx {
    pub actor: Actor,
    pub dialect: Dialect,
    pub request_id: String,
    pub source: Option<IpAddr>,
    /// Read once; every row that the request writes carries this time.
    pub now: Timestamp,
}

/// On whose behalf something happens.
#[derive(Clone, Debug)]
pub enum Actor {
    Person {
        id: Id<User>,
        login: String,
        access: Arc<Access>,
    },
    /// The installation itself: first start, housekeeping.
    System,
}

impl Cx {
    /// The context of something that the installation does by itself.
    #[must_use]
    pub fn system(now: Timestamp) -> Self {
        Self { actor: Actor::System, dialect: Dialect::Native, request_id: "system".to_owned(), source: None, now }
    }

    /// The person who asks; `None` for the installation itself.
    #[must_use]
    pub fn user_id(&self) -> Option<Id<User>> {
        match &self.actor {
            Actor::Person { id, .. } => Some(*id),
            Actor::System => None,
        }
    }

    /// The name that audit shows.
    #[must_use]
    pub fn actor_name(&self) -> &str {
        match &self.actor {
            Actor::Person { login, .. } => login,
            Actor::System => "system",
        }
    }
}
