//! Statements on people. Password hashes leave this file only through [`credentials`].

use chandler_model::ids::Selector;
use chandler_model::users::{User, UserStatus};
use chandler_model::{Id, Uid, names};
use jiff::Timestamp;

use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

record!(User { id, uid, created_at, updated_at, version, login, email, status, is_admin });

/// What a log-in is checked against.
#[derive(Clone)]
pub struct Credentials {
    pub id: Id<User>,
    /// As the person writes it; it is found in any case.
    pub login: String,
    pub status: UserStatus,
    pub password_hash: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

record!(Credentials { id, login, status, password_hash });

/// What a person is made of.
#[derive(Clone)]
pub struct NewUser<'a> {
    pub uid: Uid,
    pub at: Timestamp,
    pub login: &'a str,
    pub handle: &'a str,
    pub email: &'a str,
    pub password_hash: &'a str,
    pub is_admin: bool,
}

impl std::fmt::Debug for NewUser<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewUser").field("uid", &self.uid).field("login", &self.login).finish_non_exhaustive()
    }
}

static BY_ID: Sql<User> = Sql::new("SELECT {columns} FROM users WHERE id = $1 AND deleted_at IS NULL");
static BY_UID: Sql<User> = Sql::new("SELECT {columns} FROM users WHERE uid = $1 AND deleted_at IS NULL");
static CREDENTIALS: Sql<Credentials> =
    Sql::new("SELECT {columns} FROM users WHERE login_key = $1 AND deleted_at IS NULL");
static COUNT: Sql<i64> = Sql::new("SELECT count(*) FROM users");
static INSERT: Sql<User> = Sql::new(
    "INSERT INTO users (uid, created_at, updated_at, login, login_key, handle, handle_key, email, email_key, \
     email_is_identity, password_hash, status, is_admin) \
     VALUES ($1, $2, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING {columns}",
);
static INSERT_KEY: Sql<()> = Sql::new("INSERT INTO identity_keys (key, user_id) VALUES ($1, $2)");
static SET_PASSWORD: Sql<()> =
    Sql::new("UPDATE users SET password_hash = $2, updated_at = $3, version = version + 1 WHERE id = $1");

pub(crate) static STATEMENTS: &[&dyn Catalogued] =
    &[&BY_ID, &BY_UID, &CREDENTIALS, &COUNT, &INSERT, &INSERT_KEY, &SET_PASSWORD];

/// The living person of that id or UUID.
pub async fn find(db: &Db, selector: Selector<User>) -> Result<Option<User>> {
    match selector {
        Selector::Id(id) => db.optional(&BY_ID, &[id.into()]).await,
        Selector::Uid(uid) => db.optional(&BY_UID, &[uid.into()]).await,
    }
}

/// The log-in data of the living person with that login, in any case.
pub async fn credentials(db: &Db, login: &str) -> Result<Option<Credentials>> {
    db.optional(&CREDENTIALS, &[names::fold(login).into()]).await
}

/// How many people there ever were: zero means that the installation has not been bootstrapped.
pub async fn count(tx: &mut Tx) -> Result<i64> {
    tx.one(&COUNT, &[]).await
}

/// Makes a person whose e-mail identifies him, together with the identity keys of login and e-mail.
pub async fn insert(tx: &mut Tx, new: &NewUser<'_>) -> Result<User> {
    let (login_key, email_key) = (names::fold(new.login), names::fold(new.email));
    let user: User = tx
        .one(
            &INSERT,
            &[
                new.uid.into(),
                new.at.into(),
                new.login.into(),
                login_key.as_str().into(),
                new.handle.into(),
                names::fold(new.handle).into(),
                new.email.into(),
                email_key.as_str().into(),
                (!new.email.is_empty()).into(),
                new.password_hash.into(),
                UserStatus::Active.into(),
                new.is_admin.into(),
            ],
        )
        .await?;
    tx.exec(&INSERT_KEY, &[login_key.as_str().into(), user.id.into()]).await?;
    if !email_key.is_empty() && email_key != login_key {
        tx.exec(&INSERT_KEY, &[email_key.into(), user.id.into()]).await?;
    }
    Ok(user)
}

pub async fn set_password(tx: &mut Tx, id: Id<User>, hash: &str, at: Timestamp) -> Result<()> {
    tx.exec(&SET_PASSWORD, &[id.into(), hash.into(), at.into()]).await.map(drop)
}
