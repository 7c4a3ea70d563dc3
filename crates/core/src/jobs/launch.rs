//! Launching: a job is made from a template or from content given at the launch, resolved into an intent that never
//! changes, and queued, in one transaction.

use chandler_model::environments::{Environment, Pull, RunImage};
use chandler_model::ids::Selector;
use chandler_model::jobs::{
    AnsibleIntent, ContainerIntent, Intent, Job, JobStep, LaunchType, ScriptIntent, Snapshot, StepKind, StepState,
    TerraformIntent,
};
use chandler_model::kinds::{Action, Place};
use chandler_model::organizations::Organization;
use chandler_model::templates::{FlowStep, Template, TemplateKind, TemplateRevision, TemplateSpec};
use chandler_model::workspaces::Workspace;
use chandler_model::{Id, Json, Word, names};
use chandler_store::jobs::rows::NewJob;
use chandler_store::{environments, organizations, templates, workspaces};

use super::submit::{self, Along};
use super::{KIND, LaunchSecrets, materials};
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
    /// Where the state of a flow lies; exactly flows have one.
    pub workspace: Option<Id<Workspace>>,
    /// Kept sealed until the job has ended.
    pub secrets: LaunchSecrets,
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
            let along = Along { steps: steps(&plan.spec), ..Along::default() };
            let template = plan.template.as_ref().map(|template| template.id);
            submit::enter(w.tx, &intent, input.workspace, template, &along).await?;
            let mut revision: Option<Id<TemplateRevision>> = None;
            if let Some(template) = &plan.template {
                // Nobody deletes the template before the job stands.
                if !templates::keep(w.tx, template.id).await? {
                    return Err(Error::field("template_id", Code::Unknown { resource: "template" }));
                }
                revision = Some(template.active_revision_id);
            }
            let mut workspace = None;
            if let Some(id) = input.workspace {
                // Nobody deletes it or locks it against us before the job stands.
                let kept = workspaces::keep(w.tx, id).await?.filter(|row| row.organization_id == plan.organization.id);
                workspace = Some(kept.ok_or_else(|| Error::field("workspace_id", unknown_workspace()))?.id);
            }
            let uid = self.uid();
            let sealed = materials::seal(self, uid, &input.secrets)?;
            let new = NewJob {
                uid,
                at: cx.now,
                family: intent.family(),
                kind: intent.kind(),
                organization_id: Some(plan.organization.id),
                template_id: template,
                revision_id: revision,
                environment_id: plan.environment.as_ref().map(|environment| environment.id),
                workspace_id: workspace,
                parent_id: None,
                needs_job_id: None,
                initiator_id: cx.user_id(),
                dialect: cx.dialect,
                launch_type: LaunchType::Manual,
                name: &plan.name,
                intent: &intent,
                sealed: sealed.as_deref(),
                // Told by the submit.
                tags: Id::new(0),
                priority: input.priority,
                retries_left: i64::from(plan.spec.retries()),
                snapshot: &snapshot,
            };
            let job = submit::submit(self, w.tx, new, &along, cx.actor_name()).await?;
            w.launched(&plan.permit, &job)?;
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
        check_secrets(&mut check, &input.secrets);
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
        let mut check = Check::default();
        if matches!(spec, TemplateSpec::Workload(_)) && !input.secrets.files.is_empty() {
            let rule = "a container takes secrets as environment variables only";
            check.require(false, "secrets.files", Code::Format { rule });
        }
        match (&spec, input.workspace) {
            (TemplateSpec::Flow(_), None) => check.require(false, "workspace_id", Code::Required),
            (TemplateSpec::Flow(_), Some(_)) | (_, None) => {}
            (_, Some(_)) => {
                let rule = "only a flow has a workspace";
                check.require(false, "workspace_id", Code::Format { rule });
            }
        }
        check.done()?;
        let organization = organizations::find(self.db(), Selector::Id(organization))
            .await?
            .ok_or_else(|| Error::field("organization_id", Code::Unknown { resource: "organization" }))?;
        let environment = self.environment_of(cx, input, template.as_ref(), spec.kind(), &organization).await?;
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

    /// The environment of a job: named at launch, else the template's; of scripts and playbooks else the organization's
    /// default; else none (`docs/core/jobs.md` 6).
    async fn environment_of(
        &self,
        cx: &Cx,
        input: &JobInput,
        template: Option<&Template>,
        kind: TemplateKind,
        organization: &Organization,
    ) -> Result<Option<Environment>> {
        if let Some(id) = input.environment {
            return self.usable_environment(cx, id, organization.id).await.map(Some);
        }
        let default = match kind {
            TemplateKind::Script | TemplateKind::Ansible => organization.default_environment_id,
            TemplateKind::Flow | TemplateKind::Workload => None,
        };
        match template.and_then(|template| template.environment_id).or(default) {
            // Attached by somebody who might: only its existence counts now.
            Some(id) => Ok(environments::find(self.db(), Selector::Id(id)).await?),
            None => Ok(None),
        }
    }
}

/// Most secrets of a launch, and most bytes of one.
const SECRETS_MAX: usize = 100;
const SECRET_MAX: usize = 64 * 1024;

/// Checks names and sizes; the values are nobody's business.
fn check_secrets(check: &mut Check, secrets: &LaunchSecrets) {
    let count = secrets.env.len() + secrets.files.len();
    check.require(count <= SECRETS_MAX, "secrets", Code::TooLong { max: SECRETS_MAX });
    for (name, value) in &secrets.env {
        let field = format!("secrets.env.{name}");
        let mut letters = name.chars();
        let fits = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        check.require(fits, field.clone(), Code::Format { rule: "must be a name of letters, digits and underscores" });
        check.require(value.len() <= SECRET_MAX, field.clone(), Code::TooLong { max: SECRET_MAX });
        check.require(!value.contains('\0'), field, Code::Format { rule: "must not contain the character NUL" });
    }
    for (path, text) in &secrets.files {
        let field = format!("secrets.files.{path}");
        let fits = !path.is_empty() && path.len() <= 255 && path.chars().all(|c| c.is_ascii_graphic() && c != '/');
        let fits = fits && !path.starts_with('.');
        check.require(fits, field.clone(), Code::Format { rule: "must be the plain name of a file" });
        check.require(text.len() <= SECRET_MAX, field, Code::TooLong { max: SECRET_MAX });
    }
}

fn unknown_workspace() -> Code {
    Code::Unknown { resource: "workspace" }
}

/// The steps of a flow: as it says, else a plan and an apply that somebody has to approve.
fn steps(spec: &TemplateSpec) -> Vec<JobStep> {
    let TemplateSpec::Flow(flow) = spec else { return Vec::new() };
    let usual = [
        FlowStep { kind: StepKind::Plan, name: None, approval: false },
        FlowStep { kind: StepKind::Apply, name: None, approval: true },
    ];
    let steps = if flow.steps.is_empty() { &usual[..] } else { &flow.steps };
    (1..)
        .zip(steps)
        .map(|(number, step)| JobStep {
            number,
            name: step.name.clone().unwrap_or_else(|| step.kind.word().to_owned()),
            kind: step.kind,
            state: StepState::Pending,
            needs_decision: step.approval,
            decision: None,
            outcome: None,
            started_at: None,
            finished_at: None,
        })
        .collect()
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
