//! Organizations: the tenants.

use axum::extract::State;
use chandler_core::organizations::{OrganizationInput, OrganizationPatch};
use chandler_model::environments::Environment;
use chandler_model::organizations::Organization;
use chandler_model::paging::PageRequest;
use chandler_model::users::User;
use chandler_model::{Id, Uid};
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use crate::auth::Caller;
use crate::failure::Outcome;
use crate::input::{Body, Empty, Fields, FromFields, IfMatch, Named, Query, Referred};
use crate::output;
use crate::state::Api;

#[derive(Serialize)]
struct View<'a> {
    id: Id<Organization>,
    uid: Uid,
    name: &'a str,
    slug: &'a str,
    display_name: Option<&'a str>,
    description: Option<&'a str>,
    is_default: bool,
    default_environment_id: Option<Id<Environment>>,
    created_at: Timestamp,
    updated_at: Timestamp,
    created_by: Option<Id<User>>,
    updated_by: Option<Id<User>>,
    version: i64,
}

impl<'a> View<'a> {
    fn of(row: &'a Organization) -> Self {
        Self {
            id: row.id,
            uid: row.uid,
            name: &row.title,
            slug: &row.slug,
            display_name: row.display_name.as_deref(),
            description: row.description.as_deref(),
            is_default: row.is_default,
            default_environment_id: row.default_environment_id,
            created_at: row.created_at,
            updated_at: row.updated_at,
            created_by: row.created_by,
            updated_by: row.updated_by,
            version: row.version,
        }
    }
}

impl Referred for Organization {
    const RESOURCE: &'static str = "organization";
}

impl FromFields for OrganizationInput {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let (name, display_name) = (fields.required("name"), fields.optional("display_name"));
        let description = fields.optional("description");
        Some(Self { name: name?, display_name, description })
    }
}

impl FromFields for OrganizationPatch {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let (name, display_name) = (fields.given("name"), fields.patch("display_name"));
        Some(Self { name, display_name, description: fields.patch("description") })
    }
}

pub(crate) async fn list(State(api): State<Api>, Caller(cx): Caller, Query(page): Query<PageRequest>) -> Outcome {
    let page = api.core.list_organizations(&cx, page).await?;
    output::list(&page, View::of)
}

pub(crate) async fn create(
    State(api): State<Api>,
    Caller(cx): Caller,
    _: Query<()>,
    Body(input): Body<OrganizationInput>,
) -> Outcome {
    let row = api.core.create_organization(&cx, input).await?;
    let response = output::versioned(StatusCode::CREATED, row.version, &View::of(&row))?;
    output::located(response, "organizations", row.id.get())
}

pub(crate) async fn show(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Organization>,
    _: Query<()>,
) -> Outcome {
    let row = api.core.get_organization(&cx, id).await?;
    output::versioned(StatusCode::OK, row.version, &View::of(&row))
}

pub(crate) async fn update(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Organization>,
    _: Query<()>,
    if_match: IfMatch,
    Body(patch): Body<OrganizationPatch>,
) -> Outcome {
    let present = async { Ok(api.core.get_organization(&cx, id.clone()).await?.version) };
    let version = if_match.version(present).await?;
    let row = api.core.update_organization(&cx, id, version, patch).await?;
    output::versioned(StatusCode::OK, row.version, &View::of(&row))
}

pub(crate) async fn delete(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Organization>,
    _: Query<()>,
    if_match: IfMatch,
    _: Empty,
) -> Outcome {
    if_match.check(async { Ok(api.core.get_organization(&cx, id.clone()).await?.version) }).await?;
    api.core.delete_organization(&cx, id).await?;
    output::nothing()
}
