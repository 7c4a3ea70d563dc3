//! Notices: after the commit, to everybody, in order.

use std::time::Duration;

use chandler_store::seam::{Db, Error, Notice, Result, Sql, Tx};
use tokio::sync::broadcast::Receiver;

use crate::databases::{both, postgres};

async fn send(db: &Db, payloads: &[&str]) {
    let sent: Result<()> = db
        .write(async |tx: &mut Tx| {
            for payload in payloads {
                tx.notify("jobs", (*payload).to_owned())?;
            }
            Ok(())
        })
        .await;
    sent.unwrap();
}

async fn next(notices: &mut Receiver<Notice>) -> Notice {
    tokio::time::timeout(Duration::from_secs(60), notices.recv()).await.expect("a notice").unwrap()
}

fn job(payload: &str) -> Notice {
    Notice { channel: "jobs".to_owned(), payload: payload.to_owned() }
}

#[tokio::test]
async fn notices_arrive_after_the_commit_and_only_then() {
    for database in both().await {
        let db = &database.db;
        let mut receivers = [db.notices(), db.notices()];
        let refused: Result<()> = db
            .write(async |tx: &mut Tx| {
                tx.notify("jobs", "never".to_owned())?;
                Err(Error::NotFound)
            })
            .await;
        assert!(refused.is_err());
        send(db, &["1", "two\nlines"]).await;
        for notices in &mut receivers {
            assert_eq!(next(notices).await, job("1"), "{db:?}");
            assert_eq!(next(notices).await, job("two\nlines"));
        }
    }
}

#[tokio::test]
async fn a_notice_too_long_for_one_engine_is_refused_on_both() {
    for database in both().await {
        let refused: Result<()> = database.db.write(async |tx: &mut Tx| tx.notify("jobs", "x".repeat(8_000))).await;
        assert!(matches!(refused, Err(Error::Other(_))));
    }
}

#[tokio::test]
async fn on_postgresql_notices_reach_other_processes_and_survive_a_lost_connection() {
    static KILL: Sql<i64> = Sql::new(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND query LIKE 'LISTEN%'",
    );
    let database = postgres().await;
    let other = Db::open(&database.config).await.unwrap();
    let mut notices = other.notices();
    send(&database.db, &["first"]).await;
    assert_eq!(next(&mut notices).await, job("first"));

    // Its own notices come to a process once, and not again by way of the server.
    let mut own = database.db.notices();
    send(&database.db, &["mine"]).await;
    send(&other, &["theirs"]).await;
    assert_eq!(next(&mut own).await, job("mine"));
    assert_eq!(next(&mut own).await, job("theirs"));
    assert_eq!(next(&mut notices).await, job("mine"));
    assert_eq!(next(&mut notices).await, job("theirs"));

    assert_eq!(database.db.one(&KILL, &[]).await.unwrap(), 2);
    assert_eq!(next(&mut notices).await.channel, Notice::RESYNC);
    send(&database.db, &["second"]).await;
    assert_eq!(next(&mut notices).await, job("second"));
}
