//! Workspaces: what flows are applied to, with the versions of their state.

use axum::extract::State;
use chandler_core::workspaces::{WorkspaceFilter, WorkspaceInput, WorkspacePatch};
use chandler_model::errors::Code;
use chandler_model::jobs::Job;
use chandler_model::organizations::Organization;
use chandler_model::paging::PageRequest;
use chandler_model::users::User;
use chandler_model::workspaces::{Flavour, Origin, StateVersion, Workspace};
use chandler_model::{Id, Uid};
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use crate::auth::Caller;
use crate::failure::Outcome;
use crate::input::{Body, Empty, Fields, FromFields, IfMatch, MayBody, Named, Query, Referred, Segments};
use crate::output;
use crate::state::Api;

#[derive(Serialize)]
struct View<'a> {
    id: Id<Workspace>,
    uid: Uid,
    organization_id: Id<Organization>,
    flavour: Flavour,
    name: &'a str,
    description: Option<&'a str>,
    locked: bool,
    lock_note: Option<&'a str>,
    created_at: Timestamp,
    updated_at: Timestamp,
    created_by: Option<Id<User>>,
    updated_by: Option<Id<User>>,
    version: i64,
}

#[derive(Serialize)]
struct StateView<'a> {
    id: Id<StateVersion>,
    uid: Uid,
    workspace_id: Id<Workspace>,
    origin: Origin,
    serial: Option<i64>,
    lineage: Option<&'a str>,
    job_id: Option<Id<Job>>,
    attempt: Option<i64>,
    size: i64,
    created_at: Timestamp,
    created_by: Option<Id<User>>,
}

impl<'a> View<'a> {
    fn of(row: &'a Workspace) -> Self {
        Self {
            id: row.id,
            uid: row.uid,
            organization_id: row.organization_id,
            flavour: row.flavour,
            name: &row.name,
            description: row.description.as_deref(),
            locked: row.locked,
            lock_note: row.lock_note.as_deref(),
            created_at: row.created_at,
            updated_at: row.updated_at,
            created_by: row.created_by,
            updated_by: row.updated_by,
            version: row.version,
        }
    }
}

impl<'a> StateView<'a> {
    fn of(row: &'a StateVersion) -> Self {
        Self {
            id: row.id,
            uid: row.uid,
            workspace_id: row.workspace_id,
            origin: row.origin,
            serial: row.serial,
            lineage: row.lineage.as_deref(),
            job_id: row.job_id,
            attempt: row.attempt,
            size: row.size,
            created_at: row.created_at,
            created_by: row.created_by,
        }
    }
}

impl Referred for Workspace {
    const RESOURCE: &'static str = "workspace";
}

impl FromFields for WorkspaceInput {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let (organization, name) = (fields.required("organization_id"), fields.required("name"));
        let description = fields.optional("description");
        Some(Self { organization: organization?, name: name?, description })
    }
}

impl FromFields for WorkspacePatch {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        fields.refuse("organization_id", Code::ReadOnly);
        Some(Self { name: fields.given("name"), description: fields.patch("description") })
    }
}

impl FromFields for WorkspaceFilter {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { organization: fields.given("organization_id"), name: fields.given("name") })
    }
}

/// Why it is locked.
#[derive(Debug)]
pub(crate) struct Lock {
    note: Option<String>,
}

impl FromFields for Lock {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { note: fields.optional("note") })
    }
}

pub(crate) async fn list(
    State(api): State<Api>,
    Caller(cx): Caller,
    Query((filter, page)): Query<(WorkspaceFilter, PageRequest)>,
) -> Outcome {
    let page = api.core.list_workspaces(&cx, &filter, page).await?;
    output::list(&page, View::of)
}

pub(crate) async fn create(
    State(api): State<Api>,
    Caller(cx): Caller,
    _: Query<()>,
    Body(input): Body<WorkspaceInput>,
) -> Outcome {
    let row = api.core.create_workspace(&cx, input).await?;
    let response = output::versioned(StatusCode::CREATED, row.version, &View::of(&row))?;
    output::located(response, "workspaces", row.id.get())
}

pub(crate) async fn show(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Workspace>,
    _: Query<()>,
) -> Outcome {
    shown(&api.core.get_workspace(&cx, id).await?)
}

pub(crate) async fn update(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Workspace>,
    _: Query<()>,
    if_match: IfMatch,
    Body(patch): Body<WorkspacePatch>,
) -> Outcome {
    let present = async { Ok(api.core.get_workspace(&cx, id.clone()).await?.version) };
    let version = if_match.version(present).await?;
    shown(&api.core.update_workspace(&cx, id, version, patch).await?)
}

pub(crate) async fn delete(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Workspace>,
    _: Query<()>,
    if_match: IfMatch,
    _: Empty,
) -> Outcome {
    if_match.check(async { Ok(api.core.get_workspace(&cx, id.clone()).await?.version) }).await?;
    api.core.delete_workspace(&cx, id).await?;
    output::nothing()
}

pub(crate) async fn lock(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Workspace>,
    _: Query<()>,
    MayBody(Lock { note }): MayBody<Lock>,
) -> Outcome {
    shown(&api.core.lock_workspace(&cx, id, note).await?)
}

pub(crate) async fn unlock(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Workspace>,
    _: Query<()>,
    _: Empty,
) -> Outcome {
    shown(&api.core.unlock_workspace(&cx, id).await?)
}

fn shown(row: &Workspace) -> Outcome {
    output::versioned(StatusCode::OK, row.version, &View::of(row))
}

pub(crate) async fn states(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Workspace>,
    Query(page): Query<PageRequest>,
) -> Outcome {
    let page = api.core.list_states(&cx, id, page).await?;
    output::list(&page, StateView::of)
}

pub(crate) async fn state_content(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Workspace>,
    segments: Segments,
    _: Query<()>,
) -> Outcome {
    let bytes = api.core.state_content(&cx, id, Id::new(segments.number("state"))).await?;
    output::bytes("application/octet-stream", bytes)
}
