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
        ("PATCH", _) => Some(json!({ "description": "changed" })),
        _ => None,
    }
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
    let id = if route.contains("{id}") { make(server, route, 1000 + n).await? } else { 0 };
    let before = server.counts().await?;
    let path = if route == "/" { String::new() } else { route.replace("{id}", &id.to_string()) };
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
        for list in ["/organizations", "/credential-types", "/credentials", "/environments", "/templates", "/jobs"] {
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
        let inside = |id: i64| {
            let body = json!({ "organization_id": id, "name": "x" });
            async move { server.call(Stranger, post("/environments", &body)).await }
        };
        same(inside(1).await, inside(99).await).await
    })
    .await;
}
