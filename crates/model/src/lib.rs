//! The nouns of Chandler: ids, names, states, limits and the plain structs that every other crate talks about.
//!
//! Nothing here does I/O, waits, reads a clock or knows HTTP or SQL. A type lives here when two crates need to mean the
//! same thing by it; the meaning of each row is `docs/core/model.md`.

pub mod audit;
pub mod credentials;
pub mod environments;
pub mod errors;
pub mod ids;
pub mod jobs;
pub mod json;
pub mod kinds;
pub mod logs;
pub mod names;
pub mod organizations;
pub mod paging;
pub mod patch;
pub mod registries;
pub mod run_spec;
pub mod tags;
pub mod task_events;
pub mod templates;
pub mod tokens;
pub mod users;
pub mod words;
pub mod workers;
pub mod workspaces;

pub use ids::{Id, Uid};
pub use json::{Json, RawJson};
pub use kinds::{Action, Dialect, Kind};
pub use patch::Patch;
pub use words::Word;
