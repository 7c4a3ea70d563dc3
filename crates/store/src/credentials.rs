//! Statements on credentials. Sealed secrets leave this file only in [`Sealed`], for the core to open.

use chandler_model::credentials::{Credential, CredentialType, Inputs, Namespace};
use chandler_model::environments::Environment;
use chandler_model::ids::Selector;
use chandler_model::kinds::{Place, Unit, Visible};
use chandler_model::organizations::Organization;
use chandler_model::paging::PageRequest;
use chandler_model::users::User;
use chandler_model::{Id, Json, Uid, Word};
use jiff::Timestamp;
use sea_query::{Alias, Expr, ExprTrait, Order, Query};

use crate::seam::{Catalogued, Db, Record, Result, Sql, Tx, record};

record!(Credential {
    id,
    uid,
    created_at,
    updated_at,
    created_by,
    updated_by,
    version,
    scope,
    organization_id,
    private,
    owner_id,
    type_id,
    namespace,
    name,
    description,
    inputs,
    secrets,
    host,
    managed,
});

/// A credential with what is sealed of it.
#[derive(Clone)]
pub struct Sealed {
    pub id: Id<Credential>,
    pub uid: Uid,
    pub name: String,
    pub organization_id: Option<Id<Organization>>,
    pub namespace: Option<Namespace>,
    pub host: Option<String>,
    pub inputs: Json<Inputs>,
    pub sealed: Option<Vec<u8>>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

record!(Sealed { id, uid, name, organization_id, namespace, host, inputs, sealed });

// `typed_credentials` is the view of credentials with the word of their type.
static BY_ID: Sql<Credential> = Sql::new("SELECT {columns} FROM typed_credentials WHERE id = $1");
static BY_UID: Sql<Credential> = Sql::new("SELECT {columns} FROM typed_credentials WHERE uid = $1");
static LOCK: Sql<i64> = Sql::new("SELECT id FROM credentials WHERE id = $1 {for_update}");
static KEEP: Sql<i64> = Sql::new("SELECT id FROM credentials WHERE id = $1 {for_key_share}");
static SEALED: Sql<Sealed> = Sql::new("SELECT {columns} FROM typed_credentials WHERE id = $1");
static OF_ENVIRONMENT: Sql<Sealed> = Sql::new(
    "SELECT {columns:c} FROM environments e JOIN typed_credentials c ON c.id = e.credential_id WHERE e.id = $1",
);
static OF_HOST: Sql<Sealed> = Sql::new(
    "SELECT {columns} FROM typed_credentials WHERE host = $1 AND unit = $2 AND NOT private AND namespace = 'registry' \
     ORDER BY id",
);
static INSERT: Sql<i64> = Sql::new(
    "INSERT INTO credentials (uid, created_at, updated_at, created_by, updated_by, scope, organization_id, private, \
     owner_id, type_id, name, description, inputs, secrets, sealed, host) \
     VALUES ($1, $2, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id",
);
static UPDATE: Sql<()> = Sql::new(
    "UPDATE credentials SET name = $2, description = $3, inputs = $4, secrets = $5, sealed = coalesce($6, sealed), \
     host = $7, updated_at = $8, updated_by = $9, version = version + 1 WHERE id = $1",
);
static DELETE: Sql<()> = Sql::new("DELETE FROM credentials WHERE id = $1");

pub(crate) static STATEMENTS: &[&dyn Catalogued] =
    &[&BY_ID, &BY_UID, &LOCK, &KEEP, &SEALED, &OF_ENVIRONMENT, &OF_HOST, &INSERT, &UPDATE, &DELETE];

pub async fn find(db: &Db, selector: Selector<Credential>) -> Result<Option<Credential>> {
    match selector {
        Selector::Id(id) => db.optional(&BY_ID, &[id.into()]).await,
        Selector::Uid(uid) => db.optional(&BY_UID, &[uid.into()]).await,
    }
}

/// Reads the row for change: nobody else changes it before this transaction ends.
pub async fn lock(tx: &mut Tx, id: Id<Credential>) -> Result<Option<Credential>> {
    if tx.optional(&LOCK, &[id.into()]).await?.is_none() {
        return Ok(None);
    }
    tx.optional(&BY_ID, &[id.into()]).await
}

/// Keeps a credential from being deleted before this transaction ends. `false`: there is none.
pub async fn keep(tx: &mut Tx, id: Id<Credential>) -> Result<bool> {
    Ok(tx.optional(&KEEP, &[id.into()]).await?.is_some())
}

pub async fn sealed(tx: &mut Tx, id: Id<Credential>) -> Result<Option<Sealed>> {
    tx.optional(&SEALED, &[id.into()]).await
}

/// The one that an environment names.
pub async fn of_environment(tx: &mut Tx, id: Id<Environment>) -> Result<Option<Sealed>> {
    tx.optional(&OF_ENVIRONMENT, &[id.into()]).await
}

/// Those for a registry that lie in a place and belong to nobody alone, by id.
pub async fn of_host(tx: &mut Tx, host: &str, unit: Unit) -> Result<Vec<Sealed>> {
    tx.query(&OF_HOST, &[host.into(), unit.0.into()]).await
}

/// Which credentials a list wants.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    pub unit: Option<Unit>,
    pub namespace: Option<Namespace>,
    pub name: Option<&'a str>,
}

