//! The engine driven by hand: one worker, one person, a clock that stands still, and what the database says.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use chandler_core::authz;
use chandler_core::jobs::link::{Attempt, Embedded, Order, Report, WorkerLink};
use chandler_core::jobs::{Along, JobInput, LaunchSecrets, NewJob, Settings, What, fire_timers, keep_house};
use chandler_core::templates::TemplateInput;
use chandler_core::workspaces::WorkspaceInput;
use chandler_model::ids::Selector;
use chandler_model::jobs::{
    Fault, Hold, Intent, Job, JobFamily, JobKind, LaunchType, ScriptIntent, Snapshot, Stage, State, StepKind, Success,
};
use chandler_model::kinds::{Dialect, Kind, Place};
use chandler_model::templates::{AnsibleSpec, FlowSpec, FlowStep, Template, TemplateSpec};
use chandler_model::workers::Worker;
use chandler_model::workspaces::Workspace;
use chandler_model::{Id, Json, Uid};
use chandler_store::jobs::look;
use chandler_store::seam::Engine;
use chandler_testkit::clock::StandingClock;
use chandler_testkit::installation::Installation;

use crate::support::{attempt, script, worker};

pub(crate) struct Bench {
    pub(crate) on: Installation,
    pub(crate) clock: Arc<StandingClock>,
    pub(crate) link: Embedded,
    pub(crate) row: Worker,
}

/// Runs a test on both engines, one after the other, with the periods of the product: nothing waits for them.
pub(crate) async fn on_both(test: impl AsyncFn(Bench) -> Result<()>) {
    on_both_with(Settings::default(), test).await;
}

#[expect(clippy::panic, reason = "a failed test")]
pub(crate) async fn on_both_with(settings: Settings, test: impl AsyncFn(Bench) -> Result<()>) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let run = async { test(Bench::new(engine, settings.clone()).await?).await };
        if let Err(error) = Box::pin(run).await {
            panic!("on {engine:?}: {error:?}");
        }
    }
}

/// A plan, then an apply that somebody has to approve.
pub(crate) const APPROVED: &[(StepKind, bool)] = &[(StepKind::Plan, false), (StepKind::Apply, true)];
/// The same without an approval.
pub(crate) const AT_ONCE: &[(StepKind, bool)] = &[(StepKind::Plan, false), (StepKind::Apply, false)];
pub(crate) const PLAN_ONLY: &[(StepKind, bool)] = &[(StepKind::Plan, false)];

/// A job that no template describes.
pub(crate) struct Custom {
    pub(crate) kind: JobKind,
    pub(crate) family: JobFamily,
    pub(crate) intent: Json<Intent>,
    pub(crate) parent: Option<Id<Job>>,
    pub(crate) needs: Option<Id<Job>>,
    pub(crate) priority: i64,
    pub(crate) retries: i64,
    pub(crate) along: Along,
    pub(crate) snapshot: Json<Snapshot>,
}

impl Custom {
    /// Of that kind; what it runs does not matter.
    pub(crate) fn of(kind: JobKind) -> Self {
        Self {
            kind,
            family: kind.families()[0],
            intent: Json(Intent::Script(ScriptIntent { spec: script(), image: None })),
            parent: None,
            needs: None,
            priority: 0,
            retries: 0,
            along: Along::default(),
            snapshot: Json(Snapshot::default()),
        }
    }

    pub(crate) fn needing(self, job: Id<Job>) -> Self {
        Self { needs: Some(job), ..self }
    }

    pub(crate) async fn row(&self, on: &Installation) -> Result<NewJob<'_>> {
        Ok(NewJob {
            uid: Uid(uuid::Uuid::now_v7()),
            at: on.core.now(),
            family: self.family,
            kind: self.kind,
            organization_id: Some(on.organization().await?.id),
            template_id: None,
            revision_id: None,
            environment_id: None,
            workspace_id: None,
            parent_id: self.parent,
            needs_job_id: self.needs,
            initiator_id: None,
            dialect: Dialect::Native,
            launch_type: LaunchType::Manual,
            name: "custom",
            intent: &self.intent,
            sealed: None,
            tags: Id::new(0),
            priority: self.priority,
            retries_left: self.retries,
            snapshot: &self.snapshot,
        })
    }
}

