//! Statements on organizations. "Living" means `deleted_at IS NULL`; nothing here reaches a deleted one.

use chandler_model::ids::Selector;
use chandler_model::kinds::{Kind, Visible};
use chandler_model::organizations::{Cluster, Organization};
use chandler_model::paging::PageRequest;
use chandler_model::users::User;
use chandler_model::{Id, Uid, names};
use jiff::Timestamp;

use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

record!(Organization {
    id,
    uid,
    created_at,
    updated_at,
    created_by,
    updated_by,
    version,
    name,
    title,
    slug,
    display_name,
    description,
    cluster_id,
    is_default,
    default_environment_id,
});

/// What an organization is made of.
#[derive(Clone, Debug)]
pub struct NewOrganization<'a> {
    pub uid: Uid,
    pub at: Timestamp,
    pub by: Option<Id<User>>,
    pub name: &'a str,
    pub title: &'a str,
    pub slug: &'a str,
    pub display_name: Option<&'a str>,
    pub description: Option<&'a str>,
    pub cluster_id: Id<Cluster>,
    pub is_default: bool,
}

static BY_ID: Sql<Organization> = Sql::new("SELECT {columns} FROM organizations WHERE id = $1 AND deleted_at IS NULL");
static BY_UID: Sql<Organization> =
    Sql::new("SELECT {columns} FROM organizations WHERE uid = $1 AND deleted_at IS NULL");
static BY_TITLE: Sql<Organization> =
    Sql::new("SELECT {columns} FROM organizations WHERE title = $1 AND deleted_at IS NULL");
static DEFAULT: Sql<Organization> = Sql::new("SELECT {columns} FROM organizations WHERE is_default");
static LOCK: Sql<Organization> =
    Sql::new("SELECT {columns} FROM organizations WHERE id = $1 AND deleted_at IS NULL {for_update}");
static PAGE: Sql<Organization> =
    Sql::new("SELECT {columns} FROM organizations WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2");
static DEPENDENTS: Sql<(i64, i64, i64, i64)> = Sql::new(
    "SELECT (SELECT count(*) FROM environments WHERE organization_id = $1), \
     (SELECT count(*) FROM credentials WHERE organization_id = $1), \
     (SELECT count(*) FROM templates WHERE live_organization_id = $1), \
     (SELECT count(*) FROM job_queue WHERE organization_id = $1)",
);
static INSERT: Sql<Organization> = Sql::new(
    "INSERT INTO organizations (uid, created_at, updated_at, created_by, updated_by, name, name_key, title, slug, \
     slug_key, display_name, description, cluster_id, is_default) \
     VALUES ($1, $2, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
     ON CONFLICT (slug_key) WHERE deleted_at IS NULL DO NOTHING RETURNING {columns}",
);
static UPDATE: Sql<Organization> = Sql::new(
    "UPDATE organizations SET name = $2, name_key = $3, title = $4, display_name = $5, description = $6, \
     default_environment_id = $7, updated_at = $8, updated_by = $9, version = version + 1 \
     WHERE id = $1 RETURNING {columns}",
);
static DELETE: Sql<()> = Sql::new(
    "UPDATE organizations SET deleted_at = $2, updated_at = $2, updated_by = $3, default_environment_id = NULL, \
     version = version + 1 WHERE id = $1",
);

pub(crate) static STATEMENTS: &[&dyn Catalogued] =
    &[&BY_ID, &BY_UID, &BY_TITLE, &DEFAULT, &LOCK, &PAGE, &DEPENDENTS, &INSERT, &UPDATE, &DELETE];

/// The living organization of that id or UUID.
pub async fn find(db: &Db, selector: Selector<Organization>) -> Result<Option<Organization>> {
    match selector {
        Selector::Id(id) => db.optional(&BY_ID, &[id.into()]).await,
        Selector::Uid(uid) => db.optional(&BY_UID, &[uid.into()]).await,
    }
}

/// The living organization of exactly that title.
pub async fn by_title(db: &Db, title: &str) -> Result<Option<Organization>> {
    db.optional(&BY_TITLE, &[title.into()]).await
}

/// The default organization; there is one as soon as the installation was bootstrapped.
pub async fn default(db: &Db) -> Result<Option<Organization>> {
    db.optional(&DEFAULT, &[]).await
}

/// Reads the row for change: nobody else changes it before this transaction ends.
pub async fn lock(tx: &mut Tx, id: Id<Organization>) -> Result<Option<Organization>> {
    tx.optional(&LOCK, &[id.into()]).await
}

/// Up to `limit + 1` visible rows after the given id, by id.
pub async fn page(db: &Db, visible: &Visible, page: PageRequest) -> Result<Vec<Organization>> {
    match visible {
        Visible::All => {}
        Visible::Nothing => return Ok(Vec::new()),
    }
    db.query(&PAGE, &[page.after.unwrap_or(0).into(), (i64::from(page.limit) + 1).into()]).await
}

/// What hangs on a locked organization and blocks its deletion: kinds with their counts, none of them zero.
pub async fn dependents(tx: &mut Tx, id: Id<Organization>) -> Result<Vec<(Kind, i64)>> {
    let (environments, credentials, templates, jobs) = tx.one(&DEPENDENTS, &[id.into()]).await?;
    let counts = [
        (Kind::Environment, environments),
        (Kind::Credential, credentials),
        (Kind::ScriptTemplate, templates),
        (Kind::ScriptJob, jobs),
    ];
    Ok(counts.into_iter().filter(|(_, n)| *n > 0).collect())
}

/// Makes an organization. `None`: a living one has that slug already; nothing was changed.
///
/// # Errors
/// `Unique` on `organizations_title` if a living one has that title.
pub async fn insert(tx: &mut Tx, new: &NewOrganization<'_>) -> Result<Option<Organization>> {
    tx.optional(
        &INSERT,
        &[
            new.uid.into(),
            new.at.into(),
            new.by.into(),
            new.name.into(),
            names::fold(new.name).into(),
            new.title.into(),
            new.slug.into(),
            names::fold(new.slug).into(),
            new.display_name.into(),
            new.description.into(),
            new.cluster_id.into(),
            new.is_default.into(),
        ],
    )
    .await
}

/// Writes the editable columns of a locked row; counts the version up.
pub async fn update(tx: &mut Tx, row: &Organization) -> Result<Organization> {
    tx.one(
        &UPDATE,
        &[
            row.id.into(),
            row.name.as_str().into(),
            names::fold(&row.name).into(),
            row.title.as_str().into(),
            row.display_name.as_deref().into(),
            row.description.as_deref().into(),
            row.default_environment_id.into(),
            row.updated_at.into(),
            row.updated_by.into(),
        ],
    )
    .await
}

/// Marks a locked row deleted. Its title and slug are free at once.
///
/// # Errors
/// `ForeignKey` while anything that must not outlive it still names it.
pub async fn delete(tx: &mut Tx, id: Id<Organization>, at: Timestamp, by: Option<Id<User>>) -> Result<()> {
    tx.exec(&DELETE, &[id.into(), at.into(), by.into()]).await.map(drop)
}
