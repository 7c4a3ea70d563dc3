//! Jobs in steps as a client sees them: plans, decisions, files, states.

use anyhow::Result;
use chandler_core::Clock;
use chandler_core::jobs::link::Report;
use chandler_model::jobs::{Stage, Success};
use chandler_model::logs::{Entry, Level, NewChunk, Stream};
use chandler_testkit::clock::StandingClock;
use chandler_testkit::users::Who::Admin;
use serde_json::{Value, json};

use crate::input::refused;
use crate::support::{Server, Transcript, bare, delete, get, on_both, post};

#[tokio::test]
async fn a_flow_from_its_plan_to_its_state() {
    on_both(async |server| {
        let mut day = Transcript::default();
        let workspace = server.workspace("net").await?;
        let spec = json!({ "kind": "flow", "configuration": { "main.tf": "" }, "variables": { "size": 2 } });
        let template = json!({ "organization_id": 1, "name": "network", "spec": spec });
        let template = server.call(Admin, post("/templates", &template)).await?.id()?;
        let launch = json!({ "template_id": template, "workspace_id": workspace });
        let job = day.ask(server, Admin, post("/jobs", &launch)).await?.id()?;
        let path = format!("/jobs/{job}");
        day.ask(server, Admin, get(&format!("{path}/steps"))).await?;

        let mut worker = server.worker().await?;
        let attempt = worker.claim().await?;
        worker.materials(attempt).await?;
        worker.report(attempt, Report::Stage(Stage::Executing)).await?;
        let at = StandingClock::default().now();
        for (level, text) in [(Level::Info, "1 to add\n"), (Level::Warn, "Deprecated.\n")] {
            let (stream, bytes) = (Stream::Stdout, text.as_bytes().to_vec());
            worker.write(attempt, &[Entry::Chunk(NewChunk { at, step: Some(1), stream, level, bytes })]).await?;
        }
        worker.leave(attempt, 1, "plan", &[0, 255, 7]).await?;
        worker.leave(attempt, 1, "plan.json", br#"{"changes": 1}"#).await?;
        server.clock.forward(5);
        worker.done(attempt, 1, Some(Success::Changed)).await?;
        let log = get(&format!("{path}/log?follow=false")).header("accept", "text/event-stream");
        day.ask(server, Admin, log).await?;
        day.ask(server, Admin, get(&path)).await?;
        day.ask(server, Admin, get(&format!("{path}/steps/1/files/plan.json"))).await?;
        let (status, headers, _) = server.open(Admin, get(&format!("{path}/steps/1/files/plan"))).await?;
        assert_eq!((status.as_u16(), headers["content-type"].to_str()?), (200, "application/octet-stream"));
        assert_eq!(headers["x-content-type-options"], "nosniff");

        // Only the step that waits can be decided on.
        day.ask(server, Admin, post(&format!("{path}/approve"), &json!({ "step": 1 }))).await?;
        day.ask(server, Admin, delete(&path)).await?;
        day.ask(server, Admin, post(&format!("{path}/approve"), &json!({ "step": 2 }))).await?;
        day.ask(server, Admin, post(&format!("{path}/approve"), &json!({ "step": 2 }))).await?;

        let attempt = worker.claim().await?;
        worker.materials(attempt).await?;
        worker.report(attempt, Report::Stage(Stage::Executing)).await?;
        worker.state(attempt, br#"{"serial": 4, "lineage": "6d9f"}"#).await?;
        worker.done(attempt, 2, Some(Success::Changed)).await?;
        day.ask(server, Admin, get(&format!("{path}/steps"))).await?;
        let states = day.ask(server, Admin, get(&format!("/workspaces/{workspace}/states"))).await?.json()?;
        let state = format!("/workspaces/{workspace}/states/{}/content", states["items"][0]["id"]);
        day.ask(server, Admin, get(&state)).await?;
        // Another workspace does not have it.
        let other = server.workspace("other").await?;
        let elsewhere = state.replacen(&format!("/{workspace}/"), &format!("/{other}/"), 1);
        assert_eq!(server.call(Admin, get(&elsewhere)).await?.status, 404);

        // The next one starts from there.
        let next = server.flow(workspace, &json!([{ "kind": "apply" }]), 0).await?;
        worker.materials(worker.claim().await?).await?;
        let next = server.call(Admin, get(&format!("/jobs/{next}"))).await?.json()?;
        assert_eq!(next["base_state_id"], states["items"][0]["id"]);

        day.ask(server, Admin, delete(&path)).await?;
        day.ask(server, Admin, get(&path)).await?;
        for gone in ["steps", "events", "history", "log", "steps/1/files/plan"] {
            assert_eq!(server.call(Admin, get(&format!("{path}/{gone}"))).await?.status, 404, "{gone}");
        }
        // What it made is not the job's.
        assert_eq!(server.call(Admin, get(&state)).await?.status, 200);
        day.compare("flow");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_rejected_step_ends_the_job() {
    on_both(async |server| {
        let mut day = Transcript::default();
        let workspace = server.workspace("net").await?;
        let steps = json!([{ "kind": "plan_destroy" }, { "kind": "destroy", "name": "away", "approval": true }]);
        let job = server.flow(workspace, &steps, 0).await?;
        let worker = server.worker().await?;
        let attempt = worker.claim().await?;
        worker.report(attempt, Report::Stage(Stage::Executing)).await?;
        worker.done(attempt, 1, Some(Success::Changed)).await?;
        let reject = format!("/jobs/{job}/reject");
        let names = async |query: &str| -> Result<Vec<Value>> {
            let page = server.call(Admin, get(&format!("/jobs?{query}"))).await?.json()?;
            Ok(page["items"].as_array().into_iter().flatten().map(|job| job["id"].clone()).collect())
        };
        assert_eq!(names("state=waiting_approval").await?, [job]);
        day.ask(server, Admin, post(&reject, &json!({ "step": 2 }))).await?;
        day.ask(server, Admin, get(&format!("/jobs/{job}/steps"))).await?;
        day.ask(server, Admin, post(&reject, &json!({ "step": 2 }))).await?;
        day.compare("rejected");

        // Lists by kind and by workspace.
        let script = server.launch("script").await?;
        let other = server.workspace("other").await?;
        let there = server.flow(other, &json!([]), 0).await?;
        assert_eq!(names("kind=terraform_flow").await?, [there, job]);
        assert_eq!(names("kind=script").await?, [script]);
        assert_eq!(names("kind=invocation").await?, [0; 0]);
        assert_eq!(names(&format!("workspace_id={workspace}")).await?, [job]);
        assert_eq!(names(&format!("workspace_id={other}&state=pending&kind=terraform_flow")).await?, [there]);
        assert_eq!(names("workspace_id=99").await?, [0; 0]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn decisions_and_launches_that_are_refused() {
    on_both(async |server: &Server| {
        let workspace = server.workspace("net").await?;
        let job = server.flow(workspace, &json!([{ "kind": "apply", "approval": true }]), 0).await?;
        let plain = server.launch("plain").await?;
        let flow = json!({ "kind": "flow", "configuration": { "main.tf": "" } });
        let script = json!({ "kind": "script", "script": "true" });
        let decide =
            |job: i64, body: Value, wanted| (body.to_string(), post(&format!("/jobs/{job}/approve"), &body), wanted);
        let launch = |spec: &Value, more: Value, wanted| {
            let mut body = json!({ "organization_id": 1, "name": "x", "spec": spec });
            for (key, value) in more.as_object().into_iter().flatten() {
                body[key] = value.clone();
            }
            (body.to_string(), post("/jobs", &body), wanted)
        };
        let secrets = |secrets: Value, wanted| launch(&script, json!({ "secrets": secrets }), wanted);
        let many: Value = (0..101).map(|n| (format!("K{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
        let elsewhere = server.call(Admin, post("/organizations", &json!({ "name": "elsewhere" }))).await?.id()?;
        let foreign = json!({ "organization_id": elsewhere, "name": "foreign" });
        let foreign = server.call(Admin, post("/workspaces", &foreign)).await?.id()?;
        let at = |path: &str| format!("/jobs/{job}/{path}");
        refused(
            server,
            vec![
                decide(job, json!({}), "422 step:required"),
                decide(job, json!({ "step": 0 }), "422 step:range"),
                decide(job, json!({ "step": "1" }), "400 step:wrong_type"),
                decide(job, json!({ "step": 1, "comment": "x" }), "400 comment:unknown_field"),
                decide(job, json!({ "step": 2 }), "409"),
                decide(plain, json!({ "step": 1 }), "409"),
                ("no step".to_owned(), bare("POST", &at("reject")), "415"),
                ("not suspended".to_owned(), bare("POST", &at("resume")), "409"),
                ("not ended".to_owned(), delete(&format!("/jobs/{job}")), "409"),
                ("a body to suspend with".to_owned(), post(&at("suspend"), &json!({ "x": 1 })), "400 x:unknown_field"),
                ("no such file".to_owned(), get(&at("steps/1/files/plan")), "404"),
                ("no such step".to_owned(), get(&at("steps/x/files/plan")), "404"),
                ("no text".to_owned(), get(&at("steps/1/files/%ff")), "404"),
                launch(&flow, json!({}), "422 workspace_id:required"),
                launch(&flow, json!({ "workspace_id": 99 }), "422 workspace_id:unknown"),
                launch(&flow, json!({ "workspace_id": foreign }), "422 workspace_id:unknown"),
                launch(&flow, json!({ "workspace_id": "1" }), "400 workspace_id:wrong_type"),
                launch(&script, json!({ "workspace_id": workspace }), "422 workspace_id:format"),
                secrets(json!([]), "400 secrets:wrong_type"),
                secrets(json!({ "env": null }), "400 secrets.env:wrong_type"),
                secrets(json!({ "env": { "A": 1 } }), "400 secrets.env.A:wrong_type"),
                secrets(json!({ "vars": {} }), "400 secrets.vars:unknown_field"),
                secrets(json!({ "env": { "A-B": "x" } }), "422 secrets.env.A-B:format"),
                secrets(json!({ "files": { "../x": "x" } }), "422 secrets.files.../x:format"),
                secrets(json!({ "files": { ".ssh": "x" } }), "422 secrets.files..ssh:format"),
                secrets(json!({ "env": many }), "422 secrets:too_long"),
                launch(&json!({ "kind": "workload" }), json!({}), "422 spec.image:required"),
            ],
        )
        .await
    })
    .await;
}
