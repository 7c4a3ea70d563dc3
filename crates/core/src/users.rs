//! People: log-in by password and the reset of a password. The rest of their life comes with authorization.

use std::sync::Arc;

use chandler_model::Id;
use chandler_model::ids::Selector;
use chandler_model::kinds::Action;
use chandler_model::users::{User, UserStatus};
use chandler_store::{tokens, users};

use crate::Core;
use crate::authz::{self, Access};
use crate::cx::{Actor, Cx};
use crate::error::{Error, Kind, Result, Unauthenticated};

/// Shortest password that is taken.
pub const PASSWORD_MIN: usize = 8;
/// Longest password that is looked at; argon2 would digest more, but nobody types it.
pub const PASSWORD_MAX: usize = 1024;

impl Core {
    /// Who has that login and password.
    ///
    /// # Errors
    /// `Unauthenticated` for an unknown login, a wrong password and a suspended person alike, after the same work.
    pub async fn log_in(&self, login: &str, password: &str) -> Result<Actor> {
        let wrong = || Error::from(Kind::Unauthenticated { why: Unauthenticated::Wrong });
        // No text column can hold NUL, so nobody has such a login.
        if password.len() > PASSWORD_MAX || login.contains('\0') {
            return Err(wrong());
        }
        let found = users::credentials(self.db(), login).await?;
        let hash = found.as_ref().and_then(|found| found.password_hash.as_deref());
        let right = self.passwords().verify(hash, password).await?;
        match found {
            Some(found) if right && found.status != UserStatus::Suspended => self.actor(found.id, &found.login).await,
            _ => Err(wrong()),
        }
    }

    /// The actor that a person is, with all that he holds now.
    pub(crate) async fn actor(&self, id: Id<User>, login: &str) -> Result<Actor> {
        let access = Arc::new(Access::load(self.db(), id).await?);
        Ok(Actor::Person { id, login: login.to_owned(), access })
    }

    /// The actor that the person with that login is, without a password: for the operator at the machine, who holds
    /// the database and the master key anyway.
    pub async fn act_as(&self, login: &str) -> Result<Actor> {
        let found = users::credentials(self.db(), login).await?;
        let found = found.ok_or_else(|| Error::absent(chandler_model::Kind::User, Action::Read))?;
        self.actor(found.id, &found.login).await
    }

    /// The actor himself.
    pub async fn me(&self, cx: &Cx) -> Result<User> {
        let missing = || Error::from(Kind::Unauthenticated { why: Unauthenticated::Missing });
        let id = cx.user_id().ok_or_else(missing)?;
        users::find(self.db(), Selector::Id(id)).await?.ok_or_else(missing)
    }

    /// Gives the person with that login a new password and ends all his tokens.
    pub async fn reset_password(&self, cx: &Cx, login: &str, password: &str) -> Result<()> {
        check_password(password)?;
        let id = users::credentials(self.db(), login)
            .await?
            .ok_or_else(|| Error::absent(chandler_model::Kind::User, Action::Update))?
            .id;
        let user = authz::find::<User>(self, cx, Action::Update, id).await?;
        let hash = self.passwords().hash(password).await?;
        self.write(cx, async |w| {
            users::set_password(w.tx, user.id, &hash, cx.now).await?;
            tokens::delete_of_user(w.tx, user.id).await?;
            w.noted(&user, &user, "password");
            Ok(())
        })
        .await
    }
}

/// Refuses what is no password.
pub(crate) fn check_password(password: &str) -> Result<()> {
    use chandler_model::errors::Code;
    if password.chars().count() < PASSWORD_MIN {
        return Err(Error::field("password", Code::TooShort { min: PASSWORD_MIN }));
    }
    if password.len() > PASSWORD_MAX {
        return Err(Error::field("password", Code::TooLong { max: PASSWORD_MAX }));
    }
    Ok(())
}
