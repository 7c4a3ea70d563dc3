//! The one way to change something: a transaction that ends with what every change leaves behind.
//!
//! A use case calls [`Core::write`] with its statements; whatever it reports by `created`, `updated`, `deleted` or
//! `noted` becomes an audit row, a change event and a tally in the same transaction. A write that reports nothing is a
//! mistake and fails.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::pin::Pin;

use chandler_model::audit::{AuditAction, AuditEntry};
use chandler_model::kinds::{Kind, Unit};
use chandler_model::{RawJson, Word};
use chandler_store::seam::{Engine, Transient};
use chandler_store::{Tx, audit, changes, tallies};
use serde_json::{Map, Value};

use crate::Core;
use crate::authz::{Authorized, Permit};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::resource::Resource;

/// Name of the notice that tells event streams and replicas to read the change events.
pub(crate) const CHANGES: &str = "changes";

/// What a transaction's work returns: boxed, because only so can the compiler see that it may cross threads.
pub(crate) type Running<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Tells the compiler that whatever the work borrows outlives the transaction.
pub(crate) struct Scope<'a, 'env: 'a>(PhantomData<&'a &'env ()>);

/// A transaction in which every change is reported.
pub(crate) struct Write<'env> {
    pub(crate) tx: Tx,
    core: &'env Core,
    cx: &'env Cx,
    entries: Vec<AuditEntry>,
    tallies: BTreeMap<(&'static str, Unit), (Kind, i64)>,
}

impl Core {
    /// Runs a use case in one transaction. It may be run again from the start when the database asks for it, so it
    /// must not change anything outside.
    pub(crate) async fn write<'env, T>(
        &'env self,
        cx: &'env Cx,
        mut run: impl for<'a> FnMut(&'a mut Write<'env>) -> Running<'a, T>,
    ) -> Result<T> {
        let mut tries = 0;
        loop {
            let tx = self.db().begin().await?;
            let mut write = Write { tx, core: self, cx, entries: Vec::new(), tallies: BTreeMap::new() };
            let outcome = match run(&mut write).await {
                Ok(output) => write.finish().await.map(|()| output),
                Err(error) => {
                    write.tx.roll_back().await;
                    Err(error)
                }
            };
            if !again(&outcome, &mut tries) {
                return outcome;
            }
        }
    }

    /// Runs the engine's own bookkeeping in one transaction: what a worker, a timer or the first start says. Nothing
    /// that a person asks for goes this way.
    pub(crate) async fn transaction<'env, T>(
        &'env self,
        mut run: impl for<'a> FnMut(&'a mut Tx, Scope<'a, 'env>) -> Running<'a, T>,
    ) -> Result<T> {
        let mut tries = 0;
        loop {
            let mut tx = self.db().begin().await?;
            let outcome = match run(&mut tx, Scope(PhantomData)).await {
                Ok(output) => tx.commit().await.map(|()| output).map_err(Error::from),
                Err(error) => {
                    tx.roll_back().await;
                    Err(error)
                }
            };
            if !again(&outcome, &mut tries) {
                return outcome;
            }
        }
    }
}

/// Transactions that collided are run again this often.
const RETRIES: u32 = 2;

fn again<T>(outcome: &Result<T>, tries: &mut u32) -> bool {
    *tries += 1;
    *tries <= RETRIES && outcome.as_ref().is_err_and(Transient::transient)
}

