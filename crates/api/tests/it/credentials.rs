//! Credentials as a client works with them; and that no secret ever comes out again.

use std::fmt::Write;

use anyhow::Result;
use chandler_testkit::dump;
use chandler_testkit::users::Who::{Admin, Stranger};
use serde_json::{Value, json};

use crate::support::{Answer, Server, Transcript, delete, get, on_both, patch, post};

fn registry(name: &str, inputs: &Value) -> Value {
    json!({ "organization_id": 1, "type": "registry", "name": name, "inputs": inputs })
}

#[tokio::test]
async fn a_day_with_credentials() {
    on_both(async |server| {
        let mut day = Transcript::default();
        let full = json!({
            "organization_id": 1, "type": "registry", "name": " quay ", "description": "Robots",
            "inputs": { "host": "quay.io", "username": "robot", "password": "hunter2", "verify_ssl": true }
        });
        let made = day.ask(server, Admin, post("/credentials", &full)).await?;
        let path = format!("/credentials/{}", made.id()?);
        let own = json!({ "type": "generic", "name": "mine", "private": true, "inputs": { "a.key": "x", "b": "y" } });
        day.ask(server, Admin, post("/credentials", &own)).await?;
        day.ask(server, Admin, post("/credentials", &full)).await?;
        day.ask(server, Admin, get("/credentials?organization_id=1&type=registry&name=quay")).await?;
        day.ask(server, Admin, get("/credentials?type=scm")).await?;
        server.clock.forward(60);
        // Null clears a public input and keeps a secret; what is not named stays.
        let change = json!({ "name": "Quay", "inputs": { "verify_ssl": null, "password": null } });
        day.ask(server, Admin, patch(&path, &change).header("if-match", "\"1\"")).await?;
        day.ask(server, Admin, patch(&path, &change).header("if-match", "\"1\"")).await?;
        // Another address needs the secret again.
        day.ask(server, Admin, patch(&path, &json!({ "inputs": { "host": "quay.example" } }))).await?;
        let moved = json!({ "inputs": { "host": "quay.example", "password": "hunter3" } });
        day.ask(server, Admin, patch(&path, &moved)).await?;
        day.ask(server, Admin, patch(&path, &json!({ "type": "scm", "organization_id": null, "private": true })))
            .await?;

        let used = json!({ "organization_id": 1, "name": "python", "image": "quay.example/p:3", "credential_id": 1 });
        let used = server.call(Admin, post("/environments", &used)).await?;
        day.ask(server, Admin, delete(&path)).await?;
        day.ask(server, Admin, delete(&format!("{path}?force=perhaps"))).await?;
        day.ask(server, Admin, delete(&format!("{path}?force=true"))).await?;
        let left = server.call(Admin, get(&format!("/environments/{}", used.id()?))).await?.json()?;
        assert_eq!((&left["credential_id"], &left["version"]), (&Value::Null, &json!(2)));
        day.ask(server, Admin, get(&path)).await?;
        day.ask(server, Admin, get("/credential-types?limit=1")).await?;
        day.ask(server, Admin, get("/credential-types/5")).await?;
        day.compare("credentials");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn wrong_inputs_are_told_by_name_and_change_nothing() {
    on_both(async |server| {
        let made = server.call(Admin, post("/credentials", &registry("r", &json!({ "host": "quay.io" })))).await?;
        let path = format!("/credentials/{}", made.id()?);
        let make =
            |kind: &str, inputs: Value| post("/credentials", &json!({ "type": kind, "name": "x", "inputs": inputs }));
        let many: Value = (0..65).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
        let long = "x".repeat(1025);
        let cases = [
            (post("/credentials", &json!({})), "422 name:required type:required"),
            (post("/credentials", &json!({ "type": "vault", "name": "x" })), "422 type:not_one_of"),
            (make("registry", json!({})), "422 inputs.host:required"),
            (make("registry", json!({ "host": "" })), "422 inputs.host:required"),
            (make("registry", json!({ "host": "https://quay.io" })), "422 inputs.host:format"),
            (make("registry", json!({ "host": "user@quay.io" })), "422 inputs.host:format"),
            (make("registry", json!({ "host": "a", "username": long })), "422 inputs.username:too_long"),
            (make("registry", json!({ "host": "a", "username": "a\tb" })), "422 inputs.username:format"),
            (make("registry", json!({ "host": "a", "port": "5" })), "400 inputs.port:unknown_field"),
            (make("registry", json!({ "host": "a", "verify_ssl": "yes" })), "400 inputs.verify_ssl:wrong_type"),
            (make("registry", json!({ "host": "a", "password": true })), "400 inputs.password:wrong_type"),
            (make("registry", json!({ "host": 5 })), "400 inputs.host:wrong_type"),
            (make("registry", json!([])), "400 inputs:wrong_type"),
            (make("userpass", json!({ "user": "u", "password": null })), "422 inputs.password:required"),
            (make("generic", json!({ "a b": "x" })), "422 inputs.a b:format"),
            (make("generic", many), "422 inputs:too_long"),
            (
                post("/credentials", &json!({ "type": "generic", "name": "x", "organization_id": 77 })),
                "422 organization_id:unknown",
            ),
            (patch(&path, &json!({ "inputs": { "host": null } })), "422 inputs.host:required"),
            (patch(&path, &json!({ "inputs": null })), "400 inputs:wrong_type"),
            (patch(&path, &json!({ "name": "", "inputs": { "x": "y" } })), "400 name:blank inputs.x:unknown_field"),
        ];
        let before = server.counts().await?;
        for (ask, wanted) in cases {
            let answer = server.call(Admin, ask).await?;
            assert_eq!(verdict(&answer)?, wanted, "{}", answer.text);
        }
        assert_eq!(server.counts().await?, before);
        Ok(())
    })
    .await;
}

/// The status and the wrong fields: `422 name:blank`.
fn verdict(answer: &Answer) -> Result<String> {
    let mut text = answer.status.as_u16().to_string();
    for error in answer.json()?["errors"].as_array().into_iter().flatten() {
        let word = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        write!(text, " {}:{}", word("field"), word("code"))?;
    }
    Ok(text)
}

#[tokio::test]
async fn an_environment_names_a_registry_credential_of_its_own_place_or_a_global_one() {
    on_both(async |server| {
        let id = async |body: Value| server.call(Admin, post("/credentials", &body)).await?.id();
        let here = id(registry("here", &json!({ "host": "quay.io" }))).await?;
        let global = id(json!({ "type": "registry", "name": "all", "inputs": { "host": "quay.io" } })).await?;
        let other = json!({ "type": "userpass", "name": "u", "inputs": { "user": "u", "password": "p" } });
        let other = id(other).await?;
        let tenant = server.call(Admin, post("/organizations", &json!({ "name": "Net" }))).await?.id()?;
        for (n, (organization, credential, wanted)) in [
            (Some(1), here, 201),
            (Some(1), global, 201),
            (None, global, 201),
            (None, here, 422),
            (Some(tenant), here, 422),
            (Some(1), other, 422),
            (Some(1), 99, 422),
        ]
        .into_iter()
        .enumerate()
        {
            let body = json!({ "organization_id": organization, "name": format!("e{n}"), "credential_id": credential });
            let answer = server.call(Admin, post("/environments", &body)).await?;
            assert_eq!(answer.status.as_u16(), wanted, "{}", answer.text);
            if wanted == 422 {
                assert_eq!(verdict(&answer)?, "422 credential_id:unknown");
                continue;
            }
            assert_eq!(answer.json()?["credential_id"], json!(credential));
            let path = format!("/environments/{}", answer.id()?);
            let refused = server.call(Admin, patch(&path, &json!({ "credential_id": other }))).await?;
            assert_eq!(verdict(&refused)?, "422 credential_id:unknown");
            let kept = server.call(Admin, patch(&path, &json!({ "description": "x" }))).await?.json()?;
            assert_eq!(kept["credential_id"], json!(credential));
            let cleared = server.call(Admin, patch(&path, &json!({ "credential_id": null }))).await?.json()?;
            assert_eq!(cleared["credential_id"], Value::Null);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_organization_with_credentials_is_in_use() {
    on_both(async |server| {
        let tenant = server.call(Admin, post("/organizations", &json!({ "name": "Net" }))).await?.id()?;
        let inside = json!({ "organization_id": tenant, "type": "generic", "name": "x" });
        let inside = server.call(Admin, post("/credentials", &inside)).await?.id()?;
        let path = format!("/organizations/{tenant}");
        let refused = server.call(Admin, delete(&path)).await?;
        assert_eq!(refused.status, 409);
        assert!(refused.text.contains("1 credential."), "{}", refused.text);
        assert_eq!(server.call(Admin, delete(&format!("/credentials/{inside}"))).await?.status, 204);
        assert_eq!(server.call(Admin, delete(&path)).await?.status, 204);
        Ok(())
    })
    .await;
}

const CANARY: &str = "canary-9d1f6b0c4e7a";
const NAMED: &str = "robot-5c3e";

/// Does everything with secrets that has the canary in it. Returns what was answered.
async fn handle_secrets(server: &Server) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    let full = json!({ "host": "quay.io", "username": NAMED, "password": CANARY });
    let key = format!("-----BEGIN KEY-----\n{CANARY}\n-----END KEY-----\n");
    for body in [
        registry("quay", &full),
        registry("quay", &full),
        json!({ "type": "ssh_key", "name": "ssh", "inputs": { "private_key": key, "ssh_type": "rsa" } }),
        json!({ "type": "generic", "name": "any", "private": true, "inputs": { "a": CANARY, "b": CANARY } }),
        json!({ "type": "userpass", "name": "up", "inputs": { "user": "u", "password": CANARY } }),
        // All of these are refused.
        registry("wrong", &json!({ "host": "quay.io", "verify_ssl": CANARY })),
        registry("wrong", &json!({ "host": "quay.io", "pass": CANARY })),
        registry("wrong", &json!({ "host": "quay.io", "password": [CANARY] })),
        registry("wrong", &json!({ "host": format!("https://x:{CANARY}@quay.io"), "password": CANARY })),
        json!({ "type": "userpass", "name": "", "inputs": { "password": CANARY } }),
        json!({ "type": "registry", "name": "x", "inputs": CANARY }),
    ] {
        answers.push(server.call(Admin, post("/credentials", &body)).await?);
        answers.push(server.call(Stranger, post("/credentials", &body)).await?);
    }
    let broken = format!("{{\"inputs\":{{\"password\":\"{CANARY}\"");
    answers.push(server.call(Admin, post("/credentials", &Value::Null).bytes(broken.into_bytes())).await?);
    let made: Vec<i64> = answers.iter().filter(|answer| answer.status == 201).map(Answer::id).collect::<Result<_>>()?;
    let used = json!({ "organization_id": 1, "name": "e", "credential_id": 1 });
    answers.push(server.call(Admin, post("/environments", &used)).await?);
    for change in [
        json!({ "inputs": { "host": "quay.example" } }),
        json!({ "inputs": { "host": "quay.example", "password": format!("{CANARY}2") } }),
        json!({ "inputs": { "password": format!("{CANARY}3") } }),
        json!({ "inputs": { "password": { "x": CANARY } } }),
    ] {
        answers.push(server.call(Admin, patch("/credentials/1", &change)).await?);
        answers.push(server.call(Stranger, patch("/credentials/1", &change)).await?);
    }
    for ask in ["/credentials", "/credentials/1", "/credential-types", "/environments"] {
        answers.push(server.call(Admin, get(ask)).await?);
    }
    for id in made {
        answers.push(server.call(Admin, delete(&format!("/credentials/{id}"))).await?);
    }
    Ok(answers)
}

#[tokio::test]
async fn no_secret_is_ever_found_in_clear() {
    on_both(async |server| {
        let answers = handle_secrets(server).await?;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 5, "four credentials and an environment");
        for answer in &answers {
            assert!(!format!("{answer:?}").contains(CANARY), "{answer:?}");
        }
        let rows = dump::rows(server.core.db()).await?;
        for table in ["credentials: ", "audit: "] {
            assert!(rows.iter().any(|row| row.starts_with(table) && row.contains(NAMED)), "the search finds {table}");
        }
        assert!(rows.iter().any(|row| row.starts_with("audit: ") && row.contains("hidden")));
        assert_eq!(dump::holds(&rows, CANARY), None);
        Ok(())
    })
    .await;
}
