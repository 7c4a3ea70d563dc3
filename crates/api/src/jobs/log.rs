//! `/jobs/{id}/log`: the text as it is, or server-sent events for clients that want to go on where they were cut off.
//!
//! Nothing is buffered for a slow client: the next chunks are read when the ones before have been sent. The head of the
//! response goes out at once, so the time limit of requests does not cut a stream.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use chandler_core::Error;
use chandler_core::jobs::Mode;
use chandler_model::jobs::Job;
use chandler_wire::sse::{self, Event};
use futures_util::stream::{self, Stream, StreamExt};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};
use serde::Serialize;

use super::stream::{Log, Piece};
use super::words::Status;
use crate::auth::Caller;
use crate::errors;
use crate::failure::{Failure, Outcome, Unreadable};
use crate::input::{Fields, FromFields, Named, Query};
use crate::state::Api;

/// What the query says.
#[derive(Debug)]
pub(crate) struct Wish {
    follow: Option<bool>,
}

impl FromFields for Wish {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { follow: fields.given("follow") })
    }
}

pub(crate) async fn log(
    State(api): State<Api>,
    Caller(cx): Caller,
    Named(id): Named<Job>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Outcome {
    let events = wants_events(&headers);
    let after = if events { last_seen(&headers)? } else { 0 };
    let follow = wish.follow.unwrap_or(events);
    let mode = if follow { Mode::Follow } else { Mode::Replay };
    let log = Log::open(api.core, cx, id, after, mode).await?;
    Ok(match (events, follow) {
        (true, _) => sse::response(as_events(log), api.stop),
        (false, true) => as_text(pieces(log).take_until(api.stop.cancelled_owned())),
        (false, false) => as_text(pieces(log)),
    })
}

/// Whether `Accept` names event streams. It has no say otherwise: a log has no third form.
fn wants_events(headers: &HeaderMap) -> bool {
    let wanted = |item: &str| {
        let mut parts = item.split(';').map(str::trim);
        parts.next().is_some_and(|media| media.eq_ignore_ascii_case("text/event-stream"))
            && !parts.any(|parameter| parameter == "q=0")
    };
    let listed = |value: &HeaderValue| value.to_str().is_ok_and(|list| list.split(',').any(wanted));
    headers.get_all(ACCEPT).iter().any(listed)
}

/// The chunk after which a client wants to go on.
fn last_seen(headers: &HeaderMap) -> Result<i64, Failure> {
    let Some(id) = sse::last_event_id(headers) else { return Ok(0) };
    let seq: Option<i64> = id.parse().ok().filter(|seq| *seq >= 0);
    seq.ok_or_else(|| Unreadable::Header("Last-Event-ID").into())
}

#[derive(Serialize)]
struct End {
    status: Status,
}

/// A `chunk` for every chunk, with its number as the id, and an `end`. What broke off has no `end`.
fn as_events(log: Log) -> impl Stream<Item = Event> + Send {
    let batches = stream::unfold(Some(log), |log| async move {
        let mut log = log?;
        match next_events(&mut log).await {
            Ok((events, ended)) => Some((events, (!ended).then_some(log))),
            Err(error) => {
                errors::broken_stream(&error, log.request());
                None
            }
        }
    });
    batches.flat_map(stream::iter)
}

/// Events, and whether they are the last.
async fn next_events(log: &mut Log) -> Result<(Vec<Event>, bool), Error> {
    if let Some(pieces) = log.next().await? {
        return Ok((pieces.iter().map(|piece| event("chunk", Some(piece.seq), piece)).collect(), false));
    }
    let (status, rest) = log.end().await?;
    // A client that was here already has the id of the last chunk.
    let mut last: Vec<Event> = rest.iter().map(|piece| event("chunk", None, piece)).collect();
    last.push(event("end", None, &End { status }));
    Ok((last, true))
}

fn event(name: &'static str, id: Option<i64>, data: &impl Serialize) -> Event {
    // Numbers and texts cannot fail to serialize.
    let data = serde_json::to_string(data).unwrap_or_default();
    Event { id: id.map(|seq| seq.to_string()), event: Some(name.into()), data }
}

/// Breaks the connection off, so that the client does not take what it has for the whole.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the log could not be read on")
    }
}

impl std::error::Error for Broken {}

/// The texts of a log.
fn pieces(log: Log) -> impl Stream<Item = Result<Bytes, Broken>> + Send {
    stream::unfold(Some(log), |log| async move {
        let mut log = log?;
        let read = match log.next().await {
            Ok(Some(pieces)) => Ok((pieces, false)),
            Ok(None) => log.end().await.map(|(_, rest)| (rest, true)),
            Err(error) => Err(error),
        };
        match read {
            Ok((pieces, ended)) => Some((Ok(joined(&pieces)), (!ended).then_some(log))),
            Err(error) => {
                errors::broken_stream(&error, log.request());
                Some((Err(Broken), None))
            }
        }
    })
}

fn joined(pieces: &[Piece]) -> Bytes {
    pieces.iter().map(|piece| piece.text.as_str()).collect::<String>().into()
}

fn as_text(pieces: impl Stream<Item = Result<Bytes, Broken>> + Send + 'static) -> Response {
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // A job may print what looks like a page: no browser shall take it for one.
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}
