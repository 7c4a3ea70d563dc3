//! The worker against an engine that writes down every word, and executors that do what the test says.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chandler_core::error::{Error, Kind, Result};
use chandler_core::jobs::Timing;
use chandler_core::jobs::link::{Assignment, Attempt, Hello, Materials, Order, Report, Wake, Wakes, WorkerLink};
use chandler_model::environments::{Pull, RunImage};
use chandler_model::jobs::{
    ContainerIntent, Fault, Intent, JobKinds, JobStep, ScriptIntent, Stage, StepKind, StepState, StopFor,
};
use chandler_model::logs::Entry;
use chandler_model::run_spec::RunSpec;
use chandler_model::templates::ScriptSpec;
use chandler_model::workers::Worker;
use chandler_model::{Id, Uid};
use chandler_runner::executor::Order as ToExecutor;
use chandler_runner::executor::{BoxFuture, Event, Executor, Left, Memo, Orders, Running, Teller, Work};
use chandler_runner::keep::Signal;
use chandler_runner::recipe::Kept;
use chandler_runner::tools::Target;
use chandler_runner::worker;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::job::BOUND;
use crate::recipes::Place;

/// What the engine has heard.
#[derive(Clone, Debug, PartialEq)]
enum Word {
    Hello,
    Log(i64, String, Option<i64>),
    State(i64, String),
    File(i64, String, String),
    Report(Report),
}

#[derive(Clone)]
struct Engine(Arc<Inner>);

struct Inner {
    jobs: Mutex<VecDeque<Assignment>>,
    materials: Materials,
    heard: mpsc::UnboundedSender<Word>,
    /// What beats and logs are answered.
    order: Mutex<Order>,
    /// What the first reports of a step that is done are answered.
    done: Mutex<VecDeque<Order>>,
    /// As many states are stored without an answer.
    deaf: AtomicUsize,
    wake: Notify,
}

struct Poll(Engine);

impl Wakes for Poll {
    async fn next(&mut self) -> Wake {
        self.0.0.wake.notified().await;
        Wake::Job(Id::new(7))
    }
}

impl Engine {
    fn new(jobs: Vec<Assignment>) -> (Self, Heard) {
        Self::with(jobs, Materials::default())
    }

    fn with(jobs: Vec<Assignment>, materials: Materials) -> (Self, Heard) {
        let (heard, words) = mpsc::unbounded_channel();
        let inner = Inner {
            jobs: Mutex::new(jobs.into()),
            materials,
            heard,
            order: Mutex::new(Order::Continue),
            done: Mutex::default(),
            deaf: AtomicUsize::new(0),
            wake: Notify::new(),
        };
        (Self(Arc::new(inner)), Heard { words, seen: Vec::new() })
    }

    fn hear(&self, word: Word) -> Order {
        self.0.heard.send(word).unwrap();
        *self.0.order.lock().unwrap()
    }

    fn orders(&self, order: Order) {
        *self.0.order.lock().unwrap() = order;
        self.0.wake.notify_one();
    }

    /// Runs a worker until the test is over.
    fn run(&self, settings: worker::Settings) -> CancellationToken {
        let drain = CancellationToken::new();
        let (link, token) = (self.clone(), drain.clone());
        tokio::spawn(async move { worker::run(link, settings, token).await.unwrap() });
        drain
    }
}

impl WorkerLink for Engine {
    fn timing(&self) -> Timing {
        Timing::default().divided_by(20)
    }

    async fn hello(&self, hello: &Hello) -> Result<Worker> {
        self.hear(Word::Hello);
        Ok(Worker {
            id: Id::new(1),
            uid: Uid(uuid::Uuid::nil()),
            name: hello.name.clone(),
            organization_id: None,
            tag_set_id: Id::new(1),
            kinds: JobKinds::of(&[]),
            slots: hello.slots,
            version: hello.version.clone(),
            enabled: true,
            last_seen_at: None,
        })
    }

    async fn claim(&self, _: &Worker, _: i64) -> Result<Vec<Assignment>> {
        Ok(self.0.jobs.lock().unwrap().pop_front().into_iter().collect())
    }

    async fn beat(&self, _: Attempt, _: i64) -> Result<Order> {
        Ok(*self.0.order.lock().unwrap())
    }

    async fn materials(&self, _: Attempt) -> Result<Option<Materials>> {
        Ok(Some(self.0.materials.clone()))
    }

