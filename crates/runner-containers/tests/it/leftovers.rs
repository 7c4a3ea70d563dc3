//! What an earlier life of a worker left is removed before anything is claimed, and nobody else's.

use chandler_runner::executor::Executor;

use crate::job::{Host, ask, socket};

/// A container with a worker's label, as somebody would leave it who cannot clean up.
fn leave(worker: &str, command: &str) {
    let made = std::process::Command::new("curl")
        .args(["-s", "-X", "POST", "-H", "Content-Type: application/json", "--unix-socket"])
        .arg(socket())
        .arg("-d")
        .arg(format!(
            r#"{{"Image":"localhost/busybox:1","Entrypoint":["/bin/sh","-c","{command}"],"Labels":{{"chandler.worker":"{worker}"}},
                "HostConfig":{{"Ulimits":[{{"Name":"nofile","Soft":1024,"Hard":1024}},{{"Name":"nproc","Soft":1024,"Hard":1024}}]}}}}"#
        ))
        .arg("http://podman/containers/create")
        .output()
        .unwrap();
    let made = String::from_utf8(made.stdout).unwrap();
    let id = made.split('"').nth(3).unwrap_or_else(|| panic!("{made}"));
    ask("POST", &format!("/containers/{id}/start"), None);
}

#[tokio::test]
async fn a_starting_worker_removes_what_is_its_own() {
    let (host, other) = (Host::new(), Host::new());
    leave(&host.worker, "trap '' TERM; while :; do sleep 1; done");
    leave(&host.worker, "exit 1");
    leave(&other.worker, "while :; do sleep 1; done");
    assert_eq!((host.left(), other.left()), (2, 1));
    host.containers.sweep().await.unwrap();
    assert_eq!((host.left(), other.left()), (0, 1));
    other.containers.sweep().await.unwrap();
    assert_eq!(other.left(), 0);
}

#[tokio::test]
async fn a_worker_starts_where_no_runtime_answers() {
    let host = Host::without_runtime("/nonexistent");
    host.containers.sweep().await.unwrap();
    assert_eq!(host.containers.has_image("busybox").await, None);
    assert_eq!(Host::new().containers.has_image("localhost/busybox:1").await, Some(true));
    assert_eq!(Host::new().containers.has_image("localhost/nothing:1").await, Some(false));
}
