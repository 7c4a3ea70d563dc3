//! Query strings: every parameter once, in percent-encoded UTF-8.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use chandler_model::paging::{LIMIT_MAX, PageRequest};
use http::request::Parts;

use super::fields::{self, Fields, FromFields};
use super::read::{Cursor, Within};
use super::tree::{self, Node};
use crate::failure::{Failure, Unreadable};
use crate::state::Api;

/// The parameters that a route knows; `Query<()>` where it knows none.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: FromFields> FromRequestParts<Api> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Failure> {
        Ok(Self(fields::read(parse(parts.uri.query().unwrap_or_default())?)?))
    }
}

/// A part of a list.
impl FromFields for PageRequest {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let limit: Option<Within<1, { LIMIT_MAX as i64 }>> = fields.given("limit");
        let after: Option<Cursor> = fields.given("after");
        let default = Self::default();
        let limit = limit.and_then(|rows| u32::try_from(rows.0).ok()).unwrap_or(default.limit);
        Some(Self { limit, after: after.map(|cursor| cursor.0) })
    }
}

/// A filter and the part of the list that it leaves.
impl<F: FromFields> FromFields for (F, PageRequest) {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let (filter, page) = (F::from_fields(fields), PageRequest::from_fields(fields));
        Some((filter?, page?))
    }
}

fn parse(query: &str) -> Result<BTreeMap<String, Node>, Unreadable> {
    let mut parameters = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        if parameters.contains_key(&name) {
            return Err(Unreadable::DuplicateParameter(tree::echo(&name)));
        }
        parameters.insert(name, Node::Parameter(value));
    }
    Ok(parameters)
}

fn decode(text: &str) -> Result<String, Unreadable> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (rest.next().and_then(hex), rest.next().and_then(hex));
                high.zip(low).map(|(high, low)| high << 4 | low).filter(|byte| *byte != 0).ok_or(Unreadable::Query)?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| Unreadable::Query)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_once() {
        let read = parse("name=a+b%2Bc%26&&x&y=%E2%82%AC%2500").unwrap();
        let wanted = [("name", "a b+c&"), ("x", ""), ("y", "€%00")];
        assert_eq!(read, wanted.map(|(k, v)| (k.to_owned(), Node::Parameter(v.to_owned()))).into());
    }

    #[test]
    fn what_is_not_encoded_text_is_refused() {
        for bad in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=%00", "%+1=1"] {
            assert_eq!(parse(bad), Err(Unreadable::Query), "{bad}");
        }
        assert_eq!(parse("a=1&%61=2"), Err(Unreadable::DuplicateParameter("a".into())));
    }
}
