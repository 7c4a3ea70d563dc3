//! Statements on tokens. The secret itself never comes here: only its SHA-256 does.

use chandler_model::ids::Selector;
use chandler_model::kinds::Dialect;
use chandler_model::paging::PageRequest;
use chandler_model::tokens::{Token, TokenKind};
use chandler_model::users::{User, UserStatus};
use chandler_model::{Id, Uid};
use jiff::Timestamp;

use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

record!(Token { id, uid, created_at, kind, dialect, user_id, name, expires_at });

/// A token and its owner, as a request is checked against them.
#[derive(Clone, Debug)]
pub struct Presented {
    pub id: Id<Token>,
    pub dialect: Dialect,
    pub expires_at: Option<Timestamp>,
    pub user_id: Id<User>,
    pub login: String,
    pub status: UserStatus,
    /// Whether the owner himself holds the role that was asked about.
    pub holds: bool,
}

record!(Presented { id, dialect, expires_at, user_id, login, status, holds });

/// What a token is made of.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    pub uid: Uid,
    pub at: Timestamp,
    pub kind: TokenKind,
    pub dialect: Dialect,
    pub user_id: Id<User>,
    pub name: Option<&'a str>,
    pub secret_hash: &'a [u8],
    pub expires_at: Option<Timestamp>,
}

// Token, owner and what he holds in one statement, because every request begins with it.
static PRESENTED: Sql<Presented> = Sql::new(
    "SELECT t.id, t.dialect, t.expires_at, t.user_id, u.login, u.status, EXISTS (SELECT 1 FROM grants g \
     WHERE g.subject_key = 'u:' || u.id AND g.role_key = $2 AND g.scope_key = $3) AS holds \
     FROM tokens t JOIN users u ON u.id = t.user_id WHERE t.secret_hash = $1 AND u.deleted_at IS NULL",
);
static OF_USER: Sql<Token> =
    Sql::new("SELECT {columns} FROM tokens WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3");
static BY_ID: Sql<Token> = Sql::new("SELECT {columns} FROM tokens WHERE id = $1");
static BY_UID: Sql<Token> = Sql::new("SELECT {columns} FROM tokens WHERE uid = $1");
static INSERT: Sql<Token> = Sql::new(
    "INSERT INTO tokens (uid, created_at, updated_at, created_by, updated_by, kind, dialect, user_id, name, \
     secret_hash, expires_at) VALUES ($1, $2, $2, $5, $5, $3, $4, $5, $6, $7, $8) RETURNING {columns}",
);
static DELETE: Sql<()> = Sql::new("DELETE FROM tokens WHERE id = $1");
static DELETE_OF_USER: Sql<()> = Sql::new("DELETE FROM tokens WHERE user_id = $1");

pub(crate) static STATEMENTS: &[&dyn Catalogued] =
    &[&PRESENTED, &OF_USER, &BY_ID, &BY_UID, &INSERT, &DELETE, &DELETE_OF_USER];

/// The token with that secret hash, whatever its expiry and its owner's status, and whether the owner holds `role` in
/// `scope`.
pub async fn presented(db: &Db, secret_hash: &[u8], role: &str, scope: &str) -> Result<Option<Presented>> {
    db.optional(&PRESENTED, &[secret_hash.into(), role.into(), scope.into()]).await
}

/// Up to `limit + 1` tokens of one person, by id.
pub async fn of_user(db: &Db, user: Id<User>, page: PageRequest) -> Result<Vec<Token>> {
    let args = [user.into(), page.after.unwrap_or(0).into(), (i64::from(page.limit) + 1).into()];
    db.query(&OF_USER, &args).await
}

pub async fn find(db: &Db, selector: Selector<Token>) -> Result<Option<Token>> {
    match selector {
        Selector::Id(id) => db.optional(&BY_ID, &[id.into()]).await,
        Selector::Uid(uid) => db.optional(&BY_UID, &[uid.into()]).await,
    }
}

pub async fn insert(tx: &mut Tx, new: &NewToken<'_>) -> Result<Token> {
    tx.one(
        &INSERT,
        &[
            new.uid.into(),
            new.at.into(),
            new.kind.into(),
            new.dialect.into(),
            new.user_id.into(),
            new.name.into(),
            new.secret_hash.into(),
            new.expires_at.into(),
        ],
    )
    .await
}

pub async fn delete(tx: &mut Tx, id: Id<Token>) -> Result<()> {
    tx.exec(&DELETE, &[id.into()]).await.map(drop)
}

/// Ends every token of a person: what a password reset does.
pub async fn delete_of_user(tx: &mut Tx, user: Id<User>) -> Result<u64> {
    tx.exec(&DELETE_OF_USER, &[user.into()]).await
}
