//! The 100 %: axum with nothing around it, answering bytes that the product answered before.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// One recorded answer of the product.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// Serves each answer at `/NAME` until the process is killed, and prints its address first.
pub(crate) async fn serve(answers: &Path) -> Result<()> {
    let answers: BTreeMap<String, Answer> = serde_json::from_slice(&fs::read(answers)?)?;
    let mut router = Router::new();
    for (name, answer) in answers {
        let template = response(&answer).with_context(|| format!("the recorded answer {name}"))?;
        let body = Bytes::from(answer.body);
        // The body of the request is read, because the product has to read it as well.
        let handler = move |_request: Bytes| {
            let mut response = Response::new(Body::from(body.clone()));
            *response.status_mut() = template.status();
            *response.headers_mut() = template.headers().clone();
            std::future::ready(response)
        };
        router = router.route(&format!("/{name}"), any(handler));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}

fn response(answer: &Answer) -> Result<Response<()>> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        // hyper writes these itself.
        if !["date", "content-length", "connection", "transfer-encoding"].contains(&&**name) {
            response = response.header(name, value);
        }
    }
    Ok(response.body(())?)
}
