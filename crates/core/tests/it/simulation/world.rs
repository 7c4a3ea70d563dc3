//! The world: its time, its machines, and the order in which things happen.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chandler_core::jobs::link::{Attempt, WorkerLink};
use chandler_core::jobs::{Reaper, Settings, fire_timers, keep_house};
use chandler_model::Id;
use chandler_model::jobs::{Job, KeyMode};
use chandler_model::templates::Template;
use chandler_model::workspaces::Workspace;
use chandler_store::jobs::{keys, look};
use chandler_store::seam::Engine;
use tokio::time::Instant;

use super::invariants::Known;
use super::workers::Machine;
use crate::bench::Bench;
use crate::random::Random;
use crate::support::hello;

/// Rounds in which everything may go wrong; then nothing does, and everything must end.
const ROUGH: usize = 160;
const CALM: usize = 1500;
/// What a keeper allows: seconds since the sending of the last renewal that was answered.
const KILLED_AFTER: u64 = 40;

/// A process on a machine. Its keeper ends it, whatever becomes of its worker.
pub(super) struct Process {
    pub(super) at: Attempt,
    pub(super) machine: usize,
    pub(super) keys: Vec<String>,
    pub(super) renewed: u64,
    /// The kernel does not let it die.
    pub(super) stuck: bool,
}

pub(super) struct World {
    pub(super) b: Bench,
    pub(super) random: Random,
    /// Seconds since the beginning.
    pub(super) time: u64,
    began: Instant,
    reaper: Reaper,
    pub(super) machines: Vec<Machine>,
    pub(super) processes: Vec<Process>,
    pub(super) known: BTreeMap<Id<Job>, Known>,
    pub(super) workspaces: Vec<Id<Workspace>>,
    pub(super) playbooks: Vec<Id<Template>>,
    /// Which change of which workspace comes next; every one has its own number.
    pub(super) changes: u64,
    /// What an attempt has handed in last: all of it must still be somewhere at the end.
    pub(super) handed: BTreeMap<(Id<Job>, i64), Vec<u64>>,
    pub(super) rough: bool,
    said: Vec<String>,
}

impl World {
    /// One life. The answer is how many jobs it had.
    pub(super) async fn live(engine: Engine, seed: u64) -> Result<usize> {
        let mut world = Self::new(engine, seed).await?;
        let outcome = world.run().await;
        outcome.with_context(|| {
            let from = world.said.len().saturating_sub(80);
            format!("what happened last:\n{}", world.said[from..].join("\n"))
        })?;
        Ok(world.known.len())
    }

    async fn new(engine: Engine, seed: u64) -> Result<Self> {
        let b = Bench::new(engine, Settings::default()).await?;
        let mut random = Random::new(seed);
        let mut machines = Vec::new();
        for n in 0..2 + random.below(2) {
            let name = format!("m{n}");
            let row = b.link.hello(&hello(&name)).await?;
            machines.push(Machine::new(name, row, 1 + random.below(3)));
        }
        let workspaces = vec![b.workspace("one").await?, b.workspace("two").await?];
        let playbooks = vec![b.playbook("one", false).await?, b.playbook("two", false).await?];
        Ok(Self {
            b,
            random,
            time: 0,
            began: Instant::now(),
            reaper: Reaper::default(),
            machines,
            processes: Vec::new(),
            known: BTreeMap::new(),
            workspaces,
            playbooks,
            changes: 0,
            handed: BTreeMap::new(),
            rough: true,
            said: Vec::new(),
        })
    }

    pub(super) fn say(&mut self, text: &str) {
        self.said.push(format!("{:>6} {text}", self.time));
    }

    async fn run(&mut self) -> Result<()> {
        for _ in 0..ROUGH {
            self.round().await?;
        }
        self.rough = false;
        self.say("nothing goes wrong any more");
        for _ in 0..CALM {
            self.calm_people().await?;
            if look::queue(self.b.on.core.db()).await?.is_empty() && self.processes.is_empty() && self.quiet() {
                return self.end().await;
            }
            self.round().await?;
        }
        let left = look::queue(self.b.on.core.db()).await?;
        anyhow::bail!("these never end: {left:?}, keys {:?}", look::keys(self.b.on.core.db()).await?)
    }

