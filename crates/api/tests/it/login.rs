//! Logging in: passwords, tokens, what is neither, and guessing.

use anyhow::Result;
use chandler_testkit::installation::{ADMIN, PASSWORD};
use chandler_testkit::users::Who::{Admin, Anonymous};
use serde_json::json;

use crate::support::{Answer, Ask, Server, Transcript, get, on_both, post};

const ENCODED: &str = "YWRtaW46Y29ycmVjdCBob3JzZQ==";

fn basic(encoded: &str) -> Ask {
    get("/me").header("authorization", &format!("Basic {encoded}"))
}

async fn status(server: &Server, ask: Ask) -> Result<u16> {
    Ok(server.call(Anonymous, ask).await?.status.as_u16())
}

#[tokio::test]
async fn the_right_password_or_token_says_who_it_is() {
    on_both(async |server| {
        let mut day = Transcript::default();
        assert_eq!((ADMIN, PASSWORD), ("admin", "correct horse"), "what the header below says");
        day.ask(server, Anonymous, get("")).await?;
        day.ask(server, Anonymous, basic(ENCODED)).await?;
        day.ask(server, Anonymous, get("/me")).await?;
        // "admin:wrong horse"
        day.ask(server, Anonymous, basic("YWRtaW46d3JvbmcgaG9yc2U=")).await?;
        let by_token = server.call(Admin, get("/me")).await?;
        assert_eq!(by_token.json()?, server.call(Anonymous, basic(ENCODED)).await?.json()?);
        // "ADMIN:correct horse": the login in any case, and afterwards as he writes it himself.
        let shouted = basic("QURNSU46Y29ycmVjdCBob3JzZQ==");
        assert_eq!(server.call(Anonymous, shouted).await?.json()?["login"], "admin");
        let launch = json!({ "organization_id": 1, "name": "x", "spec": { "kind": "script", "script": "true" } });
        let launch = post("/jobs", &launch).header("authorization", "Basic QURNSU46Y29ycmVjdCBob3JzZQ==");
        assert_eq!(server.call(Anonymous, launch).await?.json()?["names"]["initiator"], "admin");
        assert_eq!(status(server, basic(ENCODED).header("authorization", &format!("bAsIc {ENCODED}"))).await?, 200);
        day.compare("login");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn whatever_is_no_credential_is_refused_alike() {
    on_both(async |server| {
        let mut texts = Vec::new();
        for wrong in [
            "Basic",
            "Basic ",
            "Basic !!!",
            // Not UTF-8; without a colon; a login with NUL; an empty one; somebody unknown.
            "Basic /////w==",
            "Basic YWRtaW4=",
            "Basic YQBiOmM=",
            "Basic Og==",
            "Basic bm9ib2R5OmNvcnJlY3QgaG9yc2U=",
            "Bearer",
            "Bearer x",
            "Bearer chd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            // From other addresses: guessing is another test.
            let ask = get("/me").header("authorization", wrong).from(&format!("198.51.100.{}", texts.len()));
            let answer = server.call(Anonymous, ask).await?;
            assert_eq!(answer.status, 401, "{wrong}");
            assert_eq!(answer.headers["www-authenticate"], "Basic realm=\"chandler\", Bearer");
            let mut body = answer.json()?;
            body["request_id"] = json!("");
            texts.push(body);
        }
        assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?}");
        let twice = basic(ENCODED).also("authorization", &format!("Basic {ENCODED}"));
        assert_eq!(status(server, twice).await?, 401);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn guessing_is_slowed_down_and_only_guessing() {
    on_both(async |server| {
        let wrong = || basic("YWRtaW46d3JvbmcgaG9yc2U=");
        // What goes well does not count.
        for _ in 0..12 {
            assert_eq!(status(server, basic(ENCODED)).await?, 200);
        }
        for _ in 0..10 {
            assert_eq!(status(server, wrong()).await?, 401);
        }
        let mut day = Transcript::default();
        day.ask(server, Anonymous, wrong()).await?;
        let right: Answer = server.call(Anonymous, basic(ENCODED)).await?;
        assert_eq!((right.status.as_u16(), right.headers["retry-after"].to_str()?), (429, "6"));
        // A token is no guess, another address is somebody else, and time heals.
        assert_eq!(server.call(Admin, get("/me")).await?.status, 200);
        assert_eq!(status(server, basic(ENCODED).from("192.0.2.2")).await?, 200);
        server.clock.forward(6);
        assert_eq!(status(server, basic(ENCODED)).await?, 200);
        day.compare("guessing");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_browser_may_not_change_anything_for_another_site() {
    on_both(async |server| {
        let before = server.counts().await?;
        let make = || post("/organizations", &json!({ "name": "forged" }));
        for site in ["cross-site", "same-site"] {
            assert_eq!(server.call(Admin, make().header("sec-fetch-site", site)).await?.status, 403, "{site}");
        }
        assert_eq!(server.counts().await?, before);
        assert_eq!(server.call(Admin, get("/me").header("sec-fetch-site", "cross-site")).await?.status, 200);
        for site in ["same-origin", "none"] {
            let name = json!({ "name": site });
            let answer = server.call(Admin, post("/organizations", &name).header("sec-fetch-site", site)).await?;
            assert_eq!(answer.status, 201, "{site}");
        }
        Ok(())
    })
    .await;
}
