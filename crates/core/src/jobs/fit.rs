//! Which sets of tags fit which. Sets never change and never go, so what was found out stays true; only new ones have
//! to be read.

use std::sync::{Mutex, PoisonError};

use chandler_model::Id;
use chandler_model::tags::Tags;
use chandler_model::workers::TagSet;
use chandler_store::{Db, tags};

use crate::error::Result;

/// Every set that this process has seen.
#[derive(Debug, Default)]
pub(crate) struct Fits {
    /// By id, ascending.
    known: Mutex<Vec<(Id<TagSet>, Tags)>>,
}

impl Fits {
    /// The sets that a worker with this one may take jobs of.
    pub(crate) async fn of(&self, db: &Db, worker: Id<TagSet>) -> Result<Vec<Id<TagSet>>> {
        let last = self.known().last().map_or(0, |(id, _)| id.get());
        let new = tags::after(db, last).await?;
        let mut known = self.known();
        for set in new {
            // Somebody else may have read it meanwhile.
            if known.last().is_none_or(|(last, _)| last.get() < set.id.get())
                && let Some(tags) = Tags::from_canonical(&set.canonical)
            {
                known.push((set.id, tags));
            }
        }
        let Some((_, own)) = known.iter().find(|(id, _)| *id == worker) else { return Ok(Vec::new()) };
        Ok(known.iter().filter(|(_, tags)| tags.fit(own)).map(|(id, _)| *id).collect())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Vec<(Id<TagSet>, Tags)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
