//! Templates: work that is launched again and again.

use axum::extract::State;
use chandler_core::templates::{RETRIES_MAX, TemplateFilter, TemplateInput, TemplatePatch};
use chandler_model::environments::Environment;
use chandler_model::errors::Code;
use chandler_model::organizations::Organization;
use chandler_model::paging::PageRequest;
use chandler_model::templates::{ScriptSpec, Template, TemplateKind, TemplateRevision, TemplateSpec};
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

#[derive(Serialize)]
#[serde(untagged)]
enum SpecView<'a> {
    Script(ScriptView<'a>),
    /// As it is stored.
    Other(&'a TemplateSpec),
}

/// [`ScriptSpec`] with every key, the unset ones as null.
#[derive(Serialize)]
struct ScriptView<'a> {
    kind: TemplateKind,
    script: &'a str,
    args: &'a [String],
    may_repeat: bool,
    retries: u16,
    timeout_s: Option<u32>,
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
        let TemplateSpec::Script(ScriptSpec { script, args, may_repeat, retries, timeout_s }) = spec else {
            return Self::Other(spec);
        };
        Self::Script(ScriptView {
            kind: TemplateKind::Script,
            script,
            args,
            may_repeat: *may_repeat,
            retries: *retries,
            timeout_s: *timeout_s,
        })
    }
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
        match fields.required::<Words<TemplateKind>>("kind") {
            // Without a kind its fields are read as those of the only one, so that they are told as well.
            None => ScriptSpec::from_fields(fields).and(None),
            Some(Words(TemplateKind::Script)) => ScriptSpec::from_fields(fields).map(Self::Script),
            Some(Words(TemplateKind::Ansible | TemplateKind::Flow | TemplateKind::Workload)) => {
                fields.wrong("kind", Code::NotOneOf { words: vec!["script"] })
            }
        }
    }
}

impl FromFields for ScriptSpec {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let (script, args) = (fields.required("script"), fields.given("args"));
        let may_repeat = fields.given("may_repeat");
        let retries: Option<Within<0, { RETRIES_MAX as i64 }>> = fields.given("retries");
        let timeout: Option<Within<1, { u32::MAX as i64 }>> = fields.optional("timeout_s");
        Some(Self {
            script: script?,
            args: args.unwrap_or_default(),
            may_repeat: may_repeat.unwrap_or_default(),
            retries: retries.and_then(|times| u16::try_from(times.0).ok()).unwrap_or_default(),
            timeout_s: timeout.and_then(|seconds| u32::try_from(seconds.0).ok()),
        })
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
