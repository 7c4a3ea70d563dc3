//! Launching: a job is made from a template or from content given at the launch, resolved into an intent that never
//! changes, and queued, in one transaction.

use chandler_model::environments::{Environment, Pull, RunImage};
use chandler_model::ids::Selector;
use chandler_model::jobs::{
    AnsibleIntent, ContainerIntent, Intent, Job, LaunchType, ScriptIntent, Snapshot, TerraformIntent,
};
use chandler_model::kinds::{Action, Place};
use chandler_model::organizations::Organization;
use chandler_model::tags::Tags;
use chandler_model::templates::{Template, TemplateRevision, TemplateSpec};
use chandler_model::{Id, Json, names};
use chandler_store::jobs::rows::NewJob;
use chandler_store::jobs::{attempts, rows};
use chandler_store::{environments, organizations, templates};

use super::engine;
use super::step::{self, Subject};
use super::{JOB_NOTICE, KIND};
use crate::Core;
use crate::authz::{self, Permit};
use crate::cx::Cx;
use crate::environments::organization_vanished;
use crate::error::{Denied, Error, Kind as ErrorKind, Result};
use crate::input::Check;
use chandler_model::errors::Code;

/// What is launched.
#[derive(Clone, Debug)]
pub struct JobInput {
    /// None = the template's name.
    pub name: Option<String>,
    pub what: What,
    /// Overrides the template's environment.
    pub environment: Option<Id<Environment>>,
    /// Lowest first.
    pub priority: i64,
}

#[derive(Clone, Debug)]
pub enum What {
    Template(Id<Template>),
    Content { organization: Id<Organization>, spec: TemplateSpec },
}

/// Everything that a launch has found out before its transaction.
struct Plan {
    permit: Permit,
    organization: Organization,
    template: Option<Template>,
    name: String,
    environment: Option<Environment>,
    spec: TemplateSpec,
}

impl Core {
    /// Queues a job and returns it.
    pub async fn launch_job(&self, cx: &Cx, input: JobInput) -> Result<Job> {
        let plan = self.plan(cx, &input).await?;
        let intent = Json(intent(&plan)?);
        let snapshot = Json(Snapshot {
            organization: Some(plan.organization.title.clone()),
            template: plan.template.as_ref().map(|template| template.name.clone()),
            environment: plan.environment.as_ref().map(|environment| environment.name.clone()),
            initiator: cx.user_id().map(|_| cx.actor_name().to_owned()),
            worker: None,
        });
        self.write(cx, async |w| {
            let mut revision: Option<Id<TemplateRevision>> = None;
            if let Some(template) = &plan.template {
                // Nobody deletes the template before the job stands.
                if !templates::keep(w.tx, template.id).await? {
                    return Err(Error::field("template_id", Code::Unknown { resource: "template" }));
                }
                revision = Some(template.active_revision_id);
            }
            let tags = chandler_store::tags::intern(w.tx, &Tags::default()).await?;
            let new = NewJob {
                uid: self.uid(),
                at: cx.now,
                family: intent.family(),
                kind: intent.kind(),
                organization_id: Some(plan.organization.id),
                template_id: plan.template.as_ref().map(|template| template.id),
                revision_id: revision,
                environment_id: plan.environment.as_ref().map(|environment| environment.id),
                workspace_id: None,
                parent_id: None,
                needs_job_id: None,
                initiator_id: cx.user_id(),
                dialect: cx.dialect,
                launch_type: LaunchType::Manual,
                name: &plan.name,
                intent: &intent,
                sealed: None,
                tags,
                priority: input.priority,
                retries_left: i64::from(plan.spec.retries()),
                snapshot: &snapshot,
            };
            let job = rows::insert(w.tx, &new).await?;
            let (Subject { job, .. }, effects) = step::submit(Subject::simple(job));
            engine::apply(self, w.tx, &job, &effects, cx.now).await?;
            attempts::append_transition(w.tx, job.id, cx.now, "submit", job.state, Some(cx.actor_name())).await?;
            w.launched(&plan.permit, &job)?;
            w.tx.notify(JOB_NOTICE, job.id.to_string()).await?;
            Ok(job)
        })
        .await
        .map_err(|error| organization_vanished(error, KIND))
    }

