//! Jobs in the real program, on both engines: what is left when things go wrong is nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chandler_testkit::db::{Guard, postgres_database};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::Program;

/// Longest that a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(90);

const NO_CONTAINERS: [(&str, &str); 1] = [("CHANDLER_WORKER_CONTAINER_SOCKET", "off")];

#[derive(Clone, Copy)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// A folder and, for PostgreSQL, a database, in which one program after the other may run.
pub(crate) struct Place {
    folder: Arc<TempDir>,
    database: Option<(String, Guard)>,
}

impl Place {
    pub(crate) fn new(engine: Engine) -> Self {
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                Some(runtime.block_on(postgres_database("empty", async |_| Ok(()))).unwrap())
            }
        };
        Self { folder: Arc::new(tempfile::tempdir().unwrap()), database }
    }

    fn serve(&self) -> Program {
        self.serve_with(&NO_CONTAINERS)
    }

    pub(crate) fn serve_with(&self, further: &[(&str, &str)]) -> Program {
        let mut environment = vec![("CHANDLER_WORKER_GRACE", "1s")];
        environment.extend(further);
        if let Some((url, _)) = &self.database {
            environment.push(("CHANDLER_DATABASE_URL", url));
        }
        Program::serve_in(&self.folder, &environment)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Attempts that have left a directory.
    fn directories(&self) -> usize {
        std::fs::read_dir(self.data().join("work/jobs")).unwrap().count()
    }
}

fn launch(program: &Program, script: &str) -> i64 {
    let body = json!({"organization_id": 1, "name": "test", "spec": {"kind": "script", "script": script}});
    let (status, job) = program.call("POST", "/jobs", Some(body));
    assert_eq!(status, 201, "{job}");
    job["id"].as_i64().unwrap()
}

pub(crate) fn job(program: &Program, id: i64) -> Value {
    program.call("GET", &format!("/jobs/{id}"), None).1
}

