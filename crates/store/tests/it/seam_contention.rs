//! Transactions that meet on PostgreSQL: named locks, deadlocks, a pool without a free connection.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use chandler_store::seam::{Db, DbUrl, Error, Result, Sql, Tx};

use crate::databases::postgres;

#[tokio::test]
async fn named_locks_exclude_each_other_and_shared_ones_do_not() {
    let database = postgres().await;
    let db = &database.db;
    // That long is time for a mistake to show; what is blocked stays so.
    let blocked =
        async |tx: &mut Tx, name: &str| tokio::time::timeout(Duration::from_millis(200), tx.lock(name)).await.is_err();
    let mut first = db.begin().await.unwrap();
    first.lock("name:one").await.unwrap();
    first.lock_shared("name:two").await.unwrap();

    let mut second = db.begin().await.unwrap();
    second.lock("name:other").await.unwrap();
    second.lock_shared("name:two").await.unwrap();
    assert!(blocked(&mut second, "name:one").await);
    let mut third = db.begin().await.unwrap();
    assert!(blocked(&mut third, "name:two").await);
    // The abandoned statement has broken the transaction.
    assert!(third.lock("name:free").await.is_err());
    drop((second, third));

    first.commit().await.unwrap();
    let mut fourth = db.begin().await.unwrap();
    fourth.lock("name:one").await.unwrap();
    fourth.lock("name:two").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_solved_by_running_the_victim_again() {
    let database = postgres().await;
    let meeting = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let both_orders = [["a", "b"], ["b", "a"]].map(|[first, then]| {
        let (db, meeting) = (database.db.clone(), meeting.clone());
        tokio::spawn(async move {
            let tries = AtomicU32::new(0);
            let done: Result<()> = db
                .write(async |tx| {
                    tx.lock(first).await?;
                    if tries.fetch_add(1, SeqCst) == 0 {
                        meeting.wait().await;
                    }
                    tx.lock(then).await
                })
                .await;
            done.map(|()| tries.into_inner())
        })
    });
    let mut tries = 0;
    for done in both_orders {
        tries += done.await.unwrap().unwrap();
    }
    assert_eq!(tries, 3, "one of the two was the victim, once");
}

#[tokio::test]
async fn no_free_connection_is_unavailable() {
    let mut database = postgres().await;
    database.config.pool_size = 1;
    assert!(matches!(database.config.url, DbUrl::Postgres(_)));
    let db = Db::open(&database.config).await.unwrap();
    let tx = db.begin().await.unwrap();
    assert!(matches!(db.one(&ONE, &[]).await, Err(Error::Unavailable(_))));
    tx.commit().await.unwrap();
    assert_eq!(db.one(&ONE, &[]).await.unwrap(), 1);
    assert_eq!((db.stats().pool_open, db.stats().pool_idle), (1, 1));
}

static ONE: Sql<i64> = Sql::new("SELECT 1");
