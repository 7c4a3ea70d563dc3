//! What one actor holds, as it is decided upon in memory.

use chandler_model::Id;
use chandler_model::users::User;
use chandler_store::{Db, grants};

use crate::error::Result;

/// Key of the role that may everything, and of the scope that is everything.
pub(crate) const SYSTEM_ADMIN: &str = "system.admin";
pub(crate) const SYSTEM_SCOPE: &str = "s";

/// How a person is named as the subject of a grant.
pub(crate) fn subject(user: Id<User>) -> String {
    format!("u:{user}")
}

/// The loaded access of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    admin: bool,
}

impl Access {
    /// The access of a person of whom it is known whether he holds system.admin.
    pub(crate) const fn of(admin: bool) -> Self {
        Self { admin }
    }

    /// Reads all that a person holds.
    pub async fn load(db: &Db, user: Id<User>) -> Result<Self> {
        let held = grants::held_by(db, &subject(user)).await?;
        let admin = held.iter().any(|grant| grant.role_key == SYSTEM_ADMIN && grant.scope_key == SYSTEM_SCOPE);
        Ok(Self { admin })
    }

    /// Whether the person holds system.admin.
    #[must_use]
    pub const fn is_admin(&self) -> bool {
        self.admin
    }
}
