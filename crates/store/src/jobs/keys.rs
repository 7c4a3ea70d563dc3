//! Keys say what may not run together (`docs/core/jobs.md` 5). Whoever writes here holds the lock of the lane.
//!
//! The condition of a job that may run stands once, in [`ready_condition!`]; every statement that looks for it uses it.

use chandler_model::Id;
use chandler_model::jobs::{Job, KeyMode};

use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

/// A key that a job takes or waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub key: String,
    pub mode: KeyMode,
}

record!(Key { key, mode });

/// SQL: nothing stands in the way of the queue row `q` but its `not_before`. No lower holder of any of its keys, the
/// job that it needs has succeeded, no process of it is left.
macro_rules! ready_condition {
    () => {
        "NOT EXISTS (SELECT 1 FROM job_keys mine JOIN job_keys other ON other.key = mine.key AND other.mode = 'hold' \
         AND other.turn < mine.turn AND other.job_id <> mine.job_id WHERE mine.job_id = q.job_id) \
         AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = q.job_id AND j.needs_job_id IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM jobs n WHERE n.id = j.needs_job_id AND n.state = 'succeeded')) \
         AND NOT EXISTS (SELECT 1 FROM job_attempts a WHERE a.job_id = q.job_id AND a.process_left)"
    };
}

static DRAW_TURN: Sql<i64> = Sql::new("INSERT INTO turns DEFAULT VALUES RETURNING id");
static FORGET_TURN: Sql<()> = Sql::new("DELETE FROM turns WHERE id = $1");
static INSERT: Sql<()> = Sql::new(
    "INSERT INTO job_keys (job_id, key, mode, turn) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (job_id, key) DO UPDATE SET mode = excluded.mode, turn = excluded.turn",
);
static OF_JOB: Sql<Key> = Sql::new("SELECT {columns} FROM job_keys WHERE job_id = $1 ORDER BY key");
static DELETE: Sql<()> = Sql::new("DELETE FROM job_keys WHERE job_id = $1");
static DELETE_ONE: Sql<()> = Sql::new("DELETE FROM job_keys WHERE job_id = $1 AND key = $2");
static REDRAW_WAITS: Sql<()> = Sql::new("UPDATE job_keys SET turn = $2 WHERE job_id = $1 AND mode = 'wait'");
static IS_READY: Sql<bool> = Sql::new(concat!("SELECT ", ready_condition!(), " FROM job_queue q WHERE q.job_id = $1"));
// All waits up to the first hold, and that one. Who is really free to go is decided by the condition.
static WAKE: Sql<i64> = Sql::new(concat!(
    "UPDATE job_queue AS q SET hold = 'ready' WHERE q.hold = 'blocked' AND q.job_id IN \
     (SELECT k.job_id FROM job_keys k WHERE k.key = $1 AND k.turn <= \
     coalesce((SELECT min(h.turn) FROM job_keys h WHERE h.key = $1 AND h.mode = 'hold'), 9223372036854775807)) AND ",
    ready_condition!(),
    " RETURNING job_id"
));
static WAKE_ONE: Sql<i64> = Sql::new(concat!(
    "UPDATE job_queue AS q SET hold = 'ready' WHERE q.hold = 'blocked' AND q.job_id = $1 AND ",
    ready_condition!(),
    " RETURNING job_id"
));
static BLOCK: Sql<i64> = Sql::new(concat!(
    "UPDATE job_queue AS q SET hold = 'blocked' WHERE q.hold = 'ready' AND q.job_id IN \
     (SELECT k.job_id FROM job_keys k WHERE k.key = $1) AND NOT (",
    ready_condition!(),
    ") RETURNING job_id"
));
// Of jobs that no worker holds: those that have begun are not sent back.
static WAITS_BEHIND: Sql<()> = Sql::new(
    "UPDATE job_keys SET turn = $2 WHERE key = $1 AND mode = 'wait' AND turn < $2 \
     AND job_id IN (SELECT q.job_id FROM job_queue q WHERE q.hold IN ('ready', 'blocked', 'delayed'))",
);
static FORGOTTEN: Sql<i64> = Sql::new(concat!(
    "SELECT q.job_id FROM job_queue q WHERE q.hold = 'blocked' AND ",
    ready_condition!(),
    " ORDER BY q.job_id"
));

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[
    &DRAW_TURN,
    &FORGET_TURN,
    &INSERT,
    &OF_JOB,
    &DELETE,
    &DELETE_ONE,
    &REDRAW_WAITS,
    &IS_READY,
    &WAKE,
    &WAKE_ONE,
    &BLOCK,
    &WAITS_BEHIND,
    &FORGOTTEN,
];

