//! The row that a path names.

use axum::extract::{FromRequestParts, RawPathParams};
use chandler_core::Error;
use chandler_core::resource::Resource;
use chandler_model::Action;
use chandler_model::ids::Selector;
use http::request::Parts;

use crate::failure::Failure;
use crate::state::Api;

/// The segment `{id}`: the integer or the UUID of a row. Anything else names no row, so the row is absent.
#[derive(Debug)]
pub(crate) struct Named<T>(pub(crate) Selector<T>);

impl<T: Resource> FromRequestParts<Api> for Named<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        let absent = || Error::absent(T::KIND, Action::Read);
        let segments = RawPathParams::from_request_parts(parts, api).await.map_err(|_| absent())?;
        let id = segments.iter().find(|(name, _)| *name == "id").and_then(|(_, text)| Selector::parse(text));
        Ok(Self(id.ok_or_else(absent)?))
    }
}
