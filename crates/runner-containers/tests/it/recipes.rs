//! Recipes in containers: their files and environment, what they keep, what they need.

use std::time::Duration;

use chandler_model::jobs::Fault;
use chandler_runner::executor::{Event, Executor};
use chandler_runner::keep::{Signal, Timing};
use chandler_runner::recipe::{File, Kept, Recipe, Tool};
use chandler_runner::tools::Target;

use crate::job::{Host, Job, Watched};

fn shell(script: &str) -> Recipe {
    let files = vec![File::program("run", script)];
    Recipe { files, command: vec!["./run".to_owned()], ..Recipe::default() }
}

fn kept(path: &str, live: bool) -> Kept {
    Kept { path: path.to_owned(), max: 10, live }
}

#[tokio::test]
async fn files_and_variables_are_there_and_a_key_is_its_users_alone() {
    let mut recipe = shell("#!/bin/sh\ncat a/b/data; echo $NAME $HOME; ls -ln a/b/data; ./run2; pwd");
    recipe.files.push(File::new("a/b/data", "data\n"));
    recipe.files.push(File::program("run2", "#!/bin/sh\necho second"));
    recipe.env.push(("NAME".to_owned(), "value".to_owned()));
    recipe.env.push(("HOME".to_owned(), "/chandler/a".to_owned()));
    let seen = Host::new().run(&Job::recipe(recipe)).await;
    assert_eq!(seen.exit_code(), Some(0), "{seen:?}");
    let out = seen.out();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines[0], lines[1], lines[3], lines[4]), ("data", "value /chandler/a", "second", "/chandler"));
    assert!(lines[2].starts_with("-rw-------") && lines[2].split_whitespace().nth(2) == Some("0"), "{out}");
}

#[tokio::test]
async fn kept_files_come_between_the_exit_and_the_end() {
    let mut recipe = shell(
        "#!/bin/sh\nmkdir out; printf done >out/file; printf '0123456789+' >long; ln -s out/file link; \
         ln -s out folder; mkfifo pipe 2>/dev/null || mkdir pipe; exit 4",
    );
    recipe.keep = ["out/file", "long", "link", "folder/file", "pipe", "missing"].map(|path| kept(path, false)).into();
    let host = Host::new();
    let seen = host.run(&Job::recipe(recipe)).await;
    assert_eq!(seen.files("out/file"), ["done"], "{seen:?}");
    let exited = seen.events.iter().position(|event| matches!(event, Event::Exited { code: Some(4), .. })).unwrap();
    let file = seen.events.iter().position(|event| matches!(event, Event::File { .. })).unwrap();
    assert!(exited < file && seen.events.last() == Some(&Event::Gone), "{seen:?}");
    for unfit in ["long", "link", "folder/file", "pipe"] {
        assert!(seen.files(unfit).is_empty(), "{unfit}: {seen:?}");
        assert!(seen.said().contains(&format!("The file {unfit} is not handed back: ")), "{unfit}: {seen:?}");
    }
    assert!(!seen.said().contains("missing"), "{seen:?}");
    assert_eq!(host.left(), 0);
}

#[tokio::test]
async fn a_live_file_comes_whenever_it_has_changed() {
    // Goes on when it is asked to, so that each state of the file is seen.
    let mut recipe = shell(
        "#!/bin/sh\ntrap 'go=1' INT; trap '' TERM; n=1; while [ $n -le 2 ]; do printf $n >state; go=; \
         while [ -z \"$go\" ]; do sleep 0.05; done; n=$((n+1)); done; printf end >state",
    );
    recipe.keep = vec![kept("state", true)];
    let mut job = Job::recipe(recipe);
    // Between two looks is a sixth of it.
    job.timing = Timing { lease: Duration::from_secs(6), lease_kill: Duration::from_secs(600), ..Timing::default() };
    let host = Host::new();
    let mut watched = Watched::of(host.start(&job).await);
    for state in ["1", "2"] {
        watched.until(|event| matches!(event, Event::File { bytes, .. } if bytes == state.as_bytes())).await;
        watched.control.renew(chandler_runner::keep::Boottime::now());
        watched.control.signal(Signal::Int);
    }
    let seen = watched.end().await;
    assert_eq!(seen.files("state").last().map(String::as_str), Some("end"), "{seen:?}");
}

#[tokio::test]
async fn a_tool_that_is_not_in_the_image_is_named() {
    let tool = |name: &str| Tool { names: vec![name.to_owned()], hint: String::new() };
    let host = Host::new();
    let mut recipe = shell("#!/bin/sh\nexec terraform plan");
    recipe.tools = vec![tool("sh"), tool("terraform")];
    let seen = host.run(&Job::recipe(recipe.clone())).await;
    let reason = "The program terraform is not in the image localhost/busybox:1.";
    assert_eq!(seen.refusal(), (Fault::Platform, reason));
    recipe.command = vec!["terraform".to_owned(), "plan".to_owned()];
    let seen = host.run(&Job::recipe(recipe.clone())).await;
    assert_eq!(seen.refusal(), (Fault::Platform, reason));
    recipe.command = vec!["sh".to_owned(), "-c".to_owned(), "exit 127".to_owned()];
    recipe.tools.pop();
    let seen = host.run(&Job::recipe(recipe)).await;
    assert_eq!(seen.exit_code(), Some(127), "its own exit code: {seen:?}");
}

/// The worker of this test is a runtime that ends with everything in it while a container runs.
#[test]
fn what_a_dead_workers_container_holds_is_found_and_stays_until_it_is_handed_in() {
    let host = Host::new();
    let mut recipe = shell("#!/bin/sh\ntrap '' TERM; printf kept >state; echo up; while :; do sleep 1; done");
    recipe.keep = vec![kept("state", true)];
    let mut job = Job::recipe(recipe);
    job.targets = vec![("state".to_owned(), Target::State)];
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let watched = runtime.block_on(async {
        let mut watched = Watched::of(host.start(&job).await);
        watched.until(|event| matches!(event, Event::Started { .. })).await;
        watched.until(|event| matches!(event, Event::File { bytes, .. } if bytes == b"kept")).await;
        watched
    });
    runtime.shutdown_background();
    drop(watched);

    let next = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    next.block_on(async {
        for _ in 0..2 {
            let again = host.another_life();
            let found = again.containers.sweep().await.unwrap();
            let [left] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!((left.job.get(), left.attempt, left.memo.step), (7, 2, 3));
            assert_eq!(left.files, [("state".to_owned(), b"kept".to_vec())]);
            assert_eq!(left.memo.targets, job.targets);
            assert_eq!(again.left(), 1, "not handed in yet");
        }
        let again = host.another_life();
        let found = again.containers.sweep().await.unwrap();
        for left in found {
            again.containers.discard(left).await.unwrap();
        }
        assert_eq!(again.left(), 0);
    });
}
