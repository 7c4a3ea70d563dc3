//! Statements on the types of credentials.

use chandler_model::Uid;
use chandler_model::credentials::{CredentialType, InputSchema, Namespace, TypeKind};
use chandler_model::ids::Selector;
use chandler_model::kinds::Visible;
use chandler_model::paging::PageRequest;
use chandler_model::{Id, Json, RawJson};
use jiff::Timestamp;

use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

record!(CredentialType { id, uid, created_at, updated_at, version, name, kind, namespace, managed, inputs });

static BY_ID: Sql<CredentialType> = Sql::new("SELECT {columns} FROM credential_types WHERE id = $1");
static BY_UID: Sql<CredentialType> = Sql::new("SELECT {columns} FROM credential_types WHERE uid = $1");
static BY_NAMESPACE: Sql<CredentialType> = Sql::new("SELECT {columns} FROM credential_types WHERE namespace = $1");
static PAGE: Sql<CredentialType> =
    Sql::new("SELECT {columns} FROM credential_types WHERE id > $1 ORDER BY id LIMIT $2");
static INSERT: Sql<()> = Sql::new(
    "INSERT INTO credential_types (uid, created_at, updated_at, name, kind, namespace, managed, inputs, injectors) \
     VALUES ($1, $2, $2, $3, $4, $5, $6, $7, $8)",
);

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&BY_ID, &BY_UID, &BY_NAMESPACE, &PAGE, &INSERT];

pub async fn find(db: &Db, selector: Selector<CredentialType>) -> Result<Option<CredentialType>> {
    match selector {
        Selector::Id(id) => db.optional(&BY_ID, &[id.into()]).await,
        Selector::Uid(uid) => db.optional(&BY_UID, &[uid.into()]).await,
    }
}

/// The type of that id, inside a transaction.
pub async fn get(tx: &mut Tx, id: Id<CredentialType>) -> Result<Option<CredentialType>> {
    tx.optional(&BY_ID, &[id.into()]).await
}

/// The built-in type of that word.
pub async fn built_in(db: &Db, namespace: Namespace) -> Result<Option<CredentialType>> {
    db.optional(&BY_NAMESPACE, &[namespace.into()]).await
}

/// Up to `limit + 1` visible rows after the given id, by id.
pub async fn page(db: &Db, visible: &Visible, page: PageRequest) -> Result<Vec<CredentialType>> {
    match visible {
        Visible::All => {}
        Visible::Nothing => return Ok(Vec::new()),
    }
    db.query(&PAGE, &[page.after.unwrap_or(0).into(), (i64::from(page.limit) + 1).into()]).await
}

/// What a built-in type is made of.
#[derive(Clone, Debug)]
pub struct BuiltIn<'a> {
    pub name: &'a str,
    pub kind: TypeKind,
    pub namespace: Namespace,
    pub inputs: &'a Json<InputSchema>,
}

/// Makes a built-in type. None of them injects anything: each job asks for what it knows.
pub async fn insert(tx: &mut Tx, uid: Uid, at: Timestamp, new: &BuiltIn<'_>) -> Result<()> {
    tx.exec(
        &INSERT,
        &[
            uid.into(),
            at.into(),
            new.name.into(),
            new.kind.into(),
            new.namespace.into(),
            true.into(),
            new.inputs.into(),
            RawJson("{}".to_owned()).into(),
        ],
    )
    .await
    .map(drop)
}
