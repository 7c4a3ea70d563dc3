//! Templates of every kind: their contents in and out, and what is wrong with them.

use chandler_testkit::users::Who::Admin;
use serde_json::{Map, Value, json};

use crate::input::refused;
use crate::support::{Transcript, get, on_both, patch, post};

#[tokio::test]
async fn a_day_with_templates_of_every_kind() {
    on_both(async |server| {
        let mut day = Transcript::default();
        let full = [
            json!({
                "kind": "ansible", "playbook": "- hosts: all\n", "inventory": "web-1\n", "extra_vars": "a: 1\n",
                "limit": "web*", "tags": "a,b", "skip_tags": "c", "verbosity": 4, "check": true, "simultaneous": true,
                "timeout_s": 60
            }),
            json!({
                "kind": "flow",
                "configuration": { "main.tf": "# nothing\n", "modules/a/main.tf": "", ".terraform.lock.hcl": "" },
                "variables": {
                    "count": 3, "ratio": 0.5, "large": u64::MAX, "on": true, "none": null, "list": ["a", { "b": [] }]
                },
                "steps": [
                    { "kind": "plan" }, { "kind": "apply", "name": "Do it", "approval": true },
                    { "kind": "plan_destroy", "approval": false }, { "kind": "destroy", "name": null }
                ],
                "save_plan": true, "tool": "tofu"
            }),
            json!({
                "kind": "workload", "image": "docker.io/busybox:1", "pull": "never",
                "run": {
                    "command": "sh -c", "args": "'echo $A'", "working_dir": "/srv", "create_home": true, "stdin": true,
                    "tty": true, "env": [{ "name": "A", "value": "1" }, { "name": "B", "description": "Ask." }]
                },
                "retries": 100, "timeout_s": 1
            }),
        ];
        for spec in full {
            let kind = spec["kind"].clone();
            let template = json!({ "organization_id": 1, "name": kind, "spec": spec });
            let made = day.ask(server, Admin, post("/templates", &template)).await?;
            let path = format!("/templates/{}", made.id()?);
            assert_eq!(server.call(Admin, get(&path)).await?.json()?, made.json()?);
            // What was read can be sent back and is the same revision.
            let again = server.call(Admin, patch(&path, &json!({ "spec": made.json()?["spec"] }))).await?.json()?;
            assert_eq!((&again["spec"], &again["revision_id"]), (&made.json()?["spec"], &made.json()?["revision_id"]));
        }
        for (kind, spec) in server.specs() {
            let short = json!({ "organization_id": 1, "name": format!("short {kind}"), "spec": spec });
            day.ask(server, Admin, post("/templates", &short)).await?;
        }
        let other = json!({ "spec": { "kind": "script", "script": "true" } });
        let ansible = server.call(Admin, get("/templates?name=ansible")).await?.json()?["items"][0]["id"].clone();
        day.ask(server, Admin, patch(&format!("/templates/{ansible}"), &other)).await?;
        day.compare("kinds");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn fields_of_every_kind() {
    on_both(async |server| {
        let spec = |kind: &str, fields: Value, wanted: &'static str| {
            let mut spec = fields;
            spec["kind"] = json!(kind);
            let body = json!({ "organization_id": 1, "name": "x", "spec": spec });
            let shown: String = body.to_string().chars().take(300).collect();
            (shown, post("/templates", &body), wanted)
        };
        let ansible = |more: Value, wanted| {
            let mut fields = json!({ "playbook": "[]" });
            lay(&mut fields, more);
            spec("ansible", fields, wanted)
        };
        let flow = |more: Value, wanted| {
            let mut fields = json!({ "configuration": { "main.tf": "" } });
            lay(&mut fields, more);
            spec("flow", fields, wanted)
        };
        let workload = |more: Value, wanted| spec("workload", more, wanted);
        let files: Map<String, Value> = (0..501).map(|n| (format!("f{n}"), json!(""))).collect();
        let steps: Vec<Value> = (0..101).map(|_| json!({ "kind": "plan" })).collect();
        let long = "x".repeat(256);
        let cases = vec![
            spec("ansible", json!({}), "422 spec.playbook:required"),
            ansible(json!({ "playbook": " " }), "422 spec.playbook:blank"),
            ansible(json!({ "playbook": ["x"] }), "400 spec.playbook:wrong_type"),
            ansible(json!({ "inventory": {} }), "400 spec.inventory:wrong_type"),
            ansible(json!({ "extra_vars": { "a": 1 } }), "400 spec.extra_vars:wrong_type"),
            ansible(
                json!({ "limit": 1, "tags": [], "skip_tags": true }),
                "400 spec.limit:wrong_type spec.tags:wrong_type spec.skip_tags:wrong_type",
            ),
            ansible(json!({ "limit": "x".repeat(32_769) }), "422 spec.limit:too_long"),
            ansible(json!({ "verbosity": 5 }), "422 spec.verbosity:range"),
            ansible(json!({ "verbosity": -1 }), "422 spec.verbosity:range"),
            ansible(json!({ "verbosity": "2" }), "400 spec.verbosity:wrong_type"),
            ansible(
                json!({ "check": 1, "simultaneous": null }),
                "400 spec.check:wrong_type spec.simultaneous:wrong_type",
            ),
            ansible(json!({ "timeout_s": 0 }), "422 spec.timeout_s:range"),
            ansible(json!({ "retries": 1 }), "400 spec.retries:unknown_field"),
            ansible(json!({ "script": "true" }), "400 spec.script:unknown_field"),
            spec("flow", json!({}), "422 spec.configuration:required"),
            spec("flow", json!({ "configuration": {} }), "422 spec.configuration:blank"),
            spec("flow", json!({ "configuration": "x" }), "400 spec.configuration:wrong_type"),
            spec(
                "flow",
                json!({ "configuration": { "a": 1, "b": null, "c": "" } }),
                "400 spec.configuration.a:wrong_type spec.configuration.b:wrong_type",
            ),
            spec("flow", json!({ "configuration": files }), "422 spec.configuration:too_long"),
            flow(
                json!({ "configuration": { "/etc/x": "", "a/../b": "" } }),
                "422 spec.configuration./etc/x:format spec.configuration.a/../b:format",
            ),
            flow(json!({ "configuration": { "a": "", "a/b": "" } }), "422 spec.configuration.a/b:format"),
            flow(
                json!({ "configuration": { long.as_str(): "" } }),
                "422 spec.configuration.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…:too_long",
            ),
            flow(json!({ "variables": [] }), "400 spec.variables:wrong_type"),
            flow(json!({ "variables": null }), "400 spec.variables:wrong_type"),
            flow(
                json!({ "variables": { "1a": 1, "a.b": 2 } }),
                "422 spec.variables.1a:format spec.variables.a.b:format",
            ),
            flow(json!({ "steps": {} }), "400 spec.steps:wrong_type"),
            flow(json!({ "steps": [{}] }), "422 spec.steps.0.kind:required"),
            flow(json!({ "steps": [{ "kind": "plan" }, { "kind": "script" }] }), "422 spec.steps.1.kind:not_one_of"),
            flow(json!({ "steps": [{ "kind": "approval" }] }), "422 spec.steps.0.kind:not_one_of"),
            flow(
                json!({ "steps": [{ "kind": "plan", "name": "", "approval": "yes", "run": 1 }] }),
                "400 spec.steps.0.approval:wrong_type spec.steps.0.run:unknown_field",
            ),
            flow(json!({ "steps": [{ "kind": "plan", "name": " " }] }), "422 spec.steps.0.name:blank"),
            flow(json!({ "steps": steps }), "422 spec.steps:too_long"),
            flow(json!({ "tool": "pulumi" }), "422 spec.tool:not_one_of"),
            flow(json!({ "save_plan": "no" }), "400 spec.save_plan:wrong_type"),
            flow(json!({ "timeout_s": 1 }), "400 spec.timeout_s:unknown_field"),
            workload(json!({ "image": "" }), "422 spec.image:blank"),
            workload(json!({ "image": "a b" }), "422 spec.image:format"),
            workload(json!({ "pull": "always" }), "422 spec.pull:format"),
            workload(json!({ "image": "a", "pull": "sometimes" }), "422 spec.pull:not_one_of"),
            workload(json!({ "run": [] }), "400 spec.run:wrong_type"),
            workload(json!({ "run": { "command": "sh -c 'x" } }), "422 spec.run.command:format"),
            workload(json!({ "run": { "args": "\"x" } }), "422 spec.run.args:format"),
            workload(json!({ "run": { "env": [{ "name": "A=B" }] } }), "422 spec.run.env.0.name:format"),
            workload(json!({ "run": { "tty": true } }), "422 spec.run.tty:format"),
            workload(json!({ "run": { "gpus": 1 } }), "400 spec.run.gpus:unknown_field"),
            workload(json!({ "retries": 101 }), "422 spec.retries:range"),
            workload(json!({ "command": "x" }), "400 spec.command:unknown_field"),
        ];
        refused(server, cases).await?;
        let spec = json!({ "kind": "workload" });
        let made = json!({ "organization_id": 1, "name": "x", "spec": spec });
        let path = format!("/templates/{}", server.call(Admin, post("/templates", &made)).await?.id()?);
        let change = |body: Value, wanted| (body.to_string(), patch(&path, &body), wanted);
        let cases = vec![
            change(json!({ "spec": { "kind": "script", "script": "true" } }), "422 spec.kind:read_only"),
            change(
                json!({ "spec": { "kind": "flow", "configuration": {} } }),
                "422 spec.kind:read_only spec.configuration:blank",
            ),
            change(json!({ "spec": {} }), "422 spec.kind:required"),
            change(json!({ "kind": "script" }), "400 kind:unknown_field"),
            change(json!({ "spec": { "kind": "workload", "retries": 101 } }), "422 spec.retries:range"),
        ];
        refused(server, cases).await
    })
    .await;
}

/// Lays the fields of an object over those of another.
fn lay(fields: &mut Value, over: Value) {
    if let (Value::Object(fields), Value::Object(over)) = (fields, over) {
        fields.extend(over);
    }
}
