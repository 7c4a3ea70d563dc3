//! Server-sent events: writes a stream of events as a response body and reads where a client wants to go on.
//!
//! Every kind of line end in `data` starts a new `data:` line, so no text of a log can forge a field. The
//! stream ends when its source ends or when the server stops; a client then reconnects with `Last-Event-ID`.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio_util::sync::CancellationToken;

/// A comment goes out after this long without an event, so that proxies and clients see a living connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One event. Line ends in `id` and `event` are dropped; in `data` they are kept as line ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// What the client sends back as `Last-Event-ID` after a lost connection.
    pub id: Option<String>,
    /// The event's type; `message` if absent.
    pub event: Option<Cow<'static, str>>,
    /// The text; an event without any is still delivered, with empty text.
    pub data: String,
}

impl Event {
    /// The bytes of this event on the wire.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = String::with_capacity(self.data.len() + 48);
        if let Some(id) = &self.id {
            field(&mut out, "id: ", id);
        }
        if let Some(event) = &self.event {
            field(&mut out, "event: ", event);
        }
        for line in self.data.replace("\r\n", "\n").split(['\n', '\r']) {
            out.push_str("data: ");
            out.push_str(line);
            out.push('\n');
        }
        out.push('\n');
        Bytes::from(out)
    }
}

fn field(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    // A client ignores an id with NUL altogether, so it goes as well.
    out.extend(value.chars().filter(|c| !matches!(c, '\n' | '\r' | '\0')));
    out.push('\n');
}

/// The response that streams `source` until it ends or `stop` fires.
pub fn response<S>(source: S, stop: CancellationToken) -> Response
where
    S: Stream<Item = Event> + Send + 'static,
{
    let mut response = Response::new(Body::from_stream(bytes(source, stop).map(Ok::<_, Infallible>)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx collects a response before it passes it on unless told not to.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

fn bytes<S>(source: S, stop: CancellationToken) -> impl Stream<Item = Bytes> + Send
where
    S: Stream<Item = Event> + Send + 'static,
{
    stream::unfold((Box::pin(source), stop), |(mut source, stop)| async move {
        let chunk = tokio::select! {
            // In this order: a source that is always ready must not keep the server from stopping.
            biased;
            () = stop.cancelled() => None,
            event = source.next() => event.map(|event| event.encode()),
            () = tokio::time::sleep(KEEP_ALIVE) => Some(Bytes::from_static(b": keep-alive\n\n")),
        };
        chunk.map(|chunk| (chunk, (source, stop)))
    })
}

/// The `Last-Event-ID` that a reconnecting client sends, if any and if it is text.
#[must_use]
pub fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id")?.to_str().ok().map(str::trim).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    fn data(text: &str) -> Event {
        Event { data: text.to_owned(), ..Event::default() }
    }

    fn encoded(event: &Event) -> String {
        String::from_utf8(event.encode().to_vec()).unwrap()
    }

    #[test]
    fn fields_and_every_line_of_the_data_are_written() {
        let event = Event { id: Some("7".into()), event: Some("log".into()), data: "a\nb".into() };
        assert_eq!(encoded(&event), "id: 7\nevent: log\ndata: a\ndata: b\n\n");
        assert_eq!(encoded(&data("")), "data: \n\n");
        assert_eq!(encoded(&data("a\n")), "data: a\ndata: \n\n");
    }

    #[test]
    fn no_text_can_forge_a_field() {
        assert_eq!(encoded(&data("a\r\nb\rid: 9\n\nc")), "data: a\ndata: b\ndata: id: 9\ndata: \ndata: c\n\n");
        let event = Event { id: Some("1\ndata: x\0".into()), event: Some("e\r".into()), data: String::new() };
        assert_eq!(encoded(&event), "id: 1data: x\nevent: e\ndata: \n\n");
    }

    #[tokio::test]
    async fn the_stream_ends_with_its_source_and_is_not_stored() {
        let source = stream::iter([data("1"), data("2")]);
        let response = response(source, CancellationToken::new());
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        let body = crate::body::read(response.into_body(), 1000).await.unwrap();
        assert_eq!(body, "data: 1\n\ndata: 2\n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken_by_comments_until_the_server_stops() {
        let stop = CancellationToken::new();
        let mut stream = Box::pin(bytes(stream::pending(), stop.clone()));
        let start = Instant::now();
        assert_eq!(stream.next().await.unwrap(), ": keep-alive\n\n");
        assert_eq!(stream.next().await.unwrap(), ": keep-alive\n\n");
        assert_eq!(start.elapsed().as_secs(), 30);
        stop.cancel();
        assert_eq!(stream.next().await, None);
    }

    #[tokio::test]
    async fn a_source_that_never_pauses_does_not_keep_the_server_from_stopping() {
        let stop = CancellationToken::new();
        let mut stream = Box::pin(bytes(stream::repeat(data("x")), stop.clone()));
        assert!(stream.next().await.is_some());
        stop.cancel();
        assert!(stream.next().await.is_none());
    }

    #[test]
    fn the_last_id_is_read_from_its_header() {
        let mut headers = HeaderMap::new();
        assert_eq!(last_event_id(&headers), None);
        headers.insert("Last-Event-ID", HeaderValue::from_static(" 42 "));
        assert_eq!(last_event_id(&headers), Some("42"));
        headers.insert("Last-Event-ID", HeaderValue::from_static(""));
        assert_eq!(last_event_id(&headers), None);
    }
}
