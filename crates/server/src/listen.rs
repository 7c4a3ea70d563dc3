//! Listeners: bound all together before anything is served, closed in order when the server stops.
//!
//! Each listener answers `GET /healthz` from its first moment and everything else once its router is mounted.
//! Stopping: no new connections → running requests finish → what is left after the deadline is cut.
//! A connection that sends no request in time is closed, and each listener holds a bounded number of them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::config::{Limits, Listen, Listener, Listeners};
use crate::problem::Advise;

/// A socket that is bound and does not accept yet.
#[derive(Debug)]
pub struct Bound {
    /// Which listener it is.
    pub listener: Listener,
    /// Where it really listens; the configured port may have been 0.
    pub address: SocketAddr,
    socket: TcpListener,
}

/// Binds those of `wanted` that are not `off`, or none: the first that fails is the error.
pub async fn bind(wanted: &[Listener], addresses: &Listeners) -> anyhow::Result<Vec<Bound>> {
    let mut bound = Vec::new();
    for listener in wanted {
        if let Listen::At(address) = addresses.get(*listener) {
            bound.push(bind_one(*listener, address).await?);
        }
    }
    Ok(bound)
}

async fn bind_one(listener: Listener, address: &str) -> anyhow::Result<Bound> {
    let name = listener.name();
    let socket = TcpListener::bind(address).await.advise(
        format!("the {} listener cannot listen on {address}", listener.title()),
        format!(
            "free that address, choose another with `--listen-{name} HOST:PORT`, or close it with `--listen-{name} off`"
        ),
    )?;
    let address = socket.local_addr().context("the address of a bound socket")?;
    Ok(Bound { listener, address, socket })
}

/// The limits of connections.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Longest time for the head of a request, and for the first request to begin.
    pub header_timeout: Duration,
    /// Open connections per listener.
    pub connections: usize,
    /// Time that running requests get when the server stops.
    pub drain: Duration,
}

impl From<&Limits> for Options {
    fn from(limits: &Limits) -> Self {
        Self { header_timeout: limits.header_timeout.0, connections: limits.connections, drain: limits.drain.0 }
    }
}

/// The running listeners.
#[derive(Debug)]
pub struct Server {
    fronts: Vec<Front>,
    ready: Arc<AtomicBool>,
    tasks: TaskTracker,
    options: Options,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Server {
    /// Starts to accept on every bound socket, until `stop` fires.
    #[must_use]
    pub fn start(bound: Vec<Bound>, options: Options, stop: CancellationToken) -> Self {
        let (ready, tasks, cut) = (Arc::new(AtomicBool::new(false)), TaskTracker::new(), CancellationToken::new());
        let mut fronts = Vec::new();
        for Bound { listener, address, socket } in bound {
            let router = Arc::new(OnceLock::new());
            let front = Front { listener, address, router, ready: Arc::clone(&ready), stop: stop.clone() };
            let accept = Accept { front: front.clone(), options, tasks: tasks.clone(), cut: cut.clone() };
            tasks.spawn(accept.run(socket));
            fronts.push(front);
        }
        Self { fronts, ready, tasks, options, stop, cut }
    }

    /// Gives a listener its router. A second one is ignored, as is one for a listener that is not open.
    pub fn mount(&self, listener: Listener, router: &Router) {
        for front in self.fronts.iter().filter(|front| front.listener == listener) {
            // Err means that there is a router already.
            let _ = front.router.set(router.clone());
        }
    }

    /// From now on `/healthz` says `ok`.
    pub fn ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Where the open listeners listen.
    pub fn addresses(&self) -> impl Iterator<Item = (Listener, SocketAddr)> {
        self.fronts.iter().map(|front| (front.listener, front.address))
    }

    /// Waits for `stop`, then until every connection is closed, at the latest shortly after the deadline.
    pub async fn finished(self) {
        self.stop.cancelled().await;
        self.tasks.close();
        if tokio::time::timeout(self.options.drain, self.tasks.wait()).await.is_err() {
            tracing::warn!(open = self.tasks.len(), "connections are cut: their requests did not end in time");
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }
}

/// What a listener's connections see: its router, or the answers of a server that starts or stops.
#[derive(Clone, Debug)]
struct Front {
    listener: Listener,
    address: SocketAddr,
    router: Arc<OnceLock<Router>>,
    ready: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl Front {
    async fn answer(self, mut request: Request<Incoming>, peer: SocketAddr) -> Result<Response, Infallible> {
        let asks = matches!(*request.method(), Method::GET | Method::HEAD);
        if asks && request.uri().path() == "/healthz" {
            return Ok(self.health());
        }
        let Some(router) = self.router.get() else { return Ok(unavailable("starting")) };
        request.extensions_mut().insert(ConnectInfo(peer));
        // A router is ready at any time, so there is no `poll_ready` to wait for.
        router.clone().call(request.map(Body::new)).await
    }

    fn health(&self) -> Response {
        if self.stop.is_cancelled() {
            unavailable("stopping")
        } else if self.ready.load(Ordering::Acquire) {
            (StatusCode::OK, "ok").into_response()
        } else {
            unavailable("starting")
        }
    }
}

fn unavailable(state: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], state).into_response()
}

#[derive(Clone)]
struct Accept {
    front: Front,
    options: Options,
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl Accept {
    /// Accepts until the server stops. At the cap it stops accepting, and the kernel lets clients wait.
    async fn run(self, socket: TcpListener) {
        let places = Arc::new(Semaphore::new(self.options.connections));
        let stop = self.front.stop.clone();
        loop {
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, socket.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = stop.cancelled() => return,
                next = next => next,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let connection = self.clone().connection(stream, peer);
                    self.tasks.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) if of_one_client(&error) => {}
                Err(error) => {
                    // Most likely there are no file descriptors left. Accepting again at once would only spin.
                    tracing::warn!(listener = self.front.listener.name(), %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    async fn connection(self, stream: TcpStream, peer: SocketAddr) {
        // An answer is one write; waiting for more to send would only delay it.
        let _ = stream.set_nodelay(true);
        let begun = Arc::new(AtomicBool::new(false));
        let service = {
            let (front, begun) = (self.front.clone(), Arc::clone(&begun));
            hyper::service::service_fn(move |request| {
                begun.store(true, Ordering::Relaxed);
                front.clone().answer(request, peer)
            })
        };
        let builder = protocol(self.options.header_timeout);
        let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        // hyper's own timeout begins after it has told HTTP/1 from HTTP/2, for which it waits without end.
        let mut first_request = pin!(tokio::time::sleep(self.options.header_timeout));
        let (mut watching, mut stopping) = (true, false);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, error, "a connection broke");
                    }
                    return;
                }
                () = first_request.as_mut(), if watching => {
                    watching = false;
                    if !begun.load(Ordering::Relaxed) {
                        return;
                    }
                }
                () = self.front.stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = self.cut.cancelled() => return,
            }
        }
    }
}

fn protocol(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(64 << 10)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(15));
    builder
}

/// The client went away between connecting and being accepted.
fn of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
