//! Every way a job can end, and that nothing of it outlives that.

use std::time::Duration;

use chandler_runner::keep::{Boottime, Event, Keeper, Signal};
use rustix::process::{Pid, kill_process};

use crate::job::{Job, Running, assert_gone};

/// Starts a descendant that has left group and session and whose parent is dead, and prints its number.
const DAEMON: &str = "(setsid bash -c 'trap \"\" TERM INT HUP; (echo $BASHPID; exec sleep 1000) &' )";

async fn pid(job: &mut Running) -> i32 {
    job.line().await.parse().unwrap()
}

#[tokio::test]
async fn term_reaches_every_process_of_the_job() {
    let mut job = Job::script("trap 'echo asked; exit 7' TERM; setsid sleep 1000 & echo $!; wait").start().await;
    let other = pid(&mut job).await;
    job.keeper.signal(Signal::Term).unwrap();
    let ended = job.finish().await;
    assert_eq!((ended.code(), ended.out().trim()), (Some(7), "asked"));
    assert!(ended.is_gone());
    assert_gone(other);
}

#[tokio::test]
async fn int_is_int_even_if_the_worker_ignores_it() {
    let mut job =
        Job::script("trap 'echo interrupted; exit 0' INT; echo ready; while :; do sleep 0.1; done").start().await;
    assert_eq!(job.line().await, "ready");
    job.keeper.signal(Signal::Int).unwrap();
    job.finish().await.assert_said("interrupted");
}

#[tokio::test]
async fn a_job_that_ignores_term_dies_of_kill() {
    let mut job = Job::script("trap '' TERM; echo ready; while :; do sleep 0.05; echo on; done").start().await;
    assert_eq!(job.line().await, "ready");
    job.keeper.signal(Signal::Term).unwrap();
    for _ in 0..5 {
        assert_eq!(job.line().await, "on");
    }
    job.keeper.signal(Signal::Kill).unwrap();
    let ended = job.finish().await;
    assert_eq!(ended.exit(), (None, Some(9)));
    assert!(ended.is_gone());
}

#[tokio::test]
async fn a_kill_without_an_answer_is_told_once_and_watched_on() {
    let mut job = Job::script("echo ready; exec sleep 1000");
    job.spec.timing.unanswered = Duration::ZERO;
    let mut job = job.start().await;
    assert_eq!(job.line().await, "ready");
    job.keeper.signal(Signal::Kill).unwrap();
    let ended = job.finish().await;
    let killed = Event::Exited { code: None, signal: Some(9) };
    assert_eq!(ended.events[1..], [Event::KillUnanswered, killed, Event::Gone]);
}

#[tokio::test]
async fn what_a_job_leaves_in_the_background_ends_with_it() {
    let mut job = Job::script(&format!("mkfifo go; sleep 1000 & echo $!; {DAEMON}; {DAEMON}; read < go; echo done"))
        .start()
        .await;
    let mut left = Vec::new();
    for _ in 0..3 {
        left.push(pid(&mut job).await);
    }
    job.go();
    job.finish().await.assert_said("done");
    left.into_iter().for_each(assert_gone);
}

#[tokio::test]
async fn kill_ends_processes_that_left_group_and_session() {
    let mut job = Job::script(&format!("{DAEMON}; {DAEMON}; trap '' TERM; while :; do sleep 1000; done")).start().await;
    let left = [pid(&mut job).await, pid(&mut job).await];
    job.keeper.signal(Signal::Kill).unwrap();
    let ended = job.finish().await;
    assert!(ended.is_gone());
    left.into_iter().for_each(assert_gone);
}

#[tokio::test]
async fn a_job_that_forks_all_the_time_is_killed_too() {
    let mut job =
        Job::script("f() { while :; do (setsid sleep 0.02 &) ; done; }; f & f & f & echo ready; wait").start().await;
    assert_eq!(job.line().await, "ready");
    job.keeper.signal(Signal::Kill).unwrap();
    assert!(job.finish().await.is_gone());
}

#[tokio::test]
async fn a_worker_that_goes_takes_everything_with_it() {
    let mut job =
        Job::script(&format!("trap '' TERM INT HUP; echo $$; {DAEMON}; while :; do sleep 1000; done")).start().await;
    let left = [pid(&mut job).await, pid(&mut job).await];
    let keeper = job.keeper.identity();
    drop(job);
    left.into_iter().for_each(assert_gone);
    assert_gone(keeper.pid);
}

