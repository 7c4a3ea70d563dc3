//! Statements on workspaces.

use chandler_model::ids::Selector;
use chandler_model::kinds::Visible;
use chandler_model::organizations::Organization;
use chandler_model::paging::PageRequest;
use chandler_model::users::User;
use chandler_model::workspaces::{Flavour, Workspace};
use chandler_model::{Id, Uid, names};
use jiff::Timestamp;
use sea_query::{Alias, Expr, ExprTrait, Order, Query};

use crate::seam::{Catalogued, Db, Record, Result, Sql, Tx, record};

record!(Workspace {
    id,
    uid,
    created_at,
    updated_at,
    created_by,
    updated_by,
    version,
    organization_id,
    flavour,
    name,
    description,
    locked,
    lock_note,
});

static BY_ID: Sql<Workspace> = Sql::new("SELECT {columns} FROM workspaces WHERE id = $1 AND deleted_at IS NULL");
static BY_UID: Sql<Workspace> = Sql::new("SELECT {columns} FROM workspaces WHERE uid = $1 AND deleted_at IS NULL");
static LOCK: Sql<Workspace> =
    Sql::new("SELECT {columns} FROM workspaces WHERE id = $1 AND deleted_at IS NULL {for_update}");
static KEEP: Sql<Workspace> =
    Sql::new("SELECT {columns} FROM workspaces WHERE id = $1 AND deleted_at IS NULL {for_key_share}");
static INSERT: Sql<Workspace> = Sql::new(
    "INSERT INTO workspaces (uid, created_at, updated_at, created_by, updated_by, organization_id, flavour, name, \
     name_key, description) VALUES ($1, $2, $2, $3, $3, $4, $5, $6, $7, $8) RETURNING {columns}",
);
static UPDATE: Sql<Workspace> = Sql::new(
    "UPDATE workspaces SET name = $2, name_key = $3, description = $4, locked = $5, lock_note = $6, updated_at = $7, \
     updated_by = $8, version = version + 1 WHERE id = $1 RETURNING {columns}",
);
static DELETE: Sql<()> = Sql::new("UPDATE workspaces SET deleted_at = $2, updated_at = $2 WHERE id = $1");
static UNFINISHED: Sql<bool> =
    Sql::new("SELECT EXISTS (SELECT 1 FROM job_queue q JOIN jobs j ON j.id = q.job_id WHERE j.workspace_id = $1)");

pub(crate) static STATEMENTS: &[&dyn Catalogued] =
    &[&BY_ID, &BY_UID, &LOCK, &KEEP, &INSERT, &UPDATE, &DELETE, &UNFINISHED];

pub async fn find(db: &Db, selector: Selector<Workspace>) -> Result<Option<Workspace>> {
    match selector {
        Selector::Id(id) => db.optional(&BY_ID, &[id.into()]).await,
        Selector::Uid(uid) => db.optional(&BY_UID, &[uid.into()]).await,
    }
}

/// Reads the row for change.
pub async fn lock(tx: &mut Tx, id: Id<Workspace>) -> Result<Option<Workspace>> {
    tx.optional(&LOCK, &[id.into()]).await
}

/// Keeps a living workspace from being deleted before this transaction ends.
pub async fn keep(tx: &mut Tx, id: Id<Workspace>) -> Result<Option<Workspace>> {
    tx.optional(&KEEP, &[id.into()]).await
}

/// What a workspace is made of.
#[derive(Clone, Debug)]
pub struct NewWorkspace<'a> {
    pub by: Option<Id<User>>,
    pub organization: Id<Organization>,
    pub flavour: Flavour,
    pub name: &'a str,
    pub description: Option<&'a str>,
}

pub async fn insert(tx: &mut Tx, uid: Uid, at: Timestamp, new: &NewWorkspace<'_>) -> Result<Workspace> {
    let args = [
        uid.into(),
        at.into(),
        new.by.into(),
        new.organization.into(),
        new.flavour.into(),
        new.name.into(),
        names::fold(new.name).into(),
        new.description.into(),
    ];
    tx.one(&INSERT, &args).await
}

/// Writes the editable columns of a locked row; counts the version up.
pub async fn update(tx: &mut Tx, row: &Workspace) -> Result<Workspace> {
    let args = [
        row.id.into(),
        row.name.as_str().into(),
        names::fold(&row.name).into(),
        row.description.as_deref().into(),
        row.locked.into(),
        row.lock_note.as_deref().into(),
        row.updated_at.into(),
        row.updated_by.into(),
    ];
    tx.one(&UPDATE, &args).await
}

/// Marks a locked row as deleted. Its states stay.
pub async fn delete(tx: &mut Tx, id: Id<Workspace>, at: Timestamp) -> Result<()> {
    tx.exec(&DELETE, &[id.into(), at.into()]).await.map(drop)
}

/// Whether a job of it has not ended.
pub async fn has_unfinished_jobs(tx: &mut Tx, id: Id<Workspace>) -> Result<bool> {
    tx.one(&UNFINISHED, &[id.into()]).await
}

/// Which workspaces a list wants.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    pub organization: Option<Id<Organization>>,
    pub name: Option<&'a str>,
}

/// Up to `limit + 1` visible rows after the given id, by id.
pub async fn page(db: &Db, visible: &Visible, wanted: &Wanted<'_>, page: PageRequest) -> Result<Vec<Workspace>> {
    let mut select = Query::select();
    select
        .columns(Workspace::COLUMNS.iter().map(|column| Alias::new(*column)))
        .from(Alias::new("workspaces"))
        .and_where(Expr::col(Alias::new("deleted_at")).is_null())
        .and_where(Expr::col(Alias::new("id")).gt(page.after.unwrap_or(0)))
        .order_by(Alias::new("id"), Order::Asc)
        .limit(u64::from(page.limit) + 1);
    match visible {
        Visible::All => {}
        Visible::Nothing => return Ok(Vec::new()),
    }
    if let Some(organization) = wanted.organization {
        select.and_where(Expr::col(Alias::new("organization_id")).eq(organization.get()));
    }
    if let Some(name) = wanted.name {
        select.and_where(Expr::col(Alias::new("name")).eq(name));
    }
    db.dynamic(select).await
}
