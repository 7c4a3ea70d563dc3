//! Starting a job, from a template or from content that comes with the request.

use axum::extract::State;
use chandler_core::jobs::{JobInput, LaunchSecrets, What};
use chandler_model::errors::Code;
use http::StatusCode;

use super::view::View;
use crate::auth::Caller;
use crate::failure::Outcome;
use crate::input::{Body, Fields, FromFields, Query, Within};
use crate::output;
use crate::state::Api;

impl FromFields for JobInput {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let what = what(fields);
        let (name, environment) = (fields.optional("name"), fields.optional("environment_id"));
        let priority: Option<Within<{ i64::MIN }, { i64::MAX }>> = fields.given("priority");
        let workspace = fields.optional("workspace_id");
        let secrets = fields.optional("secrets").unwrap_or_default();
        let priority = priority.map_or(0, |priority| priority.0);
        Some(Self { name, what: what?, environment, workspace, secrets, priority })
    }
}

/// They come in here and go out nowhere.
impl FromFields for LaunchSecrets {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let (env, files) = (fields.given("env"), fields.given("files"));
        Some(Self { env: env.unwrap_or_default(), files: files.unwrap_or_default() })
    }
}

/// A template, or an organization with content; never both.
fn what(fields: &mut Fields<'_>) -> Option<What> {
    let (organization, spec) = ("organization_id", "spec");
    if fields.has("template_id") {
        fields.exclude(organization, "template_id");
        fields.exclude(spec, "template_id");
        return fields.required("template_id").map(What::Template);
    }
    // It may be null.
    fields.exclude("template_id", organization);
    if !fields.has(organization) && !fields.has(spec) {
        return fields.wrong("template_id", Code::Required);
    }
    if !fields.has("name") {
        fields.wrong::<()>("name", Code::Required);
    }
    let (organization, spec) = (fields.required(organization), fields.required(spec));
    Some(What::Content { organization: organization?, spec: spec? })
}

pub(crate) async fn launch(
    State(api): State<Api>,
    Caller(cx): Caller,
    _: Query<()>,
    Body(input): Body<JobInput>,
) -> Outcome {
    let job = api.core.launch_job(&cx, input).await?;
    let response = output::json(StatusCode::CREATED, &View::of(&job))?;
    output::located(response, "jobs", job.id.get())
}
