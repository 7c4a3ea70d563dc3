//! People, who launch, and ask for anything at any moment.

use anyhow::{Result, bail};
use chandler_core::jobs::{JobInput, What};
use chandler_core::{Error, ErrorKind};
use chandler_model::Id;
use chandler_model::ids::Selector;
use chandler_model::jobs::{Job, JobKind, State, StepKind, WaitingFor};
use chandler_model::templates::{ScriptSpec, TemplateSpec};
use chandler_store::jobs::steps;

use super::invariants::Known;
use super::world::World;
use crate::bench::{APPROVED, AT_ONCE, Custom, PLAN_ONLY, flow};
use crate::support::{input, script};

const LONG: &[(StepKind, bool)] =
    &[(StepKind::Plan, false), (StepKind::Apply, true), (StepKind::Plan, false), (StepKind::Apply, true)];
const DESTROY: &[(StepKind, bool)] = &[(StepKind::Destroy, true)];

/// Most jobs of one life.
const JOBS: usize = 45;

impl World {
    /// Somebody does something.
    pub(super) async fn people(&mut self) -> Result<()> {
        if self.known.len() < JOBS && self.random.percent(45) {
            return self.launch().await;
        }
        let live: Vec<Id<Job>> =
            self.known.iter().filter(|(_, known)| !known.state().is_final()).map(|(id, _)| *id).collect();
        let Some(id) = self.random.one_of(&live) else { return Ok(()) };
        match self.random.below(100) {
            0..18 => self.cancel(id).await,
            18..30 => {
                let answer = self.b.on.core.suspend_job(&self.b.on.admin().await?, Selector::Id(id)).await;
                self.heard("suspend", id, answer)
            }
            30..45 => {
                let id = self.somebody_who(|state| state == State::Suspended).unwrap_or(id);
                let answer = self.b.on.core.resume_job(&self.b.on.admin().await?, Selector::Id(id)).await;
                self.heard("resume", id, answer)
            }
            45..75 => {
                let id = self.somebody_who(|state| state == State::Waiting(WaitingFor::Approval)).unwrap_or(id);
                self.decide(id).await
            }
            75..85 => {
                let all: Vec<Id<Job>> = self.known.keys().copied().collect();
                let id = self.random.one_of(&all).unwrap_or(id);
                self.delete(id).await
            }
            _ => self.lock_or_unlock().await,
        }
    }

    fn somebody_who(&mut self, stands: impl Fn(State) -> bool) -> Option<Id<Job>> {
        let all: Vec<Id<Job>> =
            self.known.iter().filter(|(_, known)| stands(known.state())).map(|(id, _)| *id).collect();
        self.random.one_of(&all)
    }

    /// A request may be refused for the state of the job, or because the job is gone, and for nothing else.
    fn heard<T>(&mut self, what: &str, id: Id<Job>, answer: Result<T, Error>) -> Result<()> {
        let refused = answer.as_ref().err().map(|error| &error.kind);
        self.say(&format!("somebody: {what} {id}: {}", if refused.is_none() { "done" } else { "refused" }));
        match answer {
            Ok(_) => Ok(()),
            Err(Error { kind: ErrorKind::WrongState { .. } | ErrorKind::Denied { .. }, .. }) => Ok(()),
            Err(error) => bail!("{what} of {id}: {error:?}"),
        }
    }

    async fn cancel(&mut self, id: Id<Job>) -> Result<()> {
        let answer = self.b.on.core.cancel_job(&self.b.on.admin().await?, Selector::Id(id)).await;
        if answer.is_ok()
            && let Some(known) = self.known.get_mut(&id)
        {
            known.cancel_accepted = true;
        }
        self.heard("cancel", id, answer)
    }

    async fn delete(&mut self, id: Id<Job>) -> Result<()> {
        let answer = self.b.on.core.delete_job(&self.b.on.admin().await?, Selector::Id(id)).await;
        if answer.is_ok()
            && let Some(known) = self.known.get_mut(&id)
        {
            known.deleted = true;
        }
        self.heard("delete", id, answer)
    }

