//! Many clients of one PostgreSQL at the same time on a few shared workspaces and playbooks: nobody runs beside another
//! holder of his key, turns are kept, nothing is forgotten, and no two transactions ever wait for each other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use chandler_core::jobs::link::{Assignment, Attempt, Embedded, Order, Report, WorkerLink};
use chandler_core::jobs::{JobInput, LaunchSecrets, What, keep_house};
use chandler_core::{Core, Cx, Error, ErrorKind};
use chandler_model::ids::Selector;
use chandler_model::jobs::{Hold, Job, KeyMode, Stage, StepKind, Success};
use chandler_model::templates::{Template, TemplateSpec};
use chandler_model::workers::Worker;
use chandler_model::workspaces::Workspace;
use chandler_model::{Id, organizations::Organization};
use chandler_store::jobs::look;
use chandler_store::seam::Engine;
use tokio::task::JoinSet;

use crate::bench::{APPROVED, AT_ONCE, Bench, PLAN_ONLY, flow};
use crate::random::Random;
use crate::support::{PATIENCE, attempt, worker};

const CLIENTS: usize = 10;
const JOBS: usize = 120;
/// A decision is about the second step of every flow here.
const DECIDED: i64 = 2;

/// Who is at work on a key, and the last turn that began.
#[derive(Default)]
struct Work {
    holder: Option<Attempt>,
    turn: i64,
}

/// What all clients share.
struct World {
    organization: Id<Organization>,
    workspaces: Vec<Id<Workspace>>,
    playbooks: Vec<Id<Template>>,
    launched: AtomicUsize,
    jobs: Mutex<Vec<Id<Job>>>,
    at_work: Mutex<BTreeMap<String, Work>>,
}

impl World {
    fn begin(&self, at: Attempt, keys: &[(String, i64)]) -> Result<()> {
        let mut all = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, turn) in keys {
            let work = all.entry(key.clone()).or_default();
            ensure!(work.holder.is_none(), "{at:?} begins on {key} beside {:?}", work.holder);
            ensure!(*turn >= work.turn, "{at:?} begins on {key} with turn {turn} after turn {}", work.turn);
            *work = Work { holder: Some(at), turn: *turn };
        }
        Ok(())
    }

    fn end(&self, at: Attempt) {
        let mut all = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        all.values_mut().filter(|work| work.holder == Some(at)).for_each(|work| work.holder = None);
    }

    fn some_job(&self, random: &mut Random) -> Option<Id<Job>> {
        random.one_of(&self.jobs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn all_launched(&self) -> bool {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).len() >= JOBS
    }
}

struct Client {
    core: Core,
    cx: Cx,
    link: Embedded,
    row: Worker,
    random: Random,
    world: Arc<World>,
}

impl Client {
    async fn run(mut self) -> Result<()> {
        loop {
            if self.world.all_launched() && look::queue(self.core.db()).await?.is_empty() {
                return Ok(());
            }
            match self.random.below(100) {
                0..30 => self.launch().await?,
                30..70 => self.work().await?,
                70..85 => self.decide().await?,
                85..92 if !self.world.all_launched() => self.cancel().await?,
                _ => self.lock_or_unlock().await?,
            }
        }
    }

    async fn launch(&mut self) -> Result<()> {
        if self.world.launched.fetch_add(1, Ordering::SeqCst) >= JOBS {
            return Ok(());
        }
        let workspace = self.random.one_of(&self.world.workspaces);
        let steps: &[(StepKind, bool)] = [APPROVED, AT_ONCE, PLAN_ONLY, PLAN_ONLY][self.random.below(4)];
        let save = self.random.percent(30);
        let (what, workspace) = match self.random.one_of(&self.world.playbooks) {
            Some(template) if self.random.percent(30) => (What::Template(template), None),
            _ => {
                let spec = TemplateSpec::Flow(flow(steps, save));
                (What::Content { organization: self.world.organization, spec }, workspace)
            }
        };
        let input = JobInput {
            name: Some("job".to_owned()),
            what,
            environment: None,
            workspace,
            secrets: LaunchSecrets::default(),
            priority: 0,
        };
        let id = self.core.launch_job(&self.cx, input).await?.id;
        self.world.jobs.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        Ok(())
    }

    async fn work(&mut self) -> Result<()> {
        for mine in self.link.claim(&self.row, 2).await? {
            self.one(&mine).await?;
        }
        Ok(())
    }

