//! Statements on templates and their revisions. A template is read together with its active revision's content.

use chandler_model::environments::Environment;
use chandler_model::ids::Selector;
use chandler_model::kinds::Visible;
use chandler_model::organizations::Organization;
use chandler_model::paging::PageRequest;
use chandler_model::templates::{Template, TemplateKind, TemplateRevision, TemplateSpec};
use chandler_model::users::User;
use chandler_model::{Id, Json, Uid, names};
use jiff::Timestamp;
use sea_query::{Alias, Expr, ExprTrait, Order, Query};

use crate::seam::{Catalogued, Db, Record, Result, Sql, Tx, record};

record!(Template {
    id,
    uid,
    created_at,
    updated_at,
    created_by,
    updated_by,
    version,
    organization_id,
    kind,
    name,
    description,
    environment_id,
    active_revision_id,
    spec,
});

// `living_templates` is the view of templates with the content of their active revision.
static BY_ID: Sql<Template> = Sql::new("SELECT {columns} FROM living_templates WHERE id = $1");
static BY_UID: Sql<Template> = Sql::new("SELECT {columns} FROM living_templates WHERE uid = $1");
static LOCK: Sql<i64> = Sql::new("SELECT id FROM templates WHERE id = $1 AND deleted_at IS NULL {for_update}");
static KEEP: Sql<i64> = Sql::new("SELECT id FROM templates WHERE id = $1 AND deleted_at IS NULL {for_key_share}");
static DRAW_ID: Sql<i64> = Sql::new("INSERT INTO unified_ids (kind) VALUES ('template') RETURNING id");
static INSERT: Sql<()> = Sql::new(
    "INSERT INTO templates (id, uid, created_at, updated_at, created_by, updated_by, organization_id, kind, name, \
     name_key, description, environment_id) VALUES ($1, $2, $3, $3, $4, $4, $5, $6, $7, $8, $9, $10)",
);
static INSERT_REVISION: Sql<i64> = Sql::new(
    "INSERT INTO template_revisions (uid, created_at, updated_at, created_by, updated_by, template_id, \
     organization_id, name, spec) VALUES ($1, $2, $2, $3, $3, $4, $5, $6, $7) RETURNING id",
);
static REVISIONS: Sql<i64> = Sql::new("SELECT count(*) FROM template_revisions WHERE template_id = $1");
static ACTIVATE: Sql<()> = Sql::new("UPDATE templates SET active_revision_id = $2 WHERE id = $1");
static UPDATE: Sql<()> = Sql::new(
    "UPDATE templates SET name = $2, name_key = $3, description = $4, environment_id = $5, updated_at = $6, \
     updated_by = $7, version = version + 1 WHERE id = $1",
);
static DELETE_REVISIONS: Sql<()> = Sql::new("DELETE FROM template_revisions WHERE template_id = $1");
static DELETE: Sql<()> = Sql::new("DELETE FROM templates WHERE id = $1");

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[
    &BY_ID,
    &BY_UID,
    &LOCK,
    &KEEP,
    &DRAW_ID,
    &INSERT,
    &INSERT_REVISION,
    &REVISIONS,
    &ACTIVATE,
    &UPDATE,
    &DELETE_REVISIONS,
    &DELETE,
];

pub async fn find(db: &Db, selector: Selector<Template>) -> Result<Option<Template>> {
    match selector {
        Selector::Id(id) => db.optional(&BY_ID, &[id.into()]).await,
        Selector::Uid(uid) => db.optional(&BY_UID, &[uid.into()]).await,
    }
}

/// Reads the row for change: nobody else changes it before this transaction ends.
pub async fn lock(tx: &mut Tx, id: Id<Template>) -> Result<Option<Template>> {
    if tx.optional(&LOCK, &[id.into()]).await?.is_none() {
        return Ok(None);
    }
    tx.optional(&BY_ID, &[id.into()]).await
}

