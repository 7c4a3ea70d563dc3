//! The fields of an object or of a query string, taken one by one. What nobody took is unknown.

use std::collections::BTreeMap;

use chandler_core::{Error, ErrorKind};
use chandler_model::Patch;
use chandler_model::errors::{Code, Path};

use super::read::{Read, Wrong};
use super::tree::{self, Node};

/// A type that is made of fields. Implementations take every field before they look at any of them: one that is wrong
/// must not hide the others.
pub(crate) trait FromFields: Sized {
    /// The value, or `None` if one of its fields is wrong.
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self>;
}

/// The fields that have not been taken yet.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    /// Where the object stands; `None` at the top.
    at: Option<&'a Path>,
    members: BTreeMap<String, Node>,
    wrong: &'a mut Wrong,
}

/// Reads a whole request part.
///
/// # Errors
/// `Invalid` with every wrong field.
pub(super) fn read<T: FromFields>(members: BTreeMap<String, Node>) -> Result<T, Error> {
    let mut wrong = Wrong::default();
    let read = Fields { at: None, members, wrong: &mut wrong }.all();
    read.ok_or_else(|| ErrorKind::Invalid(wrong.into_errors()).into())
}

impl Fields<'_> {
    /// A field that must be there.
    pub(crate) fn required<T: Read>(&mut self, name: &str) -> Option<T> {
        match self.take(name) {
            Some(node) => self.read(name, node),
            None => self.wrong(name, Code::Required),
        }
    }

    /// A field that may be absent or null, which mean the same.
    pub(crate) fn optional<T: Read>(&mut self, name: &str) -> Option<T> {
        self.take(name).filter(|node| *node != Node::Null).and_then(|node| self.read(name, node))
    }

    /// A field that may be absent, but not null.
    pub(crate) fn given<T: Read>(&mut self, name: &str) -> Option<T> {
        self.take(name).and_then(|node| self.read(name, node))
    }

    /// A field of an update that null clears.
    pub(crate) fn patch<T: Read>(&mut self, name: &str) -> Patch<T> {
        match self.take(name) {
            None => Patch::Keep,
            Some(Node::Null) => Patch::Clear,
            Some(node) => self.read(name, node).map_or(Patch::Keep, Patch::Set),
        }
    }

    /// Whether a field is there, and not null, that has not been taken.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(|node| *node != Node::Null)
    }

    /// Notes that a field is wrong.
    pub(crate) fn wrong<T>(&mut self, name: &str, code: Code) -> Option<T> {
        let at = self.path(name);
        self.wrong.note(&at, code)
    }

    /// Takes a field that this request must not have, for a better reason than being unknown.
    pub(crate) fn refuse(&mut self, name: &str, code: Code) {
        if self.take(name).is_some() {
            self.wrong::<()>(name, code);
        }
    }

    /// Takes a field that means nothing together with another one. Null says nothing and is fine.
    pub(crate) fn exclude(&mut self, name: &str, other: &'static str) {
        if self.take(name).is_some_and(|node| node != Node::Null) {
            self.wrong::<()>(name, Code::NotTogether { other });
        }
    }

    /// Passes over whatever has not been taken: what it means hangs on a field that is wrong. Always `None`.
    pub(crate) fn leave_rest<T>(&mut self) -> Option<T> {
        self.members.clear();
        None
    }

    fn take(&mut self, name: &str) -> Option<Node> {
        self.members.remove(name)
    }

    fn read<T: Read>(&mut self, name: &str, node: Node) -> Option<T> {
        let at = self.path(name);
        T::read(node, &at, self.wrong)
    }

    fn path(&self, name: &str) -> Path {
        self.at.map_or_else(|| Path::from(name), |at| at.then(name))
    }

    fn all<T: FromFields>(mut self) -> Option<T> {
        let before = self.wrong.count();
        let value = T::from_fields(&mut self);
        for name in std::mem::take(&mut self.members).into_keys() {
            self.wrong::<()>(&tree::echo(&name), Code::UnknownField);
        }
        value.filter(|_| self.wrong.count() == before)
    }
}

/// Objects inside of objects.
impl<T: FromFields> Read for T {
    fn read(node: Node, at: &Path, wrong: &mut Wrong) -> Option<Self> {
        match node {
            Node::Object(members) => Fields { at: Some(at), members, wrong }.all(),
            _ => wrong.note(at, Code::WrongType { want: "object" }),
        }
    }
}

/// No field at all.
impl FromFields for () {
    fn from_fields(_: &mut Fields<'_>) -> Option<Self> {
        Some(())
    }
}
