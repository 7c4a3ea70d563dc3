//! Statements on environments. Lists go by `unit`, the number of a place (`docs/core/model.md` 7).

use chandler_model::credentials::Credential;
use chandler_model::environments::{Environment, Pull};
use chandler_model::ids::Selector;
use chandler_model::kinds::{Place, Unit, Visible};
use chandler_model::paging::PageRequest;
use chandler_model::run_spec::RunSpec;
use chandler_model::users::User;
use chandler_model::{Id, Json, Uid};
use jiff::Timestamp;
use sea_query::{Alias, Expr, ExprTrait, Order, Query};

use crate::seam::{Catalogued, Db, Record, Result, Sql, Tx, record};

record!(Environment {
    id,
    uid,
    created_at,
    updated_at,
    created_by,
    updated_by,
    version,
    scope,
    organization_id,
    name,
    description,
    image,
    pull,
    credential_id,
    managed,
    spec,
    pinned_digest,
    seen_digest,
    seen_at,
    update_count,
});

static BY_ID: Sql<Environment> = Sql::new("SELECT {columns} FROM environments WHERE id = $1");
static BY_UID: Sql<Environment> = Sql::new("SELECT {columns} FROM environments WHERE uid = $1");
static LOCK: Sql<Environment> = Sql::new("SELECT {columns} FROM environments WHERE id = $1 {for_update}");
static INSERT: Sql<Environment> = Sql::new(
    "INSERT INTO environments (uid, created_at, updated_at, created_by, updated_by, scope, organization_id, name, \
     description, image, pull, credential_id, managed, spec) \
     VALUES ($1, $2, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
     RETURNING {columns}",
);
static UPDATE: Sql<Environment> = Sql::new(
    "UPDATE environments SET name = $2, description = $3, image = $4, pull = $5, spec = $6, updated_at = $7, \
     updated_by = $8, pinned_digest = $9, seen_digest = $10, seen_at = $11, credential_id = $12, version = version + 1, \
     update_count = update_count + 1 WHERE id = $1 RETURNING {columns}",
);
// No edit by anybody: neither version nor update count moves.
static SEEN: Sql<()> = Sql::new("UPDATE environments SET seen_digest = $3, seen_at = $4 WHERE id = $1 AND image = $2");
static DELETE: Sql<()> = Sql::new("DELETE FROM environments WHERE id = $1");

static COUNT_WITH: Sql<i64> = Sql::new("SELECT count(*) FROM environments WHERE credential_id = $1");
static NAMES_WITH: Sql<String> =
    Sql::new("SELECT name FROM environments WHERE credential_id = $1 ORDER BY id LIMIT $2");
static DETACH: Sql<()> = Sql::new(
    "UPDATE environments SET credential_id = NULL, updated_at = $2, updated_by = $3, version = version + 1, \
     update_count = update_count + 1 WHERE credential_id = $1",
);

pub(crate) static STATEMENTS: &[&dyn Catalogued] =
    &[&BY_ID, &BY_UID, &LOCK, &INSERT, &UPDATE, &SEEN, &DELETE, &COUNT_WITH, &NAMES_WITH, &DETACH];

pub async fn find(db: &Db, selector: Selector<Environment>) -> Result<Option<Environment>> {
    match selector {
        Selector::Id(id) => db.optional(&BY_ID, &[id.into()]).await,
        Selector::Uid(uid) => db.optional(&BY_UID, &[uid.into()]).await,
    }
}

pub async fn lock(tx: &mut Tx, id: Id<Environment>) -> Result<Option<Environment>> {
    tx.optional(&LOCK, &[id.into()]).await
}

/// Which environments a list wants.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    pub unit: Option<Unit>,
    pub name: Option<&'a str>,
}

/// Up to `limit + 1` visible rows after the given id, by id.
pub async fn page(db: &Db, visible: &Visible, wanted: &Wanted<'_>, page: PageRequest) -> Result<Vec<Environment>> {
    let mut select = Query::select();
    select
        .columns(Environment::COLUMNS.iter().map(|column| Alias::new(*column)))
        .from(Alias::new("environments"))
        .and_where(Expr::col(Alias::new("id")).gt(page.after.unwrap_or(0)))
        .order_by(Alias::new("id"), Order::Asc)
        .limit(u64::from(page.limit) + 1);
    match visible {
        Visible::All => {}
        Visible::Nothing => return Ok(Vec::new()),
    }
    if let Some(unit) = wanted.unit {
        select.and_where(Expr::col(Alias::new("unit")).eq(unit.0));
    }
    if let Some(name) = wanted.name {
        select.and_where(Expr::col(Alias::new("name")).eq(name));
    }
    db.dynamic(select).await
}

/// What an environment is made of.
#[derive(Clone, Debug)]
pub struct NewEnvironment<'a> {
    pub by: Option<Id<User>>,
    pub place: Place,
    pub name: &'a str,
    pub description: Option<&'a str>,
    pub image: Option<&'a str>,
    pub pull: Option<Pull>,
    pub credential_id: Option<Id<Credential>>,
    pub managed: bool,
    pub spec: &'a Json<RunSpec>,
}

pub async fn insert(tx: &mut Tx, uid: Uid, at: Timestamp, row: &NewEnvironment<'_>) -> Result<Environment> {
    tx.one(
        &INSERT,
        &[
            uid.into(),
            at.into(),
            row.by.into(),
            row.place.scope().into(),
            row.place.organization().into(),
            row.name.into(),
            row.description.into(),
            row.image.into(),
            row.pull.into(),
            row.credential_id.into(),
            row.managed.into(),
            row.spec.into(),
        ],
    )
    .await
}

/// Writes the editable columns of a locked row; counts version and update count up.
pub async fn update(tx: &mut Tx, row: &Environment) -> Result<Environment> {
    tx.one(
        &UPDATE,
        &[
            row.id.into(),
            row.name.as_str().into(),
            row.description.as_deref().into(),
            row.image.as_deref().into(),
            row.pull.into(),
            (&row.spec).into(),
            row.updated_at.into(),
            row.updated_by.into(),
            row.pinned_digest.as_deref().into(),
            row.seen_digest.as_deref().into(),
            row.seen_at.into(),
            row.credential_id.into(),
        ],
    )
    .await
}

/// Notes what a job has really run under the environment's image; nothing if it names another image by now.
pub async fn seen(tx: &mut Tx, id: Id<Environment>, image: &str, digest: &str, at: Timestamp) -> Result<()> {
    tx.exec(&SEEN, &[id.into(), image.into(), digest.into(), at.into()]).await.map(drop)
}

/// Removes the row; what named it names nothing afterwards.
pub async fn delete(tx: &mut Tx, id: Id<Environment>) -> Result<()> {
    tx.exec(&DELETE, &[id.into()]).await.map(drop)
}

/// How many environments name a credential.
pub async fn count_with(tx: &mut Tx, credential: Id<Credential>) -> Result<i64> {
    tx.one(&COUNT_WITH, &[credential.into()]).await
}

/// The names of the first visible environments that name a credential.
pub async fn names_with(tx: &mut Tx, visible: &Visible, credential: Id<Credential>, most: i64) -> Result<Vec<String>> {
    match visible {
        Visible::All => tx.query(&NAMES_WITH, &[credential.into(), most.into()]).await,
        Visible::Nothing => Ok(Vec::new()),
    }
}

/// Takes a credential away from every environment that names it. Says of how many.
pub async fn detach(tx: &mut Tx, credential: Id<Credential>, at: Timestamp, by: Option<Id<User>>) -> Result<u64> {
    tx.exec(&DETACH, &[credential.into(), at.into(), by.into()]).await
}