    async fn one(&mut self, mine: &Assignment) -> Result<()> {
        let at = attempt(mine);
        let keys: Vec<(String, i64)> = look::keys(self.core.db())
            .await?
            .into_iter()
            .filter(|key| key.job_id == at.job && key.mode == KeyMode::Hold)
            .map(|key| (key.key, key.turn))
            .collect();
        self.link.materials(at).await?;
        let mut order = self.link.report(at, Report::Stage(Stage::Preparing)).await?;
        let done = mine.steps.iter().filter(|step| step.finished_at.is_some()).count();
        let mut step = i64::try_from(done)? + 1;
        loop {
            match order {
                Order::Gone => return Ok(()),
                Order::Stop(_) => {
                    self.link.report(at, Report::Stopped { exit_code: None }).await?;
                    return Ok(());
                }
                Order::Continue => {}
            }
            self.world.begin(at, &keys)?;
            order = self.link.beat(at, step).await?;
            for _ in 0..self.random.below(4) {
                tokio::task::yield_now().await;
            }
            self.world.end(at);
            if order == Order::Continue {
                let outcome = Some(if self.random.percent(10) { Success::Unchanged } else { Success::Changed });
                order = self.link.report(at, Report::Done { step, outcome }).await?;
                step += 1;
            }
        }
    }

    async fn decide(&mut self) -> Result<()> {
        let queue = look::queue(self.core.db()).await?;
        let waiting: Vec<Id<Job>> =
            queue.iter().filter(|row| row.hold == Hold::Waiting).map(|row| row.job_id).collect();
        let Some(id) = self.random.one_of(&waiting) else { return Ok(()) };
        if self.random.percent(85) {
            heard(self.core.approve_job(&self.cx, Selector::Id(id), DECIDED).await)
        } else {
            heard(self.core.reject_job(&self.cx, Selector::Id(id), DECIDED).await)
        }
    }

    async fn cancel(&mut self) -> Result<()> {
        let Some(id) = self.world.some_job(&mut self.random) else { return Ok(()) };
        heard(self.core.cancel_job(&self.cx, Selector::Id(id)).await)
    }

    async fn lock_or_unlock(&mut self) -> Result<()> {
        let Some(workspace) = self.random.one_of(&self.world.workspaces) else { return Ok(()) };
        if self.random.percent(30) && !self.world.all_launched() {
            heard(self.core.lock_workspace(&self.cx, Selector::Id(workspace), None).await)
        } else {
            heard(self.core.unlock_workspace(&self.cx, Selector::Id(workspace)).await)
        }
    }
}

/// A request may come too late or too early, and fail for nothing else.
fn heard<T>(answer: Result<T, Error>) -> Result<()> {
    match answer {
        Ok(_) | Err(Error { kind: ErrorKind::WrongState { .. }, .. }) => Ok(()),
        Err(error) => bail!(error),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clients_share_keys_without_meeting() -> Result<()> {
    let b = Bench::new(Engine::Postgres, chandler_core::jobs::Settings::default()).await?;
    let world = Arc::new(World {
        organization: b.on.organization().await?.id,
        workspaces: vec![b.workspace("one").await?, b.workspace("two").await?],
        playbooks: vec![b.playbook("one", false).await?, b.playbook("two", false).await?],
        launched: AtomicUsize::new(0),
        jobs: Mutex::default(),
        at_work: Mutex::default(),
    });
    let mut clients = JoinSet::new();
    let mut cores = Vec::new();
    for n in 0..CLIENTS {
        let core = b.on.replica().await?;
        let (link, row) = worker(&core, &format!("w{n}")).await?;
        let (random, world) = (Random::new(n as u64), Arc::clone(&world));
        cores.push(core.clone());
        clients.spawn(Client { core, cx: b.on.admin().await?, link, row, random, world }.run());
    }
    let all = async {
        while let Some(client) = clients.join_next().await {
            client??;
        }
        anyhow::Ok(())
    };
    let ended = tokio::time::timeout(PATIENCE, all).await;
    if ended.is_err() {
        let (queue, keys) = (look::queue(b.on.core.db()).await?, look::keys(b.on.core.db()).await?);
        bail!("not everything ends: {queue:?}, keys {keys:?}");
    }
    ended.context("it has ended")??;
    let reruns: Vec<u64> = cores.iter().map(|core| core.db().stats().reruns).collect();
    ensure!(reruns.iter().all(|n| *n == 0), "transactions met: {reruns:?}");
    for workspace in &world.workspaces {
        heard(b.on.core.unlock_workspace(&b.on.admin().await?, Selector::Id(*workspace)).await)?;
    }
    ensure!(look::keys(b.on.core.db()).await?.is_empty());
    ensure!(keep_house(&b.on.core).await? == 0);
    let jobs = world.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for id in jobs {
        ensure!(b.state(id).await?.is_final());
    }
    Ok(())
}
