//! Template databases: made once however many ask, copied for each, removed with their guard.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use chandler_testkit::db::{POSTGRES_VARIABLE, postgres_database, sqlite_database};
use tokio_postgres::NoTls;

/// One that no other test and no earlier run has used.
fn checksum() -> String {
    format!("{:016x}", rand::random::<u64>())
}

async fn run(url: &str, sql: &str) -> Result<i64> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    let messages = client.simple_query(sql).await?;
    let row = messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(row.unwrap_or("0").parse()?)
}

#[tokio::test]
async fn postgres_tests_do_not_see_each_other() -> Result<()> {
    let (checksum, migrated) = (checksum(), AtomicUsize::new(0));
    let database = async || {
        postgres_database(&checksum, async |url| {
            migrated.fetch_add(1, Ordering::Relaxed);
            run(&url, "CREATE TABLE things (id bigint)").await.map(drop)
        })
        .await
    };
    // All at once: whoever comes first makes the template, the others wait for it.
    let (first, second, third) = tokio::join!(database(), database(), database());
    let ((first, first_guard), (second, second_guard), (third, third_guard)) = (first?, second?, third?);
    assert_eq!(migrated.load(Ordering::Relaxed), 1);

    run(&first, "INSERT INTO things VALUES (1)").await?;
    assert_eq!(run(&first, "SELECT count(*) FROM things").await?, 1);
    assert_eq!(run(&second, "SELECT count(*) FROM things").await?, 0);
    assert_eq!(run(&third, "SELECT count(*) FROM things").await?, 0);

    drop((first_guard, second_guard, third_guard));
    assert!(run(&first, "SELECT 1").await.is_err(), "the database outlived its guard");
    Ok(())
}

#[tokio::test]
async fn a_migration_that_fails_leaves_no_postgres_template() -> Result<()> {
    let checksum = checksum();
    let broken = postgres_database(&checksum, async |url| run(&url, "CREATE TABLE oops (").await.map(drop)).await;
    assert!(format!("{:#}", broken.unwrap_err()).starts_with("migrating the template database"));
    let (url, _guard) =
        postgres_database(&checksum, async |url| run(&url, "CREATE TABLE fine (id bigint)").await.map(drop)).await?;
    assert_eq!(run(&url, "SELECT count(*) FROM fine").await?, 0);

    let server = std::env::var(POSTGRES_VARIABLE)?;
    let template = format!("DROP DATABASE chandler_template_{checksum}");
    run(&server, &template).await.context("the template stands under its final name")?;
    Ok(())
}

#[tokio::test]
async fn sqlite_tests_do_not_see_each_other() -> Result<()> {
    // To this module a database is a file: the bytes need not be SQLite's.
    let (checksum, migrated) = (checksum(), AtomicUsize::new(0));
    let database = async || {
        sqlite_database(&checksum, async |path| {
            migrated.fetch_add(1, Ordering::Relaxed);
            Ok(fs::write(path, "empty")?)
        })
        .await
    };
    let (first, second) = tokio::join!(database(), database());
    let ((first, first_guard), (second, _second_guard)) = (first?, second?);
    assert_eq!(migrated.load(Ordering::Relaxed), 1);

    fs::write(&first, "changed")?;
    assert_eq!(fs::read_to_string(&second)?, "empty");
    drop(first_guard);
    assert!(!first.exists(), "the database outlived its guard");
    Ok(())
}

#[tokio::test]
async fn a_migration_that_fails_or_stays_open_leaves_no_sqlite_template() -> Result<()> {
    let checksum = checksum();
    let broken = sqlite_database(&checksum, async |path| {
        fs::write(path, "half")?;
        anyhow::bail!("no")
    })
    .await;
    assert!(broken.is_err());
    // Whoever waits for the end of that migration is patient; this test is not.
    tokio::time::pause();
    let open = sqlite_database(&checksum, async |path| {
        assert!(!path.exists(), "the half of the last attempt is still there");
        fs::write(path.with_extension("unfinished-wal"), "pages that are not in the file")?;
        Ok(fs::write(path, "most")?)
    })
    .await;
    tokio::time::resume();
    assert!(format!("{:#}", open.unwrap_err()).contains("open"));
    let (path, _guard) = sqlite_database(&checksum, async |path| Ok(fs::write(path, "whole")?)).await?;
    assert_eq!(fs::read_to_string(path)?, "whole");
    Ok(())
}
