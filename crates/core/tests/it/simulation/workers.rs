//! Workers as they are at their worst: answers are lost and calls repeated, they crash, and they hang and then go on
//! with what they believe.

use anyhow::{Result, ensure};
use chandler_core::ErrorKind;
use chandler_core::jobs::link::{Assignment, Attempt, Order, Report, WorkerLink};
use chandler_core::jobs::{Along, Keyring};
use chandler_model::jobs::{Fault, JobKind, KeyMode, Stage, StepKind, StopFor, Success};
use chandler_model::logs::Stream;
use chandler_model::workers::Worker;
use chandler_model::workspaces::Workspace;
use chandler_model::{Id, jobs::State};
use chandler_store::jobs::keys::Key;

use super::world::{Process, World};
use crate::bench::Custom;
use crate::support::{hello, text};

/// A machine with a worker on it.
pub(super) struct Machine {
    name: String,
    row: Worker,
    slots: usize,
    crashed_until: Option<u64>,
    hung_until: u64,
    works: Vec<Work>,
    /// Processes of attempts that are over, whose end must still be told.
    gone: Vec<Attempt>,
}

impl Machine {
    pub(super) fn new(name: String, row: Worker, slots: usize) -> Self {
        Self { name, row, slots, crashed_until: None, hung_until: 0, works: Vec::new(), gone: Vec::new() }
    }

    pub(super) fn crash(&mut self, until: u64) {
        self.crashed_until = Some(until);
        self.works.clear();
        self.gone.clear();
    }

    pub(super) fn hang(&mut self, until: u64) {
        self.hung_until = until;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.crashed_until.is_none() && self.works.is_empty() && self.gone.is_empty()
    }
}

/// What a worker knows of an attempt.
struct Work {
    at: Attempt,
    kind: JobKind,
    /// Kinds of the steps from the first on; one of no matter which for a job without.
    steps: Vec<StepKind>,
    step: i64,
    workspace: Option<Id<Workspace>>,
    beat: i64,
    /// When the last renewal that was answered was sent.
    renewed: u64,
    begun: bool,
    order: Order,
    /// Not answered yet, and said again until it is.
    pending: Option<Call>,
    /// The state that it works on.
    state: Vec<u64>,
    /// Its process has ended by itself, or was ended.
    exited: bool,
    over: bool,
}

#[derive(Clone, Debug)]
enum Call {
    Materials,
    Report(Report),
    Beat,
    Log,
    State(Vec<u64>),
    File,
    Children(usize),
}

/// What came of a call.
enum Answer {
    Order(Order),
    Materials(Option<Vec<u8>>),
    NotHeld,
    /// The engine takes no children of an invocation that is being stopped.
    NoChildren,
}

