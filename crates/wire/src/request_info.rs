//! Facts about one request that need no dialect: its id, the address it came from, the limit of its body.
//!
//! The generic layers put a [`RequestInfo`] into the request; handlers take it as an extractor, auth
//! layers read it with [`RequestInfo::of`]. The address is the peer of the connection: headers such as
//! `X-Forwarded-For` are written by the client and are not believed here.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header that carries a request's id in both directions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Identifies one request in logs, audit rows and the `x-request-id` header of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    /// Makes a new id that sorts by time (UUID version 7).
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id that the client sent, if it is a UUID in its usual hyphenated form; anything else would put
    /// the client's own words into logs and audit rows and is ignored.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(REQUEST_ID)?.to_str().ok()?;
        if text.len() != 36 {
            return None;
        }
        Uuid::try_parse(text).ok().map(Self)
    }

    /// The id as a UUID, as rows store it.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        self.0
    }

    /// The id as the value of a response header.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        let mut buffer = Uuid::encode_buffer();
        let text: &str = self.0.as_hyphenated().encode_lower(&mut buffer);
        // A UUID is always a valid header value; an empty one is the answer to the impossible.
        HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// What the generic layers know about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestInfo {
    /// The same id that the response carries in `x-request-id`.
    pub id: RequestId,
    /// The other end of the connection; `None` where there is no connection, as in tests that call a router.
    pub peer: Option<IpAddr>,
    /// The most bytes that a handler can read from this request's body.
    pub body_limit: usize,
}

impl RequestInfo {
    /// The facts that the layers put into a request. Without the layers (a router in a test) it makes a new
    /// id and allows no body.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().copied().unwrap_or_else(|| Self {
            id: RequestId::new(),
            peer: client_ip(extensions),
            body_limit: 0,
        })
    }
}

impl<S: Sync> FromRequestParts<S> for RequestInfo {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

/// The address of the connection's other end, as the listener recorded it. IPv4 addresses that arrive
/// through an IPv6 socket come out as IPv4.
#[must_use]
pub fn client_ip(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(text: &str) -> Option<RequestId> {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_str(text).unwrap());
        RequestId::from_headers(&headers)
    }

    #[test]
    fn only_a_hyphenated_uuid_is_taken_from_the_client() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(incoming(id).unwrap().to_string(), id);
        assert_eq!(incoming(&id.to_uppercase()).unwrap().to_string(), id);
        for bad in ["", "1", "01890a5dac96774bbcceb302099a8057", "{01890a5d-ac96-774b-bcce-b302099a8057}", "x; DROP"] {
            assert_eq!(incoming(bad), None, "{bad:?}");
        }
        assert_eq!(RequestId::from_headers(&HeaderMap::new()), None);
    }

    #[test]
    fn a_new_id_is_version_7_and_fits_a_header() {
        let id = RequestId::new();
        assert_eq!(id.uuid().get_version_num(), 7);
        assert_eq!(id.header().to_str().unwrap(), id.to_string());
    }

    #[test]
    fn the_address_is_the_connections_and_mapped_ipv4_is_ipv4() {
        let mut extensions = Extensions::new();
        assert_eq!(client_ip(&extensions), None);
        let peer: SocketAddr = "[::ffff:192.0.2.7]:4711".parse().unwrap();
        extensions.insert(ConnectInfo(peer));
        assert_eq!(RequestInfo::of(&extensions).peer, Some("192.0.2.7".parse().unwrap()));
    }
}
