//! The caller's own tokens.

use axum::extract::State;
use chandler_core::tokens::{LIFETIME_MAX_S, TokenInput};
use chandler_model::paging::PageRequest;
use chandler_model::tokens::Token;
use chandler_model::{Dialect, Id, Uid};
use http::StatusCode;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::auth::Caller;
use crate::failure::Outcome;
use crate::input::{Body, Empty, Fields, FromFields, Named, Query, Within};
use crate::output;
use crate::state::Api;

#[derive(Serialize)]
struct View<'a> {
    id: Id<Token>,
    uid: Uid,
    name: Option<&'a str>,
    dialect: Dialect,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl<'a> View<'a> {
    fn of(row: &'a Token) -> Self {
        let Token { id, uid, created_at, kind: _, dialect, user_id: _, name, expires_at } = row;
        Self {
            id: *id,
            uid: *uid,
            name: name.as_deref(),
            dialect: *dialect,
            created_at: *created_at,
            expires_at: *expires_at,
        }
    }
}

/// A token on the one occasion when its secret is shown.
#[derive(Serialize)]
struct Made<'a> {
    #[serde(flatten)]
    view: View<'a>,
    token: &'a str,
}

impl FromFields for TokenInput {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let lifetime: Option<Within<1, LIFETIME_MAX_S>> = fields.optional("lifetime_s");
        Some(Self { name: fields.optional("name"), lifetime_s: lifetime.map(|seconds| seconds.0) })
    }
}

pub(crate) async fn list(State(api): State<Api>, Caller(cx): Caller, Query(page): Query<PageRequest>) -> Outcome {
    let page = api.core.list_tokens(&cx, page).await?;
    output::list(&page, View::of)
}

pub(crate) async fn create(
    State(api): State<Api>,
    Caller(cx): Caller,
    _: Query<()>,
    Body(input): Body<TokenInput>,
) -> Outcome {
    let (row, secret) = api.core.create_token(&cx, input).await?;
    output::json(StatusCode::CREATED, &Made { view: View::of(&row), token: secret.expose_secret() })
}

pub(crate) async fn delete(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Token>,
    _: Query<()>,
    _: Empty,
) -> Outcome {
    api.core.delete_token(&cx, id).await?;
    output::nothing()
}
