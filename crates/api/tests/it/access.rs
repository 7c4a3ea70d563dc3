//! Who may use which route: every line of `router.rs` has a row here.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use chandler_testkit::users::Who::{self, Admin, Anonymous, Stranger};
use serde_json::{Value, json};

use crate::support::{Answer, Server, bare, get, on_both, post};

/// Method, route, and the status for somebody without rights and for the administrator. Nobody gets 401.
const TABLE: &[(&str, &str, u16, u16)] = &[
    ("GET", "/", 200, 200),
    ("GET", "/me", 200, 200),
    ("GET", "/tokens", 200, 200),
    ("POST", "/tokens", 201, 201),
    // Tokens are one's own: another person's is as good as absent, also for the administrator.
    ("DELETE", "/tokens/{id}", 404, 204),
    ("GET", "/organizations", 200, 200),
    ("POST", "/organizations", 403, 201),
    ("GET", "/organizations/{id}", 404, 200),
    ("PATCH", "/organizations/{id}", 404, 200),
    ("DELETE", "/organizations/{id}", 404, 204),
    ("GET", "/credential-types", 200, 200),
    ("GET", "/credential-types/{id}", 404, 200),
    ("GET", "/credentials", 200, 200),
    ("POST", "/credentials", 403, 201),
    ("GET", "/credentials/{id}", 404, 200),
    ("PATCH", "/credentials/{id}", 404, 200),
    ("DELETE", "/credentials/{id}", 404, 204),
    ("GET", "/environments", 200, 200),
    ("POST", "/environments", 403, 201),
    ("GET", "/environments/{id}", 404, 200),
    ("PATCH", "/environments/{id}", 404, 200),
    ("DELETE", "/environments/{id}", 404, 204),
    ("GET", "/templates", 200, 200),
    // Names an organization that he may not see.
    ("POST", "/templates", 422, 201),
    ("GET", "/templates/{id}", 404, 200),
    ("PATCH", "/templates/{id}", 404, 200),
    ("DELETE", "/templates/{id}", 404, 204),
    ("GET", "/jobs", 200, 200),
    ("POST", "/jobs", 422, 201),
    ("GET", "/jobs/{id}", 404, 200),
    ("POST", "/jobs/{id}/cancel", 404, 202),
    ("GET", "/jobs/{id}/history", 404, 200),
    ("GET", "/jobs/{id}/log", 404, 200),
    ("DELETE", "/jobs/{id}", 404, 204),
    ("POST", "/jobs/{id}/suspend", 404, 202),
    ("POST", "/jobs/{id}/resume", 404, 200),
    ("POST", "/jobs/{id}/approve", 404, 200),
    ("POST", "/jobs/{id}/reject", 404, 200),
    ("GET", "/jobs/{id}/events", 404, 200),
    ("GET", "/jobs/{id}/steps", 404, 200),
    ("GET", "/jobs/{id}/steps/{n}/files/{name}", 404, 200),
    ("GET", "/workspaces", 200, 200),
    ("POST", "/workspaces", 422, 201),
    ("GET", "/workspaces/{id}", 404, 200),
    ("PATCH", "/workspaces/{id}", 404, 200),
    ("DELETE", "/workspaces/{id}", 404, 204),
    ("POST", "/workspaces/{id}/lock", 404, 200),
    ("POST", "/workspaces/{id}/unlock", 404, 200),
    ("GET", "/workspaces/{id}/states", 404, 200),
    ("GET", "/workspaces/{id}/states/{state}/content", 404, 200),
];

/// The one answer that needs no log-in.
const PUBLIC: &str = "/";

/// Method and route of every line of the router.
fn routes() -> BTreeSet<(String, String)> {
    let source = include_str!("../../src/router.rs").replace(char::is_whitespace, "");
    let mut found = BTreeSet::new();
    for line in source.split(".route(\"").skip(1) {
        let (path, handlers) = line.split_once("\",").expect("a route has a path");
        let handlers = handlers.split(".layer(").next().unwrap_or(handlers);
        for method in ["get", "post", "put", "patch", "delete", "any", "on", "options", "head", "trace"] {
            let used = |before: &str| handlers.contains(&format!("{before}{method}("));
            if handlers.starts_with(&format!("{method}(")) || used(".") {
                found.insert((method.to_uppercase(), path.to_owned()));
            }
        }
    }
    found
}

#[test]
fn every_route_has_its_row() {
    let rows: BTreeSet<_> = TABLE.iter().map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(rows.len(), TABLE.len(), "a row stands twice");
    assert_eq!(routes(), rows);
}

