//! Recipes as local processes: what they find, what they keep, what an earlier life left of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chandler_model::Id;
use chandler_model::jobs::Fault;
use chandler_runner::executor::{Event, Executor, Running, Work};
use chandler_runner::keep::{Boottime, Signal, Timing};
use chandler_runner::recipe::{File, Kept, Program, Recipe, Tool};
use chandler_runner::tools::Target;
use chandler_runner::worker::{Settings, local_executor};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::job::{BOUND, keeper_program};

/// A worker's folder, and folders beside it.
pub(crate) struct Place {
    base: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { base: tempfile::Builder::new().prefix("worker-").tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.base.path()).unwrap().join(name)
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            name: "test".to_owned(),
            slots: 1,
            folder: self.path("work"),
            keeper: keeper_program(),
            cover: Vec::new(),
            read: Vec::new(),
            write: Vec::new(),
            path: vec![self.path("tools/bin"), "/usr/bin".into(), "/bin".into()],
            unsandboxed: false,
            containers: None,
            clock: Arc::new(chandler_core::SystemClock),
        }
    }

    fn executor(&self) -> Arc<dyn Executor> {
        local_executor(Arc::new(self.settings()))
    }

    async fn start(&self, work: Work) -> Running {
        let executor = self.executor();
        assert!(executor.sweep().await.unwrap().is_empty());
        executor.start(work).await
    }

    fn tool(&self, name: &str, text: &str) {
        let path = self.path("tools/bin").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
}

pub(crate) fn shell(script: &str) -> Recipe {
    let files = vec![File::program("run", script)];
    Recipe { files, command: vec!["/bin/bash".to_owned(), "run".to_owned()], ..Recipe::default() }
}

fn kept(path: &str, live: bool) -> Kept {
    Kept { path: path.to_owned(), max: 10, live }
}

fn tool(names: &[&str]) -> Tool {
    Tool { names: names.iter().map(|name| (*name).to_owned()).collect(), hint: "Install it.".to_owned() }
}

fn work(recipe: Recipe) -> Work {
    Work {
        job: Id::new(7),
        attempt: 2,
        step: 3,
        program: Program::Recipe(recipe),
        targets: vec![("state".to_owned(), Target::State)],
        image: None,
        registry: None,
        claimed_at: Boottime::now(),
        timing: Timing::default(),
    }
}

/// Everything that there is to see of it, up to the last event.
async fn watch(running: Running) -> (Vec<Event>, String) {
    let Running { mut stdout, mut stderr, mut events, control } = running;
    let all_events = async {
        let mut all = Vec::new();
        while !all.last().is_some_and(Event::is_last) {
            all.push(events.next().await);
        }
        all
    };
    let mut out = Vec::new();
    let output = async {
        stdout.read_to_end(&mut out).await.unwrap();
        stderr.read_to_end(&mut out).await.unwrap();
    };
    let (events, ()) = timeout(BOUND, async { tokio::join!(all_events, output) }).await.unwrap();
    control.finished().await;
    (events, String::from_utf8(out).unwrap())
}

fn files(events: &[Event]) -> Vec<(&str, &[u8])> {
    let files = events.iter().filter_map(|event| match event {
        Event::File { path, bytes } => Some((path.as_str(), bytes.as_slice())),
        _ => None,
    });
    files.collect()
}

