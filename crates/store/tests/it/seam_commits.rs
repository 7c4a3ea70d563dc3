//! SQLite's shared commits and read budget, and what runs after a commit on both engines.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::Poll;
use std::time::{Duration, Instant};

use chandler_store::seam::{Db, Error, Result, Sql, Tx, args};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::databases::{Database, both, sqlite};

/// Longest that a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

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
    let mut tasks = Vec::new();
    for number in 0..20_i64 {
        tasks.push(queued(write(db.clone(), number)).await);
    }
    let held = Instant::now();
    // All of them wait at least for this.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let held = held.elapsed();
    first.commit().await.unwrap();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(db.stats().commits - before, 1);
    // 20 waits, but each is counted in whole microseconds.
    assert!(db.stats().writer_wait >= held * 19);
}

/// Polls a future once, after which it stands in the queue for the writer, and leaves the rest to a task.
async fn queued<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut future = Box::pin(future);
    let ready = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
    assert!(!ready, "the writer is held by somebody else");
    tokio::spawn(future)
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
    let greedy = {
        let db = db.clone();
        async move {
            let mut tx = db.begin().await?;
            let failed = tx.exec(&INSERT, args![3_i64, "x".repeat(1_000_000)]).await;
            assert!(tx.exec(&INSERT, args![4_i64, "outside of any transaction"]).await.is_err());
            assert!(tx.commit().await.is_err());
            failed
        }
    };
    // They queue for the writer now, before the commit thread is called.
    let greedy = queued(greedy).await;
    let after = queued(write(db.clone(), 5)).await;
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
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
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
        tokio::time::timeout(PATIENCE, runs.recv()).await.unwrap().expect("the hook ran");
        assert_eq!(db.one(&COUNT, &[]).await.unwrap(), 1, "{db:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_of_a_transaction_that_is_not_committed_never_run() {
    for database in both().await {
        database.script(TABLE).await;
        let Database { db, .. } = &database;
        let (ran, mut runs) = mpsc::unbounded_channel();
        let written = Notify::new();
        let abandoned = db.write(async |tx: &mut Tx| {
            let ran = ran.clone();
            tx.after_commit(move || ran.send("abandoned").unwrap_or_default());
            tx.exec(&INSERT, args![1_i64, "text"]).await?;
            written.notify_one();
            std::future::pending::<Result<()>>().await
        });
        tokio::select! {
            _ = abandoned => panic!("it never ends"),
            () = written.notified() => {}
        }
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
    // Longer than the test waits for the lock.
    static SLEEP: Sql<String> = Sql::new("SELECT CAST(pg_sleep(600) AS text)");
    static SLEEPERS: Sql<i64> =
        Sql::new("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'");
    let database = crate::databases::postgres().await;
    let db = &database.db;
    let mut tx = db.begin().await.unwrap();
    tx.lock("held").await.unwrap();
    let begun = async {
        while db.one(&SLEEPERS, &[]).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        slept = tx.one(&SLEEP, &[]) => panic!("{slept:?}"),
        begun = tokio::time::timeout(PATIENCE, begun) => begun.unwrap(),
    }
    assert!(tx.commit().await.is_err());
    let mut next = db.begin().await.unwrap();
    tokio::time::timeout(PATIENCE, next.lock("held")).await.expect("it is free").unwrap();
}