    async fn log(&self, _: Attempt, beat: i64, entries: &[Entry]) -> Result<Order> {
        let mut order = Order::Continue;
        for entry in entries {
            let Entry::Chunk(chunk) = entry else { panic!("{entry:?}") };
            let text = String::from_utf8_lossy(&chunk.bytes).into_owned();
            order = self.hear(Word::Log(beat, text, chunk.step));
        }
        Ok(order)
    }

    async fn state(&self, _: Attempt, beat: i64, state: &[u8]) -> Result<Order> {
        let order = self.hear(Word::State(beat, String::from_utf8_lossy(state).into_owned()));
        let less = |left: usize| left.checked_sub(1);
        match self.0.deaf.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
            Ok(_) => Err(Error::from(Kind::Internal)),
            Err(_) => Ok(order),
        }
    }

    async fn file(&self, _: Attempt, step: i64, name: &str, bytes: &[u8]) -> Result<Order> {
        Ok(self.hear(Word::File(step, name.to_owned(), String::from_utf8_lossy(bytes).into_owned())))
    }

    async fn report(&self, _: Attempt, report: Report) -> Result<Order> {
        let done = matches!(report, Report::Done { .. });
        let over = matches!(report, Report::Error { .. } | Report::Stopped { .. } | Report::KillUnanswered);
        let order = self.hear(Word::Report(report));
        Ok(match done {
            true => self.0.done.lock().unwrap().pop_front().unwrap_or(Order::Gone),
            false if over => Order::Gone,
            false => order,
        })
    }

    fn wakes(&self) -> impl Wakes {
        Poll(self.clone())
    }
}

/// What was heard, in order.
struct Heard {
    words: mpsc::UnboundedReceiver<Word>,
    seen: Vec<Word>,
}

impl Heard {
    /// Waits for a word; everything up to it.
    async fn until(&mut self, wanted: impl Fn(&Word) -> bool) -> &[Word] {
        loop {
            let word = timeout(BOUND, self.words.recv()).await;
            let word = word.unwrap_or_else(|_| panic!("not heard in time: {:?}", self.seen)).unwrap();
            self.seen.push(word);
            if wanted(&self.seen[self.seen.len() - 1]) {
                return &self.seen;
            }
        }
    }

    async fn until_report(&mut self, wanted: &Report) -> &[Word] {
        self.until(|word| matches!(word, Word::Report(report) if report == wanted)).await
    }

    fn log(&self) -> String {
        let texts = self.seen.iter().filter_map(|word| match word {
            Word::Log(_, text, _) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    fn reports(&self) -> Vec<&Report> {
        let reports = self.seen.iter().filter_map(|word| match word {
            Word::Report(report) => Some(report),
            _ => None,
        });
        reports.collect()
    }
}

/// An executor that does the same for each start.
struct Scripted<F> {
    run: F,
    starts: Mutex<Vec<Work>>,
    left: Mutex<Vec<Left>>,
    discarded: AtomicUsize,
}

impl<F> std::fmt::Debug for Scripted<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

impl<F, T> Scripted<F>
where
    F: Fn(Teller, Orders) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    fn new(run: F) -> Arc<Self> {
        Self::with(run, Vec::new())
    }

    fn with(run: F, left: Vec<Left>) -> Arc<Self> {
        Arc::new(Self { run, starts: Mutex::default(), left: Mutex::new(left), discarded: AtomicUsize::new(0) })
    }
}

impl<F, T> Executor for Scripted<F>
where
    F: Fn(Teller, Orders) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    fn sweep(&self) -> BoxFuture<'_, io::Result<Vec<Left>>> {
        Box::pin(async { Ok(std::mem::take(&mut *self.left.lock().unwrap())) })
    }

    fn discard(&self, _: Left) -> BoxFuture<'_, io::Result<()>> {
        self.discarded.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    }

    fn start(&self, work: Work) -> BoxFuture<'_, Running> {
        self.starts.lock().unwrap().push(work);
        let (run, nothing) = (self.run.clone(), || Box::new(tokio::io::empty()));
        Box::pin(async move { Running::spawn(nothing(), nothing(), run) })
    }
}

async fn ends_well(tell: Teller, mut orders: Orders) {
    tell.event(Event::Started { ran: None });
    tell.event(Event::Exited { code: Some(0), signal: None });
    tell.event(Event::Gone);
    orders.ended().await;
}

