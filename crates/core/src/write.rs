//! The one way to change something: a transaction that ends with what every change leaves behind.
//!
//! A use case calls [`Core::write`] with its statements; whatever it reports by `created`, `updated`, `deleted` or
//! `noted` becomes an audit row, a change event and a tally in the same transaction. A write that reports nothing is a
//! mistake and fails.

use std::collections::BTreeMap;

use chandler_model::audit::{AuditAction, AuditEntry};
use chandler_model::kinds::{Kind, Unit};
use chandler_model::{RawJson, Word};
use chandler_store::seam::{Engine, Work};
use chandler_store::{Tx, audit, changes, tallies};
use serde_json::{Map, Value};

use crate::Core;
use crate::authz::{Authorized, Permit};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::resource::Resource;

/// Name of the notice that tells event streams and replicas to read the change events.
pub(crate) const CHANGES: &str = "changes";

/// A transaction in which every change is reported.
pub(crate) struct Write<'t> {
    pub(crate) tx: &'t mut Tx,
    core: &'t Core,
    cx: &'t Cx,
    entries: Vec<AuditEntry>,
    tallies: BTreeMap<(&'static str, Unit), (Kind, i64)>,
}

impl Core {
    /// Runs a use case in one transaction. It may be run again from the start when the database asks for it, so it
    /// must not change anything outside.
    pub(crate) async fn write<T, F>(&self, cx: &Cx, run: F) -> Result<T>
    where
        T: Send,
        F: Send + AsyncFn(&mut Write<'_>) -> Result<T> + for<'w, 't> Work<&'w mut Write<'t>, Result<T>>,
    {
        self.db()
            .write(async |tx| {
                let mut write = Write { tx, core: self, cx, entries: Vec::new(), tallies: BTreeMap::new() };
                let output = run.run(&mut write).await?;
                write.finish().await?;
                Ok(output)
            })
            .await
    }
}

impl Write<'_> {
    /// Reports a row that was made.
    pub(crate) fn created<T: Resource>(&mut self, permit: &Permit, row: &T) -> Result<()> {
        if permit.kind != row.kind() {
            return Err(Error::internal(format!("a permit for {:?} does not make a {:?}", permit.kind, row.kind())));
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

    /// Reports that somebody asked something of a job, by the word of its event.
    pub(crate) fn asked<T: Resource>(&mut self, _right: &Authorized<T>, job: &T, what: &str) {
        let action = match what {
            "cancel" => AuditAction::Cancel,
            "approve" => AuditAction::Approve,
            "reject" => AuditAction::Reject,
            "suspend" => AuditAction::Suspend,
            "resume" => AuditAction::Resume,
            "delete" => AuditAction::Delete,
            _ => AuditAction::Update,
        };
        self.entry(action, job, Map::new());
    }

    /// Reports a change of something that is no resource of its own, such as a person's password.
    pub(crate) fn noted<T: Resource>(&mut self, _right: &Authorized<T>, row: &T, what: &str) {
        let mut changes = Map::new();
        changes.insert(what.to_owned(), pair("hidden".into(), "hidden".into()));
        self.entry(AuditAction::Update, row, changes);
    }

    /// Adds to the last report what the fields of its row do not show.
    pub(crate) fn more(&mut self, what: &str, old: Value, new: Value) -> Result<()> {
        let Some(entry) = self.entries.last_mut() else { return Err(Error::internal("nothing was reported yet")) };
        let mut changes: Map<String, Value> = serde_json::from_str(&entry.changes.0).map_err(Error::internal)?;
        changes.insert(what.to_owned(), pair(old, new));
        entry.changes = RawJson(Value::Object(changes).to_string());
        Ok(())
    }

    fn entry<T: Resource>(&mut self, action: AuditAction, row: &T, changes: Map<String, Value>) {
        let about = row.about();
        self.entries.push(AuditEntry {
            uid: self.core.uid(),
            at: self.cx.now,
            actor_id: self.cx.user_id(),
            actor_name: self.cx.actor_name().to_owned(),
            dialect: self.cx.dialect,
            request_id: self.cx.request_id.clone(),
            action,
            kind: row.kind(),
            row_id: about.id,
            row_uid: about.uid,
            title: about.title.to_owned(),
            organization_id: about.organization_id,
            changes: RawJson(Value::Object(changes).to_string()),
        });
    }

    fn count<T: Resource>(&mut self, row: &T, delta: i64) {
        let Some(unit) = row.about().unit else { return };
        for unit in [unit, Unit::ALL] {
            self.tallies.entry((row.kind().word(), unit)).or_insert((row.kind(), 0)).1 += delta;
        }
    }

    async fn finish(self) -> Result<()> {
        if self.entries.is_empty() {
            return Err(Error::internal("a write reported no change"));
        }
        for entry in &self.entries {
            audit::append(self.tx, entry).await?;
            let change = changes::Change {
                at: entry.at,
                kind: entry.kind,
                row_uid: entry.row_uid,
                organization_id: entry.organization_id,
                what: entry.action.word(),
            };
            changes::append(self.tx, &change).await?;
        }
        // Last, and in one order, because every writer of the installation meets here.
        let shard = shard(self.core);
        for ((_, unit), (kind, delta)) in self.tallies {
            if delta != 0 {
                tallies::add(self.tx, kind, unit, shard, delta).await?;
            }
        }
        Ok(self.tx.notify(CHANGES, String::new())?)
    }
}

/// Counts rows that nobody's request has made, at the end of their transaction.
pub(crate) async fn count_made<T: Resource>(core: &Core, tx: &mut Tx, rows: &[T]) -> Result<()> {
    let mut counts: BTreeMap<(&'static str, Unit), (Kind, i64)> = BTreeMap::new();
    for row in rows {
        let Some(unit) = row.about().unit else { continue };
        for unit in [unit, Unit::ALL] {
            counts.entry((row.kind().word(), unit)).or_insert((row.kind(), 0)).1 += 1;
        }
    }
    let shard = shard(core);
    for ((_, unit), (kind, delta)) in counts {
        tallies::add(tx, kind, unit, shard, delta).await?;
    }
    Ok(())
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
