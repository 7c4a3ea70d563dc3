//! API tokens: 256 random bits behind a recognisable prefix, shown once, kept as their SHA-256.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chandler_model::errors::Code;
use chandler_model::ids::Selector;
use chandler_model::kinds::Action;
use chandler_model::names;
use chandler_model::paging::{Page, PageRequest};
use chandler_model::tokens::{Token, TokenKind};
use chandler_model::users::UserStatus;
use chandler_store::tokens::{self, NewToken};
use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::Core;
use crate::authz::{self, Access};
use crate::cx::{Actor, Cx};
use crate::error::{Error, Kind, Result, Unauthenticated};
use crate::input::Check;

/// What every native token begins with, so that leak scanners and people recognise it.
pub const PREFIX: &str = "chd_";
/// Longest name of a token, in characters.
pub const NAME_MAX: usize = 128;
/// Longest life that can be asked for, in seconds: ten years.
pub const LIFETIME_MAX_S: i64 = 10 * 365 * 86_400;

/// What is asked for with a new token.
#[derive(Clone, Debug, Default)]
pub struct TokenInput {
    pub name: Option<String>,
    /// 1…=[`LIFETIME_MAX_S`]; none = until it is deleted.
    pub lifetime_s: Option<i64>,
}

impl Core {
    /// Who shows that token in that dialect.
    ///
    /// # Errors
    /// `Unauthenticated` for an unknown, expired or foreign token and for a suspended owner alike.
    pub async fn authenticate(&self, cx_dialect: chandler_model::Dialect, secret: &str) -> Result<Actor> {
        let found = tokens::presented(self.db(), &digest(secret), authz::SYSTEM_ADMIN, authz::SYSTEM_SCOPE).await?;
        let now = self.now();
        match found {
            Some(token)
                if token.dialect == cx_dialect
                    && token.status != UserStatus::Suspended
                    && token.expires_at.is_none_or(|at| at > now) =>
            {
                let access = Arc::new(Access::of(token.holds));
                Ok(Actor::Person { id: token.user_id, login: token.login, access })
            }
            _ => Err(Kind::Unauthenticated { why: Unauthenticated::Wrong }.into()),
        }
    }

    /// Makes a token for the actor. The secret is returned here and never again.
    pub async fn create_token(&self, cx: &Cx, input: TokenInput) -> Result<(Token, SecretString)> {
        let permit = authz::create_own_token(cx)?;
        let mut check = Check::default();
        let name = input.name.as_deref().map(names::check_name).transpose();
        let name = check.take("name", name);
        check.require(
            name.as_ref().is_none_or(|name| name.chars().count() <= NAME_MAX),
            "name",
            Code::TooLong { max: NAME_MAX },
        );
        check.require(
            input.lifetime_s.is_none_or(|s| (1..=LIFETIME_MAX_S).contains(&s)),
            "lifetime_s",
            Code::Range { min: 1, max: LIFETIME_MAX_S },
        );
        check.done()?;
        let user_id = cx.user_id().ok_or_else(|| Error::internal("a token without a person"))?;
        let secret = new_secret();
        let hash = digest(&secret);
        let expires_at = input.lifetime_s.map(|s| later(cx.now, s));
        let new = NewToken {
            uid: self.uid(),
            at: cx.now,
            kind: TokenKind::Api,
            dialect: cx.dialect,
            user_id,
            name: name.as_deref(),
            secret_hash: &hash,
            expires_at,
        };
        let token = self
            .write(cx, async |w| {
                let token = tokens::insert(w.tx, &new).await?;
                w.created(&permit, &token)?;
                Ok(token)
            })
            .await?;
        Ok((token, secret.into()))
    }

    /// The actor's own tokens, by id.
    pub async fn list_tokens(&self, cx: &Cx, page: PageRequest) -> Result<Page<Token>> {
        let Some(user) = cx.user_id() else { return Ok(Page { rows: Vec::new(), next: None }) };
        let rows = tokens::of_user(self.db(), user, page).await?;
        Ok(Page::of_one_more(rows, page.limit, |token| token.id.get()))
    }

    /// Ends one of the actor's own tokens.
    pub async fn delete_token(&self, cx: &Cx, selector: impl Into<Selector<Token>>) -> Result<()> {
        let token = authz::find_own_token(self, cx, Action::Delete, selector.into()).await?;
        self.write(cx, async |w| {
            tokens::delete(w.tx, token.id).await?;
            w.deleted(&token, &token);
            Ok(())
        })
        .await
    }
}

fn new_secret() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// What is stored of a secret, and looked up: 256 random bits need no slow hash.
fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}