/// Up to `limit + 1` visible rows after the given id, by id.
pub async fn page(db: &Db, visible: &Visible, wanted: &Wanted<'_>, page: PageRequest) -> Result<Vec<Credential>> {
    let mut select = Query::select();
    select
        .columns(Credential::COLUMNS.iter().map(|column| Alias::new(*column)))
        .from(Alias::new("typed_credentials"))
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
    if let Some(namespace) = wanted.namespace {
        select.and_where(Expr::col(Alias::new("namespace")).eq(namespace.word()));
    }
    if let Some(name) = wanted.name {
        select.and_where(Expr::col(Alias::new("name")).eq(name));
    }
    db.dynamic(select).await
}

/// What a credential is made of.
#[derive(Clone, Debug)]
pub struct NewCredential<'a> {
    pub by: Option<Id<User>>,
    pub place: Place,
    /// Set: a private one of this person.
    pub owner: Option<Id<User>>,
    pub type_id: Id<CredentialType>,
    pub name: &'a str,
    pub description: Option<&'a str>,
    pub inputs: &'a Json<Inputs>,
    pub secrets: &'a Json<Vec<String>>,
    /// Sealed for this row's uid; none = no secret input is set.
    pub sealed: Option<&'a [u8]>,
    pub host: Option<&'a str>,
}

/// Makes a credential. `None` only if it vanished at once.
pub async fn insert(tx: &mut Tx, uid: Uid, at: Timestamp, new: &NewCredential<'_>) -> Result<Option<Credential>> {
    let id = tx
        .one(
            &INSERT,
            &[
                uid.into(),
                at.into(),
                new.by.into(),
                new.place.scope().into(),
                new.place.organization().into(),
                new.owner.is_some().into(),
                new.owner.into(),
                new.type_id.into(),
                new.name.into(),
                new.description.into(),
                new.inputs.into(),
                new.secrets.into(),
                new.sealed.into(),
                new.host.into(),
            ],
        )
        .await?;
    tx.optional(&BY_ID, &[id.into()]).await
}

/// Writes the editable columns of a locked row and counts its version up; `sealed` none = what is sealed stays.
pub async fn update(tx: &mut Tx, row: &Credential, sealed: Option<&[u8]>) -> Result<Option<Credential>> {
    tx.exec(
        &UPDATE,
        &[
            row.id.into(),
            row.name.as_str().into(),
            row.description.as_deref().into(),
            (&row.inputs).into(),
            (&row.secrets).into(),
            sealed.into(),
            row.host.as_deref().into(),
            row.updated_at.into(),
            row.updated_by.into(),
        ],
    )
    .await?;
    tx.optional(&BY_ID, &[row.id.into()]).await
}

/// Removes the row. What names it has to be detached before.
pub async fn delete(tx: &mut Tx, id: Id<Credential>) -> Result<()> {
    tx.exec(&DELETE, &[id.into()]).await.map(drop)
}