fn assignment(intent: Intent, steps: Vec<JobStep>) -> Assignment {
    Assignment { job: Id::new(7), attempt: 2, name: "test".to_owned(), intent, steps }
}

fn script(text: &str) -> Assignment {
    let spec = ScriptSpec { script: text.to_owned(), args: Vec::new(), may_repeat: false, retries: 0, timeout_s: None };
    assignment(Intent::Script(ScriptIntent { spec, image: None }), Vec::new())
}

fn container(steps: Vec<JobStep>) -> Assignment {
    let image = RunImage { reference: "busybox".to_owned(), pull: Pull::Never, pin: None };
    assignment(Intent::Container(ContainerIntent { image, run: RunSpec::default(), timeout_s: None }), steps)
}

fn step(number: i64, state: StepState) -> JobStep {
    JobStep {
        number,
        name: format!("step {number}"),
        kind: StepKind::Plan,
        state,
        needs_decision: false,
        decision: None,
        outcome: None,
        started_at: None,
        finished_at: None,
    }
}

#[tokio::test]
async fn secrets_are_hidden_in_both_outputs_and_the_end_comes_after_all_of_them() {
    let place = Place::new();
    let mut materials = Materials::default();
    materials.secrets.env.insert("TOKEN".to_owned(), "hunter22".to_owned());
    materials.secrets.files.insert("conf/key".to_owned(), b"file-secret".to_vec());
    let (engine, mut heard) =
        Engine::with(vec![script("echo a $TOKEN; cat conf/key >&2; printf hun; exit 3")], materials);
    let _drain = engine.run(place.settings());
    let message = "The script ended with exit code 3.".to_owned();
    let report = Report::Error { fault: Fault::Work, message, exit_code: Some(3), diagnostic: None };
    heard.until_report(&report).await;
    let log = heard.log();
    assert!(log.contains("a [hidden]\n") && log.contains("hun"), "{log}");
    assert!(!log.contains("hunter22") && !log.contains("file-secret"), "{log}");
    let beats: Vec<i64> =
        heard.seen.iter().filter_map(|word| if let Word::Log(beat, ..) = word { Some(*beat) } else { None }).collect();
    assert!(beats.is_sorted(), "{beats:?}");
}

#[tokio::test]
async fn a_reason_and_a_line_of_the_executor_show_no_secret() {
    let place = Place::new();
    let mut materials = Materials::default();
    materials.secrets.env.insert("TOKEN".to_owned(), "hunter22".to_owned());
    let (engine, mut heard) = Engine::with(vec![container(Vec::new())], materials);
    let refuse = async |tell: Teller, mut orders: Orders| {
        tell.say("pulled with hunter22");
        tell.event(Event::Refused { fault: Fault::Platform, reason: "hunter22 was refused".to_owned() });
        orders.ended().await;
    };
    let executor = Scripted::new(refuse);
    let _drain = engine.run(worker::Settings { containers: Some(executor), ..place.settings() });
    let message = "[hidden] was refused.".to_owned();
    heard.until_report(&Report::Error { fault: Fault::Platform, message, exit_code: None, diagnostic: None }).await;
    assert_eq!(heard.log(), "pulled with [hidden]\n[hidden] was refused.\n");
}

#[tokio::test]
async fn steps_that_are_not_done_follow_each_other_in_one_attempt() {
    let place = Place::new();
    let steps = vec![step(1, StepState::Succeeded), step(2, StepState::Running), step(5, StepState::Pending)];
    let (engine, mut heard) = Engine::new(vec![container(steps)]);
    engine.0.done.lock().unwrap().push_back(Order::Continue);
    let executor = Scripted::new(ends_well);
    let _drain = engine.run(worker::Settings { containers: Some(executor.clone()), ..place.settings() });
    heard.until_report(&Report::Done { step: 5, outcome: None }).await;
    let stages = |stage| Report::Stage(stage);
    let done = |step| Report::Done { step, outcome: None };
    let expected =
        [&stages(Stage::Preparing), &stages(Stage::Executing), &done(2), &stages(Stage::Executing), &done(5)];
    assert_eq!(heard.reports(), expected);
    let starts: Vec<i64> = executor.starts.lock().unwrap().iter().map(|work| work.step).collect();
    assert_eq!(starts, [2, 5]);
}

