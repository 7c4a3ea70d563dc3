//! The server itself, and who asks it.

use axum::extract::State;
use chandler_model::users::{User, UserStatus};
use chandler_model::{Id, Uid};
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use crate::auth::Caller;
use crate::failure::Outcome;
use crate::input::Query;
use crate::output;
use crate::state::Api;

#[derive(Serialize)]
struct Server {
    name: &'static str,
    version: &'static str,
}

/// What this is: the one answer that needs no log-in.
pub(crate) async fn server(_: Query<()>) -> Outcome {
    output::json(StatusCode::OK, &Server { name: "chandler", version: env!("CARGO_PKG_VERSION") })
}

#[derive(Serialize)]
struct View<'a> {
    id: Id<User>,
    uid: Uid,
    login: &'a str,
    email: &'a str,
    status: UserStatus,
    is_admin: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

pub(crate) async fn show(State(api): State<Api>, Caller(cx): Caller, _: Query<()>) -> Outcome {
    let user = api.core.me(&cx).await?;
    let User { id, uid, login, email, status, is_admin, created_at, updated_at, .. } = &user;
    let view = View {
        id: *id,
        uid: *uid,
        login,
        email,
        status: *status,
        is_admin: *is_admin,
        created_at: *created_at,
        updated_at: *updated_at,
    };
    output::json(StatusCode::OK, &view)
}
