//! Static statements: one text for both engines, expanded once, and the catalogue check that replaces compile-time SQL.

use std::marker::PhantomData;
use std::sync::OnceLock;

use super::column::{Fits, Record};
use super::db::Db;
use super::engine::{Engine, expand};
use super::error::Error;

/// A statement with the record that it reads; `Sql<()>` for writes without RETURNING.
///
/// Always a `static`: the expanded text is kept inside, so that using it costs no look-up.
pub struct Sql<R> {
    text: &'static str,
    /// The text per engine, in the order of [`Engine`].
    expanded: [OnceLock<String>; 2],
    record: PhantomData<fn() -> R>,
}

impl<R> std::fmt::Debug for Sql<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sql").field(&self.text).finish()
    }
}

impl<R: Record> Sql<R> {
    /// A statement; the tokens that it may use are listed at the head of `engine.rs`.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self { text, expanded: [const { OnceLock::new() }; 2], record: PhantomData }
    }

    /// The text as the engine gets it.
    pub(super) fn on(&self, engine: Engine) -> &str {
        self.expanded[engine as usize].get_or_init(|| expand(engine, self.text, R::COLUMNS))
    }
}

/// A statement of any record, for lists such as `pub static STATEMENTS: &[&dyn Catalogued] = &[&GET, &LIST];`.
pub trait Catalogued: Sync {
    /// The text as written.
    fn text(&self) -> &'static str;
    /// The text as the engine gets it.
    fn expanded(&self, engine: Engine) -> &str;
    /// The names of the record's columns; empty where the record has none.
    fn columns(&self) -> &'static [&'static str];
    /// How many columns an answer must have.
    fn width(&self) -> usize;
    /// The check of each column's PostgreSQL type.
    fn fits(&self) -> Vec<Fits>;
}

impl<R: Record> Catalogued for Sql<R> {
    fn text(&self) -> &'static str {
        self.text
    }
    fn expanded(&self, engine: Engine) -> &str {
        self.on(engine)
    }
    fn columns(&self) -> &'static [&'static str] {
        R::COLUMNS
    }
    fn width(&self) -> usize {
        R::WIDTH
    }
    fn fits(&self) -> Vec<Fits> {
        R::fits()
    }
}

/// A column of a prepared statement.
pub(super) struct Described {
    pub name: String,
    /// Known on PostgreSQL only.
    pub kind: Option<tokio_postgres::types::Type>,
}

/// Prepares every statement on this engine and compares what it returns with its record: the number of columns, their
/// names where the record has names, and on PostgreSQL their types. Returns what is wrong, as (text, error).
pub async fn prepare_all(db: &Db, statements: &[&dyn Catalogued]) -> Vec<(&'static str, Error)> {
    let mut wrong = Vec::new();
    for statement in statements {
        let checked = match db.describe(statement.expanded(db.engine())).await {
            Ok(found) => compare(*statement, &found),
            Err(error) => Err(error),
        };
        if let Err(error) = checked {
            wrong.push((statement.text(), error));
        }
    }
    wrong
}

fn compare(statement: &dyn Catalogued, found: &[Described]) -> Result<(), Error> {
    if found.len() != statement.width() {
        return Err(Error::other(format!("returns {} columns, its record has {}", found.len(), statement.width())));
    }
    for (column, wanted) in found.iter().zip(statement.columns()) {
        if column.name != *wanted {
            return Err(Error::other(format!("returns {:?} where its record has {wanted:?}", column.name)));
        }
    }
    for (column, fits) in found.iter().zip(statement.fits()) {
        if let Some(kind) = column.kind.as_ref().filter(|kind| !fits(kind)) {
            return Err(Error::other(format!("column {:?} of type {kind} does not fit its field", column.name)));
        }
    }
    Ok(())
}
