//! Everything that a database holds, as text: where a test looks for what must not be written down in clear.

use std::fmt::Write;

use anyhow::Result;
use chandler_store::Db;
use chandler_store::seam::{Engine, Sql};

/// Tables and their columns on SQLite; on PostgreSQL a whole row has a text form.
static SQLITE: Sql<(String, String)> = Sql::new(
    "SELECT m.name, group_concat('coalesce(CASE typeof(\"' || c.name || '\") WHEN ''blob'' THEN \
    lower(hex(\"' || c.name || '\")) ELSE CAST(\"' || c.name || '\" AS TEXT) END, '''')', ' || '' '' || ') \
    FROM sqlite_schema m JOIN pragma_table_xinfo(m.name) c WHERE m.type = 'table' GROUP BY m.name",
);
static POSTGRES: Sql<(String, String)> = Sql::new(
    "SELECT table_name::text, 't::text' FROM information_schema.tables \
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
);

/// Every row of every table, with the table's name in front.
///
/// # Errors
/// The database is away.
pub async fn rows(db: &Db) -> Result<Vec<String>> {
    let tables = match db.engine() {
        Engine::Sqlite => &SQLITE,
        Engine::Postgres => &POSTGRES,
    };
    let mut found = Vec::new();
    for (table, row) in db.query(tables, &[]).await? {
        // Statements live as long as the program: a test makes a few dozen.
        let text: &str = format!("SELECT {row} FROM \"{table}\" t").leak();
        let rows: Vec<String> = db.query(Box::leak(Box::new(Sql::new(text))), &[]).await?;
        found.extend(rows.into_iter().map(|row| format!("{table}: {row}")));
    }
    Ok(found)
}

/// The first row that has this text in it, as it is, in hexadecimal digits, or as a JSON array of bytes.
#[must_use]
pub fn holds<'a>(rows: &'a [String], text: &str) -> Option<&'a str> {
    let hex = text.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let numbers: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
    let forms = [text.to_owned(), hex, numbers.join(","), numbers.join(", ")];
    rows.iter().find(|row| forms.iter().any(|form| row.contains(form))).map(String::as_str)
}
