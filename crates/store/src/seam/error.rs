//! What can go wrong at the database, told alike for both engines.
//!
//! `Display` is for logs only: it carries the driver's words, which may quote stored values. Nothing here is ever shown
//! to a client; the core turns the kinds into its own errors.

use rusqlite::ErrorCode;
use rusqlite::ffi;
use tokio_postgres::error::SqlState;

/// The driver's own error, kept for the log.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// The result of a seam call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed statement or transaction. Constraint names are the index or constraint names of the migrations, the same on
/// both engines.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The statement that had to find a row found none.
    #[error("no such row")]
    NotFound,
    /// A unique index refused the row.
    #[error("unique constraint {constraint}: {}", with_causes(source.as_ref()))]
    Unique { constraint: String, source: Source },
    /// A reference points to nothing, or the row is still referenced. SQLite does not say which one.
    #[error("foreign key {}: {}", constraint.as_deref().unwrap_or("(unnamed)"), with_causes(source.as_ref()))]
    ForeignKey { constraint: Option<String>, source: Source },
    /// A named CHECK refused the row.
    #[error("check constraint {constraint}: {}", with_causes(source.as_ref()))]
    Check { constraint: String, source: Source },
    /// A NOT NULL column got no value; `column` is `table.column`.
    #[error("not-null column {column}: {}", with_causes(source.as_ref()))]
    NotNull { column: String, source: Source },
    /// The transaction collided with another one and may simply be run again.
    #[error("serialization failure: {}", with_causes(.0.as_ref()))]
    Serialization(#[source] Source),
    /// The transaction was chosen as the victim of a deadlock and may simply be run again.
    #[error("deadlock: {}", with_causes(.0.as_ref()))]
    Deadlock(#[source] Source),
    /// The database cannot serve now: no connection in time, connection lost, disk full, the shared commit failed.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// A programming error or damage: wrong SQL, a value that does not fit its type.
    #[error("database: {}", with_causes(.0.as_ref()))]
    Other(#[source] Source),
}

/// Errors that say whether the same transaction may succeed when it is run once more.
pub trait Transient {
    fn transient(&self) -> bool;
}

impl Transient for Error {
    fn transient(&self) -> bool {
        matches!(self, Self::Serialization(_) | Self::Deadlock(_))
    }
}

impl Error {
    /// The name of the unique index, foreign key or check that refused the row, if one did and its name is known.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Unique { constraint, .. } | Self::Check { constraint, .. } => Some(constraint),
            Self::ForeignKey { constraint, .. } => constraint.as_deref(),
            _ => None,
        }
    }

    /// Whether the unique index of this name refused the row.
    #[must_use]
    pub fn is_unique(&self, name: &str) -> bool {
        matches!(self, Self::Unique { constraint, .. } if constraint == name)
    }

    pub(crate) fn other(text: impl Into<String>) -> Self {
        Self::Other(text.into().into())
    }

    pub(crate) fn unavailable(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Unavailable(with_causes(error))
    }

    /// Reads an error of the SQLite driver. `index_of` finds the name of the unique index over a `t.a, t.b` list.
    pub(super) fn from_sqlite(error: rusqlite::Error, index_of: impl FnOnce(&str) -> Option<String>) -> Self {
        let rusqlite::Error::SqliteFailure(failure, message) = &error else {
            return match error {
                rusqlite::Error::QueryReturnedNoRows => Self::NotFound,
                // A value that refused to be encoded says why itself.
                rusqlite::Error::ToSqlConversionFailure(source) => Self::Other(source),
                other => Self::Other(other.into()),
            };
        };
        let told = message.clone().unwrap_or_default();
        // "UNIQUE constraint failed: t.a, t.b", "CHECK constraint failed: name", ...
        let about = told.split_once(" failed: ").map_or("", |(_, about)| about).to_owned();
        match (failure.extended_code, failure.code) {
            (ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID, _) => {
                let expression = about.strip_prefix("index '").and_then(|rest| rest.strip_suffix('\''));
                let constraint = expression.map(str::to_owned).or_else(|| index_of(&about)).unwrap_or(about);
                Self::Unique { constraint, source: error.into() }
            }
            (ffi::SQLITE_CONSTRAINT_FOREIGNKEY, _) => Self::ForeignKey { constraint: None, source: error.into() },
            (ffi::SQLITE_CONSTRAINT_CHECK, _) => Self::Check { constraint: about, source: error.into() },
            (ffi::SQLITE_CONSTRAINT_NOTNULL, _) => Self::NotNull { column: about, source: error.into() },
            (_, code) if is_sqlite_outage(code) => Self::unavailable(&error),
            _ => Self::Other(error.into()),
        }
    }
}

fn is_sqlite_outage(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::DatabaseCorrupt
    )
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(told) = error.as_db_error() else {
            return if is_connection_loss(&error) { Self::unavailable(&error) } else { Self::Other(error.into()) };
        };
        let constraint = told.constraint().map(str::to_owned);
        let named = || constraint.clone().unwrap_or_default();
        match told.code() {
            code if *code == SqlState::UNIQUE_VIOLATION => Self::Unique { constraint: named(), source: error.into() },
            code if *code == SqlState::FOREIGN_KEY_VIOLATION => Self::ForeignKey { constraint, source: error.into() },
            code if *code == SqlState::CHECK_VIOLATION => Self::Check { constraint: named(), source: error.into() },
            code if *code == SqlState::NOT_NULL_VIOLATION => {
                let column = format!("{}.{}", told.table().unwrap_or("?"), told.column().unwrap_or("?"));
                Self::NotNull { column, source: error.into() }
            }
            code if *code == SqlState::T_R_SERIALIZATION_FAILURE => Self::Serialization(error.into()),
            code if *code == SqlState::T_R_DEADLOCK_DETECTED => Self::Deadlock(error.into()),
            code if is_postgres_outage(code.code()) => Self::unavailable(&error),
            _ => Self::Other(error.into()),
        }
    }
}

/// Connection errors, lack of resources, cancelled or shut down by an operator, lock timeouts, a read-only standby.
fn is_postgres_outage(code: &str) -> bool {
    ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) || matches!(code, "55P03" | "25006")
}

fn is_connection_loss(error: &tokio_postgres::Error) -> bool {
    let io = std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>());
    // "error connecting" and "timeout waiting for server" have no public kind; both hide behind a failed connect,
    // which the pool reports.
    error.is_closed() || io
}

impl From<deadpool_postgres::PoolError> for Error {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        // Whatever stops us from getting a connection is an outage, a wrong password included.
        Self::unavailable(&error)
    }
}

/// An error with its causes: drivers put the interesting half into `source`.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let told = cause.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        next = cause.source();
    }
    text
}