impl Bench {
    pub(crate) async fn new(engine: Engine, settings: Settings) -> Result<Self> {
        let clock = Arc::new(StandingClock::default());
        let on = Installation::with_clock(engine, settings, clock.clone()).await?;
        let (link, row) = worker(&on.core, "w").await?;
        Ok(Self { on, clock, link, row })
    }

    pub(crate) async fn workspace(&self, name: &str) -> Result<Id<Workspace>> {
        let organization = self.on.organization().await?.id;
        let input = WorkspaceInput { organization, name: name.to_owned(), description: None };
        Ok(self.on.core.create_workspace(&self.on.admin().await?, input).await?.id)
    }

    pub(crate) async fn playbook(&self, name: &str, simultaneous: bool) -> Result<Id<Template>> {
        let spec = AnsibleSpec { playbook: "- hosts: all".to_owned(), simultaneous, ..AnsibleSpec::default() };
        let input = TemplateInput {
            organization: self.on.organization().await?.id,
            name: name.to_owned(),
            description: None,
            environment: None,
            spec: TemplateSpec::Ansible(spec),
        };
        Ok(self.on.core.create_template(&self.on.admin().await?, input).await?.id)
    }

    pub(crate) async fn launch(&self, what: What, workspace: Option<Id<Workspace>>) -> Result<Id<Job>> {
        let input = JobInput {
            name: Some("job".to_owned()),
            what,
            environment: None,
            workspace,
            secrets: LaunchSecrets::default(),
            priority: 0,
        };
        Ok(self.on.core.launch_job(&self.on.admin().await?, input).await?.id)
    }

    pub(crate) async fn content(&self, spec: TemplateSpec, workspace: Option<Id<Workspace>>) -> Result<Id<Job>> {
        let organization = self.on.organization().await?.id;
        self.launch(What::Content { organization, spec }, workspace).await
    }

    pub(crate) async fn flow(&self, workspace: Id<Workspace>, steps: &[(StepKind, bool)]) -> Result<Id<Job>> {
        self.content(TemplateSpec::Flow(flow(steps, false)), Some(workspace)).await
    }

    pub(crate) async fn custom(&self, new: &Custom) -> Result<Job> {
        let cx = self.on.admin().await?;
        let place = Place::Organization(self.on.organization().await?.id);
        let kind = match new.family {
            JobFamily::TerraformRun => Kind::TerraformRun,
            JobFamily::AnsibleJob => Kind::AnsibleJob,
            JobFamily::Workload => Kind::Workload,
            _ => Kind::ScriptJob,
        };
        let permit = authz::create_in(&cx, kind, place)?;
        Ok(self.on.core.submit_job(&cx, &permit, &new.row(&self.on).await?, &new.along).await?)
    }

    /// The worker claims exactly this job.
    pub(crate) async fn claims(&self, id: Id<Job>) -> Result<Attempt> {
        let mut claimed = self.link.claim(&self.row, 1).await?;
        let mine = claimed.pop().with_context(|| format!("job {id} cannot be claimed"))?;
        ensure!(mine.job == id, "job {} was claimed, not {id}", mine.job);
        Ok(attempt(&mine))
    }

    /// There is nothing to claim.
    pub(crate) async fn idle(&self) -> Result<()> {
        let claimed = self.link.claim(&self.row, 9).await?;
        ensure!(claimed.is_empty(), "claimed: {:?}", claimed.iter().map(|mine| mine.job).collect::<Vec<_>>());
        Ok(())
    }

    pub(crate) async fn stage(&self, at: Attempt, stage: Stage) -> Result<Order> {
        Ok(self.link.report(at, Report::Stage(stage)).await?)
    }

    pub(crate) async fn done(&self, at: Attempt, step: i64) -> Result<Order> {
        self.done_with(at, step, Success::Changed).await
    }

    pub(crate) async fn done_with(&self, at: Attempt, step: i64, outcome: Success) -> Result<Order> {
        Ok(self.link.report(at, Report::Done { step, outcome: Some(outcome) }).await?)
    }

