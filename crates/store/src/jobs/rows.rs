//! The job rows themselves.

use chandler_model::ids::Selector;
use chandler_model::jobs::{Intent, Job, JobFamily, JobKind, LaunchType, Snapshot, State};
use chandler_model::kinds::{Dialect, Visible};
use chandler_model::organizations::Organization;
use chandler_model::paging::PageRequest;
use chandler_model::templates::{Template, TemplateRevision};
use chandler_model::users::User;
use chandler_model::workers::TagSet;
use chandler_model::workspaces::Workspace;
use chandler_model::{Id, Json, Uid, Word, environments::Environment};
use jiff::Timestamp;
use sea_query::{Alias, Cond, Expr, ExprTrait, Order, Query};

use super::Statement;
use crate::seam::{Catalogued, Db, Error, Record, Result, Row, Sql, Tx, Value, record};

// Written out because five columns form one `State`.
impl Record for Job {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "uid",
        "created_at",
        "updated_at",
        "family",
        "kind",
        "organization_id",
        "template_id",
        "revision_id",
        "environment_id",
        "workspace_id",
        "parent_id",
        "needs_job_id",
        "initiator_id",
        "dialect",
        "launch_type",
        "name",
        "intent",
        "priority",
        "error",
        "exit_code",
        "retries_left",
        "returns",
        "attempt",
        "worker_id",
        "started_at",
        "finished_at",
        "cancel_requested_at",
        "canceler",
        "delete_requested_at",
        "deleted_at",
        "base_state_id",
        "events_complete",
        "log_bytes",
        "log_lines",
        "log_truncated",
        "image",
        "digest",
        "snapshot",
        "state",
        "stage",
        "stop_for",
        "waiting_for",
        "outcome",
    ];

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            uid: row.get(1)?,
            created_at: row.get(2)?,
            updated_at: row.get(3)?,
            family: row.get(4)?,
            kind: row.get(5)?,
            organization_id: row.get(6)?,
            template_id: row.get(7)?,
            revision_id: row.get(8)?,
            environment_id: row.get(9)?,
            workspace_id: row.get(10)?,
            parent_id: row.get(11)?,
            needs_job_id: row.get(12)?,
            initiator_id: row.get(13)?,
            dialect: row.get(14)?,
            launch_type: row.get(15)?,
            name: row.get(16)?,
            intent: row.get(17)?,
            priority: row.get(18)?,
            error: row.get(19)?,
            exit_code: row.get(20)?,
            retries_left: row.get(21)?,
            returns: row.get(22)?,
            attempt: row.get(23)?,
            worker_id: row.get(24)?,
            started_at: row.get(25)?,
            finished_at: row.get(26)?,
            cancel_requested_at: row.get(27)?,
            canceler: row.get(28)?,
            delete_requested_at: row.get(29)?,
            deleted_at: row.get(30)?,
            base_state_id: row.get(31)?,
            events_complete: row.get(32)?,
            log_bytes: row.get(33)?,
            log_lines: row.get(34)?,
            log_truncated: row.get(35)?,
            image: row.get(36)?,
            digest: row.get(37)?,
            snapshot: row.get(38)?,
            state: read_state(row)?,
        })
    }
}

fn read_state(row: &Row<'_>) -> Result<State> {
    let state: String = row.get(39)?;
    let columns: [Option<String>; 4] = [row.get(40)?, row.get(41)?, row.get(42)?, row.get(43)?];
    let [stage, stop_for, waiting_for, outcome] = columns.each_ref().map(Option::as_deref);
    State::from_columns(&state, stage, stop_for, waiting_for, outcome)
        .ok_or_else(|| Error::Other(format!("jobs: columns {state} {columns:?} form no state").into()))
}

