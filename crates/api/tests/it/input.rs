//! Wrong input, family by family: the exact answer, and nothing has changed afterwards.

use std::fmt::Write;

use anyhow::Result;
use chandler_testkit::users::Who::Admin;
use serde_json::{Value, json};

use crate::support::{Answer, Ask, BODY_MAX, Server, bare, delete, get, on_both, patch, post};

/// The status and, if there are any, the wrong fields: `422 name:blank`.
pub(crate) fn verdict(answer: &Answer) -> Result<String> {
    let mut text = answer.status.as_u16().to_string();
    let body: Value = answer.json()?;
    for error in body["errors"].as_array().into_iter().flatten() {
        let word = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        write!(text, " {}:{}", word("field"), word("code"))?;
    }
    Ok(text)
}

/// Sends each request and compares; nothing may change.
pub(crate) async fn refused(server: &Server, cases: Vec<(String, Ask, &str)>) -> Result<()> {
    let before = server.counts().await?;
    for (what, ask, wanted) in cases {
        let answer = server.call(Admin, ask).await?;
        assert_eq!(verdict(&answer)?, wanted, "{what}: {}", answer.text);
    }
    assert_eq!(server.counts().await?, before);
    Ok(())
}

fn raw(bytes: &[u8]) -> Ask {
    post("/organizations", &Value::Null).bytes(bytes.to_vec())
}

#[tokio::test]
async fn bodies_that_are_no_json_object() {
    on_both(async |server| {
        let deep = format!("{{\"name\":{}{}}}", "[".repeat(64), "]".repeat(64));
        let cases: [&[u8]; 22] = [
            b"",
            b"   ",
            b"{",
            b"{\"name\":\"x\"",
            b"{\"name\":\"x\"}}",
            b"{\"name\":\"x\"} {}",
            b"{\"name\":\"x\"}\0",
            b"{'name':'x'}",
            b"{\"name\":\"x\",}",
            b"{\"name\":NaN}",
            b"{\"name\":1e999}",
            b"\xef\xbb\xbf{\"name\":\"x\"}",
            b"{\"name\":\"\xff\"}",
            b"{\"name\":\"\xed\xa0\x80\"}",
            b"{\"name\":\"\\ud800\"}",
            b"{\"name\":\"a\x00b\"}",
            b"{\"name\":\"a\\u0000b\"}",
            b"{\"name\":\"x\",\"name\":\"y\"}",
            b"[]",
            b"[{\"name\":\"x\"}]",
            b"\"name\"",
            b"null",
        ];
        let cases = cases.iter().map(|bytes| (String::from_utf8_lossy(bytes).into_owned(), raw(bytes), "400"));
        refused(server, cases.collect()).await?;
        refused(server, vec![("too deep".to_owned(), raw(deep.as_bytes()), "400")]).await?;
        // As deep as it may be: now the type is what is wrong.
        let deep = format!("{{\"name\":{}{}}}", "[".repeat(63), "]".repeat(63));
        refused(server, vec![("deep".to_owned(), raw(deep.as_bytes()), "400 name:wrong_type")]).await
    })
    .await;
}

