//! What a worker finds of its earlier life.

use std::{fs, path::Path, time::Duration};

use chandler_runner::keep::{
    Event,
    leftovers::{self, Note},
};
use rustix::process::{Pid, Signal, kill_process};

use crate::job::{BOUND, Job, Running, assert_gone};

const DAEMON: &str = "(setsid bash -c '(echo ready; exec sleep 1000) &' ); echo ready; exec sleep 1000";

async fn ready(job: &mut Running) {
    assert_eq!((job.line().await.as_str(), job.line().await.as_str()), ("ready", "ready"));
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

async fn sweep(notes: &Path) -> Vec<leftovers::Leftover> {
    let notes = notes.to_owned();
    tokio::task::spawn_blocking(move || leftovers::sweep(&notes, BOUND)).await.unwrap().unwrap()
}

#[tokio::test]
async fn processes_whose_keeper_was_killed_are_found_and_ended() {
    for unsandboxed in [false, true] {
        // Without a sandbox a process that left the session cannot be found any more; one that left the group can.
        let script = if unsandboxed { "set -m; sleep 1000 & echo ready; echo ready; exec sleep 1000" } else { DAEMON };
        let notes = tempfile::tempdir().unwrap();
        let mut job = Job::script(script);
        job.spec.confinement.unsandboxed = unsandboxed;
        let note = Note::new(notes.path(), "17", 2, job.dir());
        let mut running = job.start_noted(Some(note)).await;
        assert!(matches!(running.event().await, Event::Started { .. }));
        ready(&mut running).await;
        let left = running.family();
        kill(running.keeper.identity().pid);
        assert_eq!(running.event().await, Event::KeeperLost);

        let found = sweep(notes.path()).await;
        left.into_iter().for_each(assert_gone);
        let [leftover] = <[leftovers::Leftover; 1]>::try_from(found).unwrap();
        assert_eq!((leftover.job.as_str(), leftover.attempt, leftover.gone), ("17", 2, true));
        assert_eq!(leftover.dir, job.dir());
        leftover.remove().unwrap();
        assert!(!job.dir().exists() && sweep(notes.path()).await.is_empty());
    }
}

#[tokio::test]
async fn a_keeper_that_is_stopped_is_woken_and_does_its_work() {
    let notes = tempfile::tempdir().unwrap();
    let job = Job::script(DAEMON);
    let mut running = job.start_noted(Some(Note::new(notes.path(), "1", 1, job.dir()))).await;
    ready(&mut running).await;
    let left = running.family();
    let keeper = running.keeper.identity().pid;
    kill_process(Pid::from_raw(keeper).unwrap(), Signal::STOP).unwrap();
    drop(running);
    assert!(sweep(notes.path()).await[0].gone);
    left.into_iter().chain([keeper]).for_each(assert_gone);
}

#[tokio::test]
async fn a_note_of_processes_that_are_others_now_kills_nobody() {
    let notes = tempfile::tempdir().unwrap();
    let job = Job::script("mkfifo go; echo ready; read < go; echo fine");
    let mut running = job.start_noted(Some(Note::new(notes.path(), "1", 1, job.dir()))).await;
    assert!(matches!(running.event().await, Event::Started { .. }));
    let path = notes.path().join("1-1.json");
    let mut note: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for who in ["keeper", "job"] {
        let later = note[who]["start_time"].as_u64().unwrap() + 1;
        note[who]["start_time"] = later.into();
    }
    note["dir"] = "/elsewhere".into();
    fs::write(&path, note.to_string()).unwrap();
    assert_eq!(running.line().await, "ready");
    assert!(sweep(notes.path()).await[0].gone);
    running.go();
    running.finish().await.assert_said("fine");

    let other_boot = fs::read_to_string(&path).unwrap().replace(note["boot"].as_str().unwrap(), "another");
    fs::write(&path, other_boot).unwrap();
    assert!(sweep(notes.path()).await[0].gone);
}

#[tokio::test]
async fn a_lost_keeper_is_cleaned_up_after_by_the_same_worker() {
    let notes = tempfile::tempdir().unwrap();
    let job = Job::script(DAEMON);
    let note = Note::new(notes.path(), "1", 1, job.dir());
    let mut running = job.start_noted(Some(note.clone())).await;
    assert!(matches!(running.event().await, Event::Started { .. }));
    ready(&mut running).await;
    let left = running.family();
    kill(running.keeper.identity().pid);
    assert_eq!(running.event().await, Event::KeeperLost);
    let killer = note.clone();
    assert!(tokio::task::spawn_blocking(move || killer.kill(BOUND)).await.unwrap().unwrap());
    left.into_iter().for_each(assert_gone);
    note.remove().unwrap();
}

#[test]
fn a_folder_that_is_not_there_holds_nothing() {
    assert!(leftovers::sweep(Path::new("/no/such/folder"), Duration::ZERO).unwrap().is_empty());
}

#[test]
fn a_directory_without_rights_is_removed() {
    use std::os::unix::fs::PermissionsExt;
    let base = tempfile::tempdir().unwrap();
    let inner = base.path().join("job/a/b");
    fs::create_dir_all(&inner).unwrap();
    fs::write(inner.join("file"), "x").unwrap();
    fs::set_permissions(&inner, PermissionsExt::from_mode(0o000)).unwrap();
    leftovers::remove_tree(&base.path().join("job")).unwrap();
    leftovers::remove_tree(&base.path().join("job")).unwrap();
    assert!(!base.path().join("job").exists());
}
