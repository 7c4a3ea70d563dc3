//! SQL and nothing else: the seam over two engines, the migrations, and one file of statements per resource.
//!
//! No rule lives here and no right is decided here; functions take and return the plain structs of `chandler-model`.
//! Every file lists its statements in `STATEMENTS`, and a test prepares all of them on both engines.

pub mod audit;
pub mod blobs;
pub mod catalogue;
pub mod changes;
pub mod clusters;
pub mod constraints;
pub mod credential_types;
pub mod credentials;
pub mod environments;
pub mod grants;
pub mod jobs;
pub mod logs;
pub mod migrate;
pub mod organizations;
pub mod seam;
pub mod settings;
pub mod states;
pub mod tags;
pub mod tallies;
pub mod task_events;
pub mod templates;
pub mod timers;
pub mod tokens;
pub mod users;
pub mod workers;
pub mod workspaces;

pub use seam::{Db, Error, Result, Tx};
