//! The names of unique indexes by their columns: SQLite's errors carry columns, PostgreSQL's carry names, and the core
//! wants names. Indexes over expressions and CHECKs are named by SQLite itself.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use rusqlite::Connection;

#[derive(Default)]
pub(super) struct Names(RwLock<HashMap<String, String>>);

impl Names {
    /// The name of the unique index over these columns, written as SQLite does: `t.a, t.b`.
    pub(super) fn index_of(&self, columns: &str) -> Option<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(columns).cloned()
    }

    pub(super) fn load(&self, connection: &Connection) -> rusqlite::Result<()> {
        let loaded = read(connection)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }
}

/// Unnamed constraints get the names that PostgreSQL would make up: `t_pkey`, `t_a_b_key`.
fn read(connection: &Connection) -> rusqlite::Result<HashMap<String, String>> {
    let mut names = HashMap::new();
    let mut keys = connection.prepare(
        "SELECT t.name, group_concat(t.name || '.' || c.name, ', ' ORDER BY c.pk)
         FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND c.pk > 0 GROUP BY t.name",
    )?;
    let mut rows = keys.query([])?;
    while let Some(row) = rows.next()? {
        names.insert(row.get(1)?, format!("{}_pkey", row.get::<_, String>(0)?));
    }
    // Named indexes come last and win over made-up names.
    let mut indexes = connection.prepare(
        "SELECT t.name, i.name, i.origin, group_concat(t.name || '.' || c.name, ', ' ORDER BY c.seqno),
                group_concat(c.name, '_' ORDER BY c.seqno)
         FROM sqlite_schema t JOIN pragma_index_list(t.name) i JOIN pragma_index_info(i.name) c
         WHERE t.type = 'table' AND i.\"unique\" AND i.origin IN ('u', 'c')
         GROUP BY t.name, i.name HAVING count(c.name) = count(*) ORDER BY i.origin DESC, i.name",
    )?;
    let mut rows = indexes.query([])?;
    while let Some(row) = rows.next()? {
        let (table, index, origin): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let columns: String = row.get(4)?;
        let name = if origin == "c" { index } else { format!("{table}_{columns}_key") };
        names.insert(row.get(3)?, name);
    }
    Ok(names)
}
