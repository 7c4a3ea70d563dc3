//! How a SQLite connection is set up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::functions;
use crate::seam::config::Synchronous;

/// How long to wait for another process (an admin command) that writes.
const BUSY: Duration = Duration::from_secs(5);
const STATEMENTS: usize = 256;

pub(super) struct Opener {
    path: PathBuf,
    synchronous: Synchronous,
}

impl Opener {
    pub(super) fn new(path: &Path, synchronous: Synchronous) -> Self {
        Self { path: path.to_owned(), synchronous }
    }

    /// The one that writes. It must be opened before any reader: it also switches the file to WAL.
    pub(super) fn writer(&self) -> rusqlite::Result<Connection> {
        let connection = self.open()?;
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(rusqlite::Error::ToSqlConversionFailure(format!("journal mode is {mode}, not wal").into()));
        }
        connection.execute_batch(match self.synchronous {
            Synchronous::Full => "PRAGMA synchronous = FULL",
            Synchronous::Off => "PRAGMA synchronous = OFF",
        })?;
        connection.execute_batch("PRAGMA cache_size = -65536")?;
        Ok(connection)
    }

    pub(super) fn reader(&self) -> rusqlite::Result<Connection> {
        let connection = self.open()?;
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -16384")?;
        Ok(connection)
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY")?;
        // Without this a cached statement is prepared anew whenever a value is bound that the planner has looked at (a
        // partial index is enough), which costs several times the read itself.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        functions::register(&connection)?;
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::StatementStatus;

    #[test]
    fn a_cached_statement_is_not_prepared_again_for_other_values() {
        let folder = tempfile::tempdir().unwrap();
        let opener = Opener { path: folder.path().join("a.db"), synchronous: Synchronous::Off };
        let connection = opener.open().unwrap();
        let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, kind TEXT, name TEXT);
            CREATE UNIQUE INDEX t_name ON t (name) WHERE kind = 'script';";
        connection.execute_batch(table).unwrap();
        let mut statement = connection.prepare("SELECT id FROM t WHERE kind = ?1 AND name = ?2").unwrap();
        for kind in ["script", "other", "script"] {
            assert!(!statement.exists([kind, "x"]).unwrap());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
