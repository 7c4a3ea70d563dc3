//! The queue: one hot row per unfinished job. Its lock comes before everything else that touches the job.

use chandler_model::Id;
use chandler_model::jobs::{Hold, Job, JobKind};
use chandler_model::workers::{TagSet, Worker};
use jiff::Timestamp;

use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

/// A queue row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    pub job_id: Id<Job>,
    pub hold: Hold,
    pub attempt: i64,
    pub worker_id: Option<Id<Worker>>,
    pub beat: i64,
}

record!(Queued { job_id, hold, attempt, worker_id, beat });

static INSERT: Sql<()> = Sql::new(
    "INSERT INTO job_queue (job_id, lane, hold, priority, organization_id, family, kind, tag_set_id) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
);
static LOCK: Sql<Queued> = Sql::new("SELECT {columns} FROM job_queue WHERE job_id = $1 {for_update}");
// The inner select is materialized: with the limit inside a plain subselect, PostgreSQL may claim more than it.
static CLAIM: Sql<Queued> = Sql::new(
    "WITH c AS MATERIALIZED (SELECT job_id FROM job_queue WHERE hold = 'ready' AND kind = $1 \
     ORDER BY priority, job_id LIMIT $2 {for_update} {skip_locked}) \
     UPDATE job_queue SET hold = 'claimed', attempt = attempt + 1, worker_id = $3, beat = 0, not_before = NULL \
     WHERE job_id IN (SELECT job_id FROM c) RETURNING {columns}",
);
static CLAIMED: Sql<Queued> = Sql::new("SELECT {columns} FROM job_queue WHERE hold = 'claimed' ORDER BY job_id");
static BEAT: Sql<()> =
    Sql::new("UPDATE job_queue SET beat = $3 WHERE job_id = $1 AND attempt = $2 AND hold = 'claimed' AND beat < $3");
static HOLD: Sql<()> = Sql::new("UPDATE job_queue SET hold = $2, not_before = $3, worker_id = $4 WHERE job_id = $1");
static DELETE: Sql<()> = Sql::new("DELETE FROM job_queue WHERE job_id = $1");

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&INSERT, &LOCK, &CLAIM, &CLAIMED, &BEAT, &HOLD, &DELETE];

/// Puts a job into the queue. Its lane is that of its keys, fixed for its life.
pub async fn insert(tx: &mut Tx, job: &Job, tags: Id<TagSet>, lane: Option<&str>, hold: Hold) -> Result<()> {
    let args = [
        job.id.into(),
        lane.into(),
        hold.into(),
        job.priority.into(),
        job.organization_id.into(),
        job.family.into(),
        job.kind.into(),
        tags.into(),
    ];
    tx.exec(&INSERT, &args).await.map(drop)
}

/// Locks the queue row of an unfinished job. `None`: the job has ended (or never was).
pub async fn lock(tx: &mut Tx, job: Id<Job>) -> Result<Option<Queued>> {
    tx.optional(&LOCK, &[job.into()]).await
}

/// Claims up to `limit` ready jobs of one kind for a worker, lowest priority number and id first; locked rows are
/// passed over. The rows come back in no order.
pub async fn claim(tx: &mut Tx, kind: JobKind, worker: Id<Worker>, limit: i64) -> Result<Vec<Queued>> {
    tx.query(&CLAIM, &[kind.into(), limit.into(), worker.into()]).await
}

/// Every job that a worker holds.
pub async fn claimed(db: &Db) -> Result<Vec<Queued>> {
    db.query(&CLAIMED, &[]).await
}

/// Raises the beat of an attempt. `false`: the attempt is no longer the one that holds the job, or the beat is older.
pub async fn beat(tx: &mut Tx, job: Id<Job>, attempt: i64, beat: i64) -> Result<bool> {
    Ok(tx.exec(&BEAT, &[job.into(), attempt.into(), beat.into()]).await? > 0)
}

/// Writes how a locked row stands now.
pub async fn hold(
    tx: &mut Tx,
    job: Id<Job>,
    hold: Hold,
    not_before: Option<Timestamp>,
    worker: Option<Id<Worker>>,
) -> Result<()> {
    tx.exec(&HOLD, &[job.into(), hold.into(), not_before.into(), worker.into()]).await.map(drop)
}

/// Takes an ended job out of the queue.
pub async fn delete(tx: &mut Tx, job: Id<Job>) -> Result<()> {
    tx.exec(&DELETE, &[job.into()]).await.map(drop)
}