/// Keeps a living template from being deleted before this transaction ends. `false`: there is none.
pub async fn keep(tx: &mut Tx, id: Id<Template>) -> Result<bool> {
    Ok(tx.optional(&KEEP, &[id.into()]).await?.is_some())
}

/// Which templates a list wants.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    pub organization: Option<Id<Organization>>,
    pub name: Option<&'a str>,
}

/// Up to `limit + 1` visible rows after the given id, by id.
pub async fn page(db: &Db, visible: &Visible, wanted: &Wanted<'_>, page: PageRequest) -> Result<Vec<Template>> {
    let mut select = Query::select();
    select
        .columns(Template::COLUMNS.iter().map(|column| Alias::new(*column)))
        .from(Alias::new("living_templates"))
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

/// What a template is made of.
#[derive(Clone, Debug)]
pub struct NewTemplate<'a> {
    pub by: Option<Id<User>>,
    pub organization_id: Id<Organization>,
    pub kind: TemplateKind,
    pub name: &'a str,
    pub description: Option<&'a str>,
    pub environment_id: Option<Id<Environment>>,
    pub spec: &'a Json<TemplateSpec>,
}

/// Makes a template with its first revision.
pub async fn insert(tx: &mut Tx, uids: (Uid, Uid), at: Timestamp, new: &NewTemplate<'_>) -> Result<Template> {
    let id = Id::new(tx.one(&DRAW_ID, &[]).await?);
    tx.exec(
        &INSERT,
        &[
            id.into(),
            uids.0.into(),
            at.into(),
            new.by.into(),
            new.organization_id.into(),
            new.kind.into(),
            new.name.into(),
            names::fold(new.name).into(),
            new.description.into(),
            new.environment_id.into(),
        ],
    )
    .await?;
    let revision = NewRevision { uid: uids.1, at, by: new.by, template: id, organization: new.organization_id };
    revise(tx, &revision, new.spec).await?;
    tx.one(&BY_ID, &[id.into()]).await
}

/// What a revision belongs to.
#[derive(Clone, Copy, Debug)]
pub struct NewRevision {
    pub uid: Uid,
    pub at: Timestamp,
    pub by: Option<Id<User>>,
    pub template: Id<Template>,
    pub organization: Id<Organization>,
}

/// Appends a revision (named by its number) to a locked template and makes it the active one.
pub async fn revise(tx: &mut Tx, new: &NewRevision, spec: &Json<TemplateSpec>) -> Result<Id<TemplateRevision>> {
    let number = tx.one(&REVISIONS, &[new.template.into()]).await? + 1;
    let args = [
        new.uid.into(),
        new.at.into(),
        new.by.into(),
        new.template.into(),
        new.organization.into(),
        number.to_string().into(),
        spec.into(),
    ];
    let revision = Id::new(tx.one(&INSERT_REVISION, &args).await?);
    tx.exec(&ACTIVATE, &[new.template.into(), revision.into()]).await?;
    Ok(revision)
}

/// Writes the editable columns of a locked row; counts the version up. The content changes by [`revise`] only.
pub async fn update(tx: &mut Tx, row: &Template) -> Result<Template> {
    tx.exec(
        &UPDATE,
        &[
            row.id.into(),
            row.name.as_str().into(),
            names::fold(&row.name).into(),
            row.description.as_deref().into(),
            row.environment_id.into(),
            row.updated_at.into(),
            row.updated_by.into(),
        ],
    )
    .await?;
    tx.one(&BY_ID, &[row.id.into()]).await
}

/// Removes a locked template and its revisions. Its jobs keep their snapshots.
pub async fn delete(tx: &mut Tx, id: Id<Template>) -> Result<()> {
    tx.exec(&ACTIVATE, &[id.into(), Option::<i64>::None.into()]).await?;
    tx.exec(&DELETE_REVISIONS, &[id.into()]).await?;
    tx.exec(&DELETE, &[id.into()]).await.map(drop)
}
