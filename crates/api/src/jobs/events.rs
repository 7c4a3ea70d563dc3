//! The task events of an Ansible job: what it did, one by one.

use axum::extract::State;
use chandler_core::Error;
use chandler_model::jobs::Job;
use chandler_model::paging::{LIMIT_DEFAULT, LIMIT_MAX};
use chandler_model::task_events::TaskEvent;
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::auth::Caller;
use crate::failure::Outcome;
use crate::input::{Fields, FromFields, Named, Query, Within};
use crate::output;
use crate::state::Api;

/// Events after a known one. It is named by its counter, so that a client can go on after the last page too.
#[derive(Debug)]
pub(crate) struct Wish {
    after: i64,
    limit: u32,
}

impl FromFields for Wish {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let after: Option<Within<0, { i64::MAX }>> = fields.given("after");
        let limit: Option<Within<1, { LIMIT_MAX as i64 }>> = fields.given("limit");
        let limit = limit.and_then(|rows| u32::try_from(rows.0).ok()).unwrap_or(LIMIT_DEFAULT);
        Some(Self { after: after.map_or(0, |after| after.0), limit })
    }
}

#[derive(Serialize)]
struct View<'a> {
    items: Vec<EventView<'a>>,
    /// To be sent as `after` for the next page.
    next: Option<i64>,
}

#[derive(Serialize)]
struct EventView<'a> {
    counter: i64,
    at: Timestamp,
    uuid: Uuid,
    parent_uuid: Option<Uuid>,
    event: &'a str,
    host: Option<&'a str>,
    play: Option<&'a str>,
    task: Option<&'a str>,
    role: Option<&'a str>,
    failed: bool,
    changed: bool,
    data: Value,
    stdout: &'a str,
    /// Of its text in the job's log, from 1.
    first_line: i64,
    lines: i64,
}

impl<'a> EventView<'a> {
    fn of(row: &'a TaskEvent) -> Result<Self, Error> {
        Ok(Self {
            counter: row.counter,
            at: row.at,
            uuid: row.uuid,
            parent_uuid: row.parent_uuid,
            event: &row.event,
            host: row.host_name.as_deref(),
            play: row.play.as_deref(),
            task: row.task.as_deref(),
            role: row.role.as_deref(),
            failed: row.failed,
            changed: row.changed,
            // The two engines keep the text of JSON differently; read, it is the same.
            data: serde_json::from_str(&row.data.0).map_err(Error::internal)?,
            stdout: &row.stdout,
            first_line: row.start_line + 1,
            lines: row.end_line - row.start_line,
        })
    }
}

pub(crate) async fn events(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Job>,
    Query(Wish { after, limit }): Query<Wish>,
) -> Outcome {
    let mut rows = api.core.job_events(&cx, id, after, limit + 1).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|last| last.counter);
    let items = rows.iter().map(EventView::of).collect::<Result<_, _>>()?;
    output::json(StatusCode::OK, &View { items, next })
}
