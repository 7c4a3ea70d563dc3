//! Templates: work that is launched again and again. What the content of a kind looks like stands in the file of that
//! kind.

mod ansible;
mod flow;
mod script;
mod workload;

use axum::extract::State;
use chandler_core::templates::{RETRIES_MAX, TemplateFilter, TemplateInput, TemplatePatch};
use chandler_model::environments::Environment;
use chandler_model::errors::Code;
use chandler_model::organizations::Organization;
use chandler_model::paging::PageRequest;
use chandler_model::templates::{
    AnsibleSpec, FlowSpec, ScriptSpec, Template, TemplateKind, TemplateRevision, TemplateSpec, WorkloadSpec,
};
use chandler_model::users::User;
use chandler_model::{Id, Uid};
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use crate::auth::Caller;
use crate::failure::Outcome;
use crate::input::{Body, Empty, Fields, FromFields, IfMatch, Named, Query, Referred, Within, Words};
use crate::output;
use crate::state::Api;

#[derive(Serialize)]
struct View<'a> {
    id: Id<Template>,
    uid: Uid,
    organization_id: Id<Organization>,
    kind: TemplateKind,
    name: &'a str,
    description: Option<&'a str>,
    environment_id: Option<Id<Environment>>,
    revision_id: Id<TemplateRevision>,
    spec: SpecView<'a>,
    created_at: Timestamp,
    updated_at: Timestamp,
    created_by: Option<Id<User>>,
    updated_by: Option<Id<User>>,
    version: i64,
}

/// [`TemplateSpec`] with every key, the unset ones as null.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum SpecView<'a> {
    Script(script::View<'a>),
    Ansible(ansible::View<'a>),
    Flow(flow::View<'a>),
    Workload(workload::View<'a>),
}

impl<'a> View<'a> {
    fn of(row: &'a Template) -> Self {
        Self {
            id: row.id,
            uid: row.uid,
            organization_id: row.organization_id,
            kind: row.kind,
            name: &row.name,
            description: row.description.as_deref(),
            environment_id: row.environment_id,
            revision_id: row.active_revision_id,
            spec: SpecView::of(&row.spec),
            created_at: row.created_at,
            updated_at: row.updated_at,
            created_by: row.created_by,
            updated_by: row.updated_by,
            version: row.version,
        }
    }
}

impl<'a> SpecView<'a> {
    fn of(spec: &'a TemplateSpec) -> Self {
        match spec {
            TemplateSpec::Script(spec) => Self::Script(script::View::of(spec)),
            TemplateSpec::Ansible(spec) => Self::Ansible(ansible::View::of(spec)),
            TemplateSpec::Flow(spec) => Self::Flow(flow::View::of(spec)),
            TemplateSpec::Workload(spec) => Self::Workload(workload::View::of(spec)),
        }
    }
}

/// A number of seconds, or none.
fn timeout(fields: &mut Fields<'_>) -> Option<u32> {
    let seconds: Option<Within<1, { u32::MAX as i64 }>> = fields.optional("timeout_s");
    seconds.and_then(|seconds| u32::try_from(seconds.0).ok())
}

fn retries(fields: &mut Fields<'_>) -> u16 {
    let times: Option<Within<0, { RETRIES_MAX as i64 }>> = fields.given("retries");
    times.and_then(|times| u16::try_from(times.0).ok()).unwrap_or_default()
}

impl Referred for Template {
    const RESOURCE: &'static str = "template";
}

impl FromFields for TemplateInput {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let (organization, name) = (fields.required("organization_id"), fields.required("name"));
        let (description, environment) = (fields.optional("description"), fields.optional("environment_id"));
        let spec = fields.required("spec");
        Some(Self { organization: organization?, name: name?, description, environment, spec: spec? })
    }
}

impl FromFields for TemplatePatch {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        fields.refuse("organization_id", Code::ReadOnly);
        let (name, description) = (fields.given("name"), fields.patch("description"));
        let environment = fields.patch("environment_id");
        Some(Self { name, description, environment, spec: fields.given("spec") })
    }
}

impl FromFields for TemplateSpec {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        match fields.required("kind") {
            // Nobody knows what its fields are then.
            None => fields.leave_rest(),
            Some(Words(TemplateKind::Script)) => ScriptSpec::from_fields(fields).map(Self::Script),
            Some(Words(TemplateKind::Ansible)) => AnsibleSpec::from_fields(fields).map(Self::Ansible),
            Some(Words(TemplateKind::Flow)) => FlowSpec::from_fields(fields).map(Self::Flow),
            Some(Words(TemplateKind::Workload)) => WorkloadSpec::from_fields(fields).map(Self::Workload),
        }
    }
}

impl FromFields for TemplateFilter {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { organization: fields.given("organization_id"), name: fields.given("name") })
    }
}

pub(crate) async fn list(
    State(api): State<Api>,
    Caller(cx): Caller,
    Query((filter, page)): Query<(TemplateFilter, PageRequest)>,
) -> Outcome {
    let page = api.core.list_templates(&cx, &filter, page).await?;
    output::list(&page, View::of)
}

pub(crate) async fn create(
    State(api): State<Api>,
    Caller(cx): Caller,
    _: Query<()>,
    Body(input): Body<TemplateInput>,
) -> Outcome {
    let row = api.core.create_template(&cx, input).await?;
    let response = output::versioned(StatusCode::CREATED, row.version, &View::of(&row))?;
    output::located(response, "templates", row.id.get())
}

pub(crate) async fn show(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Template>,
    _: Query<()>,
) -> Outcome {
    let row = api.core.get_template(&cx, id).await?;
    output::versioned(StatusCode::OK, row.version, &View::of(&row))
}

pub(crate) async fn update(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Template>,
    _: Query<()>,
    if_match: IfMatch,
    Body(patch): Body<TemplatePatch>,
) -> Outcome {
    let present = async { Ok(api.core.get_template(&cx, id.clone()).await?.version) };
    let version = if_match.version(present).await?;
    let row = api.core.update_template(&cx, id, version, patch).await?;
    output::versioned(StatusCode::OK, row.version, &View::of(&row))
}

pub(crate) async fn delete(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Template>,
    _: Query<()>,
    if_match: IfMatch,
    _: Empty,
) -> Outcome {
    if_match.check(async { Ok(api.core.get_template(&cx, id.clone()).await?.version) }).await?;
    api.core.delete_template(&cx, id).await?;
    output::nothing()
}
