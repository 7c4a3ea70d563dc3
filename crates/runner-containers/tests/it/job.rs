//! A job in a container as its worker sees it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chandler_core::jobs::link::{Assignment, Materials, RegistryLogin};
use chandler_model::Id;
use chandler_model::environments::{Pull, RunImage};
use chandler_model::jobs::{Fault, Intent, ScriptIntent};
use chandler_model::run_spec::RunSpec;
use chandler_model::templates::ScriptSpec;
use chandler_runner::executor::{Control, Event, Executor, Ran, Running, Work};
use chandler_runner::keep::{Boottime, Timing};
use chandler_runner::recipe::{Own, Program, Recipe};
use chandler_runner::tools::{self, Target};
use chandler_runner_containers::{Containers, Limits, Settings};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

pub(crate) const BUSYBOX: &str = "localhost/busybox:1";
/// Longest that a test waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The socket of the Podman that `test.sh` has started.
pub(crate) fn socket() -> PathBuf {
    match std::env::var_os("CHANDLER_TEST_PODMAN") {
        Some(path) => path.into(),
        None => panic!("CHANDLER_TEST_PODMAN names no socket of a Podman: run ./test.sh"),
    }
}

/// A worker of its own, so that tests do not sweep each other's containers.
pub(crate) struct Host {
    pub(crate) worker: String,
    pub(crate) containers: Containers,
}

impl Host {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicI64 = AtomicI64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::named(format!("test:/{}/{number}", std::process::id()), vec![socket()], Limits::default())
    }

    /// The same worker after a restart.
    pub(crate) fn another_life(&self) -> Self {
        Self::named(self.worker.clone(), vec![socket()], Limits::default())
    }

    pub(crate) fn limited(limits: Limits) -> Self {
        Self::named(format!("limited:{}", std::process::id()), vec![socket()], limits)
    }

    pub(crate) fn without_runtime(place: &str) -> Self {
        Self::named("nobody".to_owned(), vec![place.into()], Limits::default())
    }

    fn named(worker: String, sockets: Vec<PathBuf>, limits: Limits) -> Self {
        let keeper = env!("CARGO_BIN_EXE_chandler-guard").into();
        let settings = Settings { worker: worker.clone(), sockets, keeper, limits };
        Self { worker, containers: Containers::new(settings) }
    }

    pub(crate) async fn start(&self, job: &Job) -> Running {
        let work = Work {
            job: Id::new(7),
            attempt: 2,
            step: 3,
            program: job.program.clone().unwrap_or_else(|| job.script_program()),
            targets: job.targets.clone(),
            image: Some(job.image.clone()),
            registry: job.registry.clone(),
            claimed_at: Boottime::now().before(job.claimed_ago),
            timing: job.timing.clone(),
        };
        self.containers.start(work).await
    }

    /// Runs a job to its end and lets it be cleaned up.
    pub(crate) async fn run(&self, job: &Job) -> Seen {
        let running = self.start(job).await;
        let seen = Watched::of(running);
        seen.end().await
    }

    /// Containers with this worker's label, running or not.
    pub(crate) fn left(&self) -> usize {
        let filters = format!(r#"{{"label":["chandler.worker={}"]}}"#, self.worker);
        ask("GET", "/containers/json?all=true&filters=", Some(&filters)).matches(r#""Id":"#).count()
    }
}

/// Asks the runtime itself, not through what is tested. `curl` is what there is everywhere for that.
pub(crate) fn ask(method: &str, path: &str, encoded: Option<&str>) -> String {
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let url = format!("http://podman{path}{}", encoded.map(encode).unwrap_or_default());
    let out = Command::new("curl").args(["-s", "-X", method, "--unix-socket"]).arg(socket()).arg(url).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) script: String,
    pub(crate) args: Vec<String>,
    /// Instead of the script.
    pub(crate) program: Option<Program>,
    pub(crate) targets: Vec<(String, Target)>,
    pub(crate) registry: Option<RegistryLogin>,
    pub(crate) image: RunImage,
    pub(crate) timing: Timing,
    pub(crate) claimed_ago: Duration,
}

impl Job {
    pub(crate) fn script(script: &str) -> Self {
        Self {
            script: script.to_owned(),
            args: Vec::new(),
            program: None,
            targets: Vec::new(),
            registry: None,
            image: RunImage { reference: BUSYBOX.to_owned(), pull: Pull::Missing, pin: None },
            timing: Timing::default(),
            claimed_ago: Duration::ZERO,
        }
    }