pub(super) fn state_text(changes: &[u64]) -> Vec<u8> {
    format!(r#"{{"version":4,"serial":{},"lineage":"one","changes":{changes:?}}}"#, changes.len()).into_bytes()
}

pub(super) fn state_of(bytes: &[u8]) -> Result<Vec<u64>> {
    let value: serde_json::Value = serde_json::from_slice(bytes)?;
    Ok(serde_json::from_value(value["changes"].clone())?)
}

impl World {
    /// Whether no worker has anything to do.
    pub(super) fn quiet(&self) -> bool {
        self.machines.iter().all(Machine::is_idle)
    }

    /// A worker does one thing for each of its attempts, and claims.
    pub(super) async fn work(&mut self, n: usize) -> Result<()> {
        if let Some(until) = self.machines[n].crashed_until {
            if self.time >= until {
                self.restart(n).await?;
            }
            return Ok(());
        }
        if self.machines[n].hung_until > self.time {
            return Ok(());
        }
        self.bury(n).await?;
        let mut works = std::mem::take(&mut self.machines[n].works);
        for work in &mut works {
            self.act(n, work).await?;
            if work.over {
                self.abandon(n, work.at);
            }
        }
        works.retain(|work| !work.over);
        self.machines[n].works = works;
        if self.random.percent(70) {
            self.claim(n).await?;
        }
        Ok(())
    }

    /// The attempt is over for its worker: its process goes, unless the kernel keeps it.
    fn abandon(&mut self, n: usize, at: Attempt) {
        let stuck = self.process(at).is_some_and(|process| process.stuck);
        if stuck {
            self.machines[n].gone.push(at);
        } else {
            self.end_process(at);
        }
    }

    /// Stuck processes go at last, which is told until it is heard.
    async fn bury(&mut self, n: usize) -> Result<()> {
        let Some(at) = self.machines[n].gone.first().copied() else { return Ok(()) };
        if self.random.percent(15) {
            self.say(&format!("m{n} {at:?}: its process is gone"));
            self.end_process(at);
            self.b.link.report(at, Report::ProcessGone).await?;
            if !self.is_lost() {
                self.machines[n].gone.remove(0);
            }
            self.check().await?;
        }
        Ok(())
    }

    async fn restart(&mut self, n: usize) -> Result<()> {
        self.say(&format!("m{n} starts anew"));
        self.processes.retain(|process| process.machine != n);
        let name = self.machines[n].name.clone();
        self.machines[n].row = self.b.link.hello(&hello(&name)).await?;
        self.machines[n].crashed_until = None;
        self.check().await
    }

    fn is_lost(&mut self) -> bool {
        self.rough && self.random.percent(6)
    }

    async fn claim(&mut self, n: usize) -> Result<()> {
        let busy = self.machines[n].works.len();
        let free = self.machines[n].slots.saturating_sub(busy);
        if free == 0 {
            return Ok(());
        }
        let row = self.machines[n].row.clone();
        let claimed = self.b.link.claim(&row, i64::try_from(free)?).await?;
        self.check().await?;
        let heard = !self.is_lost();
        for assignment in claimed {
            self.say(&format!("m{n} claims {} ({}) heard={heard}", assignment.job, assignment.attempt));
            if heard {
                let work = self.begin_work(&assignment).await?;
                self.machines[n].works.push(work);
            }
        }
        Ok(())
    }

    async fn begin_work(&mut self, of: &Assignment) -> Result<Work> {
        let job = self.b.job(of.job).await?;
        let held = self.held_keys(of.job).await?;
        if let Some(known) = self.known.get_mut(&of.job) {
            // A saved plan has taken them again.
            known.keys = held;
        }
        let done = of.steps.iter().filter(|step| step.finished_at.is_some()).count();
        Ok(Work {
            at: Attempt { job: of.job, number: of.attempt },
            kind: job.kind,
            steps: of.steps.iter().map(|step| step.kind).collect(),
            step: i64::try_from(done)? + 1,
            workspace: job.workspace_id,
            beat: 0,
            renewed: self.time,
            begun: false,
            order: Order::Continue,
            pending: None,
            state: Vec::new(),
            exited: false,
            over: false,
        })
    }

    async fn act(&mut self, n: usize, work: &mut Work) -> Result<()> {
        if work.begun && !work.exited && self.process(work.at).is_none() {
            // Its keeper has ended it, because nothing was heard of us for too long.
            work.exited = true;
            work.pending = None;
        }
        if work.pending.is_none() {
            work.pending = self.next(work);
        }
        let Some(call) = work.pending.clone() else { return Ok(()) };
        if self.is_lost() && !matches!(call, Call::Report(Report::KillUnanswered)) {
            return Ok(());
        }
        let sent = self.time;
        let answer = self.call(work, &call).await?;
        self.check().await?;
        if self.is_lost() {
            self.say(&format!("m{n} {:?} {call:?}: the answer is lost", work.at));
            return Ok(());
        }
        work.pending = None;
        self.hear(n, work, &call, answer, sent)?;
        Ok(())
    }

    /// What the worker says next.
    fn next(&mut self, work: &mut Work) -> Option<Call> {
        let dice = self.random.below(100);
        if work.exited {
            let stopped = matches!(work.order, Order::Stop(_));
            let report = match stopped {
                true => Report::Stopped { exit_code: Some(143) },
                false => error(Fault::Platform, "The job was ended by its keeper."),
            };
            return Some(Call::Report(report));
        }
        if let Order::Stop(why) = work.order {
            return self.stop(work, why, dice);
        }
        if work.kind == JobKind::Invocation {
            return (dice < 40).then(|| Call::Children([0, 1, 2, 4][dice % 4]));
        }
        if !work.begun {
            return match dice {
                0..15 => None,
                15..55 if work.state.is_empty() => Some(Call::Materials),
                _ => Some(Call::Report(Report::Stage(Stage::Preparing))),
            };
        }
        if self.time - work.renewed >= 8 {
            work.beat += 1;
            return Some(Call::Beat);
        }
        match dice {
            0..10 => {
                work.beat += 1;
                Some(Call::Log)
            }
            10..15 => Some(Call::File),
            15..35 if work.changes() => {
                self.changes += 1;
                work.state.push(self.changes);
                work.beat += 1;
                Some(Call::State(work.state.clone()))
            }
            35..40 => Some(Call::Report(Report::Stage(Stage::Executing))),
            40..44 => self.exit(work, error(Fault::Work, "It broke.")),
            44..46 => Some(Call::Report(Report::Drain)),
            46..66 => {
                let outcome = if dice < 50 { Success::Unchanged } else { Success::Changed };
                self.exit(work, Report::Done { step: work.step, outcome: Some(outcome) })
            }
            _ => None,
        }
    }

    fn stop(&mut self, work: &mut Work, _why: StopFor, dice: usize) -> Option<Call> {
        if !work.begun {
            return Some(Call::Report(Report::Stopped { exit_code: None }));
        }
        if self.time - work.renewed >= 8 {
            work.beat += 1;
            return Some(Call::Beat);
        }
        match dice {
            0..30 => self.exit(work, Report::Stopped { exit_code: Some(143) }),
            30..36 => self.exit(work, Report::Done { step: work.step, outcome: Some(Success::Changed) }),
            36..42 => self.exit(work, error(Fault::Work, "It broke while it was stopped.")),
            42..46 if self.rough => {
                if let Some(process) = self.process(work.at) {
                    process.stuck = true;
                }
                Some(Call::Report(Report::KillUnanswered))
            }
            _ => None,
        }
    }

    /// Its process has ended; then that is told.
    fn exit(&mut self, work: &mut Work, report: Report) -> Option<Call> {
        self.end_process(work.at);
        work.exited = true;
        Some(Call::Report(report))
    }

    async fn call(&mut self, work: &Work, call: &Call) -> Result<Answer> {
        let (at, link) = (work.at, self.b.link.clone());
        Ok(match call {
            Call::Materials => match link.materials(at).await? {
                Some(materials) => Answer::Materials(materials.state),
                None => Answer::NotHeld,
            },
            Call::Report(report) => {
                let order = link.report(at, report.clone()).await?;
                self.say(&format!("{at:?} {report:?} → {order:?}"));
                Answer::Order(order)
            }
            Call::Beat => Answer::Order(link.beat(at, work.beat).await?),
            Call::Log => {
                let line = text(Stream::Stdout, &format!("{} of {at:?}\n", work.beat), &self.b.on);
                Answer::Order(link.log(at, work.beat, &[line]).await?)
            }
            Call::State(state) => Answer::Order(self.hand_in(work, state).await?),
            Call::File => Answer::Order(link.file(at, work.step, "plan", &[1, 2, 3]).await?),
            Call::Children(size) => self.insert_children(at, *size).await?,
        })
    }

    async fn hand_in(&mut self, work: &Work, state: &[u64]) -> Result<Order> {
        let Some(workspace) = work.workspace else { return Ok(Order::Continue) };
        let before = self.current_state(workspace).await?;
        let order = self.b.link.state(work.at, work.beat, &state_text(state)).await?;
        let after = self.current_state(workspace).await?;
        self.say(&format!("{:?} hands in {state:?}: {before:?} → {after:?}", work.at));
        let lost: Vec<_> = before.iter().filter(|change| !after.contains(change)).collect();
        ensure!(lost.is_empty(), "an older state over a newer one: {lost:?} are gone from {workspace}");
        self.handed.insert((work.at.job, work.at.number), state.to_vec());
        Ok(order)
    }

    async fn insert_children(&mut self, at: Attempt, size: usize) -> Result<Answer> {
        let parent = at.job;
        let mut children = Vec::new();
        for n in 0..size {
            let key = Key { key: format!("invocation:{parent}:{}", n % 2), mode: KeyMode::Hold };
            let keys = Some(Keyring { lane: "hosts".to_owned(), keys: vec![key] });
            let along = Along { keys: keys.filter(|_| n < 3), ..Along::default() };
            children.push(Custom { along, parent: Some(parent), ..Custom::of(JobKind::HostScript) });
        }
        let mut rows = Vec::new();
        for child in &children {
            rows.push((child.row(&self.b.on).await?, child.along.clone()));
        }
        let answer = self.b.on.core.insert_children(at, &rows, self.b.on.core.now()).await;
        self.say(&format!("{at:?} inserts {size} children: {answer:?}"));
        match answer {
            Ok(order) => Ok(Answer::Order(order)),
            Err(error) => {
                let stopping = matches!(self.b.state(parent).await?, State::Stopping { .. });
                ensure!(stopping && error.kind == ErrorKind::Internal, "children were refused: {error:?}");
                Ok(Answer::NoChildren)
            }
        }
    }

    fn hear(&mut self, n: usize, work: &mut Work, call: &Call, answer: Answer, sent: u64) -> Result<()> {
        let order = match answer {
            Answer::Materials(state) => {
                work.state = state.map(|bytes| state_of(&bytes)).transpose()?.unwrap_or_default();
                return Ok(());
            }
            Answer::NotHeld => Order::Gone,
            Answer::NoChildren => Order::Stop(StopFor::Cancel),
            Answer::Order(order) => order,
        };
        work.order = order;
        if matches!(call, Call::Beat | Call::Log | Call::State(_)) {
            work.renewed = sent;
            if let Some(process) = self.process(work.at) {
                process.renewed = sent;
            }
        }
        match (call, order) {
            (_, Order::Gone) | (Call::Report(Report::KillUnanswered), _) => work.over = true,
            (Call::Report(Report::Stage(Stage::Preparing)), Order::Continue) if !work.begun => self.start(n, work)?,
            (Call::Report(Report::Done { .. }), Order::Continue) => {
                work.step += 1;
                self.start(n, work)?;
            }
            // The step is done, and the next is not begun.
            (Call::Report(Report::Done { .. }), Order::Stop(_)) => work.exited = true,
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, n: usize, work: &mut Work) -> Result<()> {
        // An answer that came too late is not begun.
        if self.time - work.renewed > 30 {
            work.over = !work.begun;
            work.exited = true;
            return Ok(());
        }
        (work.begun, work.exited) = (true, false);
        let keys = self.known.get(&work.at.job).map(|known| known.keys.clone()).unwrap_or_default();
        self.say(&format!("m{n} {:?} is at work on step {}", work.at, work.step));
        self.begin(Process { at: work.at, machine: n, keys, renewed: work.renewed, stuck: false })
    }
}

impl Work {
    /// Whether its present step changes the state of its workspace.
    fn changes(&self) -> bool {
        let step = usize::try_from(self.step - 1).unwrap_or(0);
        self.workspace.is_some() && self.steps.get(step).is_some_and(|step| step.holds_apply_key())
    }
}

fn error(fault: Fault, message: &str) -> Report {
    Report::Error { fault, message: message.to_owned(), exit_code: Some(1), diagnostic: None }
}
