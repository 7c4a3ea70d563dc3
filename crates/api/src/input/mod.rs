//! What a request brings, taken apart: bodies, query strings, path segments and preconditions.
//!
//! Bodies and query strings become a tree of nodes first (`tree.rs`, `query.rs`) and are then read field by field
//! (`fields.rs`), so that all wrong fields are told at once and by name. Nothing is worded here.

mod body;
mod credential_inputs;
mod fields;
mod path;
mod precondition;
mod query;
mod read;
mod tree;

pub(crate) use body::{Body, Empty, MayBody};
pub(crate) use credential_inputs::InputsGiven;
pub(crate) use fields::{Fields, FromFields};
pub(crate) use path::{Named, Segments};
pub(crate) use precondition::IfMatch;
pub(crate) use query::Query;
pub(crate) use read::{Referred, Within, Words};
