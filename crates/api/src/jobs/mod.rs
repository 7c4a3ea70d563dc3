//! Jobs: launched, listed, watched, and asked for this and that.

mod ask;
mod events;
mod history;
mod launch;
mod log;
mod steps;
mod stream;
mod text;
mod view;
mod words;

use axum::extract::State;
use chandler_core::jobs::JobFilter;
use chandler_model::jobs::{Job, JobKind};
use chandler_model::paging::PageRequest;
use http::StatusCode;

pub(crate) use ask::{approve, cancel, delete, reject, resume, suspend};
pub(crate) use events::events;
pub(crate) use history::history;
pub(crate) use launch::launch;
pub(crate) use log::log;
pub(crate) use steps::{file, steps};

use crate::auth::Caller;
use crate::failure::Outcome;
use crate::input::{Fields, FromFields, Named, Query, Words};
use crate::output;
use crate::state::Api;
use view::View;
use words::Status;

impl FromFields for JobFilter {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let (organization, template) = (fields.given("organization_id"), fields.given("template_id"));
        let state: Option<Words<Status>> = fields.given("state");
        let workspace = fields.given("workspace_id");
        let kind: Option<Words<JobKind>> = fields.given("kind");
        let (kind, standing) = (kind.map(|Words(kind)| kind), state.map(|Words(word)| word.standing()));
        Some(Self { organization, template, workspace, kind, standing })
    }
}

pub(crate) async fn list(
    State(api): State<Api>,
    Caller(cx): Caller,
    Query((filter, page)): Query<(JobFilter, PageRequest)>,
) -> Outcome {
    let page = api.core.list_jobs(&cx, &filter, page).await?;
    output::list(&page, View::of)
}

pub(crate) async fn show(State(api): State<Api>, Caller(cx): Caller, Named(id): Named<Job>, _: Query<()>) -> Outcome {
    let job = api.core.get_job(&cx, id).await?;
    output::json(StatusCode::OK, &View::of(&job))
}