/// The next turn. Turns that are drawn under the lock of one lane are in the order of their commits.
pub async fn draw_turn(tx: &mut Tx) -> Result<i64> {
    let turn = tx.one(&DRAW_TURN, &[]).await?;
    // The table is nothing but a sequence: its rows are of no use.
    tx.exec(&FORGET_TURN, &[turn.into()]).await?;
    Ok(turn)
}

/// Takes keys, all with one turn.
pub async fn take(tx: &mut Tx, job: Id<Job>, keys: &[Key], turn: i64) -> Result<()> {
    for Key { key, mode } in keys {
        tx.exec(&INSERT, &[job.into(), key.as_str().into(), (*mode).into(), turn.into()]).await?;
    }
    Ok(())
}

/// The keys of a job.
pub async fn of_job(tx: &mut Tx, job: Id<Job>) -> Result<Vec<Key>> {
    tx.query(&OF_JOB, &[job.into()]).await
}

/// Gives up all keys of a job and makes whoever waited for nothing else ready. Whether anybody is.
pub async fn give_up(tx: &mut Tx, job: Id<Job>) -> Result<bool> {
    let keys = of_job(tx, job).await?;
    if keys.is_empty() {
        return Ok(false);
    }
    tx.exec(&DELETE, &[job.into()]).await?;
    let mut woken = false;
    for Key { key, .. } in keys.iter().filter(|key| key.mode == KeyMode::Hold) {
        woken |= wake(tx, key).await?;
    }
    Ok(woken)
}

/// Gives up one key.
pub async fn give_up_one(tx: &mut Tx, job: Id<Job>, key: &str) -> Result<bool> {
    tx.exec(&DELETE_ONE, &[job.into(), key.into()]).await?;
    wake(tx, key).await
}

/// Waits of a job that goes back to the queue get this turn; its holds keep theirs.
pub async fn redraw_waits(tx: &mut Tx, job: Id<Job>, turn: i64) -> Result<()> {
    tx.exec(&REDRAW_WAITS, &[job.into(), turn.into()]).await.map(drop)
}

/// Whether nothing but `not_before` stands in the way of a job in the queue.
pub async fn is_ready(tx: &mut Tx, job: Id<Job>) -> Result<bool> {
    Ok(tx.optional(&IS_READY, &[job.into()]).await?.unwrap_or(false))
}

/// Makes the blocked jobs ready that waited for this key and for nothing else. Whether there are any.
pub async fn wake(tx: &mut Tx, key: &str) -> Result<bool> {
    Ok(!tx.query(&WAKE, &[key.into()]).await?.is_empty())
}

/// Makes a blocked job ready if nothing stands in its way any more.
pub async fn wake_one(tx: &mut Tx, job: Id<Job>) -> Result<bool> {
    Ok(tx.optional(&WAKE_ONE, &[job.into()]).await?.is_some())
}

/// Blocks the ready jobs that a holder which has come before them stands in the way of.
pub async fn block(tx: &mut Tx, key: &str) -> Result<()> {
    tx.query(&BLOCK, &[key.into()]).await.map(drop)
}

/// Waits for this key that no worker has begun go behind this turn.
pub async fn send_waits_behind(tx: &mut Tx, key: &str, turn: i64) -> Result<()> {
    tx.exec(&WAITS_BEHIND, &[key.into(), turn.into()]).await.map(drop)
}

/// Blocked jobs in whose way nothing stands: there should be none but those that a running transaction is about to
/// make ready.
pub async fn forgotten(db: &Db) -> Result<Vec<i64>> {
    db.query(&FORGOTTEN, &[]).await
}
