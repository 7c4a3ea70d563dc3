//! Tokens: shown once, used, expired, ended.

use anyhow::{Context, Result};
use chandler_testkit::users::Who::{Admin, Anonymous};
use serde_json::json;

use crate::support::{Server, Transcript, delete, get, on_both, post};

async fn status_with(server: &Server, secret: &str) -> Result<u16> {
    let ask = get("/me").header("authorization", &format!("Bearer {secret}"));
    Ok(server.call(Anonymous, ask).await?.status.as_u16())
}

#[tokio::test]
async fn a_token_is_shown_once_and_ends_when_it_is_deleted() {
    on_both(async |server| {
        let mut day = Transcript::default();
        let made = day.ask(server, Admin, post("/tokens", &json!({ "name": "ci", "lifetime_s": 3600 }))).await?;
        let secret = made.json()?["token"].as_str().context("a secret")?.to_owned();
        assert_eq!(status_with(server, &secret).await?, 200);
        day.ask(server, Admin, post("/tokens", &json!({ "name": "ci" }))).await?;
        let listed = day.ask(server, Admin, get("/tokens")).await?;
        assert!(!listed.text.contains(&secret));
        let uid = made.json()?["uid"].as_str().context("a uid")?.to_owned();
        assert_eq!(server.call(Admin, delete(&format!("/tokens/{uid}"))).await?.status, 204);
        assert_eq!(status_with(server, &secret).await?, 401);
        day.compare("tokens");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_token_ends_with_its_lifetime() {
    on_both(async |server| {
        let made = server.call(Admin, post("/tokens", &json!({ "lifetime_s": 60 }))).await?.json()?;
        let secret = made["token"].as_str().context("a secret")?.to_owned();
        assert_eq!(made["expires_at"], "2030-01-02T03:05:05.000006Z");
        server.clock.forward(59);
        assert_eq!(status_with(server, &secret).await?, 200);
        server.clock.forward(1);
        assert_eq!(status_with(server, &secret).await?, 401);
        Ok(())
    })
    .await;
}
