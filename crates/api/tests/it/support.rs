//! A server in this process, and answers as text that can be compared as a whole.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use chandler_core::jobs::link::{Assignment, Attempt, Embedded, Hello, Materials, Report, WorkerLink};
use chandler_core::secrets::Sealer;
use chandler_core::{Core, Parts};
use chandler_model::Dialect;
use chandler_model::jobs::{JobKinds, Stage, Success};
use chandler_model::logs::{Entry, Level, NewChunk, Stream};
use chandler_model::tags::Tags;
use chandler_model::workers::Worker;
use chandler_testkit::clock::StandingClock;
use chandler_testkit::counts;
use chandler_testkit::installation::{Installation, MASTER_KEY, on_both_engines, settings};
use chandler_testkit::users::{Tokens, Who};
use chandler_wire::{LayerConfig, Limits, layers};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Longest that a test waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Most bytes of a body here.
pub(crate) const BODY_MAX: usize = 64 * 1024;

/// Headers that snapshots show. Those that every answer has are checked in [`Server::send`] instead.
const SHOWN: [&str; 8] = [
    "location",
    "etag",
    "www-authenticate",
    "retry-after",
    "allow",
    "content-type",
    "x-content-type-options",
    "x-accel-buffering",
];

/// An installation behind the native API.
pub(crate) struct Server {
    pub(crate) core: Core,
    pub(crate) clock: Arc<StandingClock>,
    pub(crate) stop: CancellationToken,
    pub(crate) tokens: Tokens,
    router: Router,
    _installation: Arc<Installation>,
}

/// Runs a test on both engines, one after the other.
pub(crate) async fn on_both(test: impl AsyncFn(&Server) -> Result<()>) {
    on_both_engines(async |installation| test(&Server::new(installation).await?).await).await;
}

pub(crate) fn limits() -> Limits {
    Limits { body: BODY_MAX, timeout: PATIENCE }
}

fn router(core: &Core, stop: &CancellationToken, limits: Limits) -> Router {
    let config = LayerConfig { limits, routes: Vec::new(), in_flight: Arc::new(Semaphore::new(64)) };
    layers(chandler_api::router(core.clone(), stop.clone()), config, chandler_api::render_outer)
}

impl Server {
    async fn new(installation: Installation) -> Result<Self> {
        let clock = Arc::<StandingClock>::default();
        let (db, sealer) = (installation.core.db().clone(), Sealer::new(MASTER_KEY));
        let core = Core::new(Parts { db, clock: clock.clone(), sealer, jobs: settings() });
        let tokens = Tokens::make(&core, Dialect::Native).await?;
        let stop = CancellationToken::new();
        let router = router(&core, &stop, limits());
        Ok(Self { core, clock, stop, tokens, router, _installation: Arc::new(installation) })
    }

    /// The same with other limits.
    pub(crate) fn limited(&self, limits: Limits) -> Self {
        let router = router(&self.core, &self.stop, limits);
        Self {
            core: self.core.clone(),
            clock: self.clock.clone(),
            stop: self.stop.clone(),
            tokens: self.tokens.clone(),
            router,
            _installation: self._installation.clone(),
        }
    }

    /// Sends a request as that caller, from a fixed address.
    pub(crate) async fn call(&self, who: Who, ask: Ask) -> Result<Answer> {
        let (status, headers, body) = self.open(who, ask).await?;
        Answer::new(status, headers, body).await
    }

    /// The same, with the body still to be read.
    pub(crate) async fn open(&self, who: Who, ask: Ask) -> Result<(StatusCode, HeaderMap, Body)> {
        let mut ask = ask;
        if let Some(token) = self.tokens.of(who) {
            ask = ask.header("authorization", &format!("Bearer {token}"));
        }
        self.send(ask).await
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, ask: Ask) -> Result<(StatusCode, HeaderMap, Body)> {
        let (parts, body) = self.router.clone().oneshot(ask.request).await?.into_parts();
        assert!(parts.headers.contains_key("x-request-id"));
        Ok((parts.status, parts.headers, body))
    }

    /// Rows of each table.
    pub(crate) async fn counts(&self) -> Result<Vec<(&'static str, i64)>> {
        counts::rows(self.core.db()).await
    }

    /// Makes a script job and returns its id.
    pub(crate) async fn launch(&self, name: &str) -> Result<i64> {
        let job = serde_json::json!({
            "organization_id": 1, "name": name, "spec": { "kind": "script", "script": "true" }
        });
        self.call(Who::Admin, post("/jobs", &job)).await?.id()
    }

