//! Every way a job can end, and that nothing of it outlives that.

use std::time::Duration;

use chandler_runner::keep::{Boottime, Event, Keeper, Signal, Timing};
use rustix::process::{Pid, kill_process};

use crate::job::{Job, Running, assert_gone};

/// Starts a descendant that has left group and session and whose parent is dead, and says so.
const DAEMON: &str = "(setsid bash -c 'trap \"\" TERM INT HUP; (echo ready; exec sleep 1000) &' )";

async fn ready(job: &mut Running, times: usize) {
    for _ in 0..times {
        assert_eq!(job.line().await, "ready");
    }
}

#[tokio::test]
async fn term_reaches_every_process_of_the_job() {
    let mut job = Job::script("trap 'echo asked; exit 7' TERM; setsid sleep 1000 & echo ready; wait").start().await;
    ready(&mut job, 1).await;
    let family = job.family();
    job.keeper.signal(Signal::Term).unwrap();
    let ended = job.finish().await;
    assert_eq!((ended.code(), ended.out().trim()), (Some(7), "asked"));
    assert!(ended.is_gone());
    assert!(family.len() >= 3, "{family:?}");
    family.into_iter().for_each(assert_gone);
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
async fn a_job_that_is_stopped_before_it_runs_gets_the_signal_then() {
    // Whatever the machine is doing at that moment.
    for _ in 0..20 {
        let job = Job::script("exec sleep 1000").start().await;
        job.keeper.signal(Signal::Term).unwrap();
        let ended = job.finish().await;
        assert_eq!(ended.exit(), (None, Some(15)), "{ended:?}");
        assert!(ended.is_gone());
    }
}

#[tokio::test]
async fn what_a_job_leaves_in_the_background_ends_with_it() {
    let mut job = Job::script(&format!("mkfifo go; sleep 1000 & echo ready; {DAEMON}; {DAEMON}; read < go; echo done"))
        .start()
        .await;
    ready(&mut job, 3).await;
    let left = job.family();
    assert!(left.len() >= 4, "{left:?}");
    job.go();
    job.finish().await.assert_said("done");
    left.into_iter().for_each(assert_gone);
}

#[tokio::test]
async fn kill_ends_processes_that_left_group_and_session() {
    let mut job = Job::script(&format!("{DAEMON}; {DAEMON}; trap '' TERM; while :; do sleep 1000; done")).start().await;
    ready(&mut job, 2).await;
    let left = job.family();
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
        Job::script(&format!("trap '' TERM INT HUP; echo ready; {DAEMON}; while :; do sleep 1000; done")).start().await;
    ready(&mut job, 2).await;
    let left = job.family();
    let keeper = job.keeper.identity();
    drop(job);
    left.into_iter().for_each(assert_gone);
    assert_gone(keeper.pid);
}

#[tokio::test]
async fn letting_go_of_the_control_is_enough() {
    let mut job = Job::script("echo ready; exec sleep 1000").start().await;
    ready(&mut job, 1).await;
    let Keeper { control, mut events, stdout, .. } = job.keeper;
    assert!(matches!(events.next().await, Event::Started { .. }));
    drop((control, stdout));
    let all = [events.next().await, events.next().await];
    assert_eq!(all, [Event::Exited { code: None, signal: Some(9) }, Event::Gone]);
}

/// The lease outlasts a slow start, and what answers its end has as long again.
fn leased(script: &str) -> Job {
    let mut job = Job::script(script);
    let lease = Duration::from_secs(5);
    job.spec.timing = Timing { lease, lease_kill: lease * 2, ..Timing::default() };
    job.spec.renewed_at = Boottime::now();
    job
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_asks_then_kills() {
    let job = leased("trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done");
    let (since, timing) = (job.spec.renewed_at, job.spec.timing.clone());
    let mut job = job.start().await;
    assert_eq!(job.line().await, "ready");
    assert_eq!(job.line().await, "asked");
    let asked = Boottime::now().since(since);
    let ended = job.finish().await;
    let killed = Boottime::now().since(since);
    assert_eq!(ended.exit(), (None, Some(9)));
    assert!(ended.is_gone() && ended.stdout.is_empty(), "asked once: {ended:?}");
    // How late it may be is a matter of the machine.
    assert!(asked >= timing.lease && killed >= timing.lease_kill, "{asked:?} {killed:?}");
}

#[tokio::test]
async fn renewals_keep_a_job_alive() {
    let job = leased("mkfifo go; echo ready; read < go; echo finished");
    let (lease, begun) = (job.spec.timing.lease, job.spec.renewed_at);
    let mut now = begun;
    let mut job = job.start().await;
    assert_eq!(job.line().await, "ready");
    while now.since(begun) < lease * 3 / 2 {
        job.keeper.renew(now).unwrap();
        tokio::time::sleep(lease / 20).await;
        now = Boottime::now();
    }
    job.go();
    job.finish().await.assert_said("finished");
}

#[tokio::test]
async fn an_old_renewal_does_not_shorten_a_lease_and_one_from_the_future_does_not_stretch_it() {
    let job = leased("echo ready; exec sleep 1000");
    let (since, lease) = (job.spec.renewed_at, job.spec.timing.lease);
    let mut job = job.start().await;
    assert_eq!(job.line().await, "ready");
    job.keeper.renew(since.before(Duration::from_secs(3600))).unwrap();
    let future: Boottime = serde_json::from_str("18446744073709551615").unwrap();
    job.keeper.renew(future).unwrap();
    let ended = job.finish().await;
    let lived = Boottime::now().since(since);
    assert_eq!(ended.exit(), (None, Some(15)));
    // That it ended at all shows that nothing has stretched it.
    assert!(lived >= lease, "{lived:?}");
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
async fn a_killed_keeper_is_told_and_everything_dies_with_it() {
    let mut job = Job::script(&format!("{DAEMON}; echo ready; exec sleep 1000")).start().await;
    ready(&mut job, 2).await;
    assert!(matches!(job.event().await, Event::Started { sandboxed: true, .. }));
    let left = job.family();
    kill_process(Pid::from_raw(job.keeper.identity().pid).unwrap(), rustix::process::Signal::KILL).unwrap();
    assert_eq!(job.event().await, Event::KeeperLost);
    assert_eq!(job.event().await, Event::KeeperLost);
    left.into_iter().for_each(assert_gone);
}

#[tokio::test]
async fn all_of_this_holds_without_a_sandbox_too() {
    let script =
        format!("{DAEMON}; {DAEMON}; sleep 1000 & echo ready; trap 'echo asked; exit 7' TERM; echo ready; wait");
    let mut job = Job::script(&script);
    job.spec.confinement.unsandboxed = true;
    for signal in [Some(Signal::Term), Some(Signal::Kill), None] {
        let mut job = job.start().await;
        ready(&mut job, 4).await;
        let left = job.family();
        assert!(left.len() >= 4, "{left:?}");
        match signal {
            Some(signal) => {
                job.keeper.signal(signal).unwrap();
                let ended = job.finish().await;
                let expected = if signal == Signal::Term { (Some(7), None) } else { (None, Some(9)) };
                assert_eq!(ended.exit(), expected, "{ended:?}");
                assert!(ended.is_gone());
            }
            None => drop(job),
        }
        left.into_iter().for_each(assert_gone);
    }
}

#[tokio::test]
async fn signals_are_the_defaults_in_the_job() {
    // Of the 31 classic signals; the C library keeps two others for itself.
    let script = r"for set in SigIgn SigBlk; do grep $set /proc/self/status | cut -f2 | tail -c 9; done";
    let ended = Job::script(script).run().await;
    let sets: Vec<u32> = ended.out().lines().map(|set| u32::from_str_radix(set, 16).unwrap() & 0x7fff_ffff).collect();
    assert_eq!(sets, [0, 0], "{ended:?}");
}