/// Looks until something holds.
pub(crate) fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The whole log of an ended job, or what there is of it.
pub(crate) fn log_of(program: &Program, id: i64) -> String {
    match program.call("GET", &format!("/jobs/{id}/log"), None).1 {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

pub(crate) fn log_has(program: &Program, id: i64, text: &str) {
    let path = format!("/jobs/{id}/log");
    until(text, || program.call("GET", &path, None).1.to_string().contains(text).then_some(()));
}

pub(crate) fn ended(program: &Program, id: i64) -> Value {
    until("the end of the job", || {
        let job = job(program, id);
        ["succeeded", "failed", "canceled"].iter().any(|word| job["status"] == *word).then_some(job)
    })
}

/// Seconds to sleep that nobody else sleeps, so that the processes of a test are told apart.
fn mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{}.{:03}", 1_000_000 + std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Processes whose command line contains the mark.
fn processes(mark: &str) -> usize {
    let lines = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| std::fs::read(entry.path().join("cmdline")));
    lines.flatten().filter(|line| String::from_utf8_lossy(line).contains(mark)).count()
}

fn a_job_that_resists_is_killed_with_everything_it_started(engine: Engine) {
    let place = Place::new(engine);
    let program = place.serve();
    let mark = mark();
    let script = format!(
        "trap '' TERM\nsetsid sleep {mark} &\n(setsid sh -c 'sleep {mark} & sleep {mark}') &\necho up\nsleep {mark}\n"
    );
    let id = launch(&program, &script);
    log_has(&program, id, "up");
    until("its processes", || (processes(&mark) >= 4).then_some(()));
    let (status, told) = program.call("POST", &format!("/jobs/{id}/cancel"), None);
    assert_eq!((status, &told["status"]), (202, &json!("canceling")), "{told}");
    let job = ended(&program, id);
    assert_eq!((&job["status"], &job["outcome"]), (&json!("canceled"), &json!("request")), "{job}");
    assert_eq!(processes(&mark), 0);
    until("its directory is gone", || (place.directories() == 0).then_some(()));
}

fn a_failure_says_why(engine: Engine) {
    let place = Place::new(engine);
    let program = place.serve();
    let cases = [
        ("exit 3", "work", "The script ended with exit code 3."),
        ("kill -9 $$", "work", "The script was ended by signal 9."),
        ("#!/no/such/interpreter\n", "work", "/no/such/interpreter"),
    ];
    for (script, outcome, reason) in cases {
        let job = ended(&program, launch(&program, script));
        assert_eq!((&job["status"], &job["outcome"]), (&json!("failed"), &json!(outcome)), "{job}");
        assert!(job["error"].as_str().unwrap().contains(reason), "{job}");
    }
    let image = json!({"organization_id": 1, "name": "py", "image": "python:3"});
    let (status, environment) = program.call("POST", "/environments", Some(image));
    assert_eq!(status, 201, "{environment}");
    let body = json!({"organization_id": 1, "name": "in an image", "environment_id": environment["id"],
                      "spec": {"kind": "script", "script": "true"}});
    let (status, job) = program.call("POST", "/jobs", Some(body));
    assert_eq!(status, 201, "{job}");
    let job = ended(&program, job["id"].as_i64().unwrap());
    assert_eq!(
        (&job["status"], &job["outcome"]),
        (&json!("failed"), &json!("platform")),
        "never silently local: {job}"
    );
}

/// The smoke test of the real periods: the loss of a killed server's job is told after 45 s.
fn a_killed_server_loses_no_job_and_leaves_no_process(engine: Engine) {
    let place = Place::new(engine);
    let program = place.serve();
    let mark = mark();
    let running = launch(&program, &format!("echo up\nsleep {mark}\n"));
    log_has(&program, running, "up");
    let slots = std::thread::available_parallelism().unwrap().get();
    let waiting: Vec<i64> = (0..slots).map(|_| launch(&program, &format!("sleep {mark}"))).collect();
    program.signal("KILL");
    drop(program);
    until("its processes are gone", || (processes(&mark) == 0).then_some(()));

    let program = place.serve();
    let left = place.folder.path().join(format!("data/work/jobs/{running}-1"));
    until("its directory is gone", || (!left.exists()).then_some(()));
    let job = ended(&program, running);
    assert_eq!((&job["status"], &job["outcome"]), (&json!("failed"), &json!("lost")), "{job}");
    assert!(!job["error"].as_str().unwrap().is_empty());
    assert_eq!(job["log"]["complete"], json!(true));
    // What had been acknowledged is there, and what had not been begun runs.
    for id in waiting {
        let job = self::job(&program, id);
        assert!(["running", "pending", "failed"].iter().any(|word| job["status"] == *word), "{job}");
        program.call("POST", &format!("/jobs/{id}/cancel"), None);
    }
    program.signal("TERM");
    assert_eq!(program.end().0, Some(0));
    assert_eq!(processes(&mark), 0);
}

fn a_server_that_is_told_to_stop_gives_its_jobs_their_grace(engine: Engine) {
    let place = Place::new(engine);
    // The grace is for a busy machine, the slots are for one with a single core.
    let more = [("CHANDLER_WORKER_GRACE", "5s"), ("CHANDLER_WORKER_SLOTS", "2")];
    let mut program = place.serve_with(&[&more[..], &NO_CONTAINERS].concat());
    let mark = mark();
    let quick = launch(&program, "mkfifo go; echo up; read x < go; echo done");
    log_has(&program, quick, "up");
    let slow = launch(&program, &format!("echo up\nsleep {mark}\n"));
    log_has(&program, slow, "up");
    program.signal("TERM");
    program.logs("a second signal ends at once");
    std::fs::write(place.data().join(format!("work/jobs/{quick}-1/go")), "\n").unwrap();
    let (code, log) = program.end();
    assert_eq!((code, processes(&mark)), (Some(0), 0), "{log}");

    let program = place.serve();
    assert_eq!(job(&program, quick)["status"], json!("succeeded"));
    let slow = job(&program, slow);
    assert_eq!((&slow["status"], &slow["outcome"]), (&json!("failed"), &json!("lost")), "{slow}");
    assert_eq!(slow["error"], json!("The worker was shut down before the job had ended."));
}

macro_rules! on_both_engines {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $test() { super::$test(super::Engine::Sqlite); })+
        }
        mod postgres {
            $(#[test] fn $test() { super::$test(super::Engine::Postgres); })+
        }
    };
}
pub(crate) use on_both_engines;

on_both_engines!(
    a_job_that_resists_is_killed_with_everything_it_started,
    a_failure_says_why,
    a_killed_server_loses_no_job_and_leaves_no_process,
    a_server_that_is_told_to_stop_gives_its_jobs_their_grace,
);
