//! `chandler serve`: opens everything in order, waits for the signal, closes everything in reverse.
//!
//! Order: signals → sockets (a taken port fails before anything is changed) → `/healthz` says `starting` →
//! installation → engine → routers → `ok` → signal → requests and jobs drain → the rest closes.

use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::routing::get;
use chandler_core::Core;
use chandler_wire::LayerConfig;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Listen, Listener, Source};
use crate::installation::{self, Installation};
use crate::listen::{self, Server};
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::shutdown;
use crate::worker::Engine;

/// The listeners that have something behind them.
const BUILT: [Listener; 1] = [Listener::Console];

/// Runs the server until a signal stops it.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let stop = shutdown::on_signals().context("signals cannot be received")?;
    let running = Running::start(&config, stop).await?;
    if let Some(password) = running.new_password() {
        say(&first_words(&config, password));
    }
    say(&running.addresses());
    running.finished().await;
    Ok(())
}

/// A server that answers.
#[derive(Debug)]
pub struct Running {
    installation: Installation,
    engine: Engine,
    server: Server,
    stop: CancellationToken,
}

impl Running {
    /// Starts everything; when this returns, the listeners answer. `stop` ends it.
    ///
    /// # Errors
    /// An address is taken, or the installation cannot be opened. Nothing runs then.
    pub async fn start(config: &Config, stop: CancellationToken) -> anyhow::Result<Self> {
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
        match open(config, &metrics, &server, &stop).await {
            Ok((installation, engine)) => {
                server.ready();
                Ok(Self { installation, engine, server, stop })
            }
            Err(error) => {
                stop.cancel();
                server.finished().await;
                Err(error)
            }
        }
    }

    #[must_use]
    pub fn core(&self) -> &Core {
        &self.installation.core
    }

    /// The administrator's password, if this start has made one.
    #[must_use]
    pub fn new_password(&self) -> Option<&SecretString> {
        self.installation.new_password.as_ref()
    }

    /// Where the server listens; scripts that use port 0 read the port here.
    #[must_use]
    pub fn addresses(&self) -> String {
        let mut text = format!("chandler {} is ready\n", env!("CARGO_PKG_VERSION"));
        for (listener, address) in self.server.addresses() {
            text.push_str(&format!("  {:<10} http://{address}\n", listener.name()));
        }
        text
    }

    /// Waits for the stop, then until requests and jobs have drained.
    pub async fn finished(self) {
        self.stop.cancelled().await;
        self.engine.drain();
        self.server.finished().await;
        self.engine.finished().await;
    }
}

/// Opens what the routes need, in order, and mounts them.
async fn open(
    config: &Config,
    metrics: &Metrics,
    server: &Server,
    stop: &CancellationToken,
) -> anyhow::Result<(Installation, Engine)> {
    let installation = installation::open(config).await?;
    let engine = Engine::start(&installation.core, config)?;
    let native = chandler_api::router(installation.core.clone(), stop.clone());
    server.mount(Listener::Console, &console(config, metrics, native));
    Ok((installation, engine))
}

/// What is printed once, at the first start, when nobody has chosen a password.
#[must_use]
pub fn first_words(config: &Config, password: &SecretString) -> String {
    format!(
        "The administrator is `{}` with the password\n\n  {}\n\nIt is shown only now; `chandler admin password` sets another.\n",
        config.admin.login,
        password.expose_secret()
    )
}

/// Writes to standard output; a closed one is no reason to stop serving.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Everything on the console port: the given routes in the generic layers, and `/metrics` outside of them,
/// so that an overloaded server can still be watched.
fn console(config: &Config, metrics: &Metrics, routes: Router) -> Router {
    let layered = chandler_wire::layers(routes, layer_config(config), chandler_api::render_outer);
    let metrics_page = Router::new().route("/metrics", get(Metrics::page)).with_state(metrics.clone());
    metrics.count(Listener::Console, layered).merge(metrics_page)
}

/// What every router of the process gets; clones share the number of requests in flight.
fn layer_config(config: &Config) -> LayerConfig {
    let limits = chandler_wire::Limits { body: config.limits.body.0, timeout: config.limits.timeout.0 };
    LayerConfig { limits, routes: Vec::new(), in_flight: Arc::new(Semaphore::new(config.limits.in_flight)) }
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
