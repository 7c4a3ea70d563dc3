//! What must be true after everything that happens (`docs/core/jobs.md` 9).

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use chandler_core::jobs::JobFilter;
use chandler_model::Id;
use chandler_model::ids::Selector;
use chandler_model::jobs::{Hold, Job, KeyMode, State, WaitingFor};
use chandler_model::paging::PageRequest;
use chandler_model::workspaces::{Origin, StateVersion, Workspace};
use chandler_store::jobs::look::{self, InQueue, OfJob};

use super::workers::state_of;
use super::world::World;

/// A job as it was seen last.
pub(super) struct Known {
    pub(super) job: Job,
    /// What it keeps others away from.
    pub(super) keys: Vec<String>,
    pub(super) cancel_accepted: bool,
    pub(super) deleted: bool,
}

impl Known {
    pub(super) fn new(job: Job, keys: Vec<String>) -> Self {
        Self { job, keys, cancel_accepted: false, deleted: false }
    }

    pub(super) fn state(&self) -> State {
        self.job.state
    }
}

impl World {
    /// Compares everything with how it was seen last.
    pub(super) async fn check(&mut self) -> Result<()> {
        let core = self.b.on.core.clone();
        let page = PageRequest { after: None, limit: 10_000 };
        let rows = core.list_jobs(&self.b.on.admin().await?, &JobFilter::default(), page).await?.rows;
        let queue: BTreeMap<_, _> = look::queue(core.db()).await?.into_iter().map(|row| (row.job_id, row)).collect();
        let keys = look::keys(core.db()).await?;
        let left = look::left(core.db()).await?;
        let jobs: BTreeMap<Id<Job>, Job> = rows.into_iter().map(|job| (job.id, job)).collect();

        for (id, known) in &self.known {
            let gone = !jobs.contains_key(id);
            ensure!(!gone || (known.deleted && known.state().is_final()), "job {id} vanished: {:?}", known.state());
        }
        for (id, job) in &jobs {
            one(job, queue.get(id))?;
            if let Some(row) = queue.get(id).filter(|_| matches!(job.state, State::Pending { .. })) {
                ready(job, row, &jobs, &keys, &left)?;
            }
            if let Some(known) = self.known.get(id) {
                moved(known, job).with_context(|| format!("job {id}: {:?} → {:?}", known.job.state, job.state))?;
            }
        }
        for id in queue.keys() {
            ensure!(jobs.contains_key(id), "a queue row of no job: {id}");
        }
        for key in &keys {
            let unfinished = queue.contains_key(&key.job_id);
            ensure!(unfinished || key.job_id.get() == 0 || left.contains(&key.job_id), "a key of nobody: {key:?}");
        }
        family(&jobs)?;
        for (id, job) in jobs {
            let state = job.state;
            if let Some(known) = self.known.get_mut(&id) {
                if known.job.state != state {
                    let line = format!("    job {id}: {:?} → {state:?}", known.job.state);
                    known.job = job;
                    self.say(&line);
                } else {
                    known.job = job;
                }
            } else {
                let held = self.held_keys(id).await?;
                self.known.insert(id, Known::new(job, held));
            }
        }
        Ok(())
    }

    async fn states(&self, workspace: Id<Workspace>) -> Result<Vec<StateVersion>> {
        let page = PageRequest { after: None, limit: 10_000 };
        let cx = self.b.on.admin().await?;
        Ok(self.b.on.core.list_states(&cx, Selector::Id(workspace), page).await?.rows)
    }

    async fn changes_in(&self, version: &StateVersion) -> Result<Vec<u64>> {
        let cx = self.b.on.admin().await?;
        let bytes = self.b.on.core.state_content(&cx, Selector::Id(version.workspace_id), version.id).await?;
        state_of(&bytes)
    }

    /// What the next job would start from.
    pub(super) async fn current_state(&self, workspace: Id<Workspace>) -> Result<Vec<u64>> {
        let versions = self.states(workspace).await?;
        match versions.iter().find(|version| version.origin != Origin::Recovered) {
            Some(version) => self.changes_in(version).await,
            None => Ok(Vec::new()),
        }
    }

    /// The last word of every attempt stands somewhere.
    pub(super) async fn nothing_handed_in_is_lost(&self) -> Result<()> {
        let mut stored = Vec::new();
        for workspace in &self.workspaces {
            for version in self.states(*workspace).await? {
                stored.push((version.job_id, version.attempt, self.changes_in(&version).await?));
            }
        }
        for ((job, attempt), changes) in &self.handed {
            let is_there = stored.iter().any(|(j, a, content)| {
                (*j, *a) == (Some(*job), Some(*attempt)) && changes.iter().all(|change| content.contains(change))
            });
            ensure!(is_there, "the state {changes:?} of job {job}, attempt {attempt}, is lost");
        }
        Ok(())
    }
}

