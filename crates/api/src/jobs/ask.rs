//! What people ask of a job: to go on, to stop, to be gone.

use axum::extract::State;
use chandler_core::Error;
use chandler_model::jobs::Job;
use http::StatusCode;

use super::view::View;
use crate::auth::Caller;
use crate::failure::Outcome;
use crate::input::{Body, Empty, Fields, FromFields, Named, Query, Within};
use crate::output;
use crate::state::Api;

/// The step that a decision is about: the one that its maker saw.
#[derive(Debug)]
pub(crate) struct Decision {
    step: i64,
}

impl FromFields for Decision {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let step: Option<Within<1, { i64::MAX }>> = fields.required("step");
        Some(Self { step: step?.0 })
    }
}

pub(crate) async fn approve(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Job>,
    _: Query<()>,
    Body(decision): Body<Decision>,
) -> Outcome {
    done(api.core.approve_job(&cx, id, decision.step).await)
}

pub(crate) async fn reject(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Job>,
    _: Query<()>,
    Body(decision): Body<Decision>,
) -> Outcome {
    done(api.core.reject_job(&cx, id, decision.step).await)
}

pub(crate) async fn suspend(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Job>,
    _: Query<()>,
    _: Empty,
) -> Outcome {
    accepted(api.core.suspend_job(&cx, id).await)
}

pub(crate) async fn resume(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Job>,
    _: Query<()>,
    _: Empty,
) -> Outcome {
    done(api.core.resume_job(&cx, id).await)
}

pub(crate) async fn cancel(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Job>,
    _: Query<()>,
    _: Empty,
) -> Outcome {
    accepted(api.core.cancel_job(&cx, id).await)
}

pub(crate) async fn delete(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Job>,
    _: Query<()>,
    _: Empty,
) -> Outcome {
    api.core.delete_job(&cx, id).await?;
    output::nothing()
}

fn done(job: Result<Job, Error>) -> Outcome {
    output::json(StatusCode::OK, &View::of(&job?))
}

/// Not done yet: a job that runs stands still when its worker has stopped it.
fn accepted(job: Result<Job, Error>) -> Outcome {
    output::json(StatusCode::ACCEPTED, &View::of(&job?))
}
