//! Answers that went well: JSON with its status and headers.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use chandler_core::Error;
use chandler_model::paging::Page;
use chandler_wire::{etag, paging};
use http::header::{CONTENT_TYPE, ETAG, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::failure::Outcome;

/// A body of JSON.
pub(crate) fn json(status: StatusCode, view: &impl Serialize) -> Outcome {
    let bytes = serde_json::to_vec(view).map_err(Error::internal)?;
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Bytes as they are.
pub(crate) fn bytes(media: &'static str, bytes: Vec<u8>) -> Outcome {
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    // A job may have written what looks like a page: no browser shall take it for one.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// A row that has a version.
pub(crate) fn versioned(status: StatusCode, version: i64, view: &impl Serialize) -> Outcome {
    let mut response = json(status, view)?;
    response.headers_mut().insert(ETAG, etag::of_version(version));
    Ok(response)
}

/// Adds where the new row is. `collection` is its path below `/api/v1/`.
pub(crate) fn located(mut response: Response, collection: &str, id: i64) -> Outcome {
    let place = HeaderValue::try_from(format!("/api/v1/{collection}/{id}")).map_err(Error::internal)?;
    response.headers_mut().insert(LOCATION, place);
    Ok(response)
}

#[derive(Serialize)]
struct List<V> {
    items: Vec<V>,
    /// To be sent as `after` for the next page.
    next: Option<String>,
}

/// One page of a list.
pub(crate) fn list<'a, T, V: Serialize>(page: &'a Page<T>, view: impl Fn(&'a T) -> V) -> Outcome {
    let items = page.rows.iter().map(view).collect();
    json(StatusCode::OK, &List { items, next: page.next.map(paging::encode_cursor) })
}

/// Done, and there is nothing to say.
pub(crate) fn nothing() -> Outcome {
    Ok(StatusCode::NO_CONTENT.into_response())
}
