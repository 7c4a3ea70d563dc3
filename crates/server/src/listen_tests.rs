//! The listeners over real sockets, seen by clients that behave well and by some that do not.

use super::*;
use axum::routing::get;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::config::{Config, Inputs};

const SHORT: Duration = Duration::from_millis(300);
const OPTIONS: Options = Options { header_timeout: SHORT, connections: 10, drain: LONG };
/// More than anything here takes, on any machine.
const LONG: Duration = Duration::from_secs(60);

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    server: Arc<Server>,
    /// `/slow` has been entered, and may answer.
    entered: Arc<Notify>,
    answer: Arc<Notify>,
}

async fn start(options: Options) -> Running {
    let flags = vec![("listen.console", "127.0.0.1:0".to_owned())];
    let config = Config::load(&Inputs { flags, ..Inputs::default() }).unwrap();
    let bound = bind(&[Listener::Console], &config.listen).await.unwrap();
    let stop = CancellationToken::new();
    let address = bound[0].address;
    let server = Arc::new(Server::start(bound, options, stop.clone()));
    Running { address, server, stop, entered: Arc::default(), answer: Arc::default() }
}

impl Running {
    fn mount(&self) {
        let (entered, answer) = (Arc::clone(&self.entered), Arc::clone(&self.answer));
        let slow = move || {
            let (entered, answer) = (Arc::clone(&entered), Arc::clone(&answer));
            async move {
                entered.notify_one();
                answer.notified().await;
                "slow"
            }
        };
        let who = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() };
        let router = Router::new().route("/slow", get(slow)).route("/who", get(who));
        self.server.mount(Listener::Console, &router);
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn get(&self, path: &str) -> String {
        ask(&mut self.connect().await, path).await
    }

    /// Waits until that many connections have been accepted and are open.
    async fn holds(&self, connections: usize) {
        // The other task accepts.
        until(async || self.server.tasks.len() == 1 + connections).await;
    }

    /// Stops the server and says whether connections had to be cut.
    async fn finish(self) -> bool {
        self.stop.cancel();
        self.finished().await
    }

    async fn finished(self) -> bool {
        let server = Arc::into_inner(self.server).unwrap();
        let cut = server.cut.clone();
        server.finished().await;
        cut.is_cancelled()
    }
}

/// Looks until something holds.
async fn until(holds: impl AsyncFn() -> bool) {
    let look = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, look).await.unwrap();
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
    running.entered.notified().await;
    running.stop.cancel();
    until(async || TcpStream::connect(address).await.is_err()).await;
    assert!(!asked.is_finished());
    running.answer.notify_one();
    assert!(!running.finished().await, "it was not cut");
    is(&asked.await.unwrap(), "200", "slow");
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let options = Options { header_timeout: LONG * 60, ..OPTIONS };
    let running = start(options).await;
    let mut idle = running.connect().await;
    send(&mut idle, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(idle.read(&mut [0; 500]).await.unwrap() > 0);
    let _silent = running.connect().await;
    running.holds(2).await;
    assert!(!running.finish().await, "neither was cut");
}

#[tokio::test]
async fn after_the_deadline_a_request_is_cut() {
    let running = start(Options { drain: SHORT, ..OPTIONS }).await;
    running.mount();
    let mut never = running.connect().await;
    let asked = tokio::spawn(async move { ask(&mut never, "/slow").await });
    running.entered.notified().await;
    let stopped = Instant::now();
    assert!(running.finish().await, "it was cut");
    assert!(stopped.elapsed() >= SHORT, "and not before its time");
    assert_eq!(asked.await.unwrap(), "");
}

#[tokio::test]
async fn clients_that_never_finish_their_head_are_closed() {
    let running = start(OPTIONS).await;
    // Nothing at all; half of HTTP/2's greeting; half a head; a second head that never comes.
    for begin in ["", "PRI * HT", "GET / HTTP/1.1\r\nhost:", "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut stream = running.connect().await;
        send(&mut stream, begin).await;
        // Sooner than hyper's own 30 s, so this is the time that was set.
        let closed = tokio::time::timeout(Duration::from_secs(25), rest(&mut stream)).await;
        assert!(closed.is_ok(), "{begin:?} stayed open");
    }
}

#[tokio::test]
async fn connections_above_the_cap_wait_for_a_place() {
    let options = Options { connections: 1, header_timeout: LONG * 60, ..OPTIONS };
    let running = start(options).await;
    running.server.ready();
    let first = running.connect().await;
    running.holds(1).await;
    let mut second = running.connect().await;
    let asked = tokio::spawn(async move { ask(&mut second, "/healthz").await });
    // Time for a mistake to show; there is nothing to wait for where nothing happens.
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
