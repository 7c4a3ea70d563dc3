//! Credentials: what jobs are given to show elsewhere. Secrets come in and never go out: an answer has their names.

use axum::extract::State;
use chandler_core::credentials::{CredentialFilter, CredentialInput, CredentialPatch};
use chandler_model::credentials::{Credential, CredentialType, Inputs, Namespace};
use chandler_model::errors::Code;
use chandler_model::kinds::Scope;
use chandler_model::organizations::Organization;
use chandler_model::paging::PageRequest;
use chandler_model::users::User;
use chandler_model::{Id, Uid};
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use crate::auth::Caller;
use crate::failure::Outcome;
use crate::input::{Body, Empty, Fields, FromFields, IfMatch, InputsGiven, Named, Query, Referred, Words};
use crate::output;
use crate::state::Api;

#[derive(Serialize)]
struct View<'a> {
    id: Id<Credential>,
    uid: Uid,
    organization_id: Option<Id<Organization>>,
    scope: Scope,
    private: bool,
    owner_id: Option<Id<User>>,
    #[serde(rename = "type")]
    namespace: Option<Namespace>,
    type_id: Id<CredentialType>,
    name: &'a str,
    description: Option<&'a str>,
    managed: bool,
    inputs: &'a Inputs,
    secrets: &'a [String],
    created_at: Timestamp,
    updated_at: Timestamp,
    created_by: Option<Id<User>>,
    updated_by: Option<Id<User>>,
    version: i64,
}

impl<'a> View<'a> {
    fn of(row: &'a Credential) -> Self {
        Self {
            id: row.id,
            uid: row.uid,
            organization_id: row.organization_id,
            scope: row.scope,
            private: row.private,
            owner_id: row.owner_id,
            namespace: row.namespace,
            type_id: row.type_id,
            name: &row.name,
            description: row.description.as_deref(),
            managed: row.managed,
            inputs: &row.inputs,
            secrets: &row.secrets,
            created_at: row.created_at,
            updated_at: row.updated_at,
            created_by: row.created_by,
            updated_by: row.updated_by,
            version: row.version,
        }
    }
}

impl Referred for Credential {
    const RESOURCE: &'static str = "credential";
}

impl FromFields for CredentialInput {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let (organization, name) = (fields.optional("organization_id"), fields.required("name"));
        let (description, private) = (fields.optional("description"), fields.optional("private"));
        let namespace: Option<Words<Namespace>> = fields.required("type");
        let inputs: Option<InputsGiven> = fields.optional("inputs");
        Some(Self {
            organization,
            namespace: namespace?.0,
            name: name?,
            description,
            private: private.unwrap_or_default(),
            inputs: inputs.unwrap_or_default().0,
        })
    }
}

impl FromFields for CredentialPatch {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        for fixed in ["organization_id", "type", "private"] {
            fields.refuse(fixed, Code::ReadOnly);
        }
        let (name, description) = (fields.given("name"), fields.patch("description"));
        let inputs: Option<InputsGiven> = fields.given("inputs");
        Some(Self { name, description, inputs: inputs.unwrap_or_default().0 })
    }
}

impl FromFields for CredentialFilter {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let namespace: Option<Words<Namespace>> = fields.given("type");
        Some(Self {
            organization: fields.given("organization_id"),
            namespace: namespace.map(|namespace| namespace.0),
            name: fields.given("name"),
        })
    }
}

/// Whether a deletion takes the credential away from what names it.
pub(crate) struct Force(bool);

impl FromFields for Force {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self(fields.given("force").unwrap_or_default()))
    }
}

pub(crate) async fn list(
    State(api): State<Api>,
    Caller(cx): Caller,
    Query((filter, page)): Query<(CredentialFilter, PageRequest)>,
) -> Outcome {
    let page = api.core.list_credentials(&cx, &filter, page).await?;
    output::list(&page, View::of)
}

pub(crate) async fn create(
    State(api): State<Api>,
    Caller(cx): Caller,
    _: Query<()>,
    Body(input): Body<CredentialInput>,
) -> Outcome {
    let row = api.core.create_credential(&cx, input).await?;
    let response = output::versioned(StatusCode::CREATED, row.version, &View::of(&row))?;
    output::located(response, "credentials", row.id.get())
}

pub(crate) async fn show(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Credential>,
    _: Query<()>,
) -> Outcome {
    let row = api.core.get_credential(&cx, id).await?;
    output::versioned(StatusCode::OK, row.version, &View::of(&row))
}

pub(crate) async fn update(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Credential>,
    _: Query<()>,
    if_match: IfMatch,
    Body(patch): Body<CredentialPatch>,
) -> Outcome {
    let present = async { Ok(api.core.get_credential(&cx, id.clone()).await?.version) };
    let version = if_match.version(present).await?;
    let row = api.core.update_credential(&cx, id, version, patch).await?;
    output::versioned(StatusCode::OK, row.version, &View::of(&row))
}

pub(crate) async fn delete(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Credential>,
    Query(Force(force)): Query<Force>,
    if_match: IfMatch,
    _: Empty,
) -> Outcome {
    if_match.check(async { Ok(api.core.get_credential(&cx, id.clone()).await?.version) }).await?;
    api.core.delete_credential(&cx, id, force).await?;
    output::nothing()
}
