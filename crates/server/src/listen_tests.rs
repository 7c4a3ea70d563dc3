//! The listeners over real sockets, seen by clients that behave well and by some that do not.

use super::*;
use axum::routing::get;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::config::{Config, Inputs};

const SHORT: Duration = Duration::from_millis(300);
const OPTIONS: Options = Options { header_timeout: SHORT, connections: 10, drain: Duration::from_secs(5) };

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    server: Arc<Server>,
}

async fn start(options: Options) -> Running {
    let flags = vec![("listen.console", "127.0.0.1:0".to_owned())];
    let config = Config::load(&Inputs { flags, ..Inputs::default() }).unwrap();
    let bound = bind(&[Listener::Console], &config.listen).await.unwrap();
    let stop = CancellationToken::new();
    let address = bound[0].address;
    Running { address, server: Arc::new(Server::start(bound, options, stop.clone())), stop }
}

impl Running {
    fn mount(&self) {
        let slow = || async {
            tokio::time::sleep(SHORT).await;
            "slow"
        };
        let never = || async { std::future::pending::<()>().await };
        let who = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() };
        let router = Router::new().route("/slow", get(slow)).route("/never", get(never)).route("/who", get(who));
        self.server.mount(Listener::Console, &router);
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn get(&self, path: &str) -> String {
        ask(&mut self.connect().await, path).await
    }

    /// Stops the server and says how long that took.
    async fn finish(self) -> Duration {
        let started = Instant::now();
        self.stop.cancel();
        Arc::into_inner(self.server).unwrap().finished().await;
        started.elapsed()
    }
}

/// Sends a request that asks to close, and reads until the other side does.
async fn ask(stream: &mut TcpStream, path: &str) -> String {
    send(stream, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
    rest(stream).await
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset ends the reading as well.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

fn is(answer: &str, status: &str, body: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with(&format!("\r\n\r\n{body}")),
        "{answer}"
    );
}

#[tokio::test]
async fn health_tells_starting_ready_and_the_rest_waits_for_its_router() {
    let running = start(OPTIONS).await;
    is(&running.get("/healthz").await, "503", "starting");
    is(&running.get("/who").await, "503", "starting");
    running.mount();
    is(&running.get("/healthz").await, "503", "starting");
    is(&running.get("/who").await, "200", "127.0.0.1");
    running.server.ready();
    is(&running.get("/healthz").await, "200", "ok");
}

#[tokio::test]
async fn running_requests_end_and_new_connections_are_refused() {
    let running = start(OPTIONS).await;
    running.mount();
    let address = running.address;
    let mut slow = running.connect().await;
    let asked = tokio::spawn(async move { ask(&mut slow, "/slow").await });
    tokio::time::sleep(SHORT / 3).await;
    let took = running.finish().await;
    is(&asked.await.unwrap(), "200", "slow");
    assert!(took < OPTIONS.drain, "{took:?}");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let options = Options { header_timeout: Duration::from_secs(60), ..OPTIONS };
    let running = start(options).await;
    let mut idle = running.connect().await;
    send(&mut idle, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(idle.read(&mut [0; 500]).await.unwrap() > 0);
    let _silent = running.connect().await;
    tokio::time::sleep(SHORT / 3).await;
    let took = running.finish().await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn after_the_deadline_a_request_is_cut() {
    let running = start(Options { drain: SHORT, ..OPTIONS }).await;
    running.mount();
    let mut never = running.connect().await;
    let asked = tokio::spawn(async move { ask(&mut never, "/never").await });
    tokio::time::sleep(SHORT / 3).await;
    let took = running.finish().await;
    assert!(took >= SHORT && took < SHORT * 5, "{took:?}");
    assert_eq!(asked.await.unwrap(), "");
}

#[tokio::test]
async fn clients_that_never_finish_their_head_are_closed() {
    let running = start(OPTIONS).await;
    // Nothing at all; half of HTTP/2's greeting; half a head; a second head that never comes.
    for begin in ["", "PRI * HT", "GET / HTTP/1.1\r\nhost:", "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut stream = running.connect().await;
        send(&mut stream, begin).await;
        let closed = tokio::time::timeout(SHORT * 5, rest(&mut stream)).await;
        assert!(closed.is_ok(), "{begin:?} stayed open");
    }
}

#[tokio::test]
async fn connections_above_the_cap_wait_for_a_place() {
    let options = Options { connections: 1, header_timeout: Duration::from_secs(60), ..OPTIONS };
    let running = start(options).await;
    running.server.ready();
    let first = running.connect().await;
    tokio::time::sleep(SHORT / 3).await;
    let mut second = running.connect().await;
    let asked = tokio::spawn(async move { ask(&mut second, "/healthz").await });
    tokio::time::sleep(SHORT).await;
    assert!(!asked.is_finished());
    drop(first);
    is(&asked.await.unwrap(), "200", "ok");
}

#[tokio::test]
async fn a_taken_address_is_an_error_that_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let flags = vec![("listen.console", taken.local_addr().unwrap().to_string())];
    let config = Config::load(&Inputs { flags, ..Inputs::default() }).unwrap();
    let error = bind(&[Listener::Console], &config.listen).await.unwrap_err();
    let mut out = Vec::new();
    crate::problem::print(&error, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("error: the console listener cannot listen on 127.0.0.1:"), "{text}");
    assert!(text.contains("next: ") && text.contains("--listen-console"), "{text}");
}