#[tokio::test]
async fn media_types_and_sizes() {
    on_both(async |server| {
        let fine = br#"{"name":"x"}"#;
        let typed = |media: &str| raw(fine).header("content-type", media);
        let path = "/organizations/1";
        refused(
            server,
            vec![
                ("none".to_owned(), raw(fine).without("content-type"), "415"),
                ("text".to_owned(), typed("text/plain"), "415"),
                ("form".to_owned(), typed("application/x-www-form-urlencoded"), "415"),
                ("a patch that makes".to_owned(), typed("application/merge-patch+json"), "415"),
                ("another charset".to_owned(), typed("application/json; charset=iso-8859-1"), "415"),
                ("two".to_owned(), raw(fine).also("content-type", "application/json"), "415"),
                ("packed".to_owned(), raw(fine).header("content-encoding", "gzip"), "415"),
                (
                    "JSON patch".to_owned(),
                    patch(path, &json!({})).header("content-type", "application/json-patch+json"),
                    "415",
                ),
                ("large".to_owned(), raw(&vec![b' '; BODY_MAX + 1]), "413"),
                (
                    "a body to cancel with".to_owned(),
                    post("/jobs/1/cancel", &json!({ "force": true })),
                    "400 force:unknown_field",
                ),
                ("a body to delete with".to_owned(), delete(path).bytes("x"), "415"),
            ],
        )
        .await?;
        for media in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""] {
            let name = format!("{{\"name\":{media:?}}}");
            assert_eq!(server.call(Admin, typed(media).bytes(name)).await?.status, 201, "{media}");
        }
        let merge = patch(path, &json!({})).header("content-type", "application/merge-patch+json");
        assert_eq!(server.call(Admin, merge).await?.status, 200);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn fields_of_organizations() {
    on_both(async |server| {
        let make = |body: Value, wanted| (body.to_string(), post("/organizations", &body), wanted);
        let change = |body: Value, wanted| (body.to_string(), patch("/organizations/1", &body), wanted);
        let long = "x".repeat(513);
        refused(
            server,
            vec![
                make(json!({}), "422 name:required"),
                make(json!({ "name": null }), "400 name:wrong_type"),
                make(json!({ "name": 7 }), "400 name:wrong_type"),
                make(json!({ "name": ["x"] }), "400 name:wrong_type"),
                make(json!({ "name": "" }), "422 name:blank"),
                make(json!({ "name": " \t " }), "422 name:blank"),
                make(json!({ "name": "a\u{7}b" }), "422 name:format"),
                make(json!({ "name": long }), "422 name:too_long"),
                make(json!({ "name": "x", "display_name": long }), "422 display_name:too_long"),
                make(json!({ "name": "x", "description": "x".repeat(16_385) }), "422 description:too_long"),
                make(json!({ "name": "x", "nmae": 1 }), "400 nmae:unknown_field"),
                make(json!({ "Name": "x" }), "400 name:required Name:unknown_field"),
                make(
                    json!({ "name": 1, "display_name": 2, "description": true, "x": 0, "y": 0 }),
                    "400 name:wrong_type display_name:wrong_type description:wrong_type x:unknown_field y:unknown_field",
                ),
                make(json!({ "name": "Default" }), "409 name:not_unique"),
                change(json!({ "name": null }), "400 name:wrong_type"),
                change(json!({ "name": "" }), "422 name:blank"),
                change(json!({ "id": 5 }), "400 id:unknown_field"),
                change(json!({ "display_name": 5 }), "400 display_name:wrong_type"),
            ],
        )
        .await?;
        // A name of exactly the greatest length, with characters of several bytes.
        let longest = json!({ "name": "ü".repeat(512), "display_name": null, "description": null });
        assert_eq!(server.call(Admin, post("/organizations", &longest)).await?.status, 201);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn fields_of_environments() {
    on_both(async |server| {
        let make = |body: Value, wanted| (body.to_string(), post("/environments", &body), wanted);
        let spec = |spec: Value, wanted| make(json!({ "name": "x", "spec": spec }), wanted);
        let digest = format!("sha256:{}", "0a".repeat(32));
        let pin = |digest: Value, wanted| {
            let body = json!({ "pinned_digest": digest });
            (body.to_string(), patch("/environments/1", &body), wanted)
        };
        refused(
            server,
            vec![
                make(json!({ "name": "x", "organization_id": 99 }), "422 organization_id:unknown"),
                make(json!({ "name": "x", "organization_id": 0 }), "422 organization_id:unknown"),
                make(json!({ "name": "x", "organization_id": -1 }), "422 organization_id:unknown"),
                make(json!({ "name": "x", "organization_id": i64::MAX }), "422 organization_id:unknown"),
                make(json!({ "name": "x", "organization_id": "1" }), "400 organization_id:wrong_type"),
                make(json!({ "name": "x", "organization_id": 1.0 }), "400 organization_id:wrong_type"),
                make(json!({ "name": "x", "organization_id": u64::MAX }), "400 organization_id:wrong_type"),
                make(json!({ "name": "x", "image": "" }), "422 image:blank"),
                make(json!({ "name": "x", "image": "a b" }), "422 image:format"),
                make(json!({ "name": "x", "image": "x".repeat(1025) }), "422 image:too_long"),
                make(json!({ "name": "x", "pull": "sometimes" }), "422 pull:not_one_of"),
                make(json!({ "name": "x", "pull": "Always" }), "422 pull:not_one_of"),
                make(json!({ "name": "x", "pull": true }), "400 pull:wrong_type"),
                make(json!({ "name": "x", "managed": true }), "400 managed:unknown_field"),
                make(json!({ "name": "x", "pinned_digest": null }), "400 pinned_digest:unknown_field"),
                spec(json!([]), "400 spec:wrong_type"),
                spec(json!({ "command": ["a"] }), "400 spec.command:wrong_type"),
                spec(json!({ "working_dir": "work" }), "422 spec.working_dir:format"),
                spec(json!({ "command": "sh -c 'x", "args": "x\\" }), "422 spec.command:format spec.args:format"),
                spec(json!({ "tty": true }), "422 spec.tty:format"),
                spec(json!({ "tty": "yes" }), "400 spec.tty:wrong_type"),
                spec(json!({ "env": null }), "400 spec.env:wrong_type"),
                spec(json!({ "env": {} }), "400 spec.env:wrong_type"),
                spec(json!({ "env": ["A"] }), "400 spec.env.0:wrong_type"),
                spec(
                    json!({ "env": [{ "name": "A" }, {}, { "name": 1, "value": 2, "x": 3 }] }),
                    "400 spec.env.1.name:required spec.env.2.name:wrong_type spec.env.2.value:wrong_type \
                     spec.env.2.x:unknown_field",
                ),
                spec(json!({ "env": [{ "name": "A" }, { "name": "A" }] }), "422 spec.env.1.name:not_unique"),
                spec(json!({ "env": [{ "name": "A=B" }] }), "422 spec.env.0.name:format"),
                spec(json!({ "env": [{ "name": "" }] }), "422 spec.env.0.name:blank"),
                (
                    "the spec of an update".to_owned(),
                    patch("/environments/1", &json!({ "spec": null })),
                    "400 spec:wrong_type",
                ),
                pin(json!(7), "400 pinned_digest:wrong_type"),
                pin(json!(""), "422 pinned_digest:format"),
                pin(json!("latest"), "422 pinned_digest:format"),
                pin(json!(digest.replace("sha256", "sha512")), "422 pinned_digest:format"),
                pin(json!(digest.to_uppercase()), "422 pinned_digest:format"),
                pin(json!(format!("{digest}0")), "422 pinned_digest:format"),
                // There is nothing to pin: it runs on the machine of its worker.
                pin(json!(digest), "422 pinned_digest:format"),
            ],
        )
        .await
    })
    .await;
}

#[tokio::test]
async fn fields_of_templates_and_jobs() {
    on_both(async |server| {
        let make = |body: Value, wanted| (body.to_string(), post("/templates", &body), wanted);
        let spec = |spec: Value, wanted| make(json!({ "organization_id": 1, "name": "x", "spec": spec }), wanted);
        let job = |body: Value, wanted| (body.to_string(), post("/jobs", &body), wanted);
        let script = json!({ "kind": "script", "script": "true" });
        let with = |key: &str, value: Value| {
            let mut spec = script.clone();
            spec[key] = value;
            spec
        };
        refused(
            server,
            vec![
                make(json!({}), "422 organization_id:required name:required spec:required"),
                spec(json!({}), "422 spec.kind:required"),
                // What the other fields mean, only the kind could say.
                spec(json!({ "kind": "playbook", "script": 1 }), "422 spec.kind:not_one_of"),
                spec(json!({ "kind": "script" }), "422 spec.script:required"),
                spec(with("script", json!("  ")), "422 spec.script:blank"),
                spec(with("args", json!("a")), "400 spec.args:wrong_type"),
                spec(with("args", json!(["a", 1])), "400 spec.args.1:wrong_type"),
                spec(with("args", json!(vec!["a"; 257])), "422 spec.args:too_long"),
                spec(with("args", json!(["a".repeat(32_769)])), "422 spec.args.0:too_long"),
                spec(with("may_repeat", json!(1)), "400 spec.may_repeat:wrong_type"),
                spec(with("retries", json!(1)), "422 spec.retries:format"),
                spec(with("retries", json!(101)), "422 spec.retries:range"),
                spec(with("retries", json!(-1)), "422 spec.retries:range"),
                spec(with("retries", json!(70_000)), "422 spec.retries:range"),
                spec(with("retries", json!(1.5)), "400 spec.retries:wrong_type"),
                spec(with("timeout_s", json!(0)), "422 spec.timeout_s:range"),
                spec(with("timeout_s", json!(4_294_967_296_i64)), "422 spec.timeout_s:range"),
                spec(with("shell", json!("zsh")), "400 spec.shell:unknown_field"),
                make(
                    json!({ "organization_id": 1, "name": "x", "spec": script, "environment_id": 99 }),
                    "422 environment_id:unknown",
                ),
                job(json!({}), "422 template_id:required"),
                job(json!({ "name": "x" }), "422 template_id:required"),
                job(json!({ "template_id": 99 }), "422 template_id:unknown"),
                job(json!({ "template_id": "1" }), "400 template_id:wrong_type"),
                job(json!({ "organization_id": 1 }), "422 name:required spec:required"),
                job(json!({ "spec": script, "name": "x" }), "422 organization_id:required"),
                job(
                    json!({ "template_id": 1, "organization_id": 1, "spec": script }),
                    "422 organization_id:not_together spec:not_together",
                ),
                job(
                    json!({ "organization_id": 1, "name": "x", "spec": script, "priority": 1.5 }),
                    "400 priority:wrong_type",
                ),
                job(
                    json!({ "organization_id": 1, "name": "x", "spec": script, "environment_id": 99 }),
                    "422 environment_id:unknown",
                ),
            ],
        )
        .await
    })
    .await;
}

#[tokio::test]
async fn fields_of_tokens() {
    on_both(async |server| {
        let make = |body: Value, wanted| (body.to_string(), post("/tokens", &body), wanted);
        refused(
            server,
            vec![
                make(json!({ "name": "" }), "422 name:blank"),
                make(json!({ "name": "x".repeat(129) }), "422 name:too_long"),
                make(json!({ "lifetime_s": 0 }), "422 lifetime_s:range"),
                make(json!({ "lifetime_s": 315_360_001 }), "422 lifetime_s:range"),
                make(json!({ "lifetime_s": "60" }), "400 lifetime_s:wrong_type"),
                make(json!({ "scopes": [] }), "400 scopes:unknown_field"),
            ],
        )
        .await
    })
    .await;
}

#[tokio::test]
async fn query_strings() {
    on_both(async |server| {
        let ask = |path: &'static str, wanted| (path.to_owned(), get(path), wanted);
        refused(
            server,
            vec![
                ask("/organizations?limit=0", "422 limit:range"),
                ask("/organizations?limit=501", "422 limit:range"),
                ask("/organizations?limit=99999999999999999999", "422 limit:range"),
                ask("/organizations?limit=-1", "422 limit:range"),
                ask("/organizations?limit=", "400 limit:wrong_type"),
                ask("/organizations?limit=ten", "400 limit:wrong_type"),
                ask("/organizations?limit=5&limit=5", "400"),
                ask("/organizations?after=1", "422 after:format"),
                ask("/organizations?name=x", "400 name:unknown_field"),
                ask("/organizations?page=2&per_page=5", "400 page:unknown_field per_page:unknown_field"),
                ask("/organizations?limit=%", "400"),
                ask("/organizations?after=%ff", "400"),
                ask("/environments?name=%00", "400"),
                ask("/environments?organization_id=x", "400 organization_id:wrong_type"),
                ask("/environments?organization_id=0", "422 organization_id:unknown"),
                ask("/templates?organization_id=99999999999999999999", "422 organization_id:unknown"),
                ask("/jobs?state=waiting", "422 state:not_one_of"),
                ask("/jobs?state=RUNNING", "422 state:not_one_of"),
                ask("/jobs?state=running&state=failed", "400"),
                ask("/jobs?kind=terraform", "422 kind:not_one_of"),
                ask("/jobs?workspace_id=0", "422 workspace_id:unknown"),
                ask("/jobs/1/log?follow=1", "400 follow:wrong_type"),
                ask("/jobs/1/events?after=-1&limit=501", "422 after:range limit:range"),
                ask("/jobs/1/events?after=x", "400 after:wrong_type"),
                ask("/jobs/1/steps?limit=1", "400 limit:unknown_field"),
                ask("/jobs/1/steps/1/files/plan?raw=1", "400 raw:unknown_field"),
                ask("/workspaces?locked=true", "400 locked:unknown_field"),
                ask("/workspaces/1/states?after=1", "422 after:format"),
                ask("/me?verbose", "400 verbose:unknown_field"),
                ask("?x=1", "400 x:unknown_field"),
                (
                    "a query where something is made".to_owned(),
                    post("/tokens?dry_run=true", &json!({})),
                    "400 dry_run:unknown_field",
                ),
                (
                    "a query where something is deleted".to_owned(),
                    bare("DELETE", "/organizations/1?force=true"),
                    "400 force:unknown_field",
                ),
            ],
        )
        .await?;
        // No row can have it, but it is an id.
        let path = format!("/environments?organization_id={}", i64::MAX);
        assert_eq!(server.call(Admin, get(&path)).await?.json()?["items"], json!([]));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn path_segments_that_name_no_row() {
    on_both(async |server| {
        for collection in ["organizations", "environments", "templates", "jobs", "workspaces"] {
            for id in [
                "0",
                "-1",
                "99",
                "9223372036854775807",
                "9223372036854775808",
                "99999999999999999999999",
                "1.0",
                "1x",
                "default",
                "%00",
                "%ff",
                "%31%20",
                "0192f0c1-2a5b-7c3d-8e4f-0123456789ab",
            ] {
                let path = format!("/{collection}/{id}");
                assert_eq!(server.call(Admin, get(&path)).await?.status, 404, "{path}");
            }
        }
        assert_eq!(server.call(Admin, delete("/tokens/x")).await?.status, 404);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_hundred_thousand_wrong_fields_get_fifty_answers() {
    on_both(async |server| {
        let keys: Vec<String> = (0..4000).map(|n| format!("\"k{n}\":0")).collect();
        let answer = server.call(Admin, raw(format!("{{{}}}", keys.join(",")).as_bytes())).await?;
        assert_eq!((answer.status.as_u16(), answer.json()?["errors"].as_array().map(Vec::len)), (400, Some(50)));
        let long = "k".repeat(5000);
        let answer = server.call(Admin, raw(format!("{{\"name\":\"x\",\"{long}\":0}}").as_bytes())).await?;
        assert_eq!(answer.json()?["errors"][0]["field"], format!("{}…", "k".repeat(64)));
        Ok(())
    })
    .await;
}
