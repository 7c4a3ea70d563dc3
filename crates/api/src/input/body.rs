//! Request bodies: JSON under the limits of `tree.rs`, read into the type that the handler wants.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Request};
use chandler_core::{Error, ErrorKind};
use chandler_wire::body;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method};

use super::fields::{self, FromFields};
use super::tree;
use crate::failure::{Failure, Unreadable};
use crate::state::Api;

/// A body that must be there.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

/// A body that may be left out; then it is an empty object.
#[derive(Debug)]
pub(crate) struct MayBody<T>(pub(crate) T);

/// A body that must not be there; an empty object passes for none.
#[derive(Debug)]
pub(crate) struct Empty;

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

impl<T: FromFields> FromRequest<Api> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Api) -> Result<Self, Failure> {
        check_media(request.method(), request.headers())?;
        let (_, bytes) = body::read_request(request).await.map_err(unread)?;
        Ok(Self(fields::read(tree::parse(&bytes)?)?))
    }
}

impl<T: FromFields> FromRequest<Api> for MayBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Api) -> Result<Self, Failure> {
        let (parts, bytes) = body::read_request(request).await.map_err(unread)?;
        if bytes.is_empty() {
            return Ok(Self(fields::read(BTreeMap::new())?));
        }
        check_media(&parts.method, &parts.headers)?;
        Ok(Self(fields::read(tree::parse(&bytes)?)?))
    }
}

impl FromRequest<Api> for Empty {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Api) -> Result<Self, Failure> {
        let (parts, bytes) = body::read_request(request).await.map_err(unread)?;
        if !bytes.is_empty() {
            check_media(&parts.method, &parts.headers)?;
            fields::read::<()>(tree::parse(&bytes)?)?;
        }
        Ok(Self)
    }
}

fn unread(error: body::Error) -> Failure {
    match error {
        body::Error::TooLarge { limit } => ErrorKind::TooLarge { limit }.into(),
        body::Error::Malformed => Unreadable::Interrupted.into(),
    }
}

/// Whether the body says that it is JSON, in UTF-8 and not compressed.
fn check_media(method: &Method, headers: &HeaderMap) -> Result<(), Error> {
    let patches = *method == Method::PATCH;
    let want = if patches { "application/json or application/merge-patch+json" } else { JSON };
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let media = match (types.next(), types.next()) {
        (Some(only), None) => only.to_str().ok(),
        _ => None,
    };
    let plain = headers.get(CONTENT_ENCODING).is_none_or(|coding| coding == "identity");
    if plain && media.is_some_and(|media| is_json(media, patches)) {
        Ok(())
    } else {
        Err(ErrorKind::UnsupportedMedia { want }.into())
    }
}

fn is_json(media: &str, patches: bool) -> bool {
    let mut parts = media.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let known = essence.eq_ignore_ascii_case(JSON) || (patches && essence.eq_ignore_ascii_case(MERGE_PATCH));
    known
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}
