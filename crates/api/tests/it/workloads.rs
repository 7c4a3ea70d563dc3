//! Containers and playbooks as a client sees them; pins of images; and that secrets of a launch come out nowhere.

use anyhow::Result;
use chandler_core::Clock;
use chandler_core::jobs::link::Report;
use chandler_model::RawJson;
use chandler_model::jobs::{Fault, Stage};
use chandler_model::logs::Entry;
use chandler_model::task_events::NewTaskEvent;
use chandler_testkit::clock::StandingClock;
use chandler_testkit::users::Who::Admin;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Transcript, bare, delete, get, on_both, patch, post};

#[tokio::test]
async fn a_workload_is_suspended_resumed_and_deleted() {
    on_both(async |server| {
        let mut day = Transcript::default();
        let spec = json!({ "kind": "workload", "image": "docker.io/busybox:1", "run": { "args": "sleep 60" } });
        let launch = json!({ "organization_id": 1, "name": "sleep", "spec": spec });
        let job = day.ask(server, Admin, post("/jobs", &launch)).await?.id()?;
        let path = format!("/jobs/{job}");
        let worker = server.worker().await?;
        let attempt = worker.claim().await?;
        worker.report(attempt, Report::Stage(Stage::Executing)).await?;
        day.ask(server, Admin, bare("POST", &format!("{path}/suspend"))).await?;
        worker.report(attempt, Report::Stopped { exit_code: None }).await?;
        day.ask(server, Admin, get("/jobs?state=suspended&kind=container")).await?;
        day.ask(server, Admin, bare("POST", &format!("{path}/resume"))).await?;
        let attempt = worker.claim().await?;
        worker.report(attempt, Report::Stage(Stage::Executing)).await?;
        // Deleted while it runs: it is cancelled, and deleted when it has ended.
        server.clock.forward(1);
        day.ask(server, Admin, delete(&path)).await?;
        day.ask(server, Admin, get(&path)).await?;
        server.clock.forward(1);
        worker.report(attempt, Report::Stopped { exit_code: None }).await?;
        day.ask(server, Admin, get(&path)).await?;
        day.ask(server, Admin, get("/jobs")).await?;
        assert_eq!(server.call(Admin, delete(&path)).await?.status, 204);
        day.compare("workload");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_pin_holds_until_the_image_changes() {
    on_both(async |server| {
        let mut day = Transcript::default();
        let digest = |of: &str| format!("sha256:{}", of.repeat(32));
        let image = json!({ "organization_id": 1, "name": "python", "image": "docker.io/python:3" });
        let environment = server.call(Admin, post("/environments", &image)).await?.id()?;
        let path = format!("/environments/{environment}");
        day.ask(server, Admin, patch(&path, &json!({ "pinned_digest": digest("0a") }))).await?;
        let launch = json!({
            "organization_id": 1, "name": "x", "environment_id": environment,
            "spec": { "kind": "script", "script": "true" }
        });
        let job = server.call(Admin, post("/jobs", &launch)).await?.id()?;
        let worker = server.worker().await?;
        let attempt = worker.claim().await?;
        server.clock.forward(1);
        let ran = Report::Ran { image: "docker.io/python:3".to_owned(), digest: digest("0b") };
        worker.report(attempt, ran).await?;
        let message = "Another image is pinned.".to_owned();
        let error = Report::Error { fault: Fault::Platform, message, exit_code: None, diagnostic: None };
        worker.report(attempt, error).await?;
        day.ask(server, Admin, get(&path)).await?;
        day.ask(server, Admin, get(&format!("/jobs/{job}"))).await?;
        // A change of something else keeps the pin; null takes it away and keeps what was seen.
        let pinned = server.call(Admin, patch(&path, &json!({ "pull": "always" }))).await?.json()?;
        assert_eq!((&pinned["pinned_digest"], &pinned["drift"]), (&json!(digest("0a")), &json!(true)));
        let free = server.call(Admin, patch(&path, &json!({ "pinned_digest": null }))).await?.json()?;
        assert_eq!(
            (&free["pinned_digest"], &free["seen_digest"], &free["drift"]),
            (&Value::Null, &json!(digest("0b")), &json!(false))
        );
        // Another image knows of neither; a pin that comes with it is its own.
        let same = json!({ "image": "docker.io/python:3", "pinned_digest": digest("0b") });
        let same = server.call(Admin, patch(&path, &same)).await?.json()?;
        assert_eq!((&same["seen_digest"], &same["drift"]), (&json!(digest("0b")), &json!(false)));
        day.ask(server, Admin, patch(&path, &json!({ "image": "docker.io/python:4" }))).await?;
        let both = json!({ "image": "docker.io/python:5", "pinned_digest": digest("0c") });
        let both = server.call(Admin, patch(&path, &both)).await?.json()?;
        assert_eq!(both["pinned_digest"], json!(digest("0c")));
        let none = server.call(Admin, patch(&path, &json!({ "image": null }))).await?.json()?;
        assert_eq!((&none["image"], &none["pinned_digest"]), (&Value::Null, &Value::Null));
        day.compare("pins");
        Ok(())
    })
    .await;
}

fn event(n: u128, event: &str, stdout: &str) -> Entry {
    Entry::Event(NewTaskEvent {
        at: StandingClock::default().now(),
        uuid: Uuid::from_u128(n),
        parent_uuid: (n > 1).then(|| Uuid::from_u128(n - 1)),
        event: event.to_owned(),
        host_name: (n == 3).then(|| "web-1".to_owned()),
        play: Some("all".to_owned()),
        task: (n > 1).then(|| "Say hello".to_owned()),
        role: None,
        failed: false,
        changed: n == 3,
        data: RawJson(r#"{"b": [1, 2.5], "a": null}"#.to_owned()),
        stdout: stdout.to_owned(),
    })
}

#[tokio::test]
async fn task_events_are_read_page_by_page_and_as_a_log() {
    on_both(async |server| {
        let mut day = Transcript::default();
        let launch = json!({
            "organization_id": 1, "name": "hello", "spec": { "kind": "ansible", "playbook": "- hosts: all\n" }
        });
        let job = server.call(Admin, post("/jobs", &launch)).await?.id()?;
        let path = format!("/jobs/{job}");
        let mut worker = server.worker().await?;
        let attempt = worker.claim().await?;
        worker.report(attempt, Report::Stage(Stage::Executing)).await?;
        let entries = [
            event(1, "playbook_on_play_start", "\nPLAY [all]"),
            event(2, "playbook_on_task_start", ""),
            event(3, "runner_on_ok", "changed: [web-1]"),
        ];
        worker.write(attempt, &entries).await?;
        day.ask(server, Admin, get(&format!("{path}/events?limit=2"))).await?;
        day.ask(server, Admin, get(&format!("{path}/events?after=2"))).await?;
        assert_eq!(
            server.call(Admin, get(&format!("{path}/events?after=3"))).await?.json()?,
            json!({ "items": [], "next": null })
        );
        day.ask(server, Admin, get(&format!("{path}/log"))).await?;
        worker.done(attempt, 1, None).await?;
        // Jobs of other kinds have none, and one of one thing has no steps.
        let script = server.launch("script").await?;
        let none = server.call(Admin, get(&format!("/jobs/{script}/events"))).await?.json()?;
        assert_eq!(none, json!({ "items": [], "next": null }));
        assert_eq!(server.call(Admin, get(&format!("{path}/steps"))).await?.json()?, json!({ "steps": [] }));
        assert_eq!(server.call(Admin, delete(&path)).await?.status, 204);
        assert_eq!(server.call(Admin, get(&format!("{path}/events"))).await?.status, 404);
        day.compare("events");
        Ok(())
    })
    .await;
}

/// What no answer may hold.
const SECRET: &str = "hunter2 is secret";

#[tokio::test]
async fn secrets_of_a_launch_come_out_nowhere() {
    on_both(async |server| {
        let workspace = server.workspace("w").await?;
        let mut told = String::new();
        let mut jobs = Vec::new();
        for (kind, spec) in server.specs() {
            let secrets = json!({ "env": { "PASSWORD": SECRET }, "files": { "key.pem": SECRET } });
            let mut launch = json!({ "organization_id": 1, "name": kind, "spec": spec, "secrets": secrets });
            if kind == "flow" {
                launch["workspace_id"] = json!(workspace);
            }
            // Wrong ones too.
            let mut wrong = launch.clone();
            wrong["secrets"]["env"]["A-B"] = json!(SECRET);
            wrong["secrets"]["files"]["x/y"] = json!(SECRET);
            let answer = server.call(Admin, post("/jobs", &wrong)).await?;
            assert!(answer.status.is_client_error());
            told += &answer.text;
            let answer = server.call(Admin, post("/jobs", &launch)).await?;
            assert_eq!(answer.status, 201, "{answer:?}");
            jobs.push(answer.id()?);
            told += &answer.text;
        }
        let worker = server.worker().await?;
        for _ in &jobs {
            let attempt = worker.claim().await?;
            let secrets = worker.materials(attempt).await?.secrets;
            assert_eq!(secrets.env["PASSWORD"], SECRET);
            assert_eq!(secrets.files["key.pem"], SECRET.as_bytes());
        }
        for job in &jobs {
            for part in ["", "/steps", "/events", "/history", "/log"] {
                told += &server.call(Admin, get(&format!("/jobs/{job}{part}"))).await?.text;
            }
            told += &server.call(Admin, bare("POST", &format!("/jobs/{job}/cancel"))).await?.text;
        }
        told += &server.call(Admin, get("/jobs")).await?.text;
        assert!(!told.contains("hunter2"), "{told}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
}

#[tokio::test]
async fn a_workload_takes_the_image_of_its_environment() {
    on_both(async |server| {
        let image = json!({ "organization_id": 1, "name": "e", "image": "docker.io/python:3" });
        let environment = server.call(Admin, post("/environments", &image)).await?.id()?;
        let launch = async |spec: Value| -> Result<_> {
            let body = json!({ "organization_id": 1, "name": "x", "environment_id": environment, "spec": spec });
            server.call(Admin, post("/jobs", &body)).await
        };
        assert_eq!(launch(json!({ "kind": "workload" })).await?.status, 201);
        let own = json!({ "kind": "workload", "image": "busybox", "run": { "env": [{ "name": "A", "value": "1" }] } });
        assert_eq!(launch(own).await?.status, 201);
        Ok(())
    })
    .await;
}
