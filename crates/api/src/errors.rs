//! The words of every error of this API, in the form of RFC 9457 (`application/problem+json`). No other file words one.
//!
//! Every match here is exhaustive: a new kind of error does not compile until it has its words. A text says what is
//! wrong and what to do next; what the database or the system said goes to the log, never to a client.

use axum::body::Body;
use axum::response::Response;
use chandler_core::error::{Denied, Unauthenticated};
use chandler_core::{Error, ErrorKind};
use chandler_model::errors::{Code, FieldError};
use chandler_model::{Action, Kind};
use chandler_wire::{Outer, OuterKind, RequestId};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::failure::{Failure, Unreadable};

/// An error on the wire.
#[derive(Debug, Serialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "number")]
    status: StatusCode,
    detail: String,
    request_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Field>,
    #[serde(skip)]
    header: Option<(HeaderName, HeaderValue)>,
}

/// One wrong field on the wire.
#[derive(Debug, Serialize)]
struct Field {
    field: String,
    code: &'static str,
    message: String,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

/// The response to a failure outside every handler, for `chandler_wire::layers`.
#[must_use]
pub fn render_outer(outer: &Outer) -> Response {
    let kind = match outer.kind {
        // The panic itself went to the log.
        OuterKind::Panicked => ErrorKind::Internal,
        OuterKind::TimedOut => ErrorKind::Timeout,
        OuterKind::TooLarge { limit } => ErrorKind::TooLarge { limit },
        OuterKind::Overloaded => ErrorKind::Unavailable { retry_after_s: 1 },
        OuterKind::NotFound => ErrorKind::NoSuchRoute,
        OuterKind::MethodNotAllowed => ErrorKind::MethodNotAllowed,
    };
    of_kind(&kind).response(outer.request.id)
}

/// The response to a failure. This is where the cause of an internal one is logged, once.
pub(crate) fn response(failure: &Failure, request: RequestId) -> Response {
    match failure {
        Failure::Core(error) => {
            log(error, request);
            of_kind(&error.kind)
        }
        Failure::Unreadable(what) => Problem::new(MALFORMED, unreadable(what)),
        Failure::CrossSite => {
            Problem::new(FORBIDDEN, "Another web site may not make changes here. Send the request yourself.")
        }
    }
    .response(request)
}

/// Logs why a response broke off that had begun already: nothing can be said to the client any more.
pub(crate) fn broken_stream(error: &Error, request: &str) {
    tracing::error!(%request, error = %Chain(error), "a stream broke off");
}

fn log(error: &Error, request: RequestId) {
    let cause = error.cause.is_some();
    match error.kind {
        ErrorKind::Internal => tracing::error!(%request, error = %Chain(error), "a request failed"),
        ErrorKind::Unavailable { .. } if cause => {
            tracing::warn!(%request, error = %Chain(error), "a request failed for now")
        }
        _ => {}
    }
}

/// An error with all its causes.
struct Chain<'a>(&'a Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = std::error::Error::source(self.0).and_then(std::error::Error::source);
        while let Some(deeper) = cause {
            write!(f, ": {deeper}")?;
            cause = deeper.source();
        }
        Ok(())
    }
}

/// Type, title and status: what does not depend on the request.
type Class = (&'static str, &'static str, StatusCode);