impl Write<'_> {
    /// Reports a row that was made.
    pub(crate) fn created<T: Resource>(&mut self, permit: &Permit, row: &T) -> Result<()> {
        if permit.kind != T::KIND {
            return Err(Error::internal(format!("a permit for {:?} does not make a {:?}", permit.kind, T::KIND)));
        }
        let changes = row.fields().into_iter().map(|(name, value)| (name, pair(Value::Null, value))).collect();
        self.entry(AuditAction::Create, row, changes);
        self.count(row, 1);
        Ok(())
    }

    /// Reports a row that was changed. Nothing is recorded if no field differs.
    pub(crate) fn updated<T: Resource>(&mut self, _right: &Authorized<T>, before: &T, after: &T) {
        self.entry(AuditAction::Update, after, difference(&before.fields(), after.fields()));
    }

    /// Reports a row that is gone.
    pub(crate) fn deleted<T: Resource>(&mut self, _right: &Authorized<T>, row: &T) {
        self.entry(AuditAction::Delete, row, Map::new());
        self.count(row, -1);
    }

    /// Reports that a job was launched.
    pub(crate) fn launched<T: Resource>(&mut self, permit: &Permit, job: &T) -> Result<()> {
        self.created(permit, job)?;
        if let Some(entry) = self.entries.last_mut() {
            entry.action = AuditAction::Launch;
        }
        Ok(())
    }

    /// Reports that somebody asked for a job's end.
    pub(crate) fn cancelled<T: Resource>(&mut self, _right: &Authorized<T>, job: &T) {
        self.entry(AuditAction::Cancel, job, Map::new());
    }

    /// Reports a change of something that is no resource of its own, such as a person's password.
    pub(crate) fn noted<T: Resource>(&mut self, _right: &Authorized<T>, row: &T, what: &str) {
        let mut changes = Map::new();
        changes.insert(what.to_owned(), pair("hidden".into(), "hidden".into()));
        self.entry(AuditAction::Update, row, changes);
    }

    fn entry<T: Resource>(&mut self, action: AuditAction, row: &T, changes: Map<String, Value>) {
        self.entries.push(AuditEntry {
            uid: self.core.uid(),
            at: self.cx.now,
            actor_id: self.cx.user_id(),
            actor_name: self.cx.actor_name().to_owned(),
            dialect: self.cx.dialect,
            request_id: self.cx.request_id.clone(),
            action,
            kind: T::KIND,
            row_id: row.id(),
            row_uid: row.uid(),
            title: row.title().to_owned(),
            organization_id: row.organization_id(),
            changes: RawJson(Value::Object(changes).to_string()),
        });
    }

    fn count<T: Resource>(&mut self, row: &T, delta: i64) {
        let Some(unit) = row.unit() else { return };
        for unit in [unit, Unit::ALL] {
            self.tallies.entry((T::KIND.word(), unit)).or_insert((T::KIND, 0)).1 += delta;
        }
    }

    async fn finish(mut self) -> Result<()> {
        if self.entries.is_empty() {
            return Err(Error::internal("a write reported no change"));
        }
        for entry in &self.entries {
            audit::append(&mut self.tx, entry).await?;
            let change = changes::Change {
                at: entry.at,
                kind: entry.kind,
                row_uid: entry.row_uid,
                organization_id: entry.organization_id,
                what: entry.action.word(),
            };
            changes::append(&mut self.tx, &change).await?;
        }
        // Last, and in one order, because every writer of the installation meets here.
        let shard = shard(self.core);
        for ((_, unit), (kind, delta)) in std::mem::take(&mut self.tallies) {
            if delta != 0 {
                tallies::add(&mut self.tx, kind, unit, shard, delta).await?;
            }
        }
        self.tx.notify(CHANGES, String::new()).await?;
        Ok(self.tx.commit().await?)
    }
}

/// Which of a count's rows this transaction adds to.
fn shard(core: &Core) -> i64 {
    match core.db().engine() {
        Engine::Sqlite => 0,
        Engine::Postgres => rand::random_range(0..tallies::SHARDS),
    }
}

fn pair(old: Value, new: Value) -> Value {
    Value::Array(vec![old, new])
}

/// Field → [old, new] of the fields that differ.
fn difference(before: &Map<String, Value>, after: Map<String, Value>) -> Map<String, Value> {
    after
        .into_iter()
        .filter_map(|(name, new)| {
            let old = before.get(&name).cloned().unwrap_or(Value::Null);
            (old != new).then(|| (name, pair(old, new)))
        })
        .collect()
}
