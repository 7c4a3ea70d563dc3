//! Failures outside every handler come out in the form of this API.

use std::fmt::Write;

use anyhow::Result;
use chandler_testkit::users::Who::{Admin, Anonymous};
use chandler_wire::{Outer, OuterKind, RequestId, RequestInfo, body};
use http::Method;

use crate::support::{BODY_MAX, Transcript, bare, get, on_both, post};

#[tokio::test]
async fn unknown_paths_and_methods() {
    on_both(async |server| {
        let mut day = Transcript::default();
        day.ask(server, Anonymous, get("/nothing")).await?;
        day.ask(server, Admin, bare("PUT", "/organizations/1")).await?;
        for path in ["/", "/api", "/api/v1/", "/api/v1/organizations/", "/api/v1/organizations/1/2", "/api/v2/jobs"] {
            assert_eq!(server.call(Admin, get("").at(path)).await?.status, 404, "{path}");
        }
        for (method, path) in
            [("POST", ""), ("DELETE", "/organizations"), ("GET", "/jobs/1/cancel"), ("OPTIONS", "/me")]
        {
            let answer = server.call(Admin, bare(method, path)).await?;
            assert_eq!((answer.status.as_u16(), answer.headers.contains_key("allow")), (405, true), "{method} {path}");
        }
        day.compare("no_route");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_announced_as_too_large() {
    on_both(async |server| {
        let mut day = Transcript::default();
        let large = post("/organizations", &"".into()).bytes(vec![b' '; BODY_MAX + 1]);
        day.ask(server, Admin, large.without("content-length")).await?;
        day.compare("too_large");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_them_has_its_form() -> Result<()> {
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let mut headers = http::HeaderMap::new();
    headers.insert("x-request-id", id.parse()?);
    let request = RequestInfo { id: RequestId::from_headers(&headers).unwrap_or_default(), peer: None, body_limit: 0 };
    let mut all = String::new();
    for kind in [
        OuterKind::Panicked,
        OuterKind::TimedOut,
        OuterKind::TooLarge { limit: 1 << 20 },
        OuterKind::Overloaded,
        OuterKind::NotFound,
        OuterKind::MethodNotAllowed,
    ] {
        let outer = Outer { kind, request, method: Method::GET, uri: "/api/v1/x".parse()? };
        let (parts, body) = chandler_api::render_outer(&outer).into_parts();
        let text = body::read(body, 10_000).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let text = String::from_utf8(text.to_vec())?;
        writeln!(all, "{kind:?}: {}\n{:?}\n{text}\n", parts.status, parts.headers)?;
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("outer", all);
    });
    Ok(())
}
