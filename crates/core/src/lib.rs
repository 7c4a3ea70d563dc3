//! The product: what may be done with each resource, by whom, and what it leaves behind.
//!
//! Functions take a `Cx` (who asks, through which dialect, when) and plain input, and return plain structs or a
//! [`Error`]. There is no HTTP here and no SQL text. Every write goes through [`write`], which appends audit, change
//! event and tallies in the same transaction and wants the proof of a right for each.

pub mod authz;
pub mod bootstrap;
pub mod clock;
pub mod credentials;
pub mod cx;
pub mod environments;
pub mod error;
pub mod input;
pub mod jobs;
pub mod organizations;
pub mod passwords;
pub mod resource;
pub mod secrets;
pub mod templates;
pub mod tokens;
pub mod users;
pub mod workspaces;
mod write;

use std::sync::Arc;

use chandler_store::Db;

pub use clock::{Clock, SystemClock};
pub use cx::{Actor, Cx};
pub use error::{Error, Kind as ErrorKind, Result};

/// The product over one database. Cheap to clone; clones are the same installation.
#[derive(Clone, Debug)]
pub struct Core {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Arc<dyn Clock>,
    sealer: secrets::Sealer,
    passwords: passwords::Passwords,
    jobs: jobs::Settings,
    fits: jobs::Fits,
}

/// What a core is made of.
#[derive(Debug)]
pub struct Parts {
    pub db: Db,
    pub clock: Arc<dyn Clock>,
    pub sealer: secrets::Sealer,
    pub jobs: jobs::Settings,
}

impl Core {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { db, clock, sealer, jobs } = parts;
        let (passwords, fits) = (passwords::Passwords::default(), jobs::Fits::default());
        Self { inner: Arc::new(Inner { db, clock, sealer, passwords, jobs, fits }) }
    }

    #[must_use]
    pub fn db(&self) -> &Db {
        &self.inner.db
    }

    /// The present moment, in whole microseconds.
    #[must_use]
    pub fn now(&self) -> jiff::Timestamp {
        self.inner.clock.now()
    }

    #[must_use]
    pub fn sealer(&self) -> &secrets::Sealer {
        &self.inner.sealer
    }

    pub(crate) fn passwords(&self) -> &passwords::Passwords {
        &self.inner.passwords
    }

    #[must_use]
    pub fn job_settings(&self) -> &jobs::Settings {
        &self.inner.jobs
    }

    pub(crate) fn fits(&self) -> &jobs::Fits {
        &self.inner.fits
    }

    /// A new UUID v7 for a row that is made now.
    pub(crate) fn uid(&self) -> chandler_model::Uid {
        chandler_model::Uid(uuid::Uuid::now_v7())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_send<T: Send>(_: T) {}

    /// Handlers and workers run on many threads: every use case must be able to.
    #[allow(dead_code)]
    fn use_cases_may_cross_threads(core: &Core, cx: &Cx, link: &jobs::link::Embedded) {
        use jobs::link::WorkerLink;
        assert_send(core.create_organization(cx, organizations::OrganizationInput::default()));
        assert_send(link.beat(jobs::link::Attempt { job: chandler_model::Id::new(1), number: 1 }, 1));
    }
}