#[test]
fn every_route_is_in_the_reference() {
    let page = include_str!("../../../../docs/reference/native-api.md");
    for (method, path, ..) in TABLE {
        let path = format!("`/api/v1{}`", path.trim_end_matches('/'));
        let documented = |line: &&str| line.starts_with('|') && line.contains(&path) && line.contains(method);
        assert!(page.lines().find(documented).is_some(), "{method} {path}");
    }
}

/// A body with which the administrator succeeds.
fn body(method: &str, route: &str, n: usize) -> Option<Value> {
    let name = format!("new {n}");
    let spec = json!({ "kind": "script", "script": "true" });
    match (method, route) {
        ("POST", "/tokens") => Some(json!({})),
        ("POST", "/organizations" | "/environments") => Some(json!({ "name": name })),
        ("POST", "/credentials") => Some(json!({ "name": name, "type": "generic", "inputs": { "key": "secret" } })),
        ("POST", "/templates") => Some(json!({ "organization_id": 1, "name": name, "spec": spec })),
        ("POST", "/jobs") => Some(json!({ "organization_id": 1, "name": name, "spec": spec })),
        ("POST", "/workspaces") => Some(json!({ "organization_id": 1, "name": name })),
        ("POST", "/jobs/{id}/approve" | "/jobs/{id}/reject") => Some(json!({ "step": 1 })),
        ("PATCH", _) => Some(json!({ "description": "changed" })),
        _ => None,
    }
}

/// The path of a route to something new that the administrator may do this to.
async fn path_to(server: &Server, method: &str, route: &str, n: usize) -> Result<String> {
    let admin = async |ask| -> Result<()> {
        let answer = server.call(Admin, ask).await?;
        anyhow::ensure!(answer.status.is_success(), "{answer:?}");
        Ok(())
    };
    let id = match (method, route) {
        (_, "/") => return Ok(String::new()),
        (_, "/jobs/{id}/approve" | "/jobs/{id}/reject") => {
            let workspace = server.workspace(&format!("of {n}")).await?;
            let steps = json!([{ "kind": "apply", "approval": true }]);
            server.flow(workspace, &steps, 0).await?
        }
        (_, "/jobs/{id}/steps/{n}/files/{name}" | "/workspaces/{id}/states/{state}/content") => {
            let left = server.leavings(&format!("of {n}")).await?;
            let id = if route.starts_with("/jobs") { left.job } else { left.workspace };
            let path = route.replace("{n}", "1").replace("{name}", "plan").replace("{state}", &left.state.to_string());
            return Ok(path.replace("{id}", &id.to_string()));
        }
        _ if route.contains("{id}") => make(server, route, n).await?,
        _ => return Ok(route.to_owned()),
    };
    match (method, route) {
        ("DELETE", "/jobs/{id}") => admin(bare("POST", &format!("/jobs/{id}/cancel"))).await?,
        (_, "/jobs/{id}/resume") => admin(bare("POST", &format!("/jobs/{id}/suspend"))).await?,
        (_, "/workspaces/{id}/unlock") => admin(bare("POST", &format!("/workspaces/{id}/lock"))).await?,
        _ => {}
    }
    Ok(route.replace("{id}", &id.to_string()))
}

/// A new row of the collection that a route speaks of, made by the administrator.
async fn make(server: &Server, route: &str, n: usize) -> Result<i64> {
    let collection = route.split("/{id}").next().context("a collection")?;
    if collection == "/credential-types" {
        // They come with the installation.
        return Ok(1);
    }
    let body = body("POST", collection, n).context("something that can be made")?;
    server.call(Admin, post(collection, &body)).await?.id()
}

async fn call(server: &Server, who: Who, row: usize, n: usize) -> Result<Answer> {
    let (method, route, ..) = TABLE[row];
    let path = path_to(server, method, route, 1000 + n).await?;
    let before = server.counts().await?;
    let mut ask = bare(method, &path);
    if let Some(body) = body(method, route, n) {
        ask = ask.bytes(body.to_string()).header("content-type", "application/json");
    }
    let answer = server.call(who, ask).await?;
    if answer.status.as_u16() >= 400 {
        assert_eq!(server.counts().await?, before, "{who:?} {method} {route}");
    }
    Ok(answer)
}

