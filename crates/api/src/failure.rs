//! How a request fails: what an extractor or a handler returns instead of a response.
//!
//! A failure carries no words. It travels to [`word`], the one layer of this API, which knows the request's id and has
//! `errors.rs` say it.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chandler_core::Error;
use chandler_wire::RequestInfo;
use http::HeaderValue;
use http::header::CACHE_CONTROL;

use crate::errors;

/// What a handler returns.
pub(crate) type Outcome = Result<Response, Failure>;

/// Why there is no other answer.
#[derive(Debug)]
pub(crate) enum Failure {
    Core(Error),
    /// The request itself cannot be read.
    Unreadable(Unreadable),
    /// A browser sent it on behalf of another site.
    CrossSite,
}

/// What is wrong with a request that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The body broke off.
    Interrupted,
    /// There is no body.
    Empty,
    /// The body is not UTF-8.
    Encoding,
    /// The body is not one JSON value.
    Syntax {
        line: usize,
        column: usize,
    },
    /// Its top is not an object.
    NotAnObject,
    TooDeep {
        max: usize,
    },
    /// A key stands twice in one object.
    DuplicateKey(String),
    /// NUL in a text or a key.
    Nul {
        line: usize,
        column: usize,
    },
    /// The query string is not percent-encoded UTF-8 without NUL.
    Query,
    DuplicateParameter(String),
    /// A header that means something to this route means nothing.
    Header(&'static str),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<chandler_core::ErrorKind> for Failure {
    fn from(kind: chandler_core::ErrorKind) -> Self {
        Self::Core(kind.into())
    }
}

impl From<Unreadable> for Failure {
    fn from(what: Unreadable) -> Self {
        Self::Unreadable(what)
    }
}

/// Marks a response that has still to be made.
#[derive(Clone)]
struct Unworded(Arc<Failure>);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = http::StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Unworded(Arc::new(self)));
        response
    }
}

/// The layer around every route: words failures, and keeps answers out of caches.
pub(crate) async fn word(info: RequestInfo, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(Unworded(failure)) = response.extensions_mut().remove() {
        response = errors::response(&failure, info.id);
    }
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
