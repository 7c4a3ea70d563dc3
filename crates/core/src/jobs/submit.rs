//! A job enters the queue, in the transaction of whoever makes it (`docs/core/jobs.md` 3 "submit" and 5).

use chandler_model::Id;
use chandler_model::jobs::{Hold, Intent, Job, JobKind, JobStep};
use chandler_model::tags::Tags;
use chandler_model::templates::Template;
use chandler_model::workspaces::Workspace;
use chandler_store::jobs::rows::NewJob;
use chandler_store::jobs::{attempts, keys, queue, rows, steps};
use chandler_store::{Tx, tags};

use jiff::Timestamp;

use super::keys::{self as rings, Keyring};
use super::link::{self, Attempt, Order};
use super::step::{self, Effect, Event, Steps, Subject};
use super::{JOB_NOTICE, effects, engine, kin};
use crate::Core;
use crate::authz::Permit;
use crate::cx::Cx;
use crate::error::{Error, Result};

/// Everything that a job is made of besides its row.
#[derive(Clone, Debug, Default)]
pub struct Along {
    /// In order; empty for a job of one thing.
    pub steps: Vec<JobStep>,
    /// Keys that do not follow from workspace and template.
    pub keys: Option<Keyring>,
    pub tags: Tags,
}

/// Submits a job. The caller has touched no other job yet in this transaction, or holds the same lane.
///
/// # Errors
/// Internal: the job that it needs is of another lane, or its parent is another's child.
pub(crate) async fn submit(core: &Core, tx: &mut Tx, mut new: NewJob<'_>, along: &Along, actor: &str) -> Result<Job> {
    let ring = ring(new.intent, new.workspace_id, new.template_id, along);
    // Before the turn and the id are drawn.
    enter(tx, new.intent, new.workspace_id, new.template_id, along).await?;
    new.tags = tags::intern(tx, &along.tags).await?;
    if let Some(needed) = new.needs_job_id {
        // Its end moves us, so it must hold what we are moved under: our lane if we have keys, our parent's lock if we
        // have a parent.
        if let Some(ground) = queue::ground(tx, needed).await? {
            let lanes = ring.as_ref().is_none_or(|ring| ground.lane.as_ref() == Some(&ring.lane));
            if !lanes || new.parent_id.is_some_and(|parent| ground.parent_id != Some(parent)) {
                return Err(Error::internal("a job needs one of another lane or of another parent"));
            }
        }
        // It cannot end before we are done; if it has ended, that is known at once.
        queue::lock(tx, needed).await?;
    }
    let job = rows::insert(tx, &new).await?;
    for row in &along.steps {
        steps::insert(tx, job.id, core.uid(), row).await?;
    }
    let subject = Subject { steps: rows_of(&job, &along.steps), ..Subject::simple(job) };
    let (subject, effects) = step::submit(subject);
    let job = &subject.job;
    let free = ring.is_none() && job.needs_job_id.is_none();
    let lane = ring.as_ref().map(|ring| ring.lane.as_str());
    queue::insert(tx, job, new.tags, lane, if free { Hold::Ready } else { Hold::Blocked }).await?;
    if let Some(ring) = ring.as_ref().filter(|_| effects.contains(&Effect::Keys(step::Keys::Take))) {
        let turn = keys::draw_turn(tx).await?;
        keys::take(tx, job.id, &ring.keys, turn).await?;
    }
    if !free {
        keys::wake_one(tx, job.id).await?;
    }
    // Keys have been taken above.
    let rest: Vec<Effect> =
        effects.into_iter().filter(|effect| !matches!(effect, Effect::Keys(_) | Effect::Enqueue)).collect();
    effects::on_queue(core, tx, &subject, &subject, &rest, new.at).await?;
    if rest.iter().any(|effect| matches!(effect, Effect::Hold(_))) {
        rows::write(tx, job).await?;
    }
    attempts::append_transition(tx, job.id, new.at, "submit", job.state, Some(actor)).await?;
    tx.notify(JOB_NOTICE, job.id.to_string())?;
    let job = subject.job;
    if kin::has_failed(tx, &job).await? {
        let event = Event::NeededFailed;
        engine::transition_locked(core, tx, job.id, engine::ITSELF, event, new.at).await?;
        return rows::lock(tx, job.id).await?.ok_or_else(|| Error::internal("a job vanished while it was made"));
    }
    Ok(job)
}

