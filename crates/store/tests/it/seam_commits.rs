//! SQLite's shared commits and read budget, and what runs after a commit on both engines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use chandler_store::seam::{Db, Error, Result, Sql, Tx, args};
use tokio::sync::mpsc;

use crate::databases::{Database, both, sqlite};

const TABLE: &str = "CREATE TABLE t (number bigint NOT NULL PRIMARY KEY, text text)";
static INSERT: Sql<()> = Sql::new("INSERT INTO t (number, text) VALUES ($1, $2)");
static COUNT: Sql<i64> = Sql::new("SELECT count(*) FROM t");
static NUMBERS: Sql<i64> = Sql::new("SELECT number FROM t ORDER BY number");

fn count(hooks: &AtomicU32) {
    hooks.fetch_add(1, SeqCst);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_and_rollbacks_that_share_a_commit_do_not_mix() {
    for database in both().await {
        database.script(TABLE).await;
        let hooks = Arc::new(AtomicU32::new(0));
        let tasks: Vec<_> = (0..50_i64)
            .map(|number| {
                let (db, hooks) = (database.db.clone(), hooks.clone());
                tokio::spawn(async move {
                    db.write(async |tx| {
                        tx.exec(&INSERT, args![number, "text"]).await?;
                        let hooks = hooks.clone();
                        tx.after_commit(move || count(&hooks));
                        tokio::task::yield_now().await;
                        if number % 5 == 0 { Err(Error::NotFound) } else { Ok(()) }
                    })
                    .await
                    .is_ok()
                })
            })
            .collect();
        let mut committed = Vec::new();
        for (number, task) in (0..).zip(tasks) {
            if task.await.unwrap() {
                committed.push(number);
            }
        }
        assert_eq!(committed.len(), 40);
        assert_eq!(database.db.query(&NUMBERS, &[]).await.unwrap(), committed, "{:?}", database.db);
        assert_eq!(hooks.load(SeqCst), 40);
        assert!(database.db.stats().transactions >= 50);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_transactions_share_one_commit() {
    let database = sqlite().await;
    database.script(TABLE).await;
    let db = &database.db;
    let before = db.stats().commits;
    let first = db.begin().await.unwrap();
    let tasks: Vec<_> = (0..20_i64).map(|number| tokio::spawn(write(db.clone(), number))).collect();
    // All of them queue behind the first.
    tokio::time::sleep(Duration::from_millis(200)).await;
    first.commit().await.unwrap();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(db.stats().commits - before, 1);
    assert!(db.stats().writer_wait > Duration::from_millis(200));
}

async fn write(db: Db, number: i64) -> Result<()> {
    db.write(async |tx| tx.exec(&INSERT, args![number, "text"]).await.map(drop)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_everybody_whose_savepoint_was_lost() {
    let database = sqlite().await;
    database.script(TABLE).await;
    let db = &database.db;
    write(db.clone(), 1).await.unwrap();
    database.script("PRAGMA max_page_count = 20").await;

    let hooks = Arc::new(AtomicU32::new(0));
    let mut released = db.begin().await.unwrap();
    released.exec(&INSERT, args![2_i64, "text"]).await.unwrap();
    let counted = hooks.clone();
    released.after_commit(move || count(&counted));
    let greedy = tokio::spawn({
        let db = db.clone();
        async move {
            let mut tx = db.begin().await?;
            let failed = tx.exec(&INSERT, args![3_i64, "x".repeat(1_000_000)]).await;
            assert!(tx.exec(&INSERT, args![4_i64, "outside of any transaction"]).await.is_err());
            assert!(tx.commit().await.is_err());
            failed
        }
    });
    // They queue for the writer now, before the commit thread is called.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let after = tokio::spawn(write(db.clone(), 5));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let acknowledged = released.commit().await;
    assert!(matches!(greedy.await.unwrap(), Err(Error::Unavailable(_))));
    assert!(matches!(acknowledged, Err(Error::Unavailable(_))), "{acknowledged:?}");
    assert_eq!(hooks.load(SeqCst), 0);
    after.await.unwrap().unwrap();
    assert_eq!(db.query(&NUMBERS, &[]).await.unwrap(), [1, 5]);
}

#[tokio::test]
async fn a_commit_that_fails_is_not_acknowledged() {
    let database = sqlite().await;
    database
        .script(
            "CREATE TABLE p (id INTEGER PRIMARY KEY);
             CREATE TABLE t (number INTEGER, text TEXT, p INTEGER DEFAULT 9 REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
        )
        .await;
    let refused = write(database.db.clone(), 1).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert_eq!(database.db.one(&COUNT, &[]).await.unwrap(), 0);
    database.script("INSERT INTO p (id) VALUES (9)").await;
    write(database.db.clone(), 1).await.unwrap();
}

#[tokio::test]
async fn a_long_read_moves_to_a_thread_and_short_ones_never_do() {
    static COUNT_TO: Sql<i64> =
        Sql::new("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT max(i) FROM n");
    let Database { db, .. } = &sqlite().await;
    // Together far beyond the budget, but it is each one's own.
    for _ in 0..500 {
        assert_eq!(db.one(&COUNT_TO, args![1_000_i64]).await.unwrap(), 1_000);
    }
    assert_eq!(db.stats().reader_fallbacks, 0);
    assert_eq!(db.one(&COUNT_TO, args![200_000_i64]).await.unwrap(), 200_000);
    assert_eq!(db.stats().reader_fallbacks, 1);
}

#[tokio::test]
async fn reads_cannot_write() {
    static SNEAKY: Sql<i64> = Sql::new("INSERT INTO t (number) VALUES (1) RETURNING number");
    let database = sqlite().await;
    database.script(TABLE).await;
    assert!(database.db.one(&SNEAKY, &[]).await.is_err());
}

/// Dropped when its future is first polled and not ready.
async fn poll_once(future: impl Future) -> bool {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_ready())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_run_after_a_commit_even_if_nobody_waits_for_it() {
    for database in both().await {
        database.script(TABLE).await;
        let db = &database.db;
        let (ran, mut runs) = mpsc::unbounded_channel();
        let mut tx = db.begin().await.unwrap();
        tx.exec(&INSERT, args![1_i64, "text"]).await.unwrap();
        tx.after_commit(move || ran.send(()).unwrap_or_default());
        poll_once(tx.commit()).await;
        tokio::time::timeout(Duration::from_secs(5), runs.recv()).await.unwrap().expect("the hook ran");
        assert_eq!(db.one(&COUNT, &[]).await.unwrap(), 1, "{db:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_of_a_transaction_that_is_not_committed_never_run() {
    for database in both().await {
        database.script(TABLE).await;
        let Database { db, .. } = &database;
        let (ran, mut runs) = mpsc::unbounded_channel();
        let abandoned = db.write(async |tx: &mut Tx| {
            let ran = ran.clone();
            tx.after_commit(move || ran.send("abandoned").unwrap_or_default());
            tx.exec(&INSERT, args![1_i64, "text"]).await?;
            std::future::pending::<Result<()>>().await
        });
        assert!(tokio::time::timeout(Duration::from_millis(200), abandoned).await.is_err());
        let mut tx = db.begin().await.unwrap();
        tx.after_commit(|| panic!("a hook that panics"));
        tx.after_commit(move || ran.send("committed").unwrap_or_default());
        tx.commit().await.unwrap();
        assert_eq!(runs.recv().await, Some("committed"));
        assert_eq!(runs.recv().await, None);
        assert_eq!(db.one(&COUNT, &[]).await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_is_abandoned_leaves_no_lock_behind() {
    static SLEEP: Sql<String> = Sql::new("SELECT CAST(pg_sleep(60) AS text)");
    let database = crate::databases::postgres().await;
    let db = &database.db;
    let mut tx = db.begin().await.unwrap();
    tx.lock("held").await.unwrap();
    let sleeping = tokio::time::timeout(Duration::from_millis(200), tx.one(&SLEEP, &[])).await;
    assert!(sleeping.is_err());
    assert!(tx.commit().await.is_err());
    let mut next = db.begin().await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), next.lock("held")).await.expect("it is free").unwrap();
}