/// What a job is made of when it is submitted.
#[derive(Clone, Debug)]
pub struct NewJob<'a> {
    pub uid: Uid,
    pub at: Timestamp,
    pub family: JobFamily,
    pub kind: JobKind,
    pub organization_id: Option<Id<Organization>>,
    pub template_id: Option<Id<Template>>,
    pub revision_id: Option<Id<TemplateRevision>>,
    pub environment_id: Option<Id<Environment>>,
    pub workspace_id: Option<Id<Workspace>>,
    pub parent_id: Option<Id<Job>>,
    pub needs_job_id: Option<Id<Job>>,
    pub initiator_id: Option<Id<User>>,
    pub dialect: Dialect,
    pub launch_type: LaunchType,
    pub name: &'a str,
    pub intent: &'a Json<Intent>,
    /// Secrets of the launch, sealed for this row.
    pub sealed: Option<&'a [u8]>,
    pub tags: Id<TagSet>,
    pub priority: i64,
    pub retries_left: i64,
    pub snapshot: &'a Json<Snapshot>,
}

static BY_ID: Sql<Job> = Sql::new("SELECT {columns} FROM jobs WHERE id = $1");
static BY_UID: Sql<Job> = Sql::new("SELECT {columns} FROM jobs WHERE uid = $1");
static LOCK: Sql<Job> = Sql::new("SELECT {columns} FROM jobs WHERE id = $1 {for_update}");
static LOCK_ALL: Sql<Job> = Sql::new("SELECT {columns} FROM jobs WHERE id IN {list:$1} ORDER BY id {for_update}");
static INSERT: Sql<Job> = Sql::new(
    "INSERT INTO jobs (uid, created_at, updated_at, state_at, updated_by, family, kind, organization_id, template_id, \
     revision_id, environment_id, workspace_id, parent_id, needs_job_id, initiator_id, dialect, launch_type, name, \
     intent, sealed, tag_set_id, priority, retries_left, snapshot, state) \
     VALUES ($1, $2, $2, $2, $12, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
     $21, 'pending') RETURNING {columns}",
);
static MOVE: Sql<()> = Sql::new(
    "UPDATE jobs SET state = $2, stage = $3, stop_for = $4, waiting_for = $5, outcome = $6, error = $7, \
     exit_code = $8, retries_left = $9, returns = $10, attempt = $11, worker_id = $12, started_at = $13, \
     finished_at = $14, cancel_requested_at = $15, events_complete = $16, log_bytes = $17, log_lines = $18, \
     log_truncated = $19, snapshot = $20, canceler = $21, delete_requested_at = $22, deleted_at = $23, \
     sealed = CASE WHEN $16 THEN NULL ELSE sealed END, updated_at = $24, state_at = $24 WHERE id = $1",
);

static CHILDREN: Sql<Standings> =
    Sql::new("SELECT state, count(*) AS n FROM jobs WHERE parent_id = $1 GROUP BY state ORDER BY state");
static COMPLETE: Sql<bool> = Sql::new("SELECT events_complete FROM jobs WHERE id = $1");
static STATE: Sql<String> = Sql::new("SELECT state FROM jobs WHERE id = $1");
static SEALED: Sql<Sealed> = Sql::new("SELECT {columns} FROM jobs WHERE id = $1");
static WORKSPACE: Sql<Option<i64>> = Sql::new("SELECT workspace_id FROM jobs WHERE id = $1");
static DELETE: Sql<()> = Sql::new("DELETE FROM jobs WHERE id = $1");
static NO_LONGER_NEEDED: Sql<()> = Sql::new("UPDATE jobs SET needs_job_id = NULL WHERE needs_job_id = $1");

static RAN: Sql<()> = Sql::new("UPDATE jobs SET image = $2, digest = $3 WHERE id = $1");

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[
    &BY_ID,
    &BY_UID,
    &LOCK,
    &INSERT,
    &MOVE,
    &CHILDREN,
    &COMPLETE,
    &STATE,
    &SEALED,
    &WORKSPACE,
    &DELETE,
    &NO_LONGER_NEEDED,
    &RAN,
];