#[tokio::test]
async fn letting_go_of_the_control_is_enough() {
    let mut job = Job::script("echo $$; exec sleep 1000").start().await;
    pid(&mut job).await;
    let Keeper { control, mut events, stdout, .. } = job.keeper;
    assert!(matches!(events.next().await, Event::Started { .. }));
    drop((control, stdout));
    let all = [events.next().await, events.next().await];
    assert_eq!(all, [Event::Exited { code: None, signal: Some(9) }, Event::Gone]);
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_asks_then_kills() {
    let mut job = Job::script("trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done");
    job.spec.timing = job.spec.timing.divided(20);
    job.spec.renewed_at = Boottime::now();
    let since = job.spec.renewed_at;
    let mut job = job.start().await;
    assert_eq!(job.line().await, "ready");
    assert_eq!(job.line().await, "asked");
    let asked = Boottime::now().since(since);
    let ended = job.finish().await;
    let killed = Boottime::now().since(since);
    assert_eq!(ended.exit(), (None, Some(9)));
    assert!(ended.is_gone() && ended.stdout.is_empty(), "asked once: {ended:?}");
    assert!(asked >= Duration::from_millis(1500) && killed >= Duration::from_millis(2000), "{asked:?} {killed:?}");
    // Twenty times this is the 45 s after which another worker may begin.
    assert!(killed < Duration::from_millis(2250) + Duration::from_secs(1), "{killed:?}");
}

#[tokio::test]
async fn renewals_keep_a_job_alive() {
    let mut job = Job::script("sleep 3; echo finished");
    job.spec.timing = job.spec.timing.divided(20);
    job.spec.renewed_at = Boottime::now();
    let Keeper { control, mut events, stdout: _stdout, stderr: _stderr, .. } = job.start().await.keeper;
    let mut every = tokio::time::interval(Duration::from_millis(300));
    let mut seen = Vec::new();
    while !matches!(seen.last(), Some(Event::Gone | Event::KeeperLost | Event::Refused { .. })) {
        tokio::select! {
            event = events.next() => seen.push(event),
            _ = every.tick() => { let _ = control.renew(Boottime::now()); }
        }
    }
    assert_eq!(seen[1], Event::Exited { code: Some(0), signal: None });
}

#[tokio::test]
async fn an_old_renewal_does_not_shorten_a_lease_and_one_from_the_future_does_not_stretch_it() {
    let mut job = Job::script("echo ready; exec sleep 1000");
    job.spec.timing = job.spec.timing.divided(20);
    job.spec.renewed_at = Boottime::now();
    let since = job.spec.renewed_at;
    let mut job = job.start().await;
    assert_eq!(job.line().await, "ready");
    job.keeper.renew(since.before(Duration::from_secs(3600))).unwrap();
    let future: Boottime = serde_json::from_str("18446744073709551615").unwrap();
    job.keeper.renew(future).unwrap();
    let ended = job.finish().await;
    let lived = Boottime::now().since(since);
    assert_eq!(ended.exit(), (None, Some(15)));
    assert!(lived >= Duration::from_millis(1500) && lived < Duration::from_secs(10), "{lived:?}");
}

#[tokio::test]
async fn the_keeper_survives_what_is_meant_for_the_server() {
    use rustix::process::Signal as Os;
    let mut job = Job::script("mkfifo go; echo ready; read < go; echo fine").start().await;
    assert_eq!(job.line().await, "ready");
    let keeper = Pid::from_raw(job.keeper.identity().pid).unwrap();
    for signal in [Os::TERM, Os::INT, Os::HUP, Os::QUIT] {
        kill_process(keeper, signal).unwrap();
    }
    job.go();
    job.finish().await.assert_said("fine");
}

#[tokio::test]
async fn a_killed_keeper_is_told_and_the_main_process_dies_with_it() {
    let mut job = Job::script("echo $$; exec sleep 1000").start().await;
    let main = pid(&mut job).await;
    assert!(matches!(job.event().await, Event::Started { .. }));
    kill_process(Pid::from_raw(job.keeper.identity().pid).unwrap(), rustix::process::Signal::KILL).unwrap();
    assert_eq!(job.event().await, Event::KeeperLost);
    assert_eq!(job.event().await, Event::KeeperLost);
    assert_gone(main);
}

#[tokio::test]
async fn signals_are_the_defaults_in_the_job() {
    // Of the 31 classic signals; the C library keeps two others for itself.
    let script = r"for set in SigIgn SigBlk; do grep $set /proc/self/status | cut -f2 | tail -c 9; done";
    let ended = Job::script(script).run().await;
    let sets: Vec<u32> = ended.out().lines().map(|set| u32::from_str_radix(set, 16).unwrap() & 0x7fff_ffff).collect();
    assert_eq!(sets, [0, 0], "{ended:?}");
}
