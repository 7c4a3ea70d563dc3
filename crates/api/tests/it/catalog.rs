//! The catalog as a client works with it: organizations, environments, templates.

use chandler_testkit::users::Who::Admin;
use serde_json::json;

use crate::support::{Transcript, delete, get, on_both, patch, post};

#[tokio::test]
async fn a_day_with_organizations() {
    on_both(async |server| {
        let mut day = Transcript::default();
        let made = day
            .ask(server, Admin, post("/organizations", &json!({ "name": " Zürich Ops ", "display_name": "Zürich" })))
            .await?;
        let path = format!("/organizations/{}", made.id()?);
        let uid = made.json()?["uid"].as_str().unwrap_or_default().to_owned();
        let by_uid = server.call(Admin, get(&format!("/organizations/{uid}"))).await?;
        assert_eq!(by_uid.json()?, made.json()?);
        day.ask(server, Admin, post("/organizations", &json!({ "name": "Zürich Ops" }))).await?;
        server.clock.forward(60);
        let change = json!({ "name": "Bern Ops", "display_name": null, "description": "Moved." });
        day.ask(server, Admin, patch(&path, &change).header("if-match", "\"1\"")).await?;
        day.ask(server, Admin, patch(&path, &json!({ "name": "Lost" })).header("if-match", "\"1\"")).await?;
        day.ask(server, Admin, get("/organizations?limit=1")).await?;
        day.ask(server, Admin, delete("/organizations/1")).await?;
        let inside = json!({ "organization_id": made.id()?, "name": "inside" });
        let inside = server.call(Admin, post("/environments", &inside)).await?.id()?;
        day.ask(server, Admin, delete(&path)).await?;
        server.call(Admin, delete(&format!("/environments/{inside}"))).await?;
        day.ask(server, Admin, delete(&path)).await?;
        day.ask(server, Admin, get(&path)).await?;
        day.compare("organizations");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_day_with_environments() {
    on_both(async |server| {
        let mut day = Transcript::default();
        let full = json!({
            "organization_id": 1, "name": "python", "description": "Scripts", "image": "docker.io/python:3",
            "pull": "missing",
            "spec": {
                "command": "python", "args": "-u", "working_dir": "/srv", "create_home": true, "stdin": true,
                "tty": true, "env": [{ "name": "A", "value": "1" }, { "name": "B", "description": "Ask." }]
            }
        });
        let made = day.ask(server, Admin, post("/environments", &full)).await?;
        let path = format!("/environments/{}", made.id()?);
        day.ask(server, Admin, post("/environments", &json!({ "name": "local", "organization_id": null }))).await?;
        day.ask(server, Admin, patch(&path, &json!({ "image": null, "pull": null, "spec": {} }))).await?;
        day.ask(server, Admin, get("/environments?organization_id=1&name=python")).await?;
        day.ask(server, Admin, get("/environments?name=nothing")).await?;
        day.ask(server, Admin, patch("/environments/1", &json!({ "pull": "always" }))).await?;
        day.ask(server, Admin, patch("/environments/1", &json!({ "name": "mine" }))).await?;
        day.ask(server, Admin, patch(&path, &json!({ "organization_id": 2 }))).await?;
        day.ask(server, Admin, delete("/environments/1")).await?;
        day.ask(server, Admin, delete(&path).header("if-match", "\"1\"")).await?;
        day.ask(server, Admin, delete(&path).header("if-match", "\"1\", \"2\"")).await?;
        day.ask(server, Admin, get(&path)).await?;
        day.compare("environments");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_day_with_templates() {
    on_both(async |server| {
        let mut day = Transcript::default();
        let environment = server.call(Admin, post("/environments", &json!({ "name": "local" }))).await?.id()?;
        let full = json!({
            "organization_id": 1, "name": "backup", "description": "Nightly", "environment_id": environment,
            "spec": {
                "kind": "script", "script": "#!/bin/sh\necho \"$1\"\n", "args": ["a b"], "may_repeat": true,
                "retries": 2, "timeout_s": 60
            }
        });
        let made = day.ask(server, Admin, post("/templates", &full)).await?;
        let path = format!("/templates/{}", made.id()?);
        let change = json!({ "environment_id": null, "spec": { "kind": "script", "script": "true" } });
        let changed = day.ask(server, Admin, patch(&path, &change)).await?;
        assert_ne!(changed.json()?["revision_id"], made.json()?["revision_id"]);
        let renamed = server.call(Admin, patch(&path, &json!({ "name": "Backup" }))).await?;
        assert_eq!(renamed.json()?["revision_id"], changed.json()?["revision_id"]);
        // What was read can be sent back.
        let again = json!({ "spec": renamed.json()?["spec"] });
        assert_eq!(server.call(Admin, patch(&path, &again)).await?.json()?["spec"], again["spec"]);
        day.ask(server, Admin, get("/templates?organization_id=1&name=Backup")).await?;
        day.ask(
            server,
            Admin,
            post(
                "/templates",
                &json!({
                    "organization_id": 1, "name": "Backup", "spec": { "kind": "script", "script": "true" }
                }),
            ),
        )
        .await?;
        day.ask(
            server,
            Admin,
            post(
                "/templates",
                &json!({
                    "organization_id": 77, "name": "x", "spec": { "kind": "script", "script": "true" }
                }),
            ),
        )
        .await?;
        day.ask(server, Admin, delete(&path)).await?;
        day.ask(server, Admin, get(&path)).await?;
        day.compare("templates");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_empty_text_is_no_text() {
    on_both(async |server| {
        let empty = json!({ "name": "x", "display_name": "", "description": "" });
        let made = server.call(Admin, post("/organizations", &empty)).await?;
        let full = json!({ "display_name": "X", "description": "About X." });
        let path = format!("/organizations/{}", made.id()?);
        let filled = server.call(Admin, patch(&path, &full)).await?.json()?;
        assert_eq!((&filled["display_name"], &filled["description"]), (&full["display_name"], &full["description"]));
        let emptied = server.call(Admin, patch(&path, &empty)).await?.json()?;
        for row in [made.json()?, emptied] {
            assert_eq!((&row["display_name"], &row["description"]), (&json!(null), &json!(null)));
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn pages_follow_each_other_without_gaps() {
    on_both(async |server| {
        for n in 0..5 {
            server.call(Admin, post("/organizations", &json!({ "name": format!("o{n}") }))).await?;
        }
        let mut names = Vec::new();
        let mut next = String::new();
        for _ in 0..3 {
            let page = server.call(Admin, get(&format!("/organizations?limit=2{next}"))).await?.json()?;
            names.extend(page["items"].as_array().into_iter().flatten().map(|row| row["name"].clone()));
            next = page["next"].as_str().map_or_else(String::new, |cursor| format!("&after={cursor}"));
        }
        assert_eq!(next, "");
        assert_eq!(names, ["Default", "o0", "o1", "o2", "o3", "o4"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn if_match_takes_lists_and_the_star() {
    on_both(async |server| {
        let path = "/organizations/1";
        let change = |n: i64| json!({ "description": format!("{n}") });
        for (tags, wanted) in [
            ("*", 200),
            ("\"1\"", 412),
            ("\"1\", \"2\"", 200),
            ("\"1\", \"2\"", 412),
            ("W/\"3\"", 412),
            ("3", 400),
            ("\"3\"", 200),
        ] {
            let answer = server.call(Admin, patch(path, &change(wanted)).header("if-match", tags)).await?;
            assert_eq!(i64::from(answer.status.as_u16()), wanted, "{tags}: {answer:?}");
        }
        // Who may not see a row is not told its version.
        let absent = patch("/organizations/99", &change(0)).header("if-match", "\"1\"");
        assert_eq!(server.call(Admin, absent).await?.status, 404);
        Ok(())
    })
    .await;
}
