//! How jobs end: by themselves, by force, with their worker.

use std::time::{Duration, Instant};

use chandler_model::jobs::Fault;
use chandler_runner::executor::Event;
use chandler_runner::keep::{Boottime, Signal, Timing};

use crate::job::{Host, Job, PATIENCE, Watched};

fn started(event: &Event) -> bool {
    matches!(event, Event::Started { .. })
}

/// Looks until a worker has no container any more.
fn gone(host: &Host) {
    let since = Instant::now();
    while host.left() > 0 {
        assert!(since.elapsed() < PATIENCE, "the container stays");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn an_exit_code_is_told() {
    let host = Host::new();
    let seen = host.run(&Job::script("exit 7")).await;
    assert_eq!(seen.exit_code(), Some(7), "{seen:?}");
    assert_eq!(host.left(), 0);
}

#[tokio::test]
async fn a_job_that_heeds_term_ends_by_it() {
    let host = Host::new();
    let script = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done";
    let watched = Watched::of(host.start(&Job::script(script)).await);
    watched.prints("up").await;
    watched.control.signal(Signal::Term);
    let seen = watched.end().await;
    assert_eq!((seen.exit_code(), seen.out().as_str()), (Some(3), "up\nbye\n"), "{seen:?}");
    assert_eq!(host.left(), 0);
}

#[tokio::test]
async fn a_script_without_a_trap_is_ended_by_term_too() {
    let host = Host::new();
    let mut watched = Watched::of(host.start(&Job::script("sleep 1000; echo on")).await);
    watched.until(started).await;
    watched.control.signal(Signal::Term);
    let seen = watched.end().await;
    assert_eq!((seen.exit_code(), seen.stdout.len()), (Some(143), 0), "{seen:?}");
}

#[tokio::test]
async fn a_job_that_ignores_term_is_killed_with_everything_it_started() {
    let host = Host::new();
    let script = "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo up; while :; do sleep 1; done";
    let watched = Watched::of(host.start(&Job::script(script)).await);
    watched.prints("up").await;
    watched.control.signal(Signal::Term);
    watched.control.signal(Signal::Kill);
    let seen = watched.end().await;
    assert_eq!(seen.exit_code(), Some(137), "{seen:?}");
    assert_eq!(host.left(), 0);
}

#[tokio::test]
async fn an_attempt_that_goes_away_takes_its_container_along() {
    let host = Host::new();
    let mut watched = Watched::of(host.start(&Job::script("sleep 1000")).await);
    watched.until(started).await;
    assert_eq!(host.left(), 1);
    watched.control.finished().await;
    assert_eq!(host.left(), 0);
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_ends_the_container() {
    let host = Host::new();
    let mut job = Job::script("trap 'echo asked' TERM; echo up; while :; do sleep 0.1; done");
    let lease = Duration::from_secs(5);
    job.timing = Timing { lease, lease_kill: lease * 2, ..Timing::default() };
    let watched = Watched::of(host.start(&job).await);
    // However long the start takes: what is tested is what comes after the last renewal.
    let renewals = async {
        loop {
            watched.control.renew(Boottime::now());
            tokio::time::sleep(lease / 20).await;
        }
    };
    tokio::select! {
        () = watched.prints("up") => {}
        () = renewals => {}
    }
    let seen = watched.end().await;
    assert_eq!((seen.exit_code(), seen.out().as_str()), (Some(137), "up\nasked\n"), "{seen:?}");
}

#[tokio::test]
async fn renewals_count_while_the_image_is_still_being_fetched() {
    let host = Host::new();
    let mut job = Job::script("sleep 2; echo done");
    job.claimed_ago = Duration::from_secs(120);
    let running = host.start(&job).await;
    running.control.renew(Boottime::now());
    let seen = Watched::of(running).end().await;
    assert_eq!((seen.exit_code(), seen.out().as_str()), (Some(0), "done\n"), "{seen:?}");
}

#[tokio::test]
async fn a_job_that_is_stopped_before_it_has_begun_never_begins() {
    let host = Host::new();
    let running = host.start(&Job::script("echo never")).await;
    running.control.signal(Signal::Term);
    running.control.signal(Signal::Kill);
    let seen = Watched::of(running).end().await;
    assert_eq!((seen.events.last(), seen.exit_code(), seen.stdout.len()), (Some(&Event::Gone), None, 0), "{seen:?}");
    assert_eq!(host.left(), 0);
}

/// The worker of this test is a runtime that ends with everything in it while a container runs.
#[test]
fn a_worker_that_dies_takes_its_container_along() {
    let host = Host::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let watched = runtime.block_on(async {
        let mut watched = Watched::of(host.start(&Job::script("trap '' TERM; while :; do sleep 1; done")).await);
        watched.until(started).await;
        watched
    });
    assert_eq!(host.left(), 1);
    runtime.shutdown_background();
    drop(watched);
    gone(&host);
}

#[tokio::test]
async fn a_runtime_that_is_away_is_named_with_the_place_where_it_was_looked_for() {
    let nowhere = "/nonexistent/podman.sock";
    let host = Host::without_runtime(nowhere);
    let seen = host.run(&Job::script("true")).await;
    let (fault, reason) = seen.refusal();
    assert_eq!(fault, Fault::Platform);
    assert!(reason.contains(nowhere) && !reason.contains('\n'), "{reason}");
}
