//! Reads a whole request body as bytes, under a limit, with an outcome that a dialect can word.
//!
//! Every dialect has its own JSON rules, so nobody uses axum's `Json`: a dialect's `Body<T>` reads the
//! bytes here and parses them itself.

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::RequestInfo;

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The body has more bytes than allowed.
    TooLarge {
        /// How many bytes are allowed.
        limit: usize,
    },
    /// The client sent a broken stream or went away in the middle of it.
    Malformed,
}

/// Reads the body to its end, holding at most `limit` bytes in memory.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, Error> {
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if is_length_limit(&*error) => Err(Error::TooLarge { limit }),
        Err(_) => Err(Error::Malformed),
    }
}

/// Reads the body of a request under the limit that the generic layers set for its route.
pub async fn read_request(request: Request<Body>) -> Result<(http::request::Parts, Bytes), Error> {
    let (parts, body) = request.into_parts();
    let limit = RequestInfo::of(&parts.extensions).body_limit;
    let bytes = read(body, limit).await?;
    Ok((parts, bytes))
}

/// The generic layers limit the body too, so the error may stand deeper in the chain.
fn is_length_limit(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    if error.is::<LengthLimitError>() {
        return true;
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<LengthLimitError>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn chunks(parts: Vec<Result<&'static str, std::io::Error>>) -> Body {
        Body::from_stream(stream::iter(parts))
    }

    #[tokio::test]
    async fn the_limit_is_the_last_size_that_is_read() {
        assert_eq!(read(Body::from("12345"), 5).await, Ok(Bytes::from("12345")));
        assert_eq!(read(Body::from("123456"), 5).await, Err(Error::TooLarge { limit: 5 }));
        assert_eq!(read(chunks(vec![Ok("123"), Ok("456")]), 5).await, Err(Error::TooLarge { limit: 5 }));
        assert_eq!(read(Body::empty(), 0).await, Ok(Bytes::new()));
    }

    #[tokio::test]
    async fn a_limit_further_out_is_too_large_as_well() {
        let outer = Body::new(Limited::new(chunks(vec![Ok("123"), Ok("456")]), 4));
        assert_eq!(read(outer, 100).await, Err(Error::TooLarge { limit: 100 }));
    }

    #[tokio::test]
    async fn a_broken_stream_is_malformed() {
        let body = chunks(vec![Ok("12"), Err(std::io::Error::other("gone"))]);
        assert_eq!(read(body, 100).await, Err(Error::Malformed));
    }
}
