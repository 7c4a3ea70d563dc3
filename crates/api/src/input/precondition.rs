//! `If-Match`: the version of a row that a change is meant for.

use axum::extract::FromRequestParts;
use chandler_core::{Error, ErrorKind};
use chandler_wire::etag;
use http::request::Parts;

use crate::failure::{Failure, Unreadable};
use crate::state::Api;

/// The versions that the client accepts; `None` if it does not mind.
#[derive(Debug)]
pub(crate) struct IfMatch(Option<Vec<i64>>);

/// No row has this version: whoever asks for it fails, but only after he was found to be allowed to.
const NEVER: i64 = -1;

impl FromRequestParts<Api> for IfMatch {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Failure> {
        match etag::IfMatch::from_headers(&parts.headers) {
            Ok(None | Some(etag::IfMatch::Any)) => Ok(Self(None)),
            Ok(Some(etag::IfMatch::Versions(versions))) => Ok(Self(Some(versions))),
            Err(etag::Malformed) => Err(Unreadable::Header("If-Match").into()),
        }
    }
}

impl IfMatch {
    /// The one version to change. `present` is asked only if the client named several.
    pub(crate) async fn version(self, present: impl Future<Output = Result<i64, Error>>) -> Result<Option<i64>, Error> {
        match self.0.as_deref() {
            None => Ok(None),
            Some([]) => Ok(Some(NEVER)),
            Some([only]) => Ok(Some(*only)),
            Some(several) => {
                let now = present.await?;
                Ok(Some(if several.contains(&now) { now } else { NEVER }))
            }
        }
    }

    /// Compares before a change that the core makes of any version.
    pub(crate) async fn check(self, present: impl Future<Output = Result<i64, Error>>) -> Result<(), Error> {
        let Some(versions) = self.0 else { return Ok(()) };
        if versions.contains(&present.await?) { Ok(()) } else { Err(ErrorKind::Precondition.into()) }
    }
}