    pub(crate) async fn fails(&self, at: Attempt) -> Result<Order> {
        let report =
            Report::Error { fault: Fault::Work, message: "It broke.".into(), exit_code: Some(1), diagnostic: None };
        Ok(self.link.report(at, report).await?)
    }

    pub(crate) async fn stopped(&self, at: Attempt) -> Result<Order> {
        Ok(self.link.report(at, Report::Stopped { exit_code: Some(143) }).await?)
    }

    pub(crate) async fn job(&self, id: Id<Job>) -> Result<Job> {
        crate::support::job(&self.on, id).await
    }

    pub(crate) async fn state(&self, id: Id<Job>) -> Result<State> {
        Ok(self.job(id).await?.state)
    }

    pub(crate) async fn hold(&self, id: Id<Job>) -> Result<Option<Hold>> {
        let queue = look::queue(self.on.core.db()).await?;
        Ok(queue.into_iter().find(|row| row.job_id == id).map(|row| row.hold))
    }

    /// The keys of a job, by name.
    pub(crate) async fn keys(&self, id: Id<Job>) -> Result<Vec<String>> {
        let keys = look::keys(self.on.core.db()).await?;
        Ok(keys.into_iter().filter(|key| key.job_id == id).map(|key| key.key).collect())
    }

    pub(crate) async fn cancel(&self, id: Id<Job>) -> Result<State> {
        Ok(self.on.core.cancel_job(&self.on.admin().await?, Selector::Id(id)).await?.state)
    }

    pub(crate) async fn approve(&self, id: Id<Job>, step: i64) -> Result<State> {
        Ok(self.on.core.approve_job(&self.on.admin().await?, Selector::Id(id), step).await?.state)
    }

    pub(crate) async fn reject(&self, id: Id<Job>, step: i64) -> Result<State> {
        Ok(self.on.core.reject_job(&self.on.admin().await?, Selector::Id(id), step).await?.state)
    }

    pub(crate) async fn suspend(&self, id: Id<Job>) -> Result<State> {
        Ok(self.on.core.suspend_job(&self.on.admin().await?, Selector::Id(id)).await?.state)
    }

    pub(crate) async fn resume(&self, id: Id<Job>) -> Result<State> {
        Ok(self.on.core.resume_job(&self.on.admin().await?, Selector::Id(id)).await?.state)
    }

    pub(crate) async fn delete(&self, id: Id<Job>) -> Result<()> {
        Ok(self.on.core.delete_job(&self.on.admin().await?, Selector::Id(id)).await?)
    }

    pub(crate) async fn lock(&self, workspace: Id<Workspace>) -> Result<()> {
        self.on.core.lock_workspace(&self.on.admin().await?, Selector::Id(workspace), None).await?;
        Ok(())
    }

    pub(crate) async fn unlock(&self, workspace: Id<Workspace>) -> Result<()> {
        self.on.core.unlock_workspace(&self.on.admin().await?, Selector::Id(workspace)).await?;
        Ok(())
    }

    /// Time passes, and what is due then happens.
    pub(crate) async fn pass(&self, seconds: i64) -> Result<()> {
        self.clock.forward(seconds);
        Ok(fire_timers(&self.on.core).await?)
    }

    /// A beat of an attempt, and whether it goes on.
    pub(crate) async fn beat_goes_on(&self, at: Attempt) -> Result<bool> {
        Ok(self.link.beat(at, 1).await? == Order::Continue)
    }

    /// Housekeeping finds nothing that was forgotten.
    pub(crate) async fn nothing_forgotten(&self) -> Result<()> {
        let forgotten = keep_house(&self.on.core).await?;
        ensure!(forgotten == 0, "{forgotten} jobs were forgotten");
        Ok(())
    }
}

pub(crate) fn flow(steps: &[(StepKind, bool)], save_plan: bool) -> FlowSpec {
    FlowSpec {
        configuration: BTreeMap::from([("main.tf".to_owned(), "terraform {}\n".to_owned())]),
        steps: steps.iter().map(|(kind, approval)| FlowStep { kind: *kind, name: None, approval: *approval }).collect(),
        save_plan,
        ..FlowSpec::default()
    }
}
