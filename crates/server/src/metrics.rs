//! What the server counts, in the OpenMetrics text format.
//!
//! Parts of the program register their own metrics with [`Metrics::register`]. Labels are kept to values
//! that we choose (never a client's path), so that no client can make the registry grow.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::config::Listener;

/// The registry of the process and what the listeners count. Clones share everything.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Mutex<Registry>,
    requests: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    listener: &'static str,
    method: &'static str,
    route: String,
    status: &'static str,
}

impl Metrics {
    /// A registry with build info, memory and the request metrics, all named `chandler_…` or `process_…`.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("chandler_build", "The version that runs", build);
        registry.register_collector(Box::new(Memory));
        let requests = Family::default();
        registry.register("chandler_http_requests", "Requests answered", requests.clone());
        let seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        registry.register_with_unit(
            "chandler_http_request_duration",
            "Time until the answer started",
            Unit::Seconds,
            seconds.clone(),
        );
        Self(Arc::new(Inner { registry: Mutex::new(registry), requests, seconds }))
    }

    /// Lets another part of the program register metrics. They live as long as the process.
    pub fn register<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut self.0.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts and times every request of a router. Goes around all other layers.
    pub fn count(&self, listener: Listener, router: Router) -> Router {
        router.layer(from_fn_with_state((self.clone(), listener), count))
    }

    /// Everything in the text format.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.0.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(out)
    }

    /// The handler of `GET /metrics`.
    pub async fn page(State(metrics): State<Self>) -> Response {
        match metrics.text() {
            Ok(text) => {
                ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
            }
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// From a millisecond (a point read takes less) to the default time limit.
fn histogram() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

async fn count(State((metrics, listener)): State<(Metrics, Listener)>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = method_label(request.method());
    let started = Instant::now();
    let response = next.run(request).await;
    let labels = Labels { listener: listener.name(), method, route, status: class(response.status()) };
    metrics.0.requests.get_or_create(&labels).inc();
    metrics.0.seconds.get_or_create(&labels).observe(started.elapsed().as_secs_f64());
    response
}

/// A client may invent methods; they share one label.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// Reads the memory of the process whenever somebody asks.
#[derive(Debug)]
struct Memory;

impl Collector for Memory {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(bytes) = resident_bytes() else { return Ok(()) };
        let gauge = ConstGauge::new(bytes);
        let help = "Memory of the process that is in RAM";
        let metric =
            encoder.encode_descriptor("process_resident_memory", help, Some(&Unit::Bytes), gauge.metric_type())?;
        gauge.encode(metric)
    }
}

fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    #[tokio::test]
    async fn requests_are_counted_by_route_and_never_by_path() {
        let metrics = Metrics::new();
        let router = Router::new().route("/jobs/{id}", get(|| async { "ok" }));
        let router = metrics.count(Listener::Awx, router);
        for uri in ["/jobs/1", "/jobs/2", "/invented/by/client"] {
            router.clone().oneshot(Request::builder().uri(uri).body(Body::empty()).unwrap()).await.unwrap();
        }
        let text = metrics.text().unwrap();
        let jobs = r#"chandler_http_requests_total{listener="awx",method="GET",route="/jobs/{id}",status="2xx"} 2"#;
        let other = r#"chandler_http_requests_total{listener="awx",method="GET",route="unmatched",status="4xx"} 1"#;
        assert!(text.contains(jobs) && text.contains(other), "{text}");
        assert!(text.contains("chandler_http_request_duration_seconds_count{"), "{text}");
        assert!(!text.contains("invented"));
    }

    #[test]
    fn build_memory_and_what_others_register_are_on_the_page() {
        let metrics = Metrics::new();
        let jobs = Counter::<u64>::default();
        metrics.register(|registry| registry.register("chandler_jobs", "Jobs", jobs.clone()));
        jobs.inc();
        let text = metrics.text().unwrap();
        assert!(text.contains(concat!("chandler_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1")), "{text}");
        assert!(text.contains("chandler_jobs_total 1"), "{text}");
        assert!(resident_bytes().unwrap() > 1 << 20);
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
    }
}