    async fn round(&mut self) -> Result<()> {
        if self.rough {
            if self.random.percent(60) {
                self.people().await?;
                self.check().await?;
            }
            if self.random.percent(4) {
                self.accident();
            }
        }
        for machine in 0..self.machines.len() {
            self.work(machine).await?;
        }
        self.pass_time().await
    }

    async fn pass_time(&mut self) -> Result<()> {
        let seconds = 1 + self.random.below(5) as u64;
        // Now and then much time passes in which only workers and keepers live on: they say so every few seconds.
        self.time += seconds;
        self.b.clock.forward(i64::try_from(seconds)?);
        self.keep();
        if !self.rough || self.random.percent(80) {
            let now = self.began + Duration::from_secs(self.time);
            self.reaper.look(&self.b.on.core, || now).await?;
            self.check().await?;
        } else if self.random.percent(5) {
            // Another process of the server does it from now on.
            self.reaper = Reaper::default();
        }
        if !self.rough || self.random.percent(60) {
            fire_timers(&self.b.on.core).await?;
            self.check().await?;
        }
        if self.random.percent(3) {
            ensure!(keep_house(&self.b.on.core).await? == 0, "housekeeping found a job that was forgotten");
        }
        Ok(())
    }

    /// Keepers end what was not renewed.
    fn keep(&mut self) {
        let time = self.time;
        self.processes.retain(|process| process.stuck || time - process.renewed < KILLED_AFTER);
    }

    /// A machine loses its worker, or the worker stands still for a while and then goes on as if nothing were.
    fn accident(&mut self) {
        let n = self.random.below(self.machines.len());
        let until = self.time + [3, 20, 35, 60, 150][self.random.below(5)];
        if self.random.percent(50) {
            self.say(&format!("m{n} crashes until {until}"));
            self.machines[n].crash(until);
            // Keepers see the pipe close.
            self.processes.retain(|process| process.machine != n || process.stuck);
        } else {
            self.say(&format!("m{n} hangs until {until}"));
            self.machines[n].hang(until);
        }
    }

    /// A process begins: nobody else may be at work on the same.
    pub(super) fn begin(&mut self, process: Process) -> Result<()> {
        for other in &self.processes {
            let (at, beside) = (process.at, other.at);
            ensure!(other.at.job != process.at.job, "{at:?} begins while {beside:?} is at work");
            let shared = other.keys.iter().find(|key| process.keys.contains(key));
            ensure!(shared.is_none(), "{at:?} begins while {beside:?} is at work, and both hold {shared:?}");
        }
        self.processes.push(process);
        Ok(())
    }

    pub(super) fn process(&mut self, at: Attempt) -> Option<&mut Process> {
        self.processes.iter_mut().find(|process| process.at == at)
    }

    pub(super) fn end_process(&mut self, at: Attempt) {
        self.processes.retain(|process| process.at != at);
    }

    /// The keys that a job holds now, by name.
    pub(super) async fn held_keys(&self, job: Id<Job>) -> Result<Vec<String>> {
        let keys = look::keys(self.b.on.core.db()).await?;
        let held = keys.into_iter().filter(|key| key.job_id == job && key.mode == KeyMode::Hold);
        Ok(held.map(|key| key.key).collect())
    }

    async fn end(&mut self) -> Result<()> {
        self.check().await?;
        let db = self.b.on.core.db();
        ensure!(keys::forgotten(db).await?.is_empty());
        let keys = look::keys(db).await?;
        ensure!(keys.is_empty(), "keys of nobody: {keys:?}");
        // Back-offs of jobs that were cancelled meanwhile.
        self.b.clock.forward(60);
        fire_timers(&self.b.on.core).await?;
        let timers = look::timers(db).await?;
        ensure!(timers.is_empty(), "timers of nobody: {timers:?}");
        self.nothing_handed_in_is_lost().await
    }
}
