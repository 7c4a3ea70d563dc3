//! The rows of the engine as they stand, read as they are: for whoever checks that they fit together. Nothing is decided
//! by them.

use chandler_model::Id;
use chandler_model::jobs::{Hold, Job, KeyMode};
use chandler_model::workers::Worker;

use crate::seam::{Catalogued, Db, Result, Sql, record};

/// A row of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InQueue {
    pub job_id: Id<Job>,
    pub lane: Option<String>,
    pub hold: Hold,
    pub attempt: i64,
    pub worker_id: Option<Id<Worker>>,
    pub beat: i64,
}

record!(InQueue { job_id, lane, hold, attempt, worker_id, beat });

/// A key that a job has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfJob {
    pub job_id: Id<Job>,
    pub key: String,
    pub mode: KeyMode,
    pub turn: i64,
}

record!(OfJob { job_id, key, mode, turn });

/// A timer of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerOf {
    pub row_id: i64,
    pub what: String,
}

record!(TimerOf { row_id, what });

/// How many rows hang on a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hanging {
    pub steps: i64,
    pub files: i64,
    pub attempts: i64,
    pub transitions: i64,
    pub chunks: i64,
    pub events: i64,
    pub keys: i64,
}

record!(Hanging { steps, files, attempts, transitions, chunks, events, keys });

static QUEUE: Sql<InQueue> = Sql::new("SELECT {columns} FROM job_queue ORDER BY job_id");
static KEYS: Sql<OfJob> = Sql::new("SELECT {columns} FROM job_keys ORDER BY key, turn, job_id");
static TIMERS: Sql<TimerOf> = Sql::new("SELECT {columns} FROM timers WHERE kind = 'job' ORDER BY row_id, what");
static LEFT: Sql<i64> = Sql::new("SELECT DISTINCT job_id FROM job_attempts WHERE process_left ORDER BY job_id");
static IS_SEALED: Sql<bool> = Sql::new("SELECT sealed IS NOT NULL FROM jobs WHERE id = $1");
static ORPHANS: Sql<i64> = Sql::new("SELECT count(*) FROM blobs WHERE orphaned_at IS NOT NULL");
static HANGING: Sql<Hanging> = Sql::new(
    "SELECT (SELECT count(*) FROM job_steps WHERE job_id = $1) AS steps, \
     (SELECT count(*) FROM job_files WHERE job_id = $1) AS files, \
     (SELECT count(*) FROM job_attempts WHERE job_id = $1) AS attempts, \
     (SELECT count(*) FROM job_transitions WHERE job_id = $1) AS transitions, \
     (SELECT count(*) FROM log_chunks WHERE job_id = $1) AS chunks, \
     (SELECT count(*) FROM task_events WHERE job_id = $1) AS events, \
     (SELECT count(*) FROM job_keys WHERE job_id = $1) AS keys",
);

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&QUEUE, &KEYS, &TIMERS, &LEFT, &IS_SEALED, &ORPHANS, &HANGING];

/// The whole queue.
pub async fn queue(db: &Db) -> Result<Vec<InQueue>> {
    db.query(&QUEUE, &[]).await
}

/// All keys.
pub async fn keys(db: &Db) -> Result<Vec<OfJob>> {
    db.query(&KEYS, &[]).await
}

/// All timers of jobs.
pub async fn timers(db: &Db) -> Result<Vec<TimerOf>> {
    db.query(&TIMERS, &[]).await
}

/// Jobs of which a process is not known to be gone.
pub async fn left(db: &Db) -> Result<Vec<Id<Job>>> {
    Ok(db.query(&LEFT, &[]).await?.into_iter().map(Id::new).collect())
}

/// Whether the secrets of a launch are still there.
pub async fn is_sealed(db: &Db, job: Id<Job>) -> Result<bool> {
    db.one(&IS_SEALED, &[job.into()]).await
}

/// How many blobs nothing points at any more.
pub async fn orphans(db: &Db) -> Result<i64> {
    db.one(&ORPHANS, &[]).await
}

/// How much hangs on a job.
pub async fn hanging(db: &Db, job: Id<Job>) -> Result<Hanging> {
    db.one(&HANGING, &[job.into()]).await
}
