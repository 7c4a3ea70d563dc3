//! Environments: what jobs run in.

use axum::extract::State;
use chandler_core::environments::{EnvironmentFilter, EnvironmentInput, EnvironmentPatch};
use chandler_model::credentials::Credential;
use chandler_model::environments::{Environment, Pull};
use chandler_model::errors::Code;
use chandler_model::kinds::Scope;
use chandler_model::organizations::Organization;
use chandler_model::paging::PageRequest;
use chandler_model::run_spec::{EnvVar, RunSpec};
use chandler_model::users::User;
use chandler_model::{Id, Patch, Uid};
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use crate::auth::Caller;
use crate::failure::Outcome;
use crate::input::{Body, Empty, Fields, FromFields, IfMatch, Named, Query, Referred, Words};
use crate::output;
use crate::state::Api;

#[derive(Serialize)]
struct View<'a> {
    id: Id<Environment>,
    uid: Uid,
    organization_id: Option<Id<Organization>>,
    scope: Scope,
    name: &'a str,
    description: Option<&'a str>,
    image: Option<&'a str>,
    pull: Option<Pull>,
    credential_id: Option<Id<Credential>>,
    managed: bool,
    spec: RunView<'a>,
    pinned_digest: Option<&'a str>,
    seen_digest: Option<&'a str>,
    seen_at: Option<Timestamp>,
    /// The last job has met another image under this name than the pinned one.
    drift: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
    created_by: Option<Id<User>>,
    updated_by: Option<Id<User>>,
    version: i64,
}

/// [`RunSpec`] with every key, the unset ones as null.
#[derive(Serialize)]
pub(crate) struct RunView<'a> {
    command: Option<&'a str>,
    args: Option<&'a str>,
    working_dir: Option<&'a str>,
    env: Vec<VarView<'a>>,
    create_home: Option<bool>,
    stdin: Option<bool>,
    tty: Option<bool>,
}

#[derive(Serialize)]
struct VarView<'a> {
    name: &'a str,
    value: Option<&'a str>,
    description: Option<&'a str>,
}

impl<'a> View<'a> {
    fn of(row: &'a Environment) -> Self {
        Self {
            id: row.id,
            uid: row.uid,
            organization_id: row.organization_id,
            scope: row.scope,
            name: &row.name,
            description: row.description.as_deref(),
            image: row.image.as_deref(),
            pull: row.pull,
            credential_id: row.credential_id,
            managed: row.managed,
            spec: RunView::of(&row.spec),
            pinned_digest: row.pinned_digest.as_deref(),
            seen_digest: row.seen_digest.as_deref(),
            seen_at: row.seen_at,
            drift: row.pinned_digest.is_some() && row.seen_digest.is_some() && row.pinned_digest != row.seen_digest,
            created_at: row.created_at,
            updated_at: row.updated_at,
            created_by: row.created_by,
            updated_by: row.updated_by,
            version: row.version,
        }
    }
}

impl<'a> RunView<'a> {
    pub(crate) fn of(spec: &'a RunSpec) -> Self {
        let RunSpec { command, args, working_dir, env, create_home, stdin, tty } = spec;
        let var = |EnvVar { name, value, description }: &'a EnvVar| VarView {
            name,
            value: value.as_deref(),
            description: description.as_deref(),
        };
        Self {
            command: command.as_deref(),
            args: args.as_deref(),
            working_dir: working_dir.as_deref(),
            env: env.iter().map(var).collect(),
            create_home: *create_home,
            stdin: *stdin,
            tty: *tty,
        }
    }
}

impl Referred for Environment {
    const RESOURCE: &'static str = "environment";
}

impl FromFields for EnvironmentInput {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let (organization, name) = (fields.optional("organization_id"), fields.required("name"));
        let (description, image) = (fields.optional("description"), fields.optional("image"));
        let pull: Option<Words<Pull>> = fields.optional("pull");
        let credential = fields.optional("credential_id");
        let spec = fields.optional("spec").unwrap_or_default();
        Some(Self { organization, name: name?, description, image, pull: pull.map(|pull| pull.0), credential, spec })
    }
}

impl FromFields for EnvironmentPatch {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        fields.refuse("organization_id", Code::ReadOnly);
        let (name, description) = (fields.given("name"), fields.patch("description"));
        let image = fields.patch("image");
        let pull = match fields.patch::<Words<Pull>>("pull") {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(pull) => Patch::Set(pull.0),
        };
        let (credential, pinned_digest) = (fields.patch("credential_id"), fields.patch("pinned_digest"));
        Some(Self { name, description, image, pull, credential, pinned_digest, spec: fields.given("spec") })
    }
}

impl FromFields for RunSpec {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            command: fields.optional("command"),
            args: fields.optional("args"),
            working_dir: fields.optional("working_dir"),
            env: fields.given("env").unwrap_or_default(),
            create_home: fields.optional("create_home"),
            stdin: fields.optional("stdin"),
            tty: fields.optional("tty"),
        })
    }
}

impl FromFields for EnvVar {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let (name, value) = (fields.required("name"), fields.optional("value"));
        let description = fields.optional("description");
        Some(Self { name: name?, value, description })
    }
}

impl FromFields for EnvironmentFilter {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { organization: fields.given("organization_id"), name: fields.given("name") })
    }
}

pub(crate) async fn list(
    State(api): State<Api>,
    Caller(cx): Caller,
    Query((filter, page)): Query<(EnvironmentFilter, PageRequest)>,
) -> Outcome {
    let page = api.core.list_environments(&cx, &filter, page).await?;
    output::list(&page, View::of)
}

pub(crate) async fn create(
    State(api): State<Api>,
    Caller(cx): Caller,
    _: Query<()>,
    Body(input): Body<EnvironmentInput>,
) -> Outcome {
    let row = api.core.create_environment(&cx, input).await?;
    let response = output::versioned(StatusCode::CREATED, row.version, &View::of(&row))?;
    output::located(response, "environments", row.id.get())
}

pub(crate) async fn show(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Environment>,
    _: Query<()>,
) -> Outcome {
    let row = api.core.get_environment(&cx, id).await?;
    output::versioned(StatusCode::OK, row.version, &View::of(&row))
}

pub(crate) async fn update(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Environment>,
    _: Query<()>,
    if_match: IfMatch,
    Body(patch): Body<EnvironmentPatch>,
) -> Outcome {
    let present = async { Ok(api.core.get_environment(&cx, id.clone()).await?.version) };
    let version = if_match.version(present).await?;
    let row = api.core.update_environment(&cx, id, version, patch).await?;
    output::versioned(StatusCode::OK, row.version, &View::of(&row))
}

pub(crate) async fn delete(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Environment>,
    _: Query<()>,
    if_match: IfMatch,
    _: Empty,
) -> Outcome {
    if_match.check(async { Ok(api.core.get_environment(&cx, id.clone()).await?.version) }).await?;
    api.core.delete_environment(&cx, id).await?;
    output::nothing()
}
