//! How many rows there are: what a refused request must leave as it was.

use anyhow::Result;
use chandler_store::Db;
use chandler_store::seam::Sql;

macro_rules! tables {
    ($($table:literal),* $(,)?) => {
        &[$(($table, { static COUNT: Sql<i64> = Sql::new(concat!("SELECT count(*) FROM ", $table)); &COUNT })),*]
    };
}

/// Every table that a request can write.
static TABLES: &[(&str, &Sql<i64>)] = tables![
    "organizations",
    "users",
    "grants",
    "tokens",
    "settings",
    "credential_types",
    "credentials",
    "environments",
    "unified_ids",
    "templates",
    "template_revisions",
    "jobs",
    "job_queue",
    "job_attempts",
    "job_transitions",
    "log_chunks",
    "timers",
    "audit",
    "changes",
];

/// The number of rows of each table. Every write of the product leaves an audit row, so that a changed row counts too.
///
/// # Errors
/// The database is away.
pub async fn rows(db: &Db) -> Result<Vec<(&'static str, i64)>> {
    let mut counts = Vec::with_capacity(TABLES.len());
    for (table, count) in TABLES {
        counts.push((*table, db.one(count, &[]).await?));
    }
    Ok(counts)
}