    pub(crate) fn recipe(recipe: Recipe) -> Self {
        Self { program: Some(Program::Recipe(recipe)), ..Self::script("") }
    }

    /// What the image brings, changed by this.
    pub(crate) fn spec(spec: RunSpec) -> Self {
        Self {
            program: Some(Program::Image(Own { run: spec, env: vec![("GIVEN".to_owned(), "secretly".to_owned())] })),
            ..Self::script("")
        }
    }

    /// As the product makes it of a script.
    fn script_program(&self) -> Program {
        let (script, args) = (self.script.clone(), self.args.clone());
        let spec = ScriptSpec { script, args, may_repeat: false, retries: 0, timeout_s: None };
        let intent = Intent::Script(ScriptIntent { spec, image: Some(self.image.clone()) });
        let assignment = Assignment { job: Id::new(7), attempt: 2, name: "test".to_owned(), intent, steps: Vec::new() };
        tools::prepare(&assignment, None, &Materials::default()).unwrap().program
    }

    pub(crate) fn image(mut self, reference: &str, pull: Pull) -> Self {
        self.image.reference = reference.to_owned();
        self.image.pull = pull;
        self
    }
}

/// A job that is being watched: all of its output is read.
pub(crate) struct Watched {
    pub(crate) control: Control,
    /// As much as has been printed so far.
    printed: watch::Receiver<Vec<u8>>,
    stdout: tokio::task::JoinHandle<Vec<u8>>,
    stderr: tokio::task::JoinHandle<Vec<u8>>,
    events: chandler_runner::executor::Events,
    seen: Vec<Event>,
}

/// What there was to see of a job.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) events: Vec<Event>,
}

impl Watched {
    pub(crate) fn of(running: Running) -> Self {
        let Running { mut stdout, mut stderr, events, control } = running;
        let (print, printed) = watch::channel(Vec::new());
        let stdout = tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let read = stdout.read(&mut buffer).await.unwrap();
                if read == 0 {
                    return print.borrow().clone();
                }
                print.send_modify(|bytes| bytes.extend_from_slice(&buffer[..read]));
            }
        });
        let stderr = tokio::spawn(async move {
            let mut bytes = Vec::new();
            stderr.read_to_end(&mut bytes).await.unwrap();
            bytes
        });
        Self { control, printed, stdout, stderr, events, seen: Vec::new() }
    }

    /// Waits until the job has printed that. Only then has its script done what stands before: a container has started
    /// long before its script has set a trap.
    pub(crate) async fn prints(&self, text: &str) {
        let mut printed = self.printed.clone();
        let there = printed.wait_for(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()));
        tokio::time::timeout(PATIENCE, there).await.expect("it prints nothing").expect("it ends without printing that");
    }

    /// Waits for an event.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Event) -> bool) {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.events.next()).await.expect("no event came");
            self.seen.push(event.clone());
            if wanted(&event) {
                return;
            }
            assert!(!is_last(&event), "{:?}", self.seen);
        }
    }

    pub(crate) async fn end(mut self) -> Seen {
        if !self.seen.last().is_some_and(is_last) {
            self.until(is_last).await;
        }
        self.control.finished().await;
        Seen { stdout: self.stdout.await.unwrap(), stderr: self.stderr.await.unwrap(), events: self.seen }
    }
}

fn is_last(event: &Event) -> bool {
    event.is_last()
}

impl Seen {
    pub(crate) fn exit_code(&self) -> Option<i32> {
        self.events.iter().find_map(|event| match event {
            Event::Exited { code, .. } => *code,
            _ => None,
        })
    }

    pub(crate) fn ran(&self) -> Option<&Ran> {
        self.events.iter().find_map(|event| match event {
            Event::Started { ran } => ran.as_ref(),
            _ => None,
        })
    }

    pub(crate) fn refusal(&self) -> (Fault, &str) {
        match self.events.last() {
            Some(Event::Refused { fault, reason }) => (*fault, reason),
            _ => panic!("not refused: {self:?}"),
        }
    }

    /// What was handed back of this path, each time.
    pub(crate) fn files(&self, wanted: &str) -> Vec<String> {
        let files = self.events.iter().filter_map(|event| match event {
            Event::File { path, bytes } if path == wanted => Some(String::from_utf8(bytes.clone()).unwrap()),
            _ => None,
        });
        files.collect()
    }

    pub(crate) fn said(&self) -> String {
        let lines = self.events.iter().filter_map(|event| match event {
            Event::Said(line) => Some(format!("{line}\n")),
            _ => None,
        });
        lines.collect()
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }
}