/// A job by itself, and its queue row.
fn one(job: &Job, row: Option<&InQueue>) -> Result<()> {
    let (id, state) = (job.id, job.state);
    ensure!(row.is_none() == state.is_final(), "job {id} is {state:?}, its queue row {row:?}");
    if matches!(state, State::Failed(_)) {
        ensure!(job.error.as_ref().is_some_and(|error| !error.is_empty()), "job {id} does not say why it failed");
    }
    if state.is_final() {
        ensure!(job.events_complete && job.finished_at.is_some(), "job {id} has ended without an end");
    }
    ensure!(job.retries_left >= 0 && job.returns <= 10, "job {id} was tried too often");
    let Some(row) = row else { return Ok(()) };
    let fits = match state {
        State::Pending { .. } => matches!(row.hold, Hold::Ready | Hold::Delayed | Hold::Blocked),
        State::Running(_) | State::Stopping { stage: Some(_), .. } => row.hold == Hold::Claimed,
        State::Waiting(WaitingFor::Approval) => row.hold == Hold::Waiting,
        State::Waiting(WaitingFor::Children) | State::Stopping { stage: None, .. } => row.hold == Hold::Parent,
        State::Suspended => row.hold == Hold::Suspended,
        State::Succeeded(_) | State::Failed(_) | State::Canceled(_) => false,
    };
    ensure!(fits && row.attempt == job.attempt, "job {id} is {state:?} ({}), its queue row {row:?}", job.attempt);
    Ok(())
}

/// Ready exactly if nothing is in the way.
fn ready(job: &Job, row: &InQueue, jobs: &BTreeMap<Id<Job>, Job>, keys: &[OfJob], left: &[Id<Job>]) -> Result<()> {
    let id = job.id;
    let behind = keys.iter().filter(|mine| mine.job_id == id).any(|mine| {
        keys.iter().any(|other| {
            other.key == mine.key && other.mode == KeyMode::Hold && other.turn < mine.turn && other.job_id != id
        })
    });
    let needs = job
        .needs_job_id
        .is_some_and(|needed| !jobs.get(&needed).is_some_and(|needed| matches!(needed.state, State::Succeeded(_))));
    let free = !behind && !needs && !left.contains(&id);
    match row.hold {
        Hold::Ready => ensure!(free, "job {id} is ready, behind={behind} needs={needs}, keys {keys:?}"),
        Hold::Blocked => ensure!(!free, "job {id} is forgotten, keys {keys:?}"),
        _ => {}
    }
    Ok(())
}

/// What may become of a job between two looks.
fn moved(known: &Known, job: &Job) -> Result<()> {
    let (before, after) = (&known.job, job);
    if before.state.is_final() {
        ensure!(before.state == after.state && before.error == after.error, "nothing leaves a final state");
    }
    ensure!(after.attempt >= before.attempt, "the attempt only grows");
    ensure!(after.attempt > before.attempt || after.returns <= before.returns + 1, "one return at a time");
    ensure!(after.retries_left <= before.retries_left, "retries only go");
    if let (Some(old), Some(new)) = (before.state.stop_for(), after.state.stop_for())
        && before.attempt == after.attempt
    {
        ensure!(new >= old, "a stop only rises");
    }
    if known.cancel_accepted {
        let goes_on = matches!(
            after.state,
            State::Pending { .. } | State::Running(_) | State::Waiting(_) | State::Suspended | State::Succeeded(_)
        );
        ensure!(!goes_on, "an accepted cancel was lost");
        ensure!(after.cancel_requested_at.is_some());
    }
    Ok(())
}

/// Parents and children.
fn family(jobs: &BTreeMap<Id<Job>, Job>) -> Result<()> {
    for child in jobs.values().filter(|job| !job.state.is_final()) {
        let Some(parent) = child.parent_id.and_then(|parent| jobs.get(&parent)) else { continue };
        ensure!(!parent.state.is_final(), "{} has ended, its child {} has not", parent.id, child.id);
        if matches!(parent.state, State::Stopping { stage: None, .. }) {
            ensure!(child.state.stop_for().is_some(), "{} is stopping, its child {} is not", parent.id, child.id);
        }
    }
    for parent in jobs.values().filter(|job| job.state == State::Waiting(WaitingFor::Children)) {
        let waits = jobs.values().any(|child| child.parent_id == Some(parent.id) && !child.state.is_final());
        ensure!(waits, "{} waits for nobody", parent.id);
    }
    Ok(())
}
