//! Types of credentials: what each is asked for. They come with the installation.

use axum::extract::State;
use chandler_model::credentials::{CredentialType, InputField, InputKind, Namespace, TypeKind};
use chandler_model::paging::PageRequest;
use chandler_model::{Id, Uid};
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use crate::auth::Caller;
use crate::failure::Outcome;
use crate::input::{Named, Query, Referred};
use crate::output;
use crate::state::Api;

#[derive(Serialize)]
struct View<'a> {
    id: Id<CredentialType>,
    uid: Uid,
    /// What credentials name it by.
    #[serde(rename = "type")]
    namespace: Option<Namespace>,
    kind: TypeKind,
    name: &'a str,
    managed: bool,
    inputs: Vec<InputView<'a>>,
    any: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
    version: i64,
}

#[derive(Serialize)]
struct InputView<'a> {
    name: &'a str,
    label: &'a str,
    #[serde(rename = "type")]
    kind: InputKind,
    secret: bool,
    required: bool,
    multiline: bool,
    address: bool,
}

impl<'a> View<'a> {
    fn of(row: &'a CredentialType) -> Self {
        let input = |field: &'a InputField| InputView {
            name: &field.id,
            label: &field.label,
            kind: field.kind,
            secret: field.secret,
            required: row.inputs.required.contains(&field.id),
            multiline: field.multiline,
            address: field.address,
        };
        Self {
            id: row.id,
            uid: row.uid,
            namespace: row.namespace,
            kind: row.kind,
            name: &row.name,
            managed: row.managed,
            inputs: row.inputs.fields.iter().map(input).collect(),
            any: row.inputs.any,
            created_at: row.created_at,
            updated_at: row.updated_at,
            version: row.version,
        }
    }
}

impl Referred for CredentialType {
    const RESOURCE: &'static str = "credential type";
}

pub(crate) async fn list(State(api): State<Api>, Caller(cx): Caller, Query(page): Query<PageRequest>) -> Outcome {
    let page = api.core.list_credential_types(&cx, page).await?;
    output::list(&page, View::of)
}

pub(crate) async fn show(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<CredentialType>,
    _: Query<()>,
) -> Outcome {
    let row = api.core.get_credential_type(&cx, id).await?;
    output::versioned(StatusCode::OK, row.version, &View::of(&row))
}
