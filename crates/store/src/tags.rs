//! Statements on tag sets. A set is never changed and never goes, so what was read of one stays true.

use chandler_model::Id;
use chandler_model::tags::Tags;
use chandler_model::workers::TagSet;

use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

/// A set as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: Id<TagSet>,
    pub canonical: String,
}

record!(Stored { id, canonical });

static FIND: Sql<i64> = Sql::new("SELECT id FROM tag_sets WHERE canonical = $1");
static INSERT: Sql<i64> =
    Sql::new("INSERT INTO tag_sets (canonical) VALUES ($1) ON CONFLICT (canonical) DO NOTHING RETURNING id");
static INSERT_PAIR: Sql<()> = Sql::new("INSERT INTO tag_set_pairs (set_id, key, value) VALUES ($1, $2, $3)");
static AFTER: Sql<Stored> = Sql::new("SELECT {columns} FROM tag_sets WHERE id > $1 ORDER BY id");

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&FIND, &INSERT, &INSERT_PAIR, &AFTER];

/// The set of these tags, made if there is none.
pub async fn intern(tx: &mut Tx, tags: &Tags) -> Result<Id<TagSet>> {
    let canonical = tags.canonical();
    if let Some(id) = tx.optional(&FIND, &[canonical.as_str().into()]).await? {
        return Ok(Id::new(id));
    }
    // One maker at a time: ids become visible in their order, so whoever has seen one has seen all before it.
    tx.lock("tag_sets").await?;
    let Some(id) = tx.optional(&INSERT, &[canonical.as_str().into()]).await? else {
        // Somebody else made it meanwhile.
        return Ok(Id::new(tx.one(&FIND, &[canonical.as_str().into()]).await?));
    };
    for (key, value) in tags.iter() {
        tx.exec(&INSERT_PAIR, &[id.into(), key.as_str().into(), value.as_str().into()]).await?;
    }
    Ok(Id::new(id))
}

/// The sets that were made after a known one.
pub async fn after(db: &Db, id: i64) -> Result<Vec<Stored>> {
    db.query(&AFTER, &[id.into()]).await
}
