//! The native API, `/api/v1` on the console's port: Chandler's own words for everything that it can do.
//!
//! [`router`] is the table of contents. A handler takes apart what came ([`mod@input`]), calls the core, and shows what
//! the core said ([`output`]); errors are worded in `errors.rs` alone. No SQL, no access decision and no clock is here.
//! What clients may rely on is written down in `docs/reference/native-api.md`.

mod auth;
mod credential_types;
mod credentials;
mod environments;
mod errors;
mod failure;
mod input;
mod jobs;
mod me;
mod organizations;
mod output;
mod router;
mod state;
mod templates;
mod throttle;
mod tokens;
mod workspaces;

pub use errors::render_outer;
pub use router::router;