fn leftovers(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

#[tokio::test]
async fn files_and_variables_are_there_and_nothing_of_it_stays() {
    let place = Place::new();
    let mut recipe = shell("cat a/b; echo $NAME; stat -c %a a/b; echo $CHANDLER_JOB_ID");
    recipe.files.push(File::new("a/b", "data\n"));
    recipe.env.push(("NAME".to_owned(), "value".to_owned()));
    let (events, out) = watch(place.start(work(recipe)).await).await;
    assert_eq!(out, "data\nvalue\n600\n7\n", "{events:?}");
    assert_eq!((leftovers(&place.path("work/jobs")), leftovers(&place.path("work/attempts"))), (0, 0));
}

#[tokio::test]
async fn kept_files_come_between_the_exit_and_the_end_and_links_do_not() {
    let place = Place::new();
    fs::write(place.path("secret"), "secret").unwrap();
    let secret = place.path("secret");
    let script = format!(
        "mkdir out; printf done >out/file; printf 0123456789+ >long; ln -s {0} link; ln -s {1} folder; mkfifo pipe",
        secret.display(),
        secret.parent().unwrap().display(),
    );
    let mut recipe = shell(&script);
    recipe.keep = ["out/file", "long", "link", "folder/secret", "pipe", "missing"].map(|path| kept(path, false)).into();
    let (events, out) = watch(place.start(work(recipe)).await).await;
    assert_eq!(files(&events), [("out/file", b"done".as_slice())], "{out} {events:?}");
    let exited = events.iter().position(|event| matches!(event, Event::Exited { code: Some(0), .. })).unwrap();
    assert!(matches!(events[exited + 1], Event::File { .. }) && events.last() == Some(&Event::Gone), "{events:?}");
    let said = events.iter().filter(|event| matches!(event, Event::Said(line) if line.contains("is not handed back")));
    assert_eq!(said.count(), 4, "{events:?}");
}

#[tokio::test]
async fn a_live_file_comes_whenever_it_has_changed() {
    let place = Place::new();
    let script = "trap 'go=1' INT; trap '' TERM; for n in 1 2; do printf $n >state; go=; until [ $go ]; do sleep 0.05; done; done; \
                  printf end >state";
    let mut recipe = shell(script);
    recipe.keep = vec![kept("state", true)];
    let mut work = work(recipe);
    // Between two looks is a sixth of it.
    work.timing.lease = Duration::from_millis(600);
    work.timing.lease_kill = Duration::from_secs(600);
    let Running { mut events, control, stdout: _stdout, stderr: _stderr } = place.start(work).await;
    let mut seen = Vec::new();
    for state in ["1", "2", "end"] {
        loop {
            let event = timeout(BOUND, events.next()).await.unwrap();
            assert!(!event.is_last(), "{seen:?}");
            seen.push(event);
            if files(&seen[seen.len() - 1..]) == [("state", state.as_bytes())] {
                break;
            }
            control.renew(Boottime::now());
        }
        control.renew(Boottime::now());
        control.signal(Signal::Int);
    }
    assert!(seen.iter().any(|event| matches!(event, Event::Exited { .. })), "the last one after the end: {seen:?}");
    control.finished().await;
}

#[tokio::test]
async fn a_tool_is_found_in_the_workers_path_and_reachable_for_the_job() {
    let place = Place::new();
    place.tool("second-name", "#!/bin/bash\necho tool $1\ncat ${0%/*}/data\n");
    fs::write(place.path("tools/bin/data"), "beside it\n").unwrap();
    let mut recipe = shell("second-name called");
    recipe.tools = vec![tool(&["first-name", "second-name"])];
    let (events, out) = watch(place.start(work(recipe.clone())).await).await;
    assert_eq!(out, "tool called\nbeside it\n", "{events:?}");
    // As the command itself it is found by either name.
    recipe.command = vec!["first-name".to_owned(), "directly".to_owned()];
    let (events, out) = watch(place.start(work(recipe)).await).await;
    assert_eq!(out, "tool directly\nbeside it\n", "{events:?}");
}

#[tokio::test]
async fn a_tool_that_is_missing_is_named_with_what_brings_it() {
    let place = Place::new();
    let mut recipe = shell("true");
    recipe.tools = vec![tool(&["bash"]), tool(&["no-such-tool", "nor-this"])];
    let (events, _) = watch(place.start(work(recipe)).await).await;
    let reason = "The program no-such-tool is not on this worker. Install it.".to_owned();
    assert_eq!(events, [Event::Refused { fault: Fault::Platform, reason }]);
    assert_eq!(leftovers(&place.path("work/jobs")), 0);
}

/// The worker of this test is a runtime that ends with everything in it while the job runs.
#[test]
fn what_a_dead_worker_left_is_found_and_stays_until_it_is_handed_in() {
    let place = Place::new();
    let mut recipe = shell("trap '' TERM; printf kept >state; ln -s /etc/passwd link; echo up; sleep 1000");
    recipe.keep = vec![kept("state", true), kept("link", true)];
    let work = work(recipe);
    let targets = work.targets.clone();
    let life = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    life.block_on(async {
        let mut running = place.start(work).await;
        let mut up = [0; 3];
        timeout(BOUND, running.stdout.read_exact(&mut up)).await.unwrap().unwrap();
        // Forgotten, as by a worker that is killed: nothing of it may clean up.
        std::mem::forget(running);
    });
    life.shutdown_background();

    let next = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    next.block_on(async {
        for _ in 0..2 {
            let found = place.executor().sweep().await.unwrap();
            let [left] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!((left.job.get(), left.attempt, left.memo.step), (7, 2, 3));
            assert_eq!((&left.files, &left.memo.targets), (&vec![("state".to_owned(), b"kept".to_vec())], &targets));
        }
        let executor = place.executor();
        for left in executor.sweep().await.unwrap() {
            executor.discard(left).await.unwrap();
        }
        assert!(executor.sweep().await.unwrap().is_empty());
        assert_eq!((leftovers(&place.path("work/jobs")), leftovers(&place.path("work/attempts"))), (0, 0));
    });
}
