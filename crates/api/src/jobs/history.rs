//! What happened to a job: its attempts, and every step from one state to the next, in the core's own words.

use axum::extract::State;
use chandler_core::jobs::{Attempt, Transition};
use chandler_model::jobs::Job;
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use crate::auth::Caller;
use crate::failure::Outcome;
use crate::input::{Named, Query};
use crate::output;
use crate::state::Api;

#[derive(Serialize)]
struct View<'a> {
    attempts: Vec<AttemptView<'a>>,
    transitions: Vec<TransitionView<'a>>,
}

#[derive(Serialize)]
struct AttemptView<'a> {
    attempt: i64,
    worker: &'a str,
    state: &'a str,
    exit_code: Option<i64>,
    /// What it ran in.
    image: Option<&'a str>,
    digest: Option<&'a str>,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct TransitionView<'a> {
    seq: i64,
    at: Timestamp,
    event: &'a str,
    state: &'a str,
    stage: Option<&'a str>,
    outcome: Option<&'a str>,
    actor: Option<&'a str>,
}

impl<'a> AttemptView<'a> {
    fn of(row: &'a Attempt) -> Self {
        let Attempt { attempt, node, state, exit_code, image, digest, started_at, finished_at } = row;
        Self {
            attempt: *attempt,
            worker: node,
            state,
            exit_code: *exit_code,
            image: image.as_deref(),
            digest: digest.as_deref(),
            started_at: *started_at,
            finished_at: *finished_at,
        }
    }
}

impl<'a> TransitionView<'a> {
    fn of(row: &'a Transition) -> Self {
        let Transition { seq, at, what, state, stage, outcome, actor } = row;
        Self {
            seq: *seq,
            at: *at,
            event: what,
            state,
            stage: stage.as_deref(),
            outcome: outcome.as_deref(),
            actor: actor.as_deref(),
        }
    }
}

pub(crate) async fn history(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Job>,
    _: Query<()>,
) -> Outcome {
    let (attempts, transitions) = api.core.job_history(&cx, id).await?;
    let attempts = attempts.iter().map(AttemptView::of).collect();
    let transitions = transitions.iter().map(TransitionView::of).collect();
    output::json(StatusCode::OK, &View { attempts, transitions })
}
