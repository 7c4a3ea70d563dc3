//! The seam: one SQL text, two engines (SQLite through rusqlite, PostgreSQL through tokio-postgres).
//!
//! Statements are `static`s of type [`Sql`] that know what they read; arguments are [`Value`]s, usually made by
//! [`args!`]; answers are [`Record`]s. Reads go through [`Db`], writes through [`Db::write`] and its [`Tx`]. Inside a
//! transaction only the transaction may be awaited: the SQLite writer is shared by everybody, and a second `write`
//! inside one would wait for itself. A statement that fails ends its transaction on both engines; what may collide is
//! written with `ON CONFLICT`.
//!
//! Engine switches live in `engine.rs` alone; the drivers live in `sqlite/` and `postgres/`.

mod column;
mod config;
mod db;
mod engine;
mod error;
mod model_types;
mod notices;
mod postgres;
mod sql;
mod sqlite;
mod stats;
mod tx;
mod value;
mod work;

pub use self::column::{Column, Fits, Reader, Record, Row};
#[doc(hidden)]
pub use self::column::{column_name, fits_field};
pub use self::config::{DbConfig, DbUrl, Synchronous};
pub use self::db::Db;
pub use self::engine::Engine;
pub(crate) use self::engine::{expand_types, preamble, table_exists};
pub use self::error::{Error, Result, Source, Transient};
pub use self::notices::Notice;
pub use self::sql::{Catalogued, Sql, prepare_all};
pub use self::stats::Stats;
pub use self::tx::Tx;
pub use self::value::Value;
pub use self::work::Work;
pub use crate::{args, record};
