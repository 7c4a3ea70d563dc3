//! Statements on the steps of jobs and on what steps leave.

use chandler_model::jobs::{Decision, Job, JobStep};
use chandler_model::{Id, Uid};

use crate::blobs::Blob;
use crate::seam::{Catalogued, Db, Record, Result, Row, Sql, Tx, record};

// Written out because three columns form one `Decision`.
impl Record for JobStep {
    const COLUMNS: &'static [&'static str] = &[
        "number",
        "name",
        "kind",
        "state",
        "needs_decision",
        "outcome",
        "started_at",
        "finished_at",
        "decision",
        "decided_by",
        "decided_at",
    ];

    fn read(row: &Row<'_>) -> Result<Self> {
        let decision = match (row.get(8)?, row.get(10)?) {
            (Some(verdict), Some(at)) => Some(Decision { verdict, by: row.get(9)?, at }),
            _ => None,
        };
        Ok(Self {
            number: row.get(0)?,
            name: row.get(1)?,
            kind: row.get(2)?,
            state: row.get(3)?,
            needs_decision: row.get(4)?,
            outcome: row.get(5)?,
            started_at: row.get(6)?,
            finished_at: row.get(7)?,
            decision,
        })
    }
}

/// A file that a step left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub step: i64,
    pub name: String,
    pub blob_id: Id<Blob>,
    /// Bytes in clear.
    pub size: i64,
}

record!(File { step, name, blob_id, size });

static INSERT: Sql<()> = Sql::new(
    "INSERT INTO job_steps (uid, job_id, number, name, kind, state, needs_decision) VALUES ($1, $2, $3, $4, $5, $6, $7)",
);
static UPDATE: Sql<()> = Sql::new(
    "UPDATE job_steps SET state = $3, decision = $4, decided_by = $5, decided_at = $6, outcome = $7, started_at = $8, \
     finished_at = $9 WHERE job_id = $1 AND number = $2",
);
static OF_JOB: Sql<JobStep> = Sql::new("SELECT {columns} FROM job_steps WHERE job_id = $1 ORDER BY number");
static FILE: Sql<File> = Sql::new("SELECT {columns} FROM job_files WHERE job_id = $1 AND step = $2 AND name = $3");
static FILES: Sql<File> = Sql::new("SELECT {columns} FROM job_files WHERE job_id = $1 ORDER BY step, name");
static PUT_FILE: Sql<()> = Sql::new(
    "INSERT INTO job_files (job_id, step, name, blob_id, size) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (job_id, step, name) DO UPDATE SET blob_id = excluded.blob_id, size = excluded.size",
);

static DELETE: Sql<()> = Sql::new("DELETE FROM job_steps WHERE job_id = $1");
static DELETE_FILES: Sql<()> = Sql::new("DELETE FROM job_files WHERE job_id = $1");

pub(crate) static STATEMENTS: &[&dyn Catalogued] =
    &[&INSERT, &UPDATE, &OF_JOB, &FILE, &FILES, &PUT_FILE, &DELETE, &DELETE_FILES];

pub async fn insert(tx: &mut Tx, job: Id<Job>, uid: Uid, step: &JobStep) -> Result<()> {
    let args = [
        uid.into(),
        job.into(),
        step.number.into(),
        step.name.as_str().into(),
        step.kind.into(),
        step.state.into(),
        step.needs_decision.into(),
    ];
    tx.exec(&INSERT, &args).await.map(drop)
}

/// Writes where a step of a locked job stands.
pub async fn update(tx: &mut Tx, job: Id<Job>, step: &JobStep) -> Result<()> {
    let decision = step.decision;
    let args = [
        job.into(),
        step.number.into(),
        step.state.into(),
        decision.map(|decision| decision.verdict).into(),
        decision.and_then(|decision| decision.by).into(),
        decision.map(|decision| decision.at).into(),
        step.outcome.into(),
        step.started_at.into(),
        step.finished_at.into(),
    ];
    tx.exec(&UPDATE, &args).await.map(drop)
}

/// The steps of a job, in order. Empty for a job without.
pub async fn of_job(tx: &mut Tx, job: Id<Job>) -> Result<Vec<JobStep>> {
    tx.query(&OF_JOB, &[job.into()]).await
}

/// The same to be looked at.
pub async fn list(db: &Db, job: Id<Job>) -> Result<Vec<JobStep>> {
    db.query(&OF_JOB, &[job.into()]).await
}

/// What the steps of a job left.
pub async fn files(db: &Db, job: Id<Job>) -> Result<Vec<File>> {
    db.query(&FILES, &[job.into()]).await
}

/// The same inside a transaction.
pub async fn files_of(tx: &mut Tx, job: Id<Job>) -> Result<Vec<File>> {
    tx.query(&FILES, &[job.into()]).await
}

pub async fn file(tx: &mut Tx, job: Id<Job>, step: i64, name: &str) -> Result<Option<File>> {
    tx.optional(&FILE, &[job.into(), step.into(), name.into()]).await
}

/// Notes a file of a step; one of the same name is replaced.
pub async fn put_file(tx: &mut Tx, job: Id<Job>, file: &File) -> Result<()> {
    let args = [job.into(), file.step.into(), file.name.as_str().into(), file.blob_id.into(), file.size.into()];
    tx.exec(&PUT_FILE, &args).await.map(drop)
}

/// Removes the steps of a job that goes, and their files. Whose blobs those were is told, because nothing points at
/// them any more.
pub async fn delete(tx: &mut Tx, job: Id<Job>) -> Result<Vec<Id<Blob>>> {
    let files = files_of(tx, job).await?;
    tx.exec(&DELETE_FILES, &[job.into()]).await?;
    tx.exec(&DELETE, &[job.into()]).await?;
    Ok(files.into_iter().map(|file| file.blob_id).collect())
}
