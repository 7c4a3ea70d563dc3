//! Where the database is and how many connections it gets.

use std::path::PathBuf;

/// The settings of [`Db::open`](super::Db::open).
#[derive(Clone, Debug)]
pub struct DbConfig {
    pub url: DbUrl,
    /// SQLite: connections that read on the calling task, and as many threads for reads that take long.
    pub readers: usize,
    /// PostgreSQL: connections in the pool, not counting the one that listens.
    pub pool_size: usize,
    pub synchronous: Synchronous,
}

/// The engine and its place.
#[derive(Clone)]
pub enum DbUrl {
    /// A file; it is created if it does not exist.
    Sqlite(PathBuf),
    /// `postgres://user:password@host:port/database`.
    Postgres(String),
}

/// When SQLite waits for the disk. PostgreSQL has its own settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// An acknowledged commit survives a power failure.
    #[default]
    Full,
    /// Never: for tests.
    Off,
}

impl DbConfig {
    #[must_use]
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self::new(DbUrl::Sqlite(path.into()))
    }

    #[must_use]
    pub fn postgres(url: impl Into<String>) -> Self {
        Self::new(DbUrl::Postgres(url.into()))
    }

    fn new(url: DbUrl) -> Self {
        Self { url, readers: 4, pool_size: 16, synchronous: Synchronous::Full }
    }
}

// The URL holds a password.
impl std::fmt::Debug for DbUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => f.write_str("Postgres(..)"),
        }
    }
}
