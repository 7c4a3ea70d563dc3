//! The migrations runner, with migrations of its own and then with the real ones.

use chandler_store::migrate::{self, Error, Migration, pending_list, run_list};
use chandler_store::seam::{Sql, args};
use jiff::Timestamp;

use crate::databases::both;

const FIRST: Migration =
    Migration { name: "0001_first", sql: "CREATE TABLE a (id {pk}, name {text} NOT NULL)", postgres_override: None };
const SECOND: Migration = Migration {
    name: "0002_second",
    sql: "ALTER TABLE a ADD COLUMN origin {text} NOT NULL DEFAULT 'shared'; INSERT INTO a (name) VALUES ('x');",
    postgres_override: Some(
        "ALTER TABLE a ADD COLUMN origin {text} NOT NULL DEFAULT 'override'; INSERT INTO a (name) VALUES ('x');",
    ),
};

static ROWS: Sql<i64> = Sql::new("SELECT count(*) FROM a");
static APPLIED: Sql<(i64, String, Timestamp)> =
    Sql::new("SELECT number, name, applied_at FROM schema_migrations ORDER BY number");

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

#[tokio::test]
async fn what_is_missing_is_applied_once_and_recorded() {
    for database in both().await {
        let db = &database.db;
        assert_eq!(pending_list(db, &[FIRST, SECOND]).await.unwrap(), ["0001_first", "0002_second"]);
        assert_eq!(run_list(db, &[FIRST], now()).await.unwrap(), ["0001_first"]);
        assert_eq!(pending_list(db, &[FIRST, SECOND]).await.unwrap(), ["0002_second"]);
        assert_eq!(run_list(db, &[FIRST, SECOND], now()).await.unwrap(), ["0002_second"]);
        assert!(run_list(db, &[FIRST, SECOND], now()).await.unwrap().is_empty());
        let applied = db.query(&APPLIED, &[]).await.unwrap();
        assert_eq!(applied, [(1, "0001_first".to_owned(), now()), (2, "0002_second".to_owned(), now())]);
        // A replica of the release before still starts.
        assert!(run_list(db, &[FIRST], now()).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn postgresql_takes_the_override_and_sqlite_the_shared_text() {
    static ORIGIN: Sql<String> = Sql::new("SELECT origin FROM a");
    let [sqlite, postgres] = both().await;
    for (database, origin) in [(&sqlite, "shared"), (&postgres, "override")] {
        run_list(&database.db, &[FIRST, SECOND], now()).await.unwrap();
        assert_eq!(database.db.one(&ORIGIN, &[]).await.unwrap(), origin);
    }
}

#[tokio::test]
async fn a_changed_or_renamed_migration_is_refused() {
    for database in both().await {
        let db = &database.db;
        run_list(db, &[FIRST, SECOND], now()).await.unwrap();
        let changed = [Migration { sql: "CREATE TABLE a (id {pk})", ..FIRST }, SECOND];
        for error in [run_list(db, &changed, now()).await.err(), pending_list(db, &changed).await.err()] {
            assert!(matches!(error, Some(Error::Changed { name: "0001_first" })), "{error:?}");
        }
        let renamed = [FIRST, Migration { name: "0002_other", ..SECOND }];
        let error = run_list(db, &renamed, now()).await.unwrap_err();
        assert!(error.to_string().contains("0002_second") && error.to_string().contains("0002_other"), "{error}");
    }
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing() {
    let broken = Migration {
        name: "0002_broken",
        sql: "CREATE TABLE b (id {pk}); SELECT no_such_thing",
        postgres_override: None,
    };
    let repaired = Migration { sql: "CREATE TABLE b (id {pk})", ..broken };
    for database in both().await {
        let db = &database.db;
        let error = run_list(db, &[FIRST, broken], now()).await.unwrap_err();
        assert!(matches!(error, Error::Failed { name: "0002_broken", .. }), "{error}");
        assert_eq!(run_list(db, &[FIRST, repaired], now()).await.unwrap(), ["0002_broken"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_migrate_at_once_apply_everything_once() {
    for database in both().await {
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let config = database.config.clone();
                tokio::spawn(async move {
                    let db = chandler_store::seam::Db::open(&config).await.unwrap();
                    run_list(&db, &[FIRST, SECOND], now()).await.unwrap().len()
                })
            })
            .collect();
        let mut applied = 0;
        for task in tasks {
            applied += task.await.unwrap();
        }
        assert_eq!(applied, 2);
        assert_eq!(database.db.one(&ROWS, args![]).await.unwrap(), 1, "{:?}", database.db);
    }
}

#[tokio::test]
async fn the_real_migrations_apply_to_both_engines() {
    for database in both().await {
        let names = migrate::run(&database.db, now()).await.unwrap();
        assert_eq!(names.len(), migrate::MIGRATIONS.len());
        assert!(migrate::pending(&database.db).await.unwrap().is_empty());
    }
}
