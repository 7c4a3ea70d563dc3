//! What every dialect shares over HTTP, with no meaning of its own: the generic layers around a
//! router, reading a body under a limit, event streams, entity tags, paging maths and facts about the request.
//!
//! Nothing here knows an error shape, a resource or a rule of a dialect: where bytes of an error are
//! needed, the dialect hands in the function that makes them.

pub mod body;
pub mod etag;
pub mod layers;
pub mod paging;
pub mod request_info;
pub mod sse;

pub use layers::{LayerConfig, Limits, Outer, OuterKind, layers};
pub use request_info::{RequestId, RequestInfo};