#[tokio::test]
async fn everybody_may_what_the_table_says() {
    on_both(async |server| {
        for (row, (method, route, stranger, admin)) in TABLE.iter().enumerate() {
            let nobody = if *route == PUBLIC { 200 } else { 401 };
            for (n, (who, wanted)) in [(Anonymous, nobody), (Stranger, *stranger), (Admin, *admin)].iter().enumerate() {
                let answer = call(server, *who, row, 3 * row + n).await?;
                assert_eq!(answer.status.as_u16(), *wanted, "{who:?} {method} {route}: {answer:?}");
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn lists_of_somebody_without_rights_are_empty() {
    on_both(async |server| {
        make(server, "/templates", 1).await?;
        make(server, "/jobs", 1).await?;
        make(server, "/credentials", 1).await?;
        make(server, "/workspaces", 1).await?;
        for list in [
            "/organizations",
            "/credential-types",
            "/credentials",
            "/environments",
            "/templates",
            "/jobs",
            "/workspaces",
        ] {
            let empty = json!({ "items": [], "next": null });
            assert_eq!(server.call(Stranger, get(list)).await?.json()?, empty, "{list}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_hidden_cannot_be_told_from_what_is_absent() {
    on_both(async |server| {
        let template = make(server, "/templates", 1).await?;
        let same = async |one: Result<Answer>, other: Result<Answer>| -> Result<()> {
            let (mut one, mut other) = (one?.json()?, other?.json()?);
            for answer in [&mut one, &mut other] {
                answer["request_id"] = Value::Null;
            }
            assert_eq!(one, other);
            Ok(())
        };
        make(server, "/credentials", 1).await?;
        for collection in ["/organizations", "/credential-types", "/credentials", "/environments"] {
            let at = |id: i64| server.call(Stranger, get(&format!("{collection}/{id}")));
            same(at(1).await, at(99).await).await?;
        }
        let launch = |id: i64| server.call(Stranger, post("/jobs", &json!({ "template_id": id })));
        same(launch(template).await, launch(99).await).await?;
        let left = server.leavings("left").await?;
        for (there, absent) in [
            (format!("/workspaces/{}", left.workspace), "/workspaces/99".to_owned()),
            (format!("/workspaces/{}/states", left.workspace), "/workspaces/99/states".to_owned()),
            (
                format!("/workspaces/{}/states/{}/content", left.workspace, left.state),
                "/workspaces/99/states/99/content".to_owned(),
            ),
            (format!("/jobs/{}/steps", left.job), "/jobs/99/steps".to_owned()),
            (format!("/jobs/{}/steps/1/files/plan", left.job), "/jobs/99/steps/9/files/x".to_owned()),
            (format!("/jobs/{}/events", left.job), "/jobs/99/events".to_owned()),
        ] {
            same(server.call(Stranger, get(&there)).await, server.call(Stranger, get(&absent)).await).await?;
        }
        let inside = |id: i64| {
            let body = json!({ "organization_id": id, "name": "x" });
            async move { server.call(Stranger, post("/environments", &body)).await }
        };
        same(inside(1).await, inside(99).await).await
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_template_and_job_is_the_administrators_alone() {
    on_both(async |server| {
        let workspace = server.workspace("w").await?;
        for (kind, spec) in server.specs() {
            let mut template = json!({ "organization_id": 1, "name": kind, "spec": spec });
            let before = server.counts().await?;
            assert_eq!(server.call(Stranger, post("/templates", &template)).await?.status, 422, "{kind}");
            assert_eq!(server.counts().await?, before, "{kind}");
            let id = server.call(Admin, post("/templates", &template)).await?.id()?;
            template["workspace_id"] = if kind == "flow" { json!(workspace) } else { Value::Null };
            let from = json!({ "template_id": id, "workspace_id": template["workspace_id"] });
            let mut jobs = Vec::new();
            for launch in [&from, &template] {
                let before = server.counts().await?;
                assert_eq!(server.call(Stranger, post("/jobs", launch)).await?.status, 422, "{kind}");
                assert_eq!(server.counts().await?, before, "{kind}");
                jobs.push(server.call(Admin, post("/jobs", launch)).await?.id()?);
            }
            for path in [format!("/templates/{id}"), format!("/jobs/{}", jobs[0]), format!("/jobs/{}", jobs[1])] {
                assert_eq!(server.call(Stranger, get(&path)).await?.status, 404, "{kind} {path}");
                assert_eq!(server.call(Admin, get(&path)).await?.status, 200, "{kind} {path}");
                if path.starts_with("/jobs") {
                    for what in ["cancel", "suspend", "resume"] {
                        let ask = bare("POST", &format!("{path}/{what}"));
                        assert_eq!(server.call(Stranger, ask).await?.status, 404, "{kind} {path} {what}");
                    }
                }
                assert_eq!(server.call(Stranger, bare("DELETE", &path)).await?.status, 404, "{kind} {path}");
            }
        }
        for list in ["/templates", "/jobs", "/workspaces"] {
            assert_eq!(server.call(Stranger, get(list)).await?.json()?["items"], json!([]), "{list}");
        }
        Ok(())
    })
    .await;
}
