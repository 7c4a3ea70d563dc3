//! Every route of the native API. A test reads this file: each line of it has a row in the table of who may use it.

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{delete, get, post};
use chandler_core::Core;
use tokio_util::sync::CancellationToken;

use crate::state::Api;
use crate::{
    credential_types, credentials, environments, failure, jobs, me, organizations, templates, tokens, workspaces,
};

/// The routes below `/api/v1`, without the generic layers: the server puts `chandler_wire::layers` around them, with
/// [`render_outer`](crate::render_outer). Log streams end when `stop` fires.
pub fn router(core: Core, stop: CancellationToken) -> Router {
    let routes = Router::new()
        .route("/", get(me::server))
        .route("/me", get(me::show))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{id}", delete(tokens::delete))
        // The catalog.
        .route("/organizations", get(organizations::list).post(organizations::create))
        .route(
            "/organizations/{id}",
            get(organizations::show).patch(organizations::update).delete(organizations::delete),
        )
        .route("/credential-types", get(credential_types::list))
        .route("/credential-types/{id}", get(credential_types::show))
        .route("/credentials", get(credentials::list).post(credentials::create))
        .route("/credentials/{id}", get(credentials::show).patch(credentials::update).delete(credentials::delete))
        .route("/environments", get(environments::list).post(environments::create))
        .route("/environments/{id}", get(environments::show).patch(environments::update).delete(environments::delete))
        .route("/templates", get(templates::list).post(templates::create))
        .route("/templates/{id}", get(templates::show).patch(templates::update).delete(templates::delete))
        // Work.
        .route("/jobs", get(jobs::list).post(jobs::launch))
        .route("/jobs/{id}", get(jobs::show).delete(jobs::delete))
        .route("/jobs/{id}/cancel", post(jobs::cancel))
        .route("/jobs/{id}/suspend", post(jobs::suspend))
        .route("/jobs/{id}/resume", post(jobs::resume))
        .route("/jobs/{id}/approve", post(jobs::approve))
        .route("/jobs/{id}/reject", post(jobs::reject))
        .route("/jobs/{id}/history", get(jobs::history))
        .route("/jobs/{id}/log", get(jobs::log))
        .route("/jobs/{id}/events", get(jobs::events))
        .route("/jobs/{id}/steps", get(jobs::steps))
        .route("/jobs/{id}/steps/{n}/files/{name}", get(jobs::file))
        // What flows are applied to.
        .route("/workspaces", get(workspaces::list).post(workspaces::create))
        .route("/workspaces/{id}", get(workspaces::show).patch(workspaces::update).delete(workspaces::delete))
        .route("/workspaces/{id}/lock", post(workspaces::lock))
        .route("/workspaces/{id}/unlock", post(workspaces::unlock))
        .route("/workspaces/{id}/states", get(workspaces::states))
        .route("/workspaces/{id}/states/{state}/content", get(workspaces::state_content))
        .layer(from_fn(failure::word))
        .with_state(Api::new(core, stop));
    Router::new().nest("/api/v1", routes)
}
