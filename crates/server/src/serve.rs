//! `chandler serve`: opens everything in order, waits for the signal, closes everything in reverse.
//!
//! Order: signals → sockets (a taken port fails before anything is changed) → `/healthz` says `starting` →
//! data → routers → `ok` → signal → requests drain → the rest closes.

use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chandler_wire::{LayerConfig, Outer, OuterKind};
use http::StatusCode;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Listen, Listener, Source};
use crate::listen::{self, Server};
use crate::metrics::Metrics;
use crate::problem::{Advise, Problem};
use crate::shutdown;

/// The listeners that have something behind them.
const BUILT: [Listener; 1] = [Listener::Console];

/// Runs the server until a signal stops it.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let stop = shutdown::on_signals().context("signals cannot be received")?;
    run(&config, stop).await
}

/// Runs the server until `stop` fires. The caller has started logging.
pub async fn run(config: &Config, stop: CancellationToken) -> anyhow::Result<()> {
    for line in ignored(config) {
        tracing::warn!("{line}");
    }
    let metrics = Metrics::new();
    let bound = listen::bind(&BUILT, &config.listen).await?;
    if bound.is_empty() {
        let next = "give the console an address, such as `--listen-console 127.0.0.1:7080`";
        return Err(Problem::new("every listener that could be opened is `off`", next).into());
    }
    let server = Server::start(bound, (&config.limits).into(), stop.clone());

    // From here on the listeners answer, so whatever fails has to close them before it is reported.
    let opened = open(config, &metrics, &server).await;
    if opened.is_ok() {
        server.ready();
        announce(&server);
    } else {
        stop.cancel();
    }
    server.finished().await;
    opened
}

/// Opens what the routes need, in order, and mounts them.
async fn open(config: &Config, metrics: &Metrics, server: &Server) -> anyhow::Result<()> {
    prepare_data(config)?;
    server.mount(Listener::Console, &console(config, metrics, native_router()));
    Ok(())
}

/// Makes the data directory if there is none, for this user only.
fn prepare_data(config: &Config) -> anyhow::Result<()> {
    let path = config.data.display();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.data).advise(
        format!("the data directory {path} cannot be made"),
        "choose a directory that this user may write with `--data DIR`",
    )
}

/// The routes of the native API. None is built yet, so every path is unknown.
fn native_router() -> Router {
    Router::new()
}

/// Everything on the console port: the given routes in the generic layers, and `/metrics` outside of them,
/// so that an overloaded server can still be watched.
fn console(config: &Config, metrics: &Metrics, routes: Router) -> Router {
    let layered = chandler_wire::layers(routes, layer_config(config), plain);
    let metrics_page = Router::new().route("/metrics", get(Metrics::page)).with_state(metrics.clone());
    metrics.count(Listener::Console, layered).merge(metrics_page)
}

/// What every router of the process gets; clones share the number of requests in flight.
fn layer_config(config: &Config) -> LayerConfig {
    let limits = chandler_wire::Limits { body: config.limits.body.0, timeout: config.limits.timeout.0 };
    LayerConfig { limits, routes: Vec::new(), in_flight: Arc::new(Semaphore::new(config.limits.in_flight)) }
}

/// Failures outside every handler where no dialect has a form for them.
fn plain(outer: &Outer) -> Response {
    let (status, text) = match outer.kind {
        OuterKind::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
        OuterKind::TimedOut => (StatusCode::SERVICE_UNAVAILABLE, "no answer in time"),
        OuterKind::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        OuterKind::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        OuterKind::NotFound => (StatusCode::NOT_FOUND, "not found"),
        OuterKind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
    };
    (status, text).into_response()
}

/// A line for each address that somebody configured for a dialect that does not exist yet.
fn ignored(config: &Config) -> Vec<String> {
    let unbuilt = Listener::ALL.into_iter().filter(|listener| !BUILT.contains(listener));
    unbuilt
        .filter_map(|listener| {
            let setting = listener.setting();
            let given = match config.source(&setting) {
                Source::Default => return None,
                Source::File(path) => format!("`{setting}` in {path}"),
                Source::Environment(name) => name.clone(),
                Source::Flag(name) => format!("--{name}"),
            };
            let open = *config.listen.get(listener) != Listen::Off;
            open.then(|| format!("the {} dialect is not built yet; {given} is ignored", listener.title()))
        })
        .collect()
}

/// Prints where the server listens to standard output; scripts that use port 0 read the port there.
fn announce(server: &Server) {
    let mut text = format!("chandler {} is ready\n", env!("CARGO_PKG_VERSION"));
    for (listener, address) in server.addresses() {
        text.push_str(&format!("  {:<10} http://{address}\n", listener.name()));
    }
    // A closed standard output is no reason to stop serving.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