fn rows_of(job: &Job, steps: &[JobStep]) -> Steps {
    match job.kind {
        JobKind::TerraformFlow | JobKind::HostBuild | JobKind::Invocation => Steps::Rows(steps.to_vec()),
        _ => Steps::Single,
    }
}

/// Takes the lane of a job that is about to be submitted. Whoever locks rows for it, such as its workspace, does this
/// first.
pub(super) async fn enter(
    tx: &mut Tx,
    intent: &Intent,
    workspace: Option<Id<Workspace>>,
    template: Option<Id<Template>>,
    along: &Along,
) -> Result<()> {
    match ring(intent, workspace, template, along) {
        Some(ring) => rings::enter(tx, &ring.lane).await,
        None => Ok(()),
    }
}

/// The keys of a job: what follows from its kind, or what it was given.
fn ring(
    intent: &Intent,
    workspace: Option<Id<Workspace>>,
    template: Option<Id<Template>>,
    along: &Along,
) -> Option<Keyring> {
    if along.keys.is_some() {
        return along.keys.clone();
    }
    match intent {
        Intent::Terraform(_) => workspace.map(|workspace| rings::of_flow(workspace, &along.steps)),
        Intent::Ansible(intent) => rings::of_playbook(template, intent.spec.simultaneous),
        Intent::Script(_) | Intent::Container(_) => None,
    }
}

impl Core {
    /// Submits a job that its maker has resolved himself, in a transaction of its own.
    ///
    /// # Errors
    /// Internal if the permit is for another kind of job; see also [`submit`].
    pub async fn submit_job(&self, cx: &Cx, permit: &Permit, new: &NewJob<'_>, along: &Along) -> Result<Job> {
        self.write(cx, async |w| {
            let job = submit(self, w.tx, new.clone(), along, cx.actor_name()).await?;
            w.launched(permit, &job)?;
            Ok(job)
        })
        .await
    }

    /// The built-in worker that holds an invocation has found out its hosts: their jobs are made, and the invocation
    /// waits for them. What the worker should do now: nothing more of it, if that was accepted.
    pub async fn insert_children(
        &self,
        attempt: Attempt,
        children: &[(NewJob<'_>, Along)],
        now: Timestamp,
    ) -> Result<Order> {
        self.db()
            .write(async |tx| {
                engine::lock_names(tx, attempt.job).await?;
                let mut lanes: Vec<&str> = children
                    .iter()
                    .filter_map(|(_, along)| along.keys.as_ref())
                    .map(|ring| ring.lane.as_str())
                    .collect();
                lanes.sort_unstable();
                lanes.dedup();
                for lane in lanes {
                    rings::enter(tx, lane).await?;
                }
                if link::held(tx, attempt).await?.is_none() {
                    return Ok(Order::Gone);
                }
                let mut made = Vec::with_capacity(children.len());
                for (new, along) in children {
                    made.push(submit(self, tx, new.clone(), along, "system").await?);
                }
                let from = engine::From::Attempt(attempt.number);
                let moved =
                    engine::transition_locked(self, tx, attempt.job, from, Event::ChildrenInserted, now).await?;
                match moved {
                    engine::Moved::To(job) | engine::Moved::Same(job) => {
                        crate::write::count_made(self, tx, &made).await?;
                        Ok(link::order_of(job.state))
                    }
                    // Its children must not stay: they would belong to nobody.
                    engine::Moved::Refused(..) | engine::Moved::Fenced => {
                        Err(Error::internal("an invocation that is being stopped takes no children"))
                    }
                }
            })
            .await
    }
}