    /// Decides on what they saw, which is mostly the present step.
    async fn decide(&mut self, id: Id<Job>) -> Result<()> {
        let rows = steps::list(self.b.on.core.db(), id).await?;
        let present = rows.iter().find(|step| step.finished_at.is_none()).map_or(1, |step| step.number);
        let step = if self.random.percent(80) { present } else { present - 1 };
        let cx = self.b.on.admin().await?;
        if self.random.percent(80) {
            let answer = self.b.on.core.approve_job(&cx, Selector::Id(id), step).await;
            if answer.is_ok() && step != present {
                bail!("the approval of step {step} of {id} counted for step {present}");
            }
            self.heard("approve", id, answer)
        } else {
            let answer = self.b.on.core.reject_job(&cx, Selector::Id(id), step).await;
            self.heard("reject", id, answer)
        }
    }

    async fn lock_or_unlock(&mut self) -> Result<()> {
        let Some(workspace) = self.random.one_of(&self.workspaces.clone()) else { return Ok(()) };
        let cx = self.b.on.admin().await?;
        let answer = if self.random.percent(40) {
            self.b.on.core.lock_workspace(&cx, Selector::Id(workspace), None).await
        } else {
            self.b.on.core.unlock_workspace(&cx, Selector::Id(workspace)).await
        };
        self.heard("lock or unlock", Id::new(0), answer)
    }

    /// People who want everything to come to its end.
    pub(super) async fn calm_people(&mut self) -> Result<()> {
        let cx = self.b.on.admin().await?;
        for workspace in self.workspaces.clone() {
            let answer = self.b.on.core.unlock_workspace(&cx, Selector::Id(workspace)).await;
            if let Err(error) = answer
                && !matches!(error.kind, ErrorKind::WrongState { .. })
            {
                return Err(error.into());
            }
        }
        if let Some(id) = self.somebody_who(|state| state == State::Suspended) {
            let answer = self.b.on.core.resume_job(&cx, Selector::Id(id)).await;
            self.heard("resume", id, answer)?;
        }
        if let Some(id) = self.somebody_who(|state| state == State::Waiting(WaitingFor::Approval)) {
            self.decide(id).await?;
        }
        self.check().await
    }

    async fn launch(&mut self) -> Result<()> {
        let dice = self.random.below(100);
        let timeout_s = self.random.percent(30).then_some(90);
        let id = match dice {
            0..15 => {
                let retries = [0, 0, 1, 3][self.random.below(4)];
                let may_repeat = retries > 0 || self.random.percent(30);
                let spec = ScriptSpec { may_repeat, retries, timeout_s, ..script() };
                let input: JobInput = input(&self.b.on, TemplateSpec::Script(spec)).await?;
                self.b.on.core.launch_job(&self.b.on.admin().await?, input).await?.id
            }
            15..27 => {
                let retries = [0, 1, 3][self.random.below(3)];
                self.b.custom(&Custom { retries, ..Custom::of(JobKind::Container) }).await?.id
            }
            27..60 => {
                let Some(steps) =
                    self.random.one_of(&[APPROVED, APPROVED, AT_ONCE, PLAN_ONLY, PLAN_ONLY, LONG, DESTROY])
                else {
                    return Ok(());
                };
                let workspace = self.random.one_of(&self.workspaces.clone());
                let save = self.random.percent(35);
                self.b.content(TemplateSpec::Flow(flow(steps, save)), workspace).await?
            }
            60..80 => match self.random.one_of(&self.playbooks.clone()) {
                Some(template) => self.b.launch(What::Template(template), None).await?,
                None => return Ok(()),
            },
            80..88 => self.b.custom(&Custom::of(JobKind::Invocation)).await?.id,
            _ => {
                let scripts: Vec<Id<Job>> = self
                    .known
                    .iter()
                    .filter(|(_, known)| known.job.kind == JobKind::Script && !known.deleted)
                    .map(|(id, _)| *id)
                    .collect();
                let Some(needed) = self.random.one_of(&scripts) else { return Ok(()) };
                self.b.custom(&Custom::of(JobKind::Script).needing(needed)).await?.id
            }
        };
        let job = self.b.job(id).await?;
        self.say(&format!("somebody launches {id}, a {:?} that needs {:?}", job.kind, job.needs_job_id));
        let keys = self.held_keys(id).await?;
        self.known.insert(id, Known::new(job, keys));
        Ok(())
    }
}