    /// The shortest content of every kind of template.
    pub(crate) fn specs(&self) -> [(&'static str, Value); 4] {
        [
            ("script", serde_json::json!({ "kind": "script", "script": "true" })),
            ("ansible", serde_json::json!({ "kind": "ansible", "playbook": "[]" })),
            ("flow", serde_json::json!({ "kind": "flow", "configuration": { "main.tf": "" } })),
            ("workload", serde_json::json!({ "kind": "workload", "image": "busybox" })),
        ]
    }

    /// Makes a workspace and returns its id.
    pub(crate) async fn workspace(&self, name: &str) -> Result<i64> {
        let workspace = serde_json::json!({ "organization_id": 1, "name": name });
        self.call(Who::Admin, post("/workspaces", &workspace)).await?.id()
    }

    /// Makes a job of these steps on a workspace and returns its id.
    pub(crate) async fn flow(&self, workspace: i64, steps: &Value, priority: i64) -> Result<i64> {
        let spec = serde_json::json!({ "kind": "flow", "configuration": { "main.tf": "" }, "steps": steps });
        let job = serde_json::json!({
            "organization_id": 1, "name": "flow", "workspace_id": workspace, "priority": priority, "spec": spec
        });
        self.call(Who::Admin, post("/jobs", &job)).await?.id()
    }

    /// A workspace with a state, and the job that left it, with the file `plan` of its step 1.
    pub(crate) async fn leavings(&self, name: &str) -> Result<Leavings> {
        let workspace = self.workspace(name).await?;
        // Before whatever else there is to do.
        let job = self.flow(workspace, &serde_json::json!([{ "kind": "apply" }]), i64::MIN).await?;
        let mut worker = self.worker().await?;
        let attempt = worker.claim().await?;
        assert_eq!(attempt.job.get(), job);
        worker.materials(attempt).await?;
        worker.report(attempt, Report::Stage(Stage::Executing)).await?;
        worker.state(attempt, br#"{"serial": 1, "lineage": "l"}"#).await?;
        worker.leave(attempt, 1, "plan", b"planned").await?;
        worker.done(attempt, 1, Some(Success::Changed)).await?;
        let states = self.call(Who::Admin, get(&format!("/workspaces/{workspace}/states"))).await?.json()?;
        let state = states["items"][0]["id"].as_i64().context("a state")?;
        Ok(Leavings { workspace, job, state })
    }

    /// A worker that does what the test says.
    pub(crate) async fn worker(&self) -> Result<FakeWorker> {
        let link = Embedded::new(self.core.clone());
        let hello = Hello {
            name: "worker-1".to_owned(),
            tags: Tags::default(),
            kinds: JobKinds::ALL,
            slots: 4,
            version: "1".to_owned(),
        };
        let row = link.hello(&hello).await?;
        Ok(FakeWorker { link, row, beat: 0 })
    }
}

/// Ids of what a flow leaves.
pub(crate) struct Leavings {
    pub(crate) workspace: i64,
    pub(crate) job: i64,
    pub(crate) state: i64,
}

/// Says what a worker would.
pub(crate) struct FakeWorker {
    link: Embedded,
    row: Worker,
    beat: i64,
}

impl FakeWorker {
    /// Takes the next job.
    pub(crate) async fn claim(&self) -> Result<Attempt> {
        let claimed = self.link.claim(&self.row, 1).await?;
        let Assignment { job, attempt, .. } = claimed.into_iter().next().context("there is a job to claim")?;
        Ok(Attempt { job, number: attempt })
    }

    /// Appends chunks.
    pub(crate) async fn print(&mut self, attempt: Attempt, chunks: &[(Stream, &[u8])]) -> Result<()> {
        let at = chandler_core::Clock::now(&StandingClock::default());
        let chunk = |(stream, bytes): &(Stream, &[u8])| {
            let (stream, bytes) = (*stream, bytes.to_vec());
            Entry::Chunk(NewChunk { at, step: None, stream, level: Level::Info, bytes })
        };
        self.write(attempt, &chunks.iter().map(chunk).collect::<Vec<_>>()).await
    }

    /// Appends anything.
    pub(crate) async fn write(&mut self, attempt: Attempt, entries: &[Entry]) -> Result<()> {
        self.beat += 1;
        self.link.log(attempt, self.beat, entries).await?;
        Ok(())
    }

    /// Hands in a state.
    pub(crate) async fn state(&mut self, attempt: Attempt, state: &[u8]) -> Result<()> {
        self.beat += 1;
        self.link.state(attempt, self.beat, state).await?;
        Ok(())
    }

    /// Hands in what a step leaves.
    pub(crate) async fn leave(&self, attempt: Attempt, step: i64, name: &str, bytes: &[u8]) -> Result<()> {
        self.link.file(attempt, step, name, bytes).await?;
        Ok(())
    }

    /// Asks for what the attempt needs, as every attempt of a flow does before it begins.
    pub(crate) async fn materials(&self, attempt: Attempt) -> Result<Materials> {
        self.link.materials(attempt).await?.context("it holds the job")
    }

    /// Reports a step as done.
    pub(crate) async fn done(&self, attempt: Attempt, step: i64, outcome: Option<Success>) -> Result<()> {
        self.report(attempt, Report::Done { step, outcome }).await
    }

    pub(crate) async fn report(&self, attempt: Attempt, report: Report) -> Result<()> {
        self.link.report(attempt, report).await?;
        Ok(())
    }
}

/// A request.
pub(crate) struct Ask {
    request: Request<Body>,
    /// What the transcript shows of its body.
    shown: String,
}

fn ask(method: Method, path: &str, body: Body, shown: String) -> Ask {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = format!("/api/v1{path}").parse().expect("a path");
    let peer: SocketAddr = "192.0.2.1:4711".parse().expect("an address");
    request.extensions_mut().insert(ConnectInfo(peer));
    Ask { request, shown }
}

fn with_json(method: Method, path: &str, body: &Value) -> Ask {
    let shown = format!("{body}\n");
    ask(method, path, Body::from(body.to_string()), shown).header("content-type", "application/json")
}

pub(crate) fn get(path: &str) -> Ask {
    ask(Method::GET, path, Body::empty(), String::new())
}

pub(crate) fn post(path: &str, body: &Value) -> Ask {
    with_json(Method::POST, path, body)
}

pub(crate) fn patch(path: &str, body: &Value) -> Ask {
    with_json(Method::PATCH, path, body)
}

pub(crate) fn delete(path: &str) -> Ask {
    ask(Method::DELETE, path, Body::empty(), String::new())
}

/// A request without a body.
pub(crate) fn bare(method: &str, path: &str) -> Ask {
    ask(method.parse().expect("a method"), path, Body::empty(), String::new())
}

impl Ask {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().insert(name, value.parse().expect("a header"));
        self
    }

    pub(crate) fn also(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().append(name, value.parse().expect("a header"));
        self
    }

    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.request.headers_mut().remove(name);
        self
    }

