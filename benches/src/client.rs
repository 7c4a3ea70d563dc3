//! The few requests of the harness itself: one connection each, no pool.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::bare::Answer;

#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    /// The whole value of the header.
    pub(crate) authorization: String,
}

impl Client {
    pub(crate) fn basic(address: SocketAddr, login: &str, password: &str) -> Self {
        Self { address, authorization: format!("Basic {}", BASE64_STANDARD.encode(format!("{login}:{password}"))) }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, None).await
    }

    /// Posts and wants the row back.
    pub(crate) async fn create(&self, path: &str, row: &Value) -> Result<(Answer, Value)> {
        let answer = self.send(Method::POST, path, Some(row)).await?;
        ensure!(answer.status == 201, "POST {path} answered {}: {}", answer.status, answer.body);
        let made = serde_json::from_str(&answer.body)?;
        Ok((answer, made))
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string())
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .body(Full::new(body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()))))?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = String::from_utf8(body.collect().await?.to_bytes().into())?;
        connection.abort();
        let header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Ok(Answer { status: head.status.as_u16(), headers: head.headers.iter().map(header).collect(), body })
    }
}