pub async fn find(db: &Db, selector: Selector<Job>) -> Result<Option<Job>> {
    match selector {
        Selector::Id(id) => db.optional(&BY_ID, &[id.into()]).await,
        Selector::Uid(uid) => db.optional(&BY_UID, &[uid.into()]).await,
    }
}

/// Reads rows for change, by id. The caller holds their queue rows already.
pub async fn lock_all(tx: &mut Tx, ids: impl IntoIterator<Item = Id<Job>>) -> Result<Vec<Job>> {
    tx.query(&LOCK_ALL, &[Value::list(ids.into_iter().map(Id::get))]).await
}

/// Reads the row for change. The caller holds the queue row of an unfinished job already.
pub async fn lock(tx: &mut Tx, id: Id<Job>) -> Result<Option<Job>> {
    tx.optional(&LOCK, &[id.into()]).await
}

/// Reads the row inside a transaction without locking it.
pub async fn peek(tx: &mut Tx, id: Id<Job>) -> Result<Option<Job>> {
    tx.optional(&BY_ID, &[id.into()]).await
}

pub async fn insert(tx: &mut Tx, new: &NewJob<'_>) -> Result<Job> {
    tx.one(
        &INSERT,
        &[
            new.uid.into(),
            new.at.into(),
            new.family.into(),
            new.kind.into(),
            new.organization_id.into(),
            new.template_id.into(),
            new.revision_id.into(),
            new.environment_id.into(),
            new.workspace_id.into(),
            new.parent_id.into(),
            new.needs_job_id.into(),
            new.initiator_id.into(),
            new.dialect.into(),
            new.launch_type.into(),
            new.name.into(),
            new.intent.into(),
            new.sealed.into(),
            new.tags.into(),
            new.priority.into(),
            new.retries_left.into(),
            new.snapshot.into(),
        ],
    )
    .await
}

/// How many children stand in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standings {
    pub state: String,
    pub n: i64,
}

record!(Standings { state, n });

/// The secrets of a launch, as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub uid: Uid,
    pub sealed: Option<Vec<u8>>,
}

record!(Sealed { uid, sealed });

/// How the children of a job stand, by the word of their state.
pub async fn children(tx: &mut Tx, parent: Id<Job>) -> Result<Vec<Standings>> {
    tx.query(&CHILDREN, &[parent.into()]).await
}

/// Whether nothing will be added to the job's log. `None`: there is no such job.
pub async fn events_complete(db: &Db, id: Id<Job>) -> Result<Option<bool>> {
    db.optional(&COMPLETE, &[id.into()]).await
}

/// The word of a job's state.
pub async fn state(tx: &mut Tx, id: Id<Job>) -> Result<Option<String>> {
    tx.optional(&STATE, &[id.into()]).await
}

/// The secrets that were given at the launch, sealed for the row of this uid.
pub async fn sealed(tx: &mut Tx, id: Id<Job>) -> Result<Option<Sealed>> {
    tx.optional(&SEALED, &[id.into()]).await
}

/// The workspace of a job; it never changes.
pub async fn workspace(tx: &mut Tx, id: Id<Job>) -> Result<Option<Id<Workspace>>> {
    Ok(tx.optional(&WORKSPACE, &[id.into()]).await?.flatten().map(Id::new))
}

/// Whoever needs this job, which has succeeded and goes, needs nothing more. The caller holds their queue rows.
pub async fn no_longer_needed(tx: &mut Tx, id: Id<Job>) -> Result<()> {
    tx.exec(&NO_LONGER_NEEDED, &[id.into()]).await.map(drop)
}

/// Removes the row alone.
pub async fn delete(tx: &mut Tx, id: Id<Job>) -> Result<()> {
    tx.exec(&DELETE, &[id.into()]).await.map(drop)
}

/// Writes where a locked job stands now; the secrets of its launch go when it has ended.
pub async fn write(tx: &mut Tx, job: &Job) -> Result<()> {
    let (sql, args) = moved(job);
    tx.exec(sql, &args).await.map(drop)
}

