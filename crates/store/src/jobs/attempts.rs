//! Attempts (one process group or container each) and the transitions of a job.

use chandler_model::jobs::{Job, State};
use chandler_model::workers::Worker;
use chandler_model::{Id, Uid};
use jiff::Timestamp;

use super::Statement;
use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub attempt: i64,
    pub node: String,
    pub state: String,
    pub exit_code: Option<i64>,
    /// What it ran in, and what the runtime had under that name.
    pub image: Option<String>,
    pub digest: Option<String>,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

record!(Attempt { attempt, node, state, exit_code, image, digest, started_at, finished_at });

/// One step in a job's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub seq: i64,
    pub at: Timestamp,
    pub what: String,
    pub state: String,
    pub stage: Option<String>,
    pub outcome: Option<String>,
    pub actor: Option<String>,
}

record!(Transition { seq, at, what, state, stage, outcome, actor });

static BEGIN: Sql<()> = Sql::new(
    "INSERT INTO job_attempts (uid, job_id, attempt, worker_id, node, state, started_at) \
     VALUES ($1, $2, $3, $4, $5, 'running', $6)",
);
static END: Sql<()> = Sql::new(
    "UPDATE job_attempts SET state = $3, exit_code = $4, finished_at = $5 \
     WHERE job_id = $1 AND attempt = $2 AND finished_at IS NULL",
);
static RAN: Sql<()> = Sql::new("UPDATE job_attempts SET image = $3, digest = $4 WHERE job_id = $1 AND attempt = $2");
static OF_JOB: Sql<Attempt> = Sql::new("SELECT {columns} FROM job_attempts WHERE job_id = $1 ORDER BY attempt");
static APPEND: Sql<()> = Sql::new(
    "INSERT INTO job_transitions (job_id, seq, at, what, state, stage, outcome, actor) \
     VALUES ($1, (SELECT coalesce(max(seq), 0) + 1 FROM job_transitions WHERE job_id = $1), $2, $3, $4, $5, $6, $7)",
);
static TRANSITIONS: Sql<Transition> = Sql::new("SELECT {columns} FROM job_transitions WHERE job_id = $1 ORDER BY seq");

static LEFT: Sql<bool> = Sql::new("SELECT EXISTS (SELECT 1 FROM job_attempts WHERE job_id = $1 AND process_left)");
static NOTE_LEFT: Sql<()> =
    Sql::new("UPDATE job_attempts SET process_left = true WHERE job_id = $1 AND attempt = $2 AND NOT process_left");
static NOTE_GONE: Sql<()> =
    Sql::new("UPDATE job_attempts SET process_left = false WHERE job_id = $1 AND attempt = $2 AND process_left");
static LEFT_BY: Sql<LeftBy> =
    Sql::new("SELECT {columns} FROM job_attempts WHERE process_left AND worker_id = $1 ORDER BY job_id, attempt");
static DELETE_ATTEMPTS: Sql<()> = Sql::new("DELETE FROM job_attempts WHERE job_id = $1");
static DELETE_TRANSITIONS: Sql<()> = Sql::new("DELETE FROM job_transitions WHERE job_id = $1");

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[
    &LEFT,
    &NOTE_LEFT,
    &NOTE_GONE,
    &LEFT_BY,
    &DELETE_ATTEMPTS,
    &DELETE_TRANSITIONS,
    &BEGIN,
    &END,
    &RAN,
    &OF_JOB,
    &APPEND,
    &TRANSITIONS,
];

/// The statement which notes that an attempt begins on a node.
#[must_use]
pub fn begin(uid: Uid, job: &Job, worker: Id<Worker>, node: &str, at: Timestamp) -> Statement {
    (&BEGIN, vec![uid.into(), job.id.into(), job.attempt.into(), worker.into(), node.into(), at.into()])
}

/// Notes how an attempt ended; an attempt that has ended already stays as it is.
pub async fn end(
    tx: &mut Tx,
    job: Id<Job>,
    attempt: i64,
    state: &str,
    exit_code: Option<i64>,
    at: Timestamp,
) -> Result<()> {
    tx.exec(&END, &[job.into(), attempt.into(), state.into(), exit_code.into(), at.into()]).await.map(drop)
}

/// An attempt of which something may still run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftBy {
    pub job_id: Id<Job>,
    pub attempt: i64,
}

record!(LeftBy { job_id, attempt });

/// Whether a process of any attempt did not answer its KILL and is not known to be gone.
pub async fn process_left(tx: &mut Tx, job: Id<Job>) -> Result<bool> {
    tx.one(&LEFT, &[job.into()]).await
}

/// A process of the attempt does not answer its KILL.
pub async fn note_left(tx: &mut Tx, job: Id<Job>, attempt: i64) -> Result<()> {
    tx.exec(&NOTE_LEFT, &[job.into(), attempt.into()]).await.map(drop)
}

/// It is gone. `false`: nothing was known to be left.
pub async fn note_gone(tx: &mut Tx, job: Id<Job>, attempt: i64) -> Result<bool> {
    Ok(tx.exec(&NOTE_GONE, &[job.into(), attempt.into()]).await? > 0)
}

/// What a worker is known to have left.
pub async fn left_by(db: &Db, worker: Id<Worker>) -> Result<Vec<LeftBy>> {
    db.query(&LEFT_BY, &[worker.into()]).await
}

/// Removes the attempts of a job that goes.
pub async fn delete(tx: &mut Tx, job: Id<Job>) -> Result<()> {
    tx.exec(&DELETE_ATTEMPTS, &[job.into()]).await.map(drop)
}

/// Removes the history of a job that goes.
pub async fn delete_history(tx: &mut Tx, job: Id<Job>) -> Result<()> {
    tx.exec(&DELETE_TRANSITIONS, &[job.into()]).await.map(drop)
}

/// Notes the image that an attempt runs in.
pub async fn ran(tx: &mut Tx, job: Id<Job>, attempt: i64, image: &str, digest: &str) -> Result<()> {
    tx.exec(&RAN, &[job.into(), attempt.into(), image.into(), digest.into()]).await.map(drop)
}

pub async fn of_job(db: &Db, job: Id<Job>) -> Result<Vec<Attempt>> {
    db.query(&OF_JOB, &[job.into()]).await
}

/// Appends a transition; the caller holds the job's lock, so numbers have no gaps.
pub async fn append_transition(
    tx: &mut Tx,
    job: Id<Job>,
    at: Timestamp,
    what: &str,
    state: State,
    actor: Option<&str>,
) -> Result<()> {
    let (sql, args) = transition(job, at, what, state, actor);
    tx.exec(sql, &args).await.map(drop)
}

/// The statement of [`append_transition`].
#[must_use]
pub fn transition(job: Id<Job>, at: Timestamp, what: &str, state: State, actor: Option<&str>) -> Statement {
    let columns = state.columns();
    let args = vec![
        job.into(),
        at.into(),
        what.into(),
        columns.state.into(),
        columns.stage.into(),
        columns.outcome.into(),
        actor.into(),
    ];
    (&APPEND, args)
}

pub async fn transitions(db: &Db, job: Id<Job>) -> Result<Vec<Transition>> {
    db.query(&TRANSITIONS, &[job.into()]).await
}
