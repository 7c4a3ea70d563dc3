//! Jobs in containers through the real program and a real Podman, on both engines.

use std::time::Instant;

use serde_json::{Value, json};

use crate::jobs::{Engine, Place, ended, job, log_has, on_both_engines, until};
use crate::program::Program;

const IMAGE: &str = "localhost/busybox:1";

/// The socket of the Podman that `test.sh` has started.
fn socket() -> String {
    std::env::var("CHANDLER_TEST_PODMAN")
        .unwrap_or_else(|_| panic!("CHANDLER_TEST_PODMAN names no socket of a Podman: run ./test.sh"))
}

fn serve(place: &Place) -> Program {
    place.serve_with(&[("CHANDLER_WORKER_CONTAINER_SOCKET", &socket())])
}

fn environment(program: &Program, image: &str, pull: &str) -> i64 {
    let name = format!("{image} {pull}");
    let body = json!({"organization_id": 1, "name": name, "image": image, "pull": pull});
    let (status, made) = program.call("POST", "/environments", Some(body));
    assert_eq!(status, 201, "{made}");
    made["id"].as_i64().unwrap()
}

fn launch(program: &Program, environment: i64, script: &str) -> i64 {
    let body = json!({"organization_id": 1, "name": "test", "environment_id": environment,
                      "spec": {"kind": "script", "script": script, "args": ["one"]}});
    let (status, job) = program.call("POST", "/jobs", Some(body));
    assert_eq!(status, 201, "{job}");
    job["id"].as_i64().unwrap()
}

/// The worker that ran a job: containers have its name in a label.
fn worker(program: &Program, id: i64) -> String {
    job(program, id)["names"]["worker"].as_str().unwrap().to_owned()
}

/// Containers of a worker, running or not.
fn containers(worker: &str) -> usize {
    let out = std::process::Command::new("curl")
        .args(["-s", "--unix-socket", &socket(), "http://podman/containers/json?all=true"])
        .output()
        .unwrap();
    let all: Vec<Value> = serde_json::from_slice(&out.stdout).unwrap();
    all.iter().filter(|one| one["Labels"]["chandler.worker"] == *worker).count()
}

fn a_script_runs_in_the_image_of_its_environment(engine: Engine) {
    let place = Place::new(engine);
    let program = serve(&place);
    let environment = environment(&program, IMAGE, "missing");
    let submitted = Instant::now();
    let id = launch(&program, environment, "echo \"in $(pwd) as job $CHANDLER_JOB_ID with $1\"; echo err >&2; exit 0");
    let ended = ended(&program, id);
    println!("a job in a container took {} ms from submit to end", submitted.elapsed().as_millis());
    assert_eq!((&ended["status"], &ended["image"]), (&json!("succeeded"), &json!(IMAGE)), "{ended}");
    assert!(ended["digest"].as_str().unwrap().starts_with("sha256:"), "{ended}");
    let log = program.call("GET", &format!("/jobs/{id}/log"), None).1.to_string();
    assert!(log.contains(&format!("in /chandler as job {id} with one")) && log.contains("err"), "{log}");
    let attempts = program.call("GET", &format!("/jobs/{id}/history"), None).1.to_string();
    assert!(attempts.contains(ended["digest"].as_str().unwrap()), "{attempts}");
    assert_eq!(containers(&worker(&program, id)), 0);
}

fn what_cannot_run_says_why(engine: Engine) {
    let place = Place::new(engine);
    let program = serve(&place);
    let cases = [
        (IMAGE, "missing", "exit 3", "work", "The script ended with exit code 3."),
        (IMAGE, "missing", "#!/bin/nothing", "work", "/bin/nothing"),
        ("localhost/nothing:1", "never", "true", "platform", "never to pull it"),
        ("127.0.0.1:1/nothing:1", "missing", "true", "platform", "connection refused"),
    ];
    for (number, (image, pull, script, outcome, reason)) in cases.into_iter().enumerate() {
        let body = json!({"organization_id": 1, "name": format!("{number}"), "image": image, "pull": pull});
        let environment = program.call("POST", "/environments", Some(body)).1["id"].as_i64().unwrap();
        let id = launch(&program, environment, script);
        let job = ended(&program, id);
        assert_eq!((&job["status"], &job["outcome"]), (&json!("failed"), &json!(outcome)), "{job}");
        assert!(job["error"].as_str().unwrap().contains(reason), "{job}");
        if outcome == "platform" {
            log_has(&program, id, reason);
        }
        assert_eq!(containers(&worker(&program, id)), 0);
    }
}

fn a_container_that_resists_is_killed_and_removed(engine: Engine) {
    let place = Place::new(engine);
    let program = serve(&place);
    let environment = environment(&program, IMAGE, "missing");
    let id = launch(&program, environment, "trap '' TERM; echo up; while :; do sleep 1; done");
    log_has(&program, id, "up");
    assert_eq!(containers(&worker(&program, id)), 1);
    let (status, told) = program.call("POST", &format!("/jobs/{id}/cancel"), None);
    assert_eq!((status, &told["status"]), (202, &json!("canceling")), "{told}");
    let ended = ended(&program, id);
    assert_eq!((&ended["status"], &ended["outcome"]), (&json!("canceled"), &json!("request")), "{ended}");
    assert_eq!(containers(&worker(&program, id)), 0);
}

fn a_killed_server_leaves_no_container(engine: Engine) {
    let place = Place::new(engine);
    let program = serve(&place);
    let environment = environment(&program, IMAGE, "missing");
    let id = launch(&program, environment, "trap '' TERM; echo up; while :; do sleep 1; done");
    log_has(&program, id, "up");
    let worker = worker(&program, id);
    assert_eq!(containers(&worker), 1);
    program.signal("KILL");
    drop(program);
    // Nobody has started it again: this is the guard's work.
    until("its container is gone", || (containers(&worker) == 0).then_some(()));
}

fn a_local_job_cannot_reach_the_runtime(engine: Engine) {
    let place = Place::new(engine);
    let program = serve(&place);
    let reach = format!("curl -s --max-time 5 --unix-socket {} http://podman/version || echo out of reach", socket());
    let body = json!({"organization_id": 1, "name": "test", "spec": {"kind": "script", "script": reach}});
    let id = program.call("POST", "/jobs", Some(body)).1["id"].as_i64().unwrap();
    assert_eq!(ended(&program, id)["status"], json!("succeeded"));
    log_has(&program, id, "out of reach");
    assert_eq!(job(&program, id)["image"], Value::Null);
}

on_both_engines!(
    a_script_runs_in_the_image_of_its_environment,
    what_cannot_run_says_why,
    a_container_that_resists_is_killed_and_removed,
    a_killed_server_leaves_no_container,
    a_local_job_cannot_reach_the_runtime,
);