    async fn plan(&self, cx: &Cx, input: &JobInput) -> Result<Plan> {
        let mut check = Check::default();
        let named = check.take("name", input.name.as_deref().map(names::check_name).transpose());
        if let What::Content { spec, .. } = &input.what {
            crate::templates::check_spec(&mut check, spec);
            check.require(named.is_some(), "name", Code::Required);
        }
        check.done()?;
        let (permit, organization, template, spec) = match &input.what {
            What::Template(id) => {
                let template = self.launchable(cx, *id).await?;
                let permit = authz::launch_from(&template, super::kind_of_template(template.kind))?;
                let template = template.into_inner();
                let spec = template.spec.0.clone();
                (permit, template.organization_id, Some(template), spec)
            }
            What::Content { organization, spec } => {
                let organization = self.readable_organization(cx, *organization).await?;
                let permit =
                    authz::create_in(cx, super::kind_of_template(spec.kind()), Place::Organization(organization))?;
                (permit, organization, None, spec.clone())
            }
        };
        let organization = organizations::find(self.db(), Selector::Id(organization))
            .await?
            .ok_or_else(|| Error::field("organization_id", Code::Unknown { resource: "organization" }))?;
        let environment = self.environment_of(cx, input, template.as_ref(), &organization).await?;
        let name = named.or_else(|| template.as_ref().map(|template| template.name.clone())).unwrap_or_default();
        Ok(Plan { permit, organization, template, name, environment, spec })
    }

    async fn launchable(&self, cx: &Cx, id: Id<Template>) -> Result<authz::Authorized<Template>> {
        match authz::find::<Template>(self, cx, Action::Execute, id).await {
            // What the actor may not see must look as if it were not there.
            Err(Error { kind: ErrorKind::Denied { why: Denied::Absent | Denied::Hidden, .. }, .. }) => {
                Err(Error::field("template_id", Code::Unknown { resource: "template" }))
            }
            other => other,
        }
    }

    /// The environment of a script: named at launch, else the template's, else the organization's default, else none.
    async fn environment_of(
        &self,
        cx: &Cx,
        input: &JobInput,
        template: Option<&Template>,
        organization: &Organization,
    ) -> Result<Option<Environment>> {
        if let Some(id) = input.environment {
            return self.usable_environment(cx, id, organization.id).await.map(Some);
        }
        let stored = template.and_then(|template| template.environment_id).or(organization.default_environment_id);
        match stored {
            // Attached by somebody who might: only its existence counts now.
            Some(id) => Ok(environments::find(self.db(), Selector::Id(id)).await?),
            None => Ok(None),
        }
    }
}

/// What the worker is told, resolved.
fn intent(plan: &Plan) -> Result<Intent> {
    let image = plan.environment.as_ref().and_then(Environment::run_image);
    Ok(match plan.spec.clone() {
        TemplateSpec::Script(spec) => Intent::Script(ScriptIntent { spec, image }),
        TemplateSpec::Ansible(spec) => Intent::Ansible(AnsibleIntent { spec, image }),
        TemplateSpec::Flow(spec) => Intent::Terraform(TerraformIntent { spec, image }),
        TemplateSpec::Workload(spec) => {
            let image = match spec.image {
                Some(reference) => {
                    let pull = spec.pull.unwrap_or_else(|| Pull::of(&reference));
                    RunImage { reference, pull, pin: None }
                }
                None => image.ok_or_else(|| Error::field("spec.image", Code::Required))?,
            };
            let mut run = plan.environment.as_ref().map(|environment| environment.spec.0.clone()).unwrap_or_default();
            run.lay(spec.run);
            Intent::Container(ContainerIntent { image, run, timeout_s: spec.timeout_s })
        }
    })
}
