//! Statements on the versions of a workspace's state. Whoever writes holds the lock `state:<workspace>`.

use chandler_model::jobs::Job;
use chandler_model::users::User;
use chandler_model::workspaces::{Origin, StateVersion, Workspace};
use chandler_model::{Id, Uid};
use jiff::Timestamp;

use crate::blobs::Blob;
use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

record!(StateVersion { id, uid, created_at, created_by, workspace_id, serial, lineage, job_id, attempt, origin, size });

/// A version as the engine weighs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub id: Id<StateVersion>,
    pub job_id: Option<Id<Job>>,
    pub attempt: Option<i64>,
    pub beat: Option<i64>,
    /// Tells contents apart.
    pub sha256: Option<String>,
    pub blob_id: Option<Id<Blob>>,
}

record!(Held { id, job_id, attempt, beat, sha256, blob_id });

static CURRENT: Sql<Held> = Sql::new(
    "SELECT {columns} FROM state_versions WHERE workspace_id = $1 AND status = 'final' AND origin <> 'recovered' \
     ORDER BY id DESC LIMIT 1",
);
static OF_ATTEMPT: Sql<Held> = Sql::new(
    "SELECT {columns} FROM state_versions WHERE job_id = $1 AND attempt = $2 AND origin = $3 ORDER BY id DESC LIMIT 1",
);
static LAST_BEAT: Sql<Option<i64>> =
    Sql::new("SELECT max(beat) FROM state_versions WHERE job_id = $1 AND attempt = $2");
static INSERT: Sql<i64> = Sql::new(
    "INSERT INTO state_versions (uid, created_at, created_by, workspace_id, serial, lineage, sha256, size, blob_id, \
     job_id, attempt, beat, status, origin) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'final', $13) \
     RETURNING id",
);
static REPLACE: Sql<()> = Sql::new(
    "UPDATE state_versions SET created_at = $2, serial = $3, lineage = $4, sha256 = $5, size = $6, blob_id = $7, beat = $8 \
     WHERE id = $1",
);
static TAKE_AS_BASE: Sql<()> = Sql::new("UPDATE jobs SET base_state_id = $2, base_turn = $3 WHERE id = $1");
static BASE: Sql<Base> = Sql::new("SELECT {columns} FROM jobs WHERE id = $1");
static TAKEN_SINCE: Sql<bool> =
    Sql::new("SELECT EXISTS (SELECT 1 FROM jobs WHERE workspace_id = $1 AND base_turn > $2 AND id <> $3)");
static LIST: Sql<StateVersion> = Sql::new(
    "SELECT {columns} FROM state_versions WHERE workspace_id = $1 AND status = 'final' AND id < $2 \
     ORDER BY id DESC LIMIT $3",
);
static FIND: Sql<StateVersion> = Sql::new("SELECT {columns} FROM state_versions WHERE id = $1");
static BLOB_OF: Sql<Option<i64>> = Sql::new("SELECT blob_id FROM state_versions WHERE id = $1");

pub(crate) static STATEMENTS: &[&dyn Catalogued] =
    &[&CURRENT, &OF_ATTEMPT, &LAST_BEAT, &INSERT, &REPLACE, &TAKE_AS_BASE, &BASE, &TAKEN_SINCE, &LIST, &FIND, &BLOB_OF];

/// What a job started from, and when in the order of turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    pub attempt: i64,
    pub base_state_id: Option<Id<StateVersion>>,
    pub base_turn: Option<i64>,
}

record!(Base { attempt, base_state_id, base_turn });

/// What a version is made of.
#[derive(Clone, Debug)]
pub struct New<'a> {
    pub by: Option<Id<User>>,
    pub workspace: Id<Workspace>,
    pub serial: Option<i64>,
    pub lineage: Option<&'a str>,
    pub sha256: &'a str,
    /// Bytes in clear.
    pub size: i64,
    pub blob: Id<Blob>,
    pub job: Option<(Id<Job>, i64, i64)>,
    pub origin: Origin,
}

/// The version that the next job starts from.
pub async fn current(tx: &mut Tx, workspace: Id<Workspace>) -> Result<Option<Held>> {
    tx.optional(&CURRENT, &[workspace.into()]).await
}

/// What an attempt has handed in with this outcome.
pub async fn of_attempt(tx: &mut Tx, job: Id<Job>, attempt: i64, origin: Origin) -> Result<Option<Held>> {
    tx.optional(&OF_ATTEMPT, &[job.into(), attempt.into(), origin.into()]).await
}

/// The latest beat with which an attempt has handed something in.
pub async fn last_beat(tx: &mut Tx, job: Id<Job>, attempt: i64) -> Result<Option<i64>> {
    tx.one(&LAST_BEAT, &[job.into(), attempt.into()]).await
}

pub async fn insert(tx: &mut Tx, uid: Uid, at: Timestamp, new: &New<'_>) -> Result<Id<StateVersion>> {
    let (job, attempt, beat) = match new.job {
        Some((job, attempt, beat)) => (Some(job), Some(attempt), Some(beat)),
        None => (None, None, None),
    };
    let args = [
        uid.into(),
        at.into(),
        new.by.into(),
        new.workspace.into(),
        new.serial.into(),
        new.lineage.into(),
        new.sha256.into(),
        new.size.into(),
        new.blob.into(),
        job.into(),
        attempt.into(),
        beat.into(),
        new.origin.into(),
    ];
    Ok(Id::new(tx.one(&INSERT, &args).await?))
}

/// The same attempt has handed in a later one.
pub async fn replace(tx: &mut Tx, id: Id<StateVersion>, at: Timestamp, beat: i64, new: &New<'_>) -> Result<()> {
    let args = [
        id.into(),
        at.into(),
        new.serial.into(),
        new.lineage.into(),
        new.sha256.into(),
        new.size.into(),
        new.blob.into(),
        beat.into(),
    ];
    tx.exec(&REPLACE, &args).await.map(drop)
}

/// A job starts from this version.
pub async fn take_as_base(tx: &mut Tx, job: Id<Job>, base: Option<Id<StateVersion>>, turn: i64) -> Result<()> {
    tx.exec(&TAKE_AS_BASE, &[job.into(), base.into(), turn.into()]).await.map(drop)
}

pub async fn base(tx: &mut Tx, job: Id<Job>) -> Result<Option<Base>> {
    tx.optional(&BASE, &[job.into()]).await
}

/// Whether another job of the workspace has taken its base after this turn.
pub async fn taken_since(tx: &mut Tx, workspace: Id<Workspace>, turn: i64, job: Id<Job>) -> Result<bool> {
    tx.one(&TAKEN_SINCE, &[workspace.into(), turn.into(), job.into()]).await
}

/// Versions of a workspace before an id, newest first, one more than `limit`.
pub async fn list(db: &Db, workspace: Id<Workspace>, before: i64, limit: i64) -> Result<Vec<StateVersion>> {
    db.query(&LIST, &[workspace.into(), before.into(), (limit + 1).into()]).await
}

pub async fn find(db: &Db, id: Id<StateVersion>) -> Result<Option<StateVersion>> {
    db.optional(&FIND, &[id.into()]).await
}

/// Where the content of a version lies.
pub async fn blob_of(db: &Db, id: Id<StateVersion>) -> Result<Option<Id<Blob>>> {
    Ok(db.optional(&BLOB_OF, &[id.into()]).await?.flatten().map(Id::new))
}
