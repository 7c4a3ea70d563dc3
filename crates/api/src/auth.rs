//! Who asks: turns the credentials of a request into the context that the core wants.
//!
//! `Authorization: Basic` with login and password, or `Authorization: Bearer` with a token. Nothing is decided here but
//! who it is; a request without credentials never gets further.

use axum::extract::FromRequestParts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chandler_core::error::Unauthenticated;
use chandler_core::{Actor, Cx, Error, ErrorKind};
use chandler_model::Dialect;
use chandler_wire::RequestInfo;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method};

use crate::failure::Failure;
use crate::state::Api;

/// The context of an authenticated request. As the first argument of a handler it makes everything else wait for it.
#[derive(Debug)]
pub(crate) struct Caller(pub(crate) Cx);

impl FromRequestParts<Api> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        if changes(&parts.method) && is_cross_site(&parts.headers) {
            return Err(Failure::CrossSite);
        }
        let (info, now) = (RequestInfo::of(&parts.extensions), api.core.now());
        let actor = match credentials(&parts.headers) {
            Some(credentials) => log_in(api, credentials, &info).await?,
            None => return Err(refused(Unauthenticated::Missing).into()),
        };
        let request_id = info.id.to_string();
        Ok(Self(Cx { actor, dialect: Dialect::Native, request_id, source: info.peer, now }))
    }
}

/// What a client shows.
enum Credentials {
    Password {
        login: String,
        password: String,
    },
    Token(String),
    /// Something else, or more than one.
    Unknown,
}

async fn log_in(api: &Api, credentials: Credentials, info: &RequestInfo) -> Result<Actor, Error> {
    let now = api.core.now();
    let actor = match credentials {
        Credentials::Password { login, password } => {
            api.throttle.check(info.peer, now).map_err(|retry_after_s| ErrorKind::RateLimited { retry_after_s })?;
            api.core.log_in(&login, &password).await
        }
        Credentials::Token(secret) => api.core.authenticate(Dialect::Native, &secret).await,
        Credentials::Unknown => Err(refused(Unauthenticated::Wrong)),
    };
    if let Err(Error { kind: ErrorKind::Unauthenticated { .. }, .. }) = actor {
        api.throttle.failed(info.peer, now);
    }
    actor
}

fn refused(why: Unauthenticated) -> Error {
    ErrorKind::Unauthenticated { why }.into()
}

/// Reads `Authorization`; `None` without one.
fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let first = all.next()?;
    let known = || {
        let (scheme, rest) = first.to_str().ok()?.trim().split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            Some(Credentials::Token(rest.trim().to_owned()))
        } else if scheme.eq_ignore_ascii_case("basic") {
            password(rest.trim())
        } else {
            None
        }
    };
    Some(if all.next().is_none() { known().unwrap_or(Credentials::Unknown) } else { Credentials::Unknown })
}

fn password(encoded: &str) -> Option<Credentials> {
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (login, password) = text.split_once(':')?;
    Some(Credentials::Password { login: login.to_owned(), password: password.to_owned() })
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// Browsers send a remembered password along with whatever another site makes them send, and say so in this header.
fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}
