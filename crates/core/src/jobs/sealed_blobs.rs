//! Blobs that only the installation can read: states, plans, configurations (`docs/core/model.md` 8).

use chandler_model::Id;
use chandler_model::Uid;
use chandler_store::blobs::Blob;
use chandler_store::{Db, Tx, blobs};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::Core;
use crate::error::{Error, Result};
use crate::secrets::Seat;

/// A blob that is ready to be stored. Sealing takes time, so it is done before the transaction.
pub(super) struct Prepared {
    uid: Uid,
    sealed: Vec<u8>,
    sha256: Vec<u8>,
    /// Bytes in clear.
    pub(super) size: i64,
}

fn seat(uid: Uid) -> Seat<'static> {
    Seat { table: "blobs", row: uid, column: "bytes" }
}

pub(super) fn prepare(core: &Core, clear: &[u8]) -> Result<Prepared> {
    let uid = core.uid();
    let sealed = core.sealer().seal(seat(uid), clear).map_err(Error::internal)?;
    let sha256 = Sha256::digest(&sealed).to_vec();
    Ok(Prepared { uid, sealed, sha256, size: clear.len() as i64 })
}

pub(super) async fn insert(tx: &mut Tx, prepared: &Prepared, at: Timestamp) -> Result<Id<Blob>> {
    Ok(blobs::insert(tx, prepared.uid, at, &prepared.sha256, &prepared.sealed).await?)
}

/// The bytes in clear.
pub(super) async fn open(core: &Core, db: &Db, id: Id<Blob>) -> Result<Vec<u8>> {
    let blob = blobs::find(db, id).await?.ok_or_else(|| Error::internal(format!("blob {id} is gone")))?;
    let sealed = blob.bytes.ok_or_else(|| Error::internal(format!("blob {id} has no bytes")))?;
    let clear = core.sealer().open(seat(blob.uid), &sealed).map_err(Error::internal)?;
    Ok(clear.to_vec())
}