#[tokio::test]
async fn after_a_step_that_ends_the_attempt_nothing_more_is_begun() {
    let place = Place::new();
    let steps = vec![step(1, StepState::Pending), step(2, StepState::Pending)];
    let (engine, mut heard) = Engine::new(vec![container(steps), script("echo next")]);
    engine.0.done.lock().unwrap().push_back(Order::Gone);
    let executor = Scripted::new(ends_well);
    let _drain = engine.run(worker::Settings { containers: Some(executor.clone()), ..place.settings() });
    // The free slot goes to the next job.
    heard.until(|word| matches!(word, Word::Log(_, text, _) if text == "next\n")).await;
    assert_eq!(executor.starts.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_does_not_die_is_told_and_later_that_it_has_gone() {
    let place = Place::new();
    let (engine, mut heard) = Engine::new(vec![container(Vec::new())]);
    let stuck = async |tell: Teller, mut orders: Orders| {
        tell.event(Event::Started { ran: None });
        while orders.next().await != Some(ToExecutor::Signal(Signal::Term)) {}
        tell.event(Event::KillUnanswered);
        // It goes when the worker has heard that it does not.
        tokio::spawn(async move {
            tell.event(Event::Exited { code: None, signal: Some(9) });
            tell.event(Event::Gone);
            orders.ended().await;
        });
    };
    let executor = Scripted::new(stuck);
    let _drain = engine.run(worker::Settings { containers: Some(executor), ..place.settings() });
    heard.until_report(&Report::Stage(Stage::Executing)).await;
    engine.orders(Order::Stop(StopFor::Cancel));
    heard.until_report(&Report::ProcessGone).await;
    let reports = heard.reports();
    assert_eq!(reports[reports.len() - 2..], [&Report::KillUnanswered, &Report::ProcessGone]);
}

#[tokio::test]
async fn what_an_earlier_life_left_is_handed_in_before_anything_is_claimed() {
    let place = Place::new();
    let (engine, mut heard) = Engine::new(vec![container(Vec::new())]);
    engine.0.deaf.store(1, Ordering::SeqCst);
    let kept = |path: &str| Kept { path: path.to_owned(), max: 10, live: false };
    let memo = Memo {
        step: 4,
        keep: vec![kept("state"), kept("plan")],
        targets: vec![("state".to_owned(), Target::State), ("plan".to_owned(), Target::File("the plan".to_owned()))],
    };
    let files = vec![("state".to_owned(), b"{}".to_vec()), ("plan".to_owned(), b"p".to_vec())];
    let left = Left { job: Id::new(3), attempt: 1, memo, files };
    let executor = Scripted::with(ends_well, vec![left]);
    let _drain = engine.run(worker::Settings { containers: Some(executor.clone()), ..place.settings() });
    let seen = heard.until_report(&Report::Stage(Stage::Preparing)).await;
    let state = || Word::State(i64::MAX, "{}".to_owned());
    let file = Word::File(4, "the plan".to_owned(), "p".to_owned());
    let expected = [Word::Hello, state(), state(), file, Word::Report(Report::ProcessGone)];
    assert_eq!(seen[..5], expected, "the first state was stored without an answer");
    assert_eq!(executor.discarded.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_job_that_is_stopped_reports_how_it_ended() {
    let place = Place::new();
    let (engine, mut heard) = Engine::new(vec![script("trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done")]);
    let _drain = engine.run(place.settings());
    heard.until(|word| matches!(word, Word::Log(_, text, _) if text == "up\n")).await;
    engine.orders(Order::Stop(StopFor::Cancel));
    heard.until_report(&Report::Stopped { exit_code: Some(9) }).await;
}

#[tokio::test]
async fn a_drained_worker_stops_its_jobs_after_their_grace_and_ends() {
    let place = Place::new();
    let (engine, mut heard) = Engine::new(vec![script("echo up; sleep 1000")]);
    let (link, settings, drain) = (engine.clone(), place.settings(), CancellationToken::new());
    let token = drain.clone();
    let worker = tokio::spawn(async move { worker::run(link, settings, token).await.unwrap() });
    heard.until(|word| matches!(word, Word::Log(_, text, _) if text == "up\n")).await;
    drain.cancel();
    heard.until_report(&Report::Drain).await;
    engine.orders(Order::Stop(StopFor::Drain));
    heard.until_report(&Report::Stopped { exit_code: Some(143) }).await;
    timeout(BOUND.max(Duration::from_secs(1)), worker).await.unwrap().unwrap();
}