    pub(crate) fn from(mut self, address: &str) -> Self {
        let peer = SocketAddr::new(address.parse().expect("an address"), 4711);
        self.request.extensions_mut().insert(ConnectInfo(peer));
        self
    }

    /// Exactly these bytes as the body.
    pub(crate) fn bytes(mut self, bytes: impl Into<Body>) -> Self {
        *self.request.body_mut() = bytes.into();
        self
    }

    /// A path that is used as it is, not below `/api/v1`.
    pub(crate) fn at(mut self, path: &str) -> Self {
        *self.request.uri_mut() = path.parse().expect("a path");
        self
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    async fn new(status: StatusCode, headers: HeaderMap, body: Body) -> Result<Self> {
        let bytes = tokio::time::timeout(PATIENCE, body.collect()).await??.to_bytes();
        let text = String::from_utf8(bytes.to_vec())?;
        let answer = Self { status, headers, text };
        answer.check()?;
        Ok(answer)
    }

    /// What holds for every answer.
    fn check(&self) -> Result<()> {
        let problem = self.headers.get("content-type").is_some_and(|media| media == "application/problem+json");
        assert_eq!(problem, self.status.as_u16() >= 400, "{self:?}");
        assert_eq!(self.headers.get("cache-control").context("every answer says so")?, "no-store");
        if problem {
            let body = self.json()?;
            assert_eq!(body["status"], self.status.as_u16());
            assert_eq!(body["request_id"].as_str(), self.headers["x-request-id"].to_str().ok());
            assert!(body["detail"].as_str().is_some_and(|text| text.ends_with('.')), "{self:?}");
        }
        Ok(())
    }

    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.text).with_context(|| format!("JSON, not {self:?}"))
    }

    /// The integer id of the row in it.
    pub(crate) fn id(&self) -> Result<i64> {
        self.json()?["id"].as_i64().with_context(|| format!("a row, not {self:?}"))
    }

    /// As a snapshot shows it.
    fn shown(&self) -> String {
        let mut text = format!("{}\n", self.status);
        for name in SHOWN {
            for value in self.headers.get_all(name) {
                let _ = writeln!(text, "{name}: {}", value.to_str().unwrap_or("?"));
            }
        }
        text.push('\n');
        match self.json() {
            Ok(value) => text.push_str(&serde_json::to_string_pretty(&value).unwrap_or_default()),
            Err(_) => text.push_str(&self.text),
        }
        text
    }
}

/// What a client asked and was told, in order.
#[derive(Default)]
pub(crate) struct Transcript(String);

impl Transcript {
    /// Asks, and notes request and answer.
    pub(crate) async fn ask(&mut self, server: &Server, who: Who, ask: Ask) -> Result<Answer> {
        let line = format!("{} {}", ask.request.method(), ask.request.uri());
        let mut head = String::new();
        for name in ["if-match", "accept", "last-event-id"] {
            if let Some(value) = ask.request.headers().get(name) {
                let _ = writeln!(head, "{name}: {}", value.to_str()?);
            }
        }
        let body = ask.shown.clone();
        let answer = server.call(who, ask).await?;
        let _ = write!(self.0, "> {line}\n{head}{body}\n{}\n\n", answer.shown());
        Ok(answer)
    }

    /// Compares everything with the snapshot of that name; both engines have the same one.
    pub(crate) fn compare(&self, name: &str) {
        let filters = [
            // Rows that the template database brings have other times than the standing clock's.
            (r"20[012]\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[uuid]"),
            (r"chd_[A-Za-z0-9_-]{43}", "chd_[secret]"),
        ];
        insta::with_settings!({ filters => filters, omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, self.0);
        });
    }
}
