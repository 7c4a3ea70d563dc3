//! Who asks in a test: nobody, the administrator, or somebody who is known and has no rights.

use anyhow::{Context, Result};
use chandler_core::tokens::TokenInput;
use chandler_core::{Core, Cx};
use chandler_model::Dialect;
use chandler_store::users::{self, NewUser};
use chandler_store::{Error, Tx};
use secrecy::ExposeSecret;

use crate::installation::ADMIN;

/// The login of the one without rights. The password is the administrator's.
pub const STRANGER: &str = "stranger";

/// A kind of caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Shows no credentials.
    Anonymous,
    /// Holds system.admin.
    Admin,
    /// Is logged in and holds nothing.
    Stranger,
}

/// Tokens of every kind of caller.
#[derive(Clone, Debug)]
pub struct Tokens {
    admin: String,
    stranger: String,
}

impl Tokens {
    /// Makes the stranger, and a token of that dialect for everybody.
    ///
    /// # Errors
    /// The installation has a stranger already.
    pub async fn make(core: &Core, dialect: Dialect) -> Result<Self> {
        make_stranger(core).await?;
        Ok(Self { admin: token(core, ADMIN, dialect).await?, stranger: token(core, STRANGER, dialect).await? })
    }

    /// What that caller shows; `None` for nobody.
    #[must_use]
    pub fn of(&self, who: Who) -> Option<&str> {
        match who {
            Who::Anonymous => None,
            Who::Admin => Some(&self.admin),
            Who::Stranger => Some(&self.stranger),
        }
    }
}

async fn make_stranger(core: &Core) -> Result<()> {
    let admin = users::credentials(core.db(), ADMIN).await?.context("there is an administrator")?;
    let hash = admin.password_hash.context("with a password")?;
    let (at, hash) = (core.now(), hash.as_str());
    let uid = chandler_model::Uid(uuid::Uuid::now_v7());
    let new = NewUser {
        uid,
        at,
        login: STRANGER,
        handle: STRANGER,
        email: "stranger@example.com",
        password_hash: hash,
        is_admin: false,
    };
    let new = &new;
    let made: Result<_, Error> = core.db().write(async |tx: &mut Tx| users::insert(tx, new).await).await;
    made?;
    Ok(())
}

async fn token(core: &Core, login: &str, dialect: Dialect) -> Result<String> {
    let actor = core.act_as(login).await?;
    let cx = Cx { actor, dialect, request_id: "test".to_owned(), source: None, now: core.now() };
    let (_, secret) = core.create_token(&cx, TokenInput::default()).await?;
    Ok(secret.expose_secret().to_owned())
}
