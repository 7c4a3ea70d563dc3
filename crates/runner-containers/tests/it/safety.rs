//! What a container is not given.

use chandler_runner::executor::Event;
use chandler_runner::keep::Signal;
use chandler_runner_containers::Limits;

use crate::job::{Host, Job, Watched, ask};

#[tokio::test]
async fn a_container_has_labels_limits_and_no_privilege() {
    let host = Host::new();
    let mut watched = Watched::of(host.start(&Job::script("while :; do sleep 1; done")).await);
    watched.until(|event| matches!(event, Event::Started { .. })).await;
    let filters = format!(r#"{{"label":["chandler.worker={}"]}}"#, host.worker);
    let listed = ask("GET", "/containers/json?filters=", Some(&filters));
    let id = listed.split(r#""Id":""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let known = ask("GET", &format!("/containers/{id}/json"), None);
    let worker = format!(r#""chandler.worker":"{}""#, host.worker);
    for wanted in [
        worker.as_str(),
        r#""chandler.job":"7""#,
        r#""chandler.attempt":"2""#,
        r#""Privileged":false"#,
        r#""Binds":[]"#,
        r#""Mounts":[]"#,
        "no-new-privileges",
    ] {
        assert!(known.contains(wanted), "{wanted} in {known}");
    }
    watched.control.signal(Signal::Kill);
    watched.end().await;
    assert_eq!(host.left(), 0);
}

#[tokio::test]
async fn nothing_of_the_host_is_in_it() {
    let script = "ulimit -n; ulimit -u; cat /proc/self/status; cat /proc/mounts; ls /run; env";
    let seen = Host::new().run(&Job::script(script)).await;
    let out = seen.out();
    assert!(out.starts_with("1024\n1024\n"), "{out}");
    assert!(out.contains("NoNewPrivs:\t1"), "{out}");
    assert!(!out.contains("podman.sock") && !out.contains("docker.sock"), "{out}");
    assert!(!out.contains("CARGO") && !out.contains("CHANDLER_TEST"), "{out}");
}

#[tokio::test]
async fn what_takes_more_memory_than_it_may_is_ended_and_told_so() {
    let host = Host::limited(Limits { memory: Some(64 << 20), pids: Some(64) });
    let seen = host.run(&Job::script("x=$(yes | head -c 500000000); echo ${#x}")).await;
    assert_eq!((seen.exit_code(), seen.stdout.len()), (Some(137), 0), "{seen:?}");
    assert!(seen.said().contains("more than the 67108864 bytes of memory"), "{seen:?}");
}