const MALFORMED: Class = ("/problems/malformed", "The request cannot be read", StatusCode::BAD_REQUEST);
const INVALID: Class = ("/problems/invalid", "Some fields are wrong", StatusCode::UNPROCESSABLE_ENTITY);
const UNAUTHENTICATED: Class = ("/problems/unauthenticated", "Log-in needed", StatusCode::UNAUTHORIZED);
const FORBIDDEN: Class = ("/problems/forbidden", "Not allowed", StatusCode::FORBIDDEN);
const NOT_FOUND: Class = ("/problems/not-found", "Not found", StatusCode::NOT_FOUND);
const NO_ROUTE: Class = ("/problems/no-such-route", "No such path", StatusCode::NOT_FOUND);
const METHOD: Class = ("/problems/method-not-allowed", "Method not allowed", StatusCode::METHOD_NOT_ALLOWED);
const PRECONDITION: Class = ("/problems/precondition", "Changed meanwhile", StatusCode::PRECONDITION_FAILED);
const CONFLICT: Class = ("/problems/conflict", "Already taken", StatusCode::CONFLICT);
const WRONG_STATE: Class = ("/problems/wrong-state", "Not in this state", StatusCode::CONFLICT);
const IN_USE: Class = ("/problems/in-use", "Still in use", StatusCode::CONFLICT);
const PROTECTED: Class = ("/problems/protected", "Protected", StatusCode::CONFLICT);
const TOO_LARGE: Class = ("/problems/too-large", "Body too large", StatusCode::PAYLOAD_TOO_LARGE);
const MEDIA: Class = ("/problems/unsupported-media-type", "Unsupported media type", StatusCode::UNSUPPORTED_MEDIA_TYPE);
const RATE_LIMITED: Class = ("/problems/rate-limited", "Too many failed log-ins", StatusCode::TOO_MANY_REQUESTS);
const UNAVAILABLE: Class = ("/problems/unavailable", "Not available now", StatusCode::SERVICE_UNAVAILABLE);
const TIMEOUT: Class = ("/problems/timeout", "No answer in time", StatusCode::SERVICE_UNAVAILABLE);
const INTERNAL: Class = ("/problems/internal", "Internal error", StatusCode::INTERNAL_SERVER_ERROR);

const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"chandler\", Bearer");

impl Problem {
    fn new((kind, title, status): Class, detail: impl Into<String>) -> Self {
        let (detail, request_id) = (detail.into(), String::new());
        Self { kind, title, status, detail, request_id, errors: Vec::new(), header: None }
    }

    fn errors(self, errors: &[FieldError]) -> Self {
        Self { errors: errors.iter().map(field).collect(), ..self }
    }

    fn header(self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        Self { header: Some((name, value.into())), ..self }
    }

    fn response(mut self, request: RequestId) -> Response {
        self.request_id = request.to_string();
        // Strings and numbers cannot fail to serialize; an empty body is the answer to the impossible.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.header);
        response
    }
}

fn of_kind(kind: &ErrorKind) -> Problem {
    match kind {
        ErrorKind::Malformed { at: Some(at) } => {
            Problem::new(MALFORMED, format!("The request cannot be read at {at}. Repair it and send it again."))
        }
        ErrorKind::Malformed { at: None } => {
            Problem::new(MALFORMED, "The request cannot be read. Repair it and send it again.")
        }
        ErrorKind::Invalid(errors) => invalid(errors),
        ErrorKind::Unauthenticated { why } => {
            Problem::new(UNAUTHENTICATED, unauthenticated(*why)).header(WWW_AUTHENTICATE, CHALLENGE)
        }
        ErrorKind::Denied { why, action, resource } => denied(*why, *action, *resource),
        ErrorKind::Precondition => Problem::new(
            PRECONDITION,
            "Its present version is not the one in `If-Match`. Read it again, and repeat the change if it is still wanted.",
        ),
        ErrorKind::Conflict { resource, field } => {
            let noun = noun(*resource);
            let taken = FieldError::new(*field, Code::NotUnique);
            Problem::new(CONFLICT, format!("There is another {noun} with this `{field}`. Choose another one."))
                .errors(&[taken])
        }
        ErrorKind::WrongState { resource, state } => {
            let noun = noun(*resource);
            Problem::new(
                WRONG_STATE,
                format!("The {noun} is `{state}`, which does not allow this. Read it again to see where it stands."),
            )
        }
        ErrorKind::InUse { resource, by } => Problem::new(IN_USE, in_use(*resource, by)),
        ErrorKind::Attached { resource, to, count, names } => {
            Problem::new(IN_USE, attached(*resource, *to, *count, names))
        }
        ErrorKind::Protected { resource } => {
            let noun = noun(*resource);
            Problem::new(
                PROTECTED,
                format!(
                    "This {noun} belongs to the installation and stays as it is. Make one of your own to change or delete."
                ),
            )
        }
        ErrorKind::TooLarge { limit } => {
            Problem::new(TOO_LARGE, format!("The body may have {limit} bytes at most. Send less."))
        }
        ErrorKind::UnsupportedMedia { want } => Problem::new(
            MEDIA,
            format!("The body must be {want}, in UTF-8 and not compressed. Say so in `Content-Type`."),
        ),
        ErrorKind::MethodNotAllowed => {
            Problem::new(METHOD, "This path does not take this method. The header `Allow` names those that it takes.")
        }
        ErrorKind::NoSuchRoute => {
            Problem::new(NO_ROUTE, "Nothing is at this path. The native API begins at /api/v1; check the spelling.")
        }
        ErrorKind::RateLimited { retry_after_s } => {
            let detail = format!("Too many log-ins failed from this address. Try again in {retry_after_s} s.");
            Problem::new(RATE_LIMITED, detail).header(RETRY_AFTER, *retry_after_s)
        }
        ErrorKind::Unavailable { retry_after_s } => {
            let detail = format!("The server cannot do this at the moment. Try again in {retry_after_s} s.");
            Problem::new(UNAVAILABLE, detail).header(RETRY_AFTER, *retry_after_s)
        }
        ErrorKind::Timeout => Problem::new(
            TIMEOUT,
            "The server did not answer in time. A change may or may not have happened: look before you repeat it.",
        ),
        ErrorKind::Internal => Problem::new(
            INTERNAL,
            "The server failed. Its log says why: give the administrator the request_id of this answer.",
        ),
    }
}

