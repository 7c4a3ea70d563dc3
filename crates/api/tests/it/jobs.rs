//! Jobs as a client sees them, with a worker that does what the test says.

use anyhow::Result;
use chandler_core::jobs::link::Report;
use chandler_model::jobs::{Fault, Stage};
use chandler_model::logs::Stream;
use chandler_testkit::users::Who::Admin;
use serde_json::{Value, json};

use crate::support::{Server, Transcript, bare, delete, get, on_both, patch, post};

#[tokio::test]
async fn a_job_from_a_template_to_its_end() {
    on_both(async |server| {
        let mut day = Transcript::default();
        let spec = json!({ "kind": "script", "script": "echo hello", "timeout_s": 60 });
        let template = json!({ "organization_id": 1, "name": "hello", "spec": spec });
        let template = server.call(Admin, post("/templates", &template)).await?.id()?;
        let job = day.ask(server, Admin, post("/jobs", &json!({ "template_id": template, "priority": -5 }))).await?;
        let path = format!("/jobs/{}", job.id()?);

        let mut worker = server.worker().await?;
        server.clock.forward(1);
        let attempt = worker.claim().await?;
        worker.report(attempt, Report::Stage(Stage::Executing)).await?;
        worker.print(attempt, &[(Stream::System, b"ready\n"), (Stream::Stdout, b"hello\n")]).await?;
        day.ask(server, Admin, get(&path)).await?;
        server.clock.forward(1);
        worker.done(attempt, 1, None).await?;
        // What it came from may go; its names stay.
        server.call(Admin, delete(&format!("/templates/{template}"))).await?;
        day.ask(server, Admin, get(&path)).await?;
        day.ask(server, Admin, get(&format!("{path}/log"))).await?;
        day.ask(server, Admin, get(&format!("{path}/history"))).await?;
        day.ask(server, Admin, bare("POST", &format!("{path}/cancel"))).await?;
        day.ask(server, Admin, get("/jobs?state=succeeded")).await?;
        day.compare("job");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_job_is_cancelled_before_and_while_it_runs() {
    on_both(async |server| {
        let mut day = Transcript::default();
        let pending = server.launch("pending").await?;
        day.ask(server, Admin, bare("POST", &format!("/jobs/{pending}/cancel"))).await?;

        let running = server.launch("running").await?;
        let worker = server.worker().await?;
        let attempt = worker.claim().await?;
        worker.report(attempt, Report::Stage(Stage::Executing)).await?;
        let cancel = format!("/jobs/{running}/cancel");
        day.ask(server, Admin, post(&cancel, &json!({}))).await?;
        // Asking again is no error and changes nothing.
        server.clock.forward(10);
        let again = server.call(Admin, bare("POST", &cancel)).await?;
        assert_eq!(
            (again.status.as_u16(), &again.json()?["cancel_requested_at"]),
            (202, &json!("2030-01-02T03:04:05.000006Z"))
        );
        worker.report(attempt, Report::Stopped { exit_code: Some(143) }).await?;
        day.ask(server, Admin, get(&format!("/jobs/{running}"))).await?;
        assert_eq!(server.call(Admin, bare("POST", &cancel)).await?.status, 409);
        day.compare("cancel");
        Ok(())
    })
    .await;
}

async fn found(server: &Server, query: &str) -> Result<Vec<Value>> {
    let page = server.call(Admin, get(&format!("/jobs?{query}"))).await?.json()?;
    Ok(page["items"].as_array().into_iter().flatten().map(|job| job["name"].clone()).collect())
}

#[tokio::test]
async fn a_filter_on_a_status_finds_exactly_the_jobs_that_show_it() {
    on_both(async |server| {
        let worker = server.worker().await?;
        let mut claimed = Vec::new();
        for name in ["running", "draining", "canceling", "succeeded", "failed", "canceled"] {
            server.launch(name).await?;
            let attempt = worker.claim().await?;
            worker.report(attempt, Report::Stage(Stage::Executing)).await?;
            claimed.push(attempt);
        }
        let [_, draining, canceling, succeeded, failed, canceled] = claimed[..] else { anyhow::bail!("six jobs") };
        worker.report(draining, Report::Drain).await?;
        for attempt in [canceling, canceled] {
            server.call(Admin, bare("POST", &format!("/jobs/{}/cancel", attempt.job))).await?;
        }
        worker.report(canceled, Report::Stopped { exit_code: None }).await?;
        worker.done(succeeded, 1, None).await?;
        let error = Report::Error {
            fault: Fault::Work,
            message: "exit code 3".to_owned(),
            exit_code: Some(3),
            diagnostic: None,
        };
        worker.report(failed, error).await?;
        server.launch("pending").await?;

        for (state, names) in [
            ("pending", vec!["pending"]),
            ("running", vec!["draining", "running"]),
            ("waiting_approval", vec![]),
            ("suspending", vec![]),
            ("suspended", vec![]),
            ("canceling", vec!["canceling"]),
            ("succeeded", vec!["succeeded"]),
            ("failed", vec!["failed"]),
            ("canceled", vec!["canceled"]),
        ] {
            assert_eq!(found(server, &format!("state={state}")).await?, names, "{state}");
        }
        assert_eq!(found(server, "organization_id=2").await?, [""; 0]);
        assert_eq!(found(server, "template_id=1").await?, [""; 0]);
        assert_eq!(found(server, "organization_id=1&state=failed&limit=1").await?, ["failed"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_newest_jobs_come_first_and_pages_go_back() {
    on_both(async |server| {
        for n in 1..=5 {
            server.launch(&format!("j{n}")).await?;
        }
        let first = server.call(Admin, get("/jobs?limit=3")).await?.json()?;
        let next = first["next"].as_str().unwrap_or_default().to_owned();
        // What comes in between does not shift a page.
        server.launch("j6").await?;
        assert_eq!(found(server, &format!("limit=3&after={next}")).await?, ["j2", "j1"]);
        assert_eq!(found(server, "limit=2").await?, ["j6", "j5"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_environment_named_at_the_launch_counts_more_than_the_templates() {
    on_both(async |server| {
        let spec = json!({ "kind": "script", "script": "true" });
        let usual = server.call(Admin, post("/environments", &json!({ "name": "usual" }))).await?.id()?;
        let other = server.call(Admin, post("/environments", &json!({ "name": "other" }))).await?.id()?;
        let template = json!({ "organization_id": 1, "name": "t", "environment_id": usual, "spec": spec });
        let template = server.call(Admin, post("/templates", &template)).await?.id()?;
        let launch = async |body: Value| server.call(Admin, post("/jobs", &body)).await?.json();
        let as_usual = launch(json!({ "template_id": template, "organization_id": null })).await?;
        assert_eq!(
            (as_usual["environment_id"].as_i64(), &as_usual["names"]["environment"]),
            (Some(usual), &json!("usual"))
        );
        let otherwise = json!({ "template_id": template, "environment_id": other, "name": "mine" });
        let otherwise = launch(otherwise).await?;
        assert_eq!((otherwise["environment_id"].as_i64(), &otherwise["name"]), (Some(other), &json!("mine")));
        // A renamed environment leaves the names of old jobs alone.
        server.call(Admin, patch(&format!("/environments/{usual}"), &json!({ "name": "renamed" }))).await?;
        let path = format!("/jobs/{}", as_usual["uid"].as_str().unwrap_or_default());
        assert_eq!(server.call(Admin, get(&path)).await?.json()?["names"]["environment"], "usual");
        Ok(())
    })
    .await;
}
