//! The few requests of the harness itself: one connection each, no pool.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::bare::Answer;

#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    /// The whole value of the header.
    pub(crate) authorization: String,
}

/// A connection that is kept: for requests in a row. Closed when dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

/// Server-sent events, as they come.
#[derive(Debug)]
pub(crate) struct Events {
    body: Incoming,
    buffer: BytesMut,
    /// Up to here the buffer holds no end of an event.
    searched: usize,
    _connection: Connection,
}

impl Client {
    pub(crate) fn basic(address: SocketAddr, login: &str, password: &str) -> Self {
        Self { address, authorization: format!("Basic {}", BASE64_STANDARD.encode(format!("{login}:{password}"))) }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        self.connect().await?.get(path).await
    }

    /// Posts and wants the row back.
    pub(crate) async fn create(&self, path: &str, row: &Value) -> Result<(Answer, Value)> {
        let answer = self.connect().await?.post(path, row).await?;
        ensure!(answer.status == 201, "POST {path} answered {}: {}", answer.status, answer.body);
        let made = serde_json::from_str(&answer.body)?;
        Ok((answer, made))
    }

    pub(crate) async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection).abort_handle();
        Ok(Connection { client: self.clone(), sender, driver })
    }

    /// Begins to read a stream of events.
    pub(crate) async fn events(&self, path: &str) -> Result<Events> {
        let mut connection = self.connect().await?;
        let response = connection.send(Method::GET, path, "text/event-stream", None).await?;
        ensure!(response.status() == 200, "GET {path} answered {}", response.status());
        Ok(Events { body: response.into_body(), buffer: BytesMut::new(), searched: 0, _connection: connection })
    }
}

impl Connection {
    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer> {
        whole(self.send(Method::GET, path, "application/json", None).await?).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Answer> {
        whole(self.send(Method::POST, path, "application/json", Some(body)).await?).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.client.address.to_string())
            .header("authorization", &self.client.authorization)
            .header("accept", accept)
            .header("content-type", "application/json")
            .body(Full::new(body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()))))?;
        let sent = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        sent.await.with_context(|| format!("asking for {path}"))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn whole(response: Response<Incoming>) -> Result<Answer> {
    let (head, body) = response.into_parts();
    let body = String::from_utf8(body.collect().await?.to_bytes().into())?;
    let header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ok(Answer { status: head.status.as_u16(), headers: head.headers.iter().map(header).collect(), body })
}

impl Events {
    /// The lines of the next event; `None` when the server has closed the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(event) = split(&mut self.buffer, &mut self.searched) {
                return Ok(Some(event));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Ok(data) = frame.context("the stream of events broke off")?.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}

/// Takes the first whole event from the buffer. What was searched is not searched again.
fn split(buffer: &mut BytesMut, searched: &mut usize) -> Option<Bytes> {
    let fresh = buffer.get(*searched..)?;
    let Some(end) = fresh.windows(2).position(|pair| pair == b"\n\n") else {
        *searched = buffer.len().saturating_sub(1);
        return None;
    };
    let event = buffer.split_to(*searched + end + 2).freeze();
    *searched = 0;
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_apart_wherever_the_pieces_end() {
        let stream = b"id: 1\ndata: a\n\nevent: end\ndata: {}\n\n";
        for size in 1..=stream.len() {
            let (mut buffer, mut searched, mut events) = (BytesMut::new(), 0, Vec::new());
            for piece in stream.chunks(size) {
                buffer.extend_from_slice(piece);
                while let Some(event) = split(&mut buffer, &mut searched) {
                    events.push(event);
                }
            }
            assert_eq!(events, [&b"id: 1\ndata: a\n\n"[..], b"event: end\ndata: {}\n\n"], "{size}");
            assert!(buffer.is_empty());
        }
    }
}
