//! The steps of a job, and the files that they left.

use axum::extract::State;
use chandler_core::jobs::File;
use chandler_model::Id;
use chandler_model::jobs::{Job, JobStep, StepKind, StepState, Success, Verdict};
use chandler_model::users::User;
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use crate::auth::Caller;
use crate::failure::Outcome;
use crate::input::{Named, Query, Segments};
use crate::output;
use crate::state::Api;

#[derive(Serialize)]
struct View<'a> {
    steps: Vec<StepView<'a>>,
}

#[derive(Serialize)]
struct StepView<'a> {
    number: i64,
    name: &'a str,
    kind: StepKind,
    state: StepState,
    /// It is not begun before somebody approved it.
    approval: bool,
    decision: Option<DecisionView>,
    outcome: Option<Success>,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    files: Vec<FileView<'a>>,
}

#[derive(Serialize)]
struct DecisionView {
    verdict: Verdict,
    by: Option<Id<User>>,
    at: Timestamp,
}

#[derive(Serialize)]
struct FileView<'a> {
    name: &'a str,
    /// In bytes.
    size: i64,
}

impl<'a> StepView<'a> {
    fn of(step: &'a JobStep, files: &'a [File]) -> Self {
        let JobStep { number, kind, state, needs_decision, outcome, started_at, finished_at, .. } = *step;
        let own = files.iter().filter(|file| file.step == number);
        Self {
            number,
            name: &step.name,
            kind,
            state,
            approval: needs_decision,
            decision: step.decision.map(|made| DecisionView { verdict: made.verdict, by: made.by, at: made.at }),
            outcome,
            started_at,
            finished_at,
            files: own.map(|file| FileView { name: &file.name, size: file.size }).collect(),
        }
    }
}

pub(crate) async fn steps(State(api): State<Api>, Caller(cx): Caller, Named(id): Named<Job>, _: Query<()>) -> Outcome {
    let (steps, files) = api.core.job_steps(&cx, id).await?;
    let steps = steps.iter().map(|step| StepView::of(step, &files)).collect();
    output::json(StatusCode::OK, &View { steps })
}

pub(crate) async fn file(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Job>,
    segments: Segments,
    _: Query<()>,
) -> Outcome {
    let name = segments.text("name");
    let bytes = api.core.job_file(&cx, id, segments.number("n"), name).await?;
    let media = if name.ends_with("json") { "application/json" } else { "application/octet-stream" };
    output::bytes(media, bytes)
}
