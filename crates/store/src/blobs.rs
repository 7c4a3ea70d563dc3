//! Statements on blobs: bytes that rows point at. What is secret comes here sealed.

use chandler_model::{Id, Uid};
use jiff::Timestamp;

use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

/// A blob with its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    pub id: Id<Self>,
    pub uid: Uid,
    pub bytes: Option<Vec<u8>>,
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "blob {} ({:?} bytes)", self.id, self.bytes.as_ref().map(Vec::len))
    }
}

record!(Blob { id, uid, bytes });

static INSERT: Sql<i64> =
    Sql::new("INSERT INTO blobs (uid, created_at, sha256, size, bytes) VALUES ($1, $2, $3, $4, $5) RETURNING id");
static FIND: Sql<Blob> = Sql::new("SELECT {columns} FROM blobs WHERE id = $1");
static ORPHAN: Sql<()> = Sql::new("UPDATE blobs SET orphaned_at = $2 WHERE id = $1");
static COLLECT: Sql<()> = Sql::new("DELETE FROM blobs WHERE orphaned_at IS NOT NULL AND orphaned_at < $1");

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&INSERT, &FIND, &ORPHAN, &COLLECT];

/// Stores bytes under their digest.
pub async fn insert(tx: &mut Tx, uid: Uid, at: Timestamp, sha256: &[u8], bytes: &[u8]) -> Result<Id<Blob>> {
    let args = [uid.into(), at.into(), sha256.into(), (bytes.len() as i64).into(), bytes.into()];
    Ok(Id::new(tx.one(&INSERT, &args).await?))
}

pub async fn find(db: &Db, id: Id<Blob>) -> Result<Option<Blob>> {
    db.optional(&FIND, &[id.into()]).await
}

/// Nothing points at it any more.
pub async fn orphan(tx: &mut Tx, id: Id<Blob>, at: Timestamp) -> Result<()> {
    tx.exec(&ORPHAN, &[id.into(), at.into()]).await.map(drop)
}

/// Removes what nothing has pointed at since before `at`.
pub async fn collect(tx: &mut Tx, at: Timestamp) -> Result<()> {
    tx.exec(&COLLECT, &[at.into()]).await.map(drop)
}
