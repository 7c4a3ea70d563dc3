//! The generic layers around a dialect's router: request id → trace → load shed → body limit → timeout → panic guard.
//!
//! They are one layer and not a stack of ready-made ones because each of their failures has to come out in
//! the dialect's form and with the request's id; a stack answers in its own words, and costs a future per layer.
//! What a failure looks like is the dialect's `render` function; nothing here writes a body.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use futures_util::FutureExt;
use http::{Method, Uri};
use http_body_util::Limited;
use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::request_info::{REQUEST_ID, RequestId, RequestInfo, client_ip};

/// How much a request may bring and how long its answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a request body.
    pub body: usize,
    /// Time until the response's head; a streamed body may go on longer.
    pub timeout: Duration,
}

/// The settings of the generic layers of one router.
#[derive(Clone, Debug)]
pub struct LayerConfig {
    /// What holds for every route that is not named in `routes`.
    pub limits: Limits,
    /// Routes with limits of their own, by the pattern they were registered with.
    pub routes: Vec<(&'static str, Limits)>,
    /// Requests that may be worked on at a time. Routers given the same semaphore share the number.
    pub in_flight: Arc<Semaphore>,
}

/// A failure outside every handler, for the dialect to render.
#[derive(Clone, Debug)]
pub struct Outer {
    /// What went wrong.
    pub kind: OuterKind,
    /// The request it happened to.
    pub request: RequestInfo,
    /// Its method.
    pub method: Method,
    /// Its address as the client wrote it.
    pub uri: Uri,
}

/// The kinds of failure outside every handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OuterKind {
    /// A handler panicked; the panic itself went to the log. The request's outcome is unknown.
    Panicked,
    /// No answer in time; the handler was dropped where it waited.
    TimedOut,
    /// The client announced a body above the limit; the handler was not called.
    TooLarge {
        /// Most bytes allowed.
        limit: usize,
    },
    /// Too many requests are being worked on; the handler was not called and the client may try again.
    Overloaded,
    /// No route has this path.
    NotFound,
    /// A route has this path, but not this method. The `Allow` header is added to the response.
    MethodNotAllowed,
}

struct Guard<R> {
    config: LayerConfig,
    render: R,
}

/// Wraps `router` in the generic layers and sets its fallbacks.
///
/// Every response carries `x-request-id`; every request carries a [`RequestInfo`]. `render` makes the
/// response of each failure and must not panic.
pub fn layers<R>(router: Router, config: LayerConfig, render: R) -> Router
where
    R: Fn(&Outer) -> Response + Clone + Send + Sync + 'static,
{
    let fallback = |kind: OuterKind| {
        let render = render.clone();
        move |request: Request| {
            let outer = Outer::of(kind, &request);
            let render = render.clone();
            async move { render(&outer) }
        }
    };
    let (not_found, not_allowed) = (fallback(OuterKind::NotFound), fallback(OuterKind::MethodNotAllowed));
    router
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn_with_state(Arc::new(Guard { config, render }), guard::<R>))
}

impl Outer {
    fn of(kind: OuterKind, request: &Request) -> Self {
        Self {
            kind,
            request: RequestInfo::of(request.extensions()),
            method: request.method().clone(),
            uri: request.uri().clone(),
        }
    }
}

impl LayerConfig {
    fn limits(&self, route: Option<&str>) -> Limits {
        let own = route.and_then(|route| self.routes.iter().find(|(pattern, _)| *pattern == route));
        own.map_or(self.limits, |(_, limits)| *limits)
    }
}

async fn guard<R>(State(guard): State<Arc<Guard<R>>>, mut request: Request, next: Next) -> Response
where
    R: Fn(&Outer) -> Response + Send + Sync + 'static,
{
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map(MatchedPath::as_str);
    let limits = guard.config.limits(route);
    let info = RequestInfo {
        id: RequestId::from_headers(request.headers()).unwrap_or_default(),
        peer: client_ip(request.extensions()),
        body_limit: limits.body,
    };
    request.extensions_mut().insert(info);
    let span = tracing::info_span!("request", id = %info.id, method = %request.method(), route = route.unwrap_or("-"));

    let started = Instant::now();
    let mut response = inner(&guard, limits, request, next).instrument(span.clone()).await;
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    tracing::debug!(parent: &span, status, elapsed_us = elapsed.as_micros(), "answered");
    response.headers_mut().insert(REQUEST_ID, info.id.header());
    response
}

async fn inner<R>(guard: &Guard<R>, limits: Limits, request: Request, next: Next) -> Response
where
    R: Fn(&Outer) -> Response,
{
    let Ok(_permit) = guard.config.in_flight.try_acquire() else {
        return (guard.render)(&Outer::of(OuterKind::Overloaded, &request));
    };
    let announced = request.body().size_hint();
    if announced.lower() > limits.body as u64 {
        return (guard.render)(&Outer::of(OuterKind::TooLarge { limit: limits.body }, &request));
    }
    let mut failure = Outer::of(OuterKind::Panicked, &request);
    // The length that was announced is checked; one that was not announced is counted while it is read.
    let request = match announced.exact() {
        Some(_) => request,
        None => request.map(|body| Body::new(Limited::new(body, limits.body))),
    };
    // Building the future and polling it may both panic.
    let work = AssertUnwindSafe(async move { next.run(request).await }).catch_unwind();
    match tokio::time::timeout(limits.timeout, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => (guard.render)(&failure),
        Err(_elapsed) => {
            failure.kind = OuterKind::TimedOut;
            (guard.render)(&failure)
        }
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
