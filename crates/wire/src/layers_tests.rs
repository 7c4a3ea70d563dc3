//! The layers around a small router, seen from the client.

use super::*;
use crate::body;
use axum::routing::{get, post};
use http::StatusCode;
use http::header::ALLOW;
use tower::ServiceExt;

fn render(outer: &Outer) -> Response {
    let status = match outer.kind {
        OuterKind::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        OuterKind::TimedOut | OuterKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        OuterKind::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        OuterKind::NotFound => StatusCode::NOT_FOUND,
        OuterKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
    };
    let text = format!("{:?} {} {} {}", outer.kind, outer.method, outer.uri, outer.request.id);
    Response::builder().status(status).body(Body::from(text)).unwrap()
}

async fn echo(request: Request) -> String {
    match body::read_request(request).await {
        Ok((_, bytes)) => format!("{} bytes", bytes.len()),
        Err(error) => format!("{error:?}"),
    }
}

async fn never() {
    std::future::pending::<()>().await;
}

async fn bad() {
    assert!(std::hint::black_box(false), "as the test wants");
}

fn app(in_flight: usize) -> Router {
    let big = Limits { body: 20, timeout: Duration::from_secs(60) };
    let config = LayerConfig {
        limits: Limits { body: 10, ..big },
        routes: vec![("/files/{name}", big)],
        in_flight: Arc::new(Semaphore::new(in_flight)),
    };
    let router = Router::new()
        .route("/echo", post(echo))
        .route("/files/{name}", post(echo))
        .route("/panic", get(bad))
        .route("/never", get(never))
        .route("/id", get(|info: RequestInfo| async move { info.id.to_string() }));
    layers(router, config, render)
}

async fn call(app: Router, method: &str, uri: &str, body: Body) -> (StatusCode, String, Response<()>) {
    let request = http::Request::builder().method(method).uri(uri).body(body).unwrap();
    let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
    let text = body::read(body, 10_000).await.unwrap();
    (parts.status, String::from_utf8(text.to_vec()).unwrap(), Response::from_parts(parts, ()))
}

fn unannounced(size: usize) -> Body {
    let chunks = (0..size).map(|_| Ok::<_, std::io::Error>("x"));
    Body::from_stream(futures_util::stream::iter(chunks))
}

#[tokio::test]
async fn unknown_paths_and_methods_come_out_in_the_dialects_form_with_their_request_id() {
    let (status, text, response) = call(app(9), "GET", "/nowhere?a=b", Body::empty()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let id = response.headers()[REQUEST_ID].to_str().unwrap();
    assert_eq!(text, format!("NotFound GET /nowhere?a=b {id}"));

    let (status, text, response) = call(app(9), "DELETE", "/echo", Body::empty()).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(text.starts_with("MethodNotAllowed DELETE /echo "), "{text}");
    assert_eq!(response.headers()[ALLOW], "POST");
}

#[tokio::test]
async fn a_panic_is_rendered_and_the_next_request_works() {
    let app = app(1);
    let (status, text, _) = call(app.clone(), "GET", "/panic", Body::empty()).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text.starts_with("Panicked GET /panic "), "{text}");
    assert_eq!(call(app, "GET", "/id", Body::empty()).await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_times_out() {
    let (status, text, _) = call(app(9), "GET", "/never", Body::empty()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.starts_with("TimedOut GET /never "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn requests_above_the_number_are_shed_and_the_place_comes_back() {
    let app = app(1);
    let waiting = tokio::spawn(call(app.clone(), "GET", "/never", Body::empty()));
    tokio::task::yield_now().await;
    let (status, text, _) = call(app.clone(), "GET", "/id", Body::empty()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.starts_with("Overloaded GET /id "), "{text}");
    waiting.await.unwrap();
    assert_eq!(call(app, "GET", "/id", Body::empty()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_body_above_the_limit_never_reaches_the_handler_whole() {
    let (status, text, _) = call(app(9), "POST", "/echo", Body::from("x".repeat(11))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(text.starts_with("TooLarge { limit: 10 } POST /echo "), "{text}");
    assert_eq!(call(app(9), "POST", "/echo", unannounced(11)).await.1, "TooLarge { limit: 10 }");
    assert_eq!(call(app(9), "POST", "/echo", unannounced(10)).await.1, "10 bytes");
}

#[tokio::test]
async fn a_route_may_have_limits_of_its_own() {
    assert_eq!(call(app(9), "POST", "/files/a", Body::from("x".repeat(20))).await.1, "20 bytes");
    assert_eq!(call(app(9), "POST", "/files/a", Body::from("x".repeat(21))).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_clients_request_id_is_used_if_it_is_one() {
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (sent, kept) in [(id, true), ("mine", false)] {
        let request = http::Request::builder().uri("/id").header(REQUEST_ID, sent).body(Body::empty()).unwrap();
        let response = app(9).oneshot(request).await.unwrap();
        assert_eq!(response.headers()[REQUEST_ID] == id, kept, "{sent}");
    }
}