/// What is of the wrong shape makes a request unreadable, what is of the wrong value makes it invalid.
fn invalid(errors: &[FieldError]) -> Problem {
    let shape = errors.iter().any(|error| is_shape(&error.code));
    let class = if shape { MALFORMED } else { INVALID };
    Problem::new(class, "Nothing was done. `errors` names each wrong field; correct them and send the request again.")
        .errors(errors)
}

fn is_shape(code: &Code) -> bool {
    match code {
        Code::WrongType { .. } | Code::UnknownField => true,
        Code::Required
        | Code::Blank
        | Code::TooLong { .. }
        | Code::TooShort { .. }
        | Code::Range { .. }
        | Code::Format { .. }
        | Code::NotUnique
        | Code::Unknown { .. }
        | Code::NotOneOf { .. }
        | Code::ReadOnly
        | Code::NotTogether { .. } => false,
    }
}

fn field(error: &FieldError) -> Field {
    let (code, message) = match &error.code {
        Code::Required => ("required", "must be given".to_owned()),
        Code::Blank => ("blank", "must not be empty".to_owned()),
        Code::TooLong { max } => ("too_long", format!("must not be longer than {max}")),
        Code::TooShort { min } => ("too_short", format!("must not be shorter than {min}")),
        Code::Range { min, max } => ("range", format!("must be from {min} to {max}")),
        Code::WrongType { want } => ("wrong_type", format!("must be of type {want}")),
        Code::Format { rule } => ("format", (*rule).to_owned()),
        Code::NotUnique => ("not_unique", "is taken already".to_owned()),
        Code::Unknown { resource } => ("unknown", format!("names no {resource} that you may use here")),
        Code::NotOneOf { words } => ("not_one_of", format!("must be one of: {}", words.join(", "))),
        Code::UnknownField => ("unknown_field", "is not known here".to_owned()),
        Code::ReadOnly => ("read_only", "cannot be changed".to_owned()),
        Code::NotTogether { other } => ("not_together", format!("must not be given together with `{other}`")),
    };
    Field { field: error.path.to_string(), code, message }
}

fn unauthenticated(why: Unauthenticated) -> &'static str {
    match why {
        Unauthenticated::Missing => {
            "Log in with `Authorization: Basic` (login and password) or `Authorization: Bearer` (a token)."
        }
        Unauthenticated::Wrong => {
            "These credentials are not valid, or not any more. Check login and password, or make a new token."
        }
    }
}

