//! The row that a path names, and what it names below that row.

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

/// The segments of a path by their names.
#[derive(Debug)]
pub(crate) struct Segments(Vec<(String, String)>);

impl Segments {
    /// The text of a segment; empty, which names nothing, if the path has none of this name.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, text)| text)
    }

    /// The number in a segment; 0, which names nothing, if it is none.
    pub(crate) fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or(0)
    }
}

impl FromRequestParts<Api> for Segments {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        // What cannot be decoded names nothing either.
        let Ok(segments) = RawPathParams::from_request_parts(parts, api).await else { return Ok(Self(Vec::new())) };
        Ok(Self(segments.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()))
    }
}
