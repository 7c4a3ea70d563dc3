//! The queue: one hot row per unfinished job. Its lock comes before everything else that touches the job.

use chandler_model::Id;
use chandler_model::jobs::{Hold, Job, JobKind};
use chandler_model::organizations::Organization;
use chandler_model::workers::{TagSet, Worker};
use jiff::Timestamp;

use crate::seam::{Catalogued, Db, Result, Sql, Tx, Value, record};

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

/// What must be known of a job before its row is locked: whose locks come first. It never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// Of its keys; none without keys.
    pub lane: Option<String>,
    pub parent_id: Option<Id<Job>>,
    pub kind: JobKind,
}

record!(Ground { lane, parent_id, kind });

/// A job that another one touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    pub job_id: Id<Job>,
    pub lane: Option<String>,
}

record!(Other { job_id, lane });

/// A job that may be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    job_id: Id<Job>,
    priority: i64,
}

record!(Candidate { job_id, priority });

static INSERT: Sql<()> = Sql::new(
    "INSERT INTO job_queue (job_id, lane, hold, priority, organization_id, family, kind, tag_set_id) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
);
static LOCK: Sql<Queued> = Sql::new("SELECT {columns} FROM job_queue WHERE job_id = $1 {for_update}");
static GROUND: Sql<Ground> =
    Sql::new("SELECT q.lane, j.parent_id, j.kind FROM job_queue q JOIN jobs j ON j.id = q.job_id WHERE q.job_id = $1");
/// One branch of a claim: an index holds exactly these rows in this order, and rows that another claim looks at are passed
/// over. A worker without a pool has pool 0.
macro_rules! branch {
    ($kind:literal, $more:literal) => {
        concat!(
            "SELECT {columns} FROM (SELECT {columns} FROM job_queue WHERE hold = 'ready' AND tag_set_id = $1 AND kind = ",
            $kind,
            " AND coalesce(pool_id, $2) = $2 ",
            $more,
            " ORDER BY priority, job_id LIMIT $3 {for_update} {skip_locked}) branch"
        )
    };
}

/// As many branches as [`BRANCHES`], in one question: each asked alone is another way to the server and back.
macro_rules! pick {
    ($more:literal) => {
        concat!(
            branch!("$4", $more),
            " UNION ALL ",
            branch!("$5", $more),
            " UNION ALL ",
            branch!("$6", $more),
            " UNION ALL ",
            branch!("$7", $more)
        )
    };
}

static PICK: Sql<Candidate> = Sql::new(pick!(""));
static PICK_OF_ORGANIZATION: Sql<Candidate> = Sql::new(pick!("AND organization_id = $8"));
static TAKE: Sql<Queued> = Sql::new(
    "UPDATE job_queue SET hold = 'claimed', attempt = attempt + 1, worker_id = $2, beat = 0, not_before = NULL \
     WHERE job_id IN {list:$1} RETURNING {columns}",
);
static UNFINISHED_CHILDREN: Sql<Other> = Sql::new(
    "SELECT q.job_id, q.lane FROM jobs j JOIN job_queue q ON q.job_id = j.id WHERE j.parent_id = $1 ORDER BY q.job_id",
);
static DEPENDENTS: Sql<Other> = Sql::new(
    "SELECT q.job_id, q.lane FROM jobs j JOIN job_queue q ON q.job_id = j.id WHERE j.needs_job_id = $1 ORDER BY q.job_id",
);
static CLAIMED: Sql<Queued> = Sql::new("SELECT {columns} FROM job_queue WHERE hold = 'claimed' ORDER BY job_id");
static BEAT: Sql<()> =
    Sql::new("UPDATE job_queue SET beat = $3 WHERE job_id = $1 AND attempt = $2 AND hold = 'claimed' AND beat < $3");
static HOLD: Sql<()> = Sql::new("UPDATE job_queue SET hold = $2, not_before = $3, worker_id = $4 WHERE job_id = $1");
static DELETE: Sql<()> = Sql::new("DELETE FROM job_queue WHERE job_id = $1");

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[
    &INSERT,
    &LOCK,
    &GROUND,
    &PICK,
    &PICK_OF_ORGANIZATION,
    &TAKE,
    &UNFINISHED_CHILDREN,
    &DEPENDENTS,
    &CLAIMED,
    &BEAT,
    &HOLD,
    &DELETE,
];

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

/// What a worker can take.
#[derive(Clone, Debug)]
pub struct Fit<'a> {
    pub worker: Id<Worker>,
    pub organization: Option<Id<Organization>>,
    /// The sets of tags that fit its own.
    pub tags: &'a [Id<TagSet>],
    pub kinds: &'a [JobKind],
}

/// Claims up to `limit` ready jobs that fit a worker, lowest priority number and id first; rows that somebody else
/// looks at are passed over. The rows come back by id.
pub async fn claim(tx: &mut Tx, fit: &Fit<'_>, limit: i64) -> Result<Vec<Queued>> {
    let mut candidates = Vec::new();
    for tags in fit.tags {
        for kinds in fit.kinds.chunks(BRANCHES) {
            let mut args = vec![tags.into(), NO_POOL.into(), limit.into()];
            args.extend(kinds.iter().map(|kind| Value::from(*kind)));
            args.resize(3 + BRANCHES, NO_KIND.into());
            candidates.extend(match fit.organization {
                None => tx.query(&PICK, &args).await?,
                Some(organization) => {
                    args.push(organization.into());
                    tx.query(&PICK_OF_ORGANIZATION, &args).await?
                }
            });
        }
    }
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    candidates.sort_by_key(|candidate| (candidate.priority, candidate.job_id));
    candidates.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let chosen = Value::list(candidates.iter().map(|candidate| candidate.job_id.get()));
    let mut claimed = tx.query(&TAKE, &[chosen, fit.worker.into()]).await?;
    claimed.sort_by_key(|row| row.job_id);
    Ok(claimed)
}

/// Stands for no pool.
const NO_POOL: i64 = 0;
/// Kinds that are looked for at once.
const BRANCHES: usize = 4;
/// What a branch looks for that has nothing to look for.
const NO_KIND: &str = "";

/// What must be locked before the row itself. `None`: the job has ended (or never was).
pub async fn ground(tx: &mut Tx, job: Id<Job>) -> Result<Option<Ground>> {
    tx.optional(&GROUND, &[job.into()]).await
}

/// The children of a job that have not ended, by id.
pub async fn unfinished_children(tx: &mut Tx, job: Id<Job>) -> Result<Vec<Other>> {
    tx.query(&UNFINISHED_CHILDREN, &[job.into()]).await
}

/// The unfinished jobs that need this one, by id.
pub async fn dependents(tx: &mut Tx, job: Id<Job>) -> Result<Vec<Other>> {
    tx.query(&DEPENDENTS, &[job.into()]).await
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