fn denied(why: Denied, action: Action, resource: Kind) -> Problem {
    let noun = noun(resource);
    match why {
        // One must not be told from the other.
        Denied::Absent | Denied::Hidden => {
            let detail =
                format!("There is no such {noun}, or you may not see it. Check the id, or ask an administrator.");
            Problem::new(NOT_FOUND, detail)
        }
        Denied::Forbidden => {
            let what = forbidden(action, noun);
            Problem::new(FORBIDDEN, format!("You may not {what}. Ask an administrator for the right."))
        }
    }
}

fn counted(n: i64, kind: Kind) -> String {
    format!("{n} {}{}", noun(kind), if n == 1 { "" } else { "s" })
}

fn attached(resource: Kind, to: Kind, count: i64, names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let shown = if i64::try_from(names.len()).is_ok_and(|shown| shown < count) { "among them " } else { "" };
    let which = if names.is_empty() { String::new() } else { format!(" ({shown}{})", names.join(", ")) };
    format!(
        "The {} is still named by {}{which}. Take it away there, or send `?force=true` to take it away everywhere.",
        noun(resource),
        counted(count, to)
    )
}

fn in_use(resource: Kind, by: &[(Kind, i64)]) -> String {
    let counts: Vec<String> = by.iter().map(|(kind, n)| counted(*n, *kind)).collect();
    format!("The {} is still used by {}. Delete or finish these first.", noun(resource), counts.join(", "))
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Organization => "organization",
        Kind::User => "user",
        Kind::Token => "token",
        Kind::Environment => "environment",
        Kind::ScriptTemplate | Kind::AnsibleTemplate | Kind::Flow | Kind::WorkloadTemplate => "template",
        Kind::ScriptJob | Kind::AnsibleJob | Kind::TerraformRun | Kind::Workload => "job",
        Kind::SharedWorkspace => "workspace",
        Kind::State => "state",
        Kind::Setting => "setting",
        Kind::Credential | Kind::RegistryCredential | Kind::GitCredential | Kind::AssetCredential => "credential",
        Kind::CredentialType => "credential type",
    }
}

fn forbidden(action: Action, noun: &str) -> String {
    match action {
        Action::Read => format!("see this {noun}"),
        Action::Create => format!("create {noun}s here"),
        Action::Update => format!("change this {noun}"),
        Action::Delete => format!("delete this {noun}"),
        Action::Use => format!("use this {noun}"),
        Action::Execute => format!("start work from this {noun}"),
        Action::Approve => format!("approve this {noun}"),
        Action::Cancel => format!("cancel this {noun}"),
        Action::Grant => format!("hand out rights on this {noun}"),
        Action::Secret => format!("read the protected content of this {noun}"),
    }
}

fn unreadable(what: &Unreadable) -> String {
    match what {
        Unreadable::Interrupted => "The body broke off. Send the request again.".to_owned(),
        Unreadable::Empty => "This request needs a body. Send a JSON object.".to_owned(),
        Unreadable::Encoding => "The body is not UTF-8. Encode it as UTF-8.".to_owned(),
        Unreadable::Syntax { line, column } => {
            format!("The body is not valid JSON at line {line}, column {column}. Send exactly one JSON object.")
        }
        Unreadable::NotAnObject => "The body is JSON, but not an object. Send exactly one JSON object.".to_owned(),
        Unreadable::TooDeep { max } => format!("The body is nested deeper than {max} levels. Send a flatter one."),
        Unreadable::DuplicateKey(key) => format!("The body has the key `{key}` twice in one object. Send it once."),
        Unreadable::Nul { line, column } => {
            format!("The body has the character NUL in a text at line {line}, column {column}. Leave it out.")
        }
        Unreadable::Query => {
            "The query string is not percent-encoded UTF-8, or has the character NUL. Encode it anew.".to_owned()
        }
        Unreadable::DuplicateParameter(name) => format!("The query has the parameter `{name}` twice. Send it once."),
        Unreadable::Header(name) => format!("The header `{name}` cannot be read. Repair it or leave it out."),
    }
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