/// The statement of [`write`].
#[must_use]
pub fn moved(job: &Job) -> Statement {
    let columns = job.state.columns();
    let args = vec![
        job.id.into(),
        columns.state.into(),
        columns.stage.into(),
        columns.stop_for.into(),
        columns.waiting_for.into(),
        columns.outcome.into(),
        job.error.as_deref().into(),
        job.exit_code.into(),
        job.retries_left.into(),
        job.returns.into(),
        job.attempt.into(),
        job.worker_id.into(),
        job.started_at.into(),
        job.finished_at.into(),
        job.cancel_requested_at.into(),
        job.events_complete.into(),
        job.log_bytes.into(),
        job.log_lines.into(),
        job.log_truncated.into(),
        (&job.snapshot).into(),
        job.canceler.into(),
        job.delete_requested_at.into(),
        job.deleted_at.into(),
        job.updated_at.into(),
    ];
    (&MOVE, args)
}

/// Notes the image that a locked job runs in.
pub async fn ran(tx: &mut Tx, id: Id<Job>, image: &str, digest: &str) -> Result<()> {
    tx.exec(&RAN, &[id.into(), image.into(), digest.into()]).await.map(drop)
}

/// The column that tells jobs of one `state` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Stage,
    StopFor,
    WaitingFor,
    Outcome,
}

impl Part {
    const fn column(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::StopFor => "stop_for",
            Self::WaitingFor => "waiting_for",
            Self::Outcome => "outcome",
        }
    }
}

/// One line of what a dialect's word for a state means: a word of the `state` column and, where that is not all of it,
/// the words that another column must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub state: &'static str,
    pub only: Option<(Part, &'static [&'static str])>,
}

impl Standing {
    fn condition(&self) -> Expr {
        let state = Expr::col(Alias::new("state")).eq(self.state);
        match self.only {
            None => state,
            Some((part, words)) => state.and(Expr::col(Alias::new(part.column())).is_in(words.iter().copied())),
        }
    }
}

/// Which jobs a list wants.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub organization: Option<Id<Organization>>,
    pub template: Option<Id<Template>>,
    pub workspace: Option<Id<Workspace>>,
    pub kind: Option<JobKind>,
    /// Jobs that stand in one of these ways; no way at all fits none.
    pub standing: Option<&'static [Standing]>,
}

/// Up to `limit + 1` visible jobs before the given id, newest first.
pub async fn page(db: &Db, visible: &Visible, wanted: &Wanted, page: PageRequest) -> Result<Vec<Job>> {
    let mut select = Query::select();
    select
        .columns(Job::COLUMNS.iter().map(|column| Alias::new(*column)))
        .from(Alias::new("jobs"))
        // Deleted ones are only found by their own ids.
        .and_where(Expr::col(Alias::new("deleted_at")).is_null())
        .order_by(Alias::new("id"), Order::Desc)
        .limit(u64::from(page.limit) + 1);
    match visible {
        Visible::All => {}
        Visible::Nothing => return Ok(Vec::new()),
    }
    if let Some(before) = page.after {
        select.and_where(Expr::col(Alias::new("id")).lt(before));
    }
    let equals = [
        ("organization_id", wanted.organization.map(Id::get)),
        ("template_id", wanted.template.map(Id::get)),
        ("workspace_id", wanted.workspace.map(Id::get)),
    ];
    for (column, value) in equals {
        if let Some(value) = value {
            select.and_where(Expr::col(Alias::new(column)).eq(value));
        }
    }
    if let Some(kind) = wanted.kind {
        select.and_where(Expr::col(Alias::new("kind")).eq(kind.word()));
    }
    if let Some(ways) = wanted.standing {
        if ways.is_empty() {
            return Ok(Vec::new());
        }
        select.cond_where(ways.iter().fold(Cond::any(), |any, way| any.add(way.condition())));
    }
    db.dynamic(select).await
}
