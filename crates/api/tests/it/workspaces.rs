//! Workspaces as a client works with them.

use chandler_testkit::users::Who::Admin;
use serde_json::{Value, json};

use crate::input::refused;
use crate::support::{Transcript, bare, delete, get, on_both, patch, post};

#[tokio::test]
async fn a_day_with_workspaces() {
    on_both(async |server| {
        let mut day = Transcript::default();
        let full = json!({ "organization_id": 1, "name": " net ", "description": "Networks" });
        let made = day.ask(server, Admin, post("/workspaces", &full)).await?;
        let path = format!("/workspaces/{}", made.id()?);
        let other = server.workspace("other").await?;
        day.ask(server, Admin, post("/workspaces", &full)).await?;
        server.clock.forward(60);
        let change = json!({ "name": "Net", "description": null });
        day.ask(server, Admin, patch(&path, &change).header("if-match", "\"1\"")).await?;
        day.ask(server, Admin, patch(&path, &change).header("if-match", "\"1\"")).await?;
        day.ask(server, Admin, get("/workspaces?organization_id=1&name=Net")).await?;

        day.ask(server, Admin, post(&format!("{path}/lock"), &json!({ "note": "Moving house." }))).await?;
        day.ask(server, Admin, bare("POST", &format!("{path}/lock"))).await?;
        // A locked workspace keeps its jobs waiting, and its jobs keep it.
        let job = server.flow(made.id()?, &json!([]), 0).await?;
        let worker = server.worker().await?;
        assert!(worker.claim().await.is_err());
        day.ask(server, Admin, bare("POST", &format!("{path}/unlock"))).await?;
        day.ask(server, Admin, bare("POST", &format!("{path}/unlock"))).await?;
        assert_eq!(worker.claim().await?.job.get(), job);
        day.ask(server, Admin, delete(&path)).await?;

        assert_eq!(server.call(Admin, bare("POST", &format!("/workspaces/{other}/lock"))).await?.status, 200);
        let other = format!("/workspaces/{other}");
        day.ask(server, Admin, delete(&other).header("if-match", "\"1\"")).await?;
        day.ask(server, Admin, delete(&other).header("if-match", "\"2\"")).await?;
        day.ask(server, Admin, get(&other)).await?;
        day.compare("workspaces");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn fields_of_workspaces() {
    on_both(async |server| {
        let path = format!("/workspaces/{}", server.workspace("taken").await?);
        let make = |body: Value, wanted| (body.to_string(), post("/workspaces", &body), wanted);
        let change = |body: Value, wanted| (body.to_string(), patch(&path, &body), wanted);
        let lock = |body: Value, wanted| (body.to_string(), post(&format!("{path}/lock"), &body), wanted);
        refused(
            server,
            vec![
                make(json!({}), "422 organization_id:required name:required"),
                make(json!({ "organization_id": 99, "name": "x" }), "422 organization_id:unknown"),
                make(json!({ "organization_id": null, "name": "x" }), "400 organization_id:wrong_type"),
                make(json!({ "organization_id": 1, "name": " " }), "422 name:blank"),
                make(json!({ "organization_id": 1, "name": "taken" }), "409 name:not_unique"),
                make(json!({ "organization_id": 1, "name": "x", "locked": true }), "400 locked:unknown_field"),
                change(json!({ "organization_id": 1 }), "422 organization_id:read_only"),
                change(json!({ "name": null }), "400 name:wrong_type"),
                change(json!({ "lock_note": "x" }), "400 lock_note:unknown_field"),
                change(json!({ "description": "x".repeat(16_385) }), "422 description:too_long"),
                lock(json!({ "note": 1 }), "400 note:wrong_type"),
                lock(json!({ "note": "x".repeat(1025) }), "422 note:too_long"),
                lock(json!({ "reason": "x" }), "400 reason:unknown_field"),
                ("no JSON".to_owned(), bare("POST", &format!("{path}/lock")).bytes("x"), "415"),
                (
                    "a note to unlock".to_owned(),
                    post(&format!("{path}/unlock"), &json!({ "note": "x" })),
                    "400 note:unknown_field",
                ),
                ("not locked".to_owned(), bare("POST", &format!("{path}/unlock")), "409"),
                ("no state".to_owned(), get(&format!("{path}/states/1/content")), "404"),
                ("no number".to_owned(), get(&format!("{path}/states/x/content")), "404"),
            ],
        )
        .await
    })
    .await;
}
