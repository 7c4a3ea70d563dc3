//! How one value is read, by the type that the field has. A value of another JSON type is a wrong type, never a guess.

use std::collections::BTreeMap;

use chandler_model::errors::{Code, FieldError, Path};
use chandler_model::{Id, Word};
use chandler_wire::paging;
use serde_json::{Map, Value};

use super::tree::{self, Node};

/// Most wrong fields that are told: a body of a hundred thousand unknown keys must not get as many answers.
const WRONG_MAX: usize = 50;

/// The wrong fields found so far.
#[derive(Debug, Default)]
pub(crate) struct Wrong {
    errors: Vec<FieldError>,
    /// All of them, also those above the maximum.
    count: usize,
}

impl Wrong {
    /// Notes what is wrong with a field; always `None`, the value that there is not.
    pub(crate) fn note<T>(&mut self, at: &Path, code: Code) -> Option<T> {
        self.count += 1;
        if self.errors.len() < WRONG_MAX {
            self.errors.push(FieldError::new(at.clone(), code));
        }
        None
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }
}

/// A type that fields may have.
pub(crate) trait Read: Sized {
    /// The value, or `None` after noting what is wrong.
    fn read(node: Node, at: &Path, wrong: &mut Wrong) -> Option<Self>;
}

impl Read for String {
    fn read(node: Node, at: &Path, wrong: &mut Wrong) -> Option<Self> {
        match node {
            Node::Text(text) | Node::Parameter(text) => Some(text),
            _ => wrong.note(at, Code::WrongType { want: "string" }),
        }
    }
}

impl Read for bool {
    fn read(node: Node, at: &Path, wrong: &mut Wrong) -> Option<Self> {
        match node {
            Node::Bool(value) => Some(value),
            Node::Parameter(text) if text == "true" => Some(true),
            Node::Parameter(text) if text == "false" => Some(false),
            _ => wrong.note(at, Code::WrongType { want: "boolean" }),
        }
    }
}

/// Digits that no 64-bit integer holds are still an integer, only none in range.
enum Number {
    Fits(i64),
    Beyond,
}

fn number(node: &Node) -> Option<Number> {
    match node {
        Node::Integer(value) => Some(Number::Fits(*value)),
        Node::Parameter(text) => match text.parse() {
            Ok(value) => Some(Number::Fits(value)),
            Err(_) => text
                .strip_prefix('-')
                .unwrap_or(text)
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then_some(Number::Beyond)
                .filter(|_| text.len() > 18),
        },
        _ => None,
    }
}

/// An integer between two bounds, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Within<const MIN: i64, const MAX: i64>(pub(crate) i64);

impl<const MIN: i64, const MAX: i64> Read for Within<MIN, MAX> {
    fn read(node: Node, at: &Path, wrong: &mut Wrong) -> Option<Self> {
        match number(&node) {
            Some(Number::Fits(value)) if (MIN..=MAX).contains(&value) => Some(Self(value)),
            Some(_) => wrong.note(at, Code::Range { min: MIN, max: MAX }),
            None => wrong.note(at, Code::WrongType { want: "integer" }),
        }
    }
}

/// Kinds of rows that fields name by id.
pub(crate) trait Referred {
    /// What the row is called in an answer.
    const RESOURCE: &'static str;
}

impl<T: Referred> Read for Id<T> {
    fn read(node: Node, at: &Path, wrong: &mut Wrong) -> Option<Self> {
        match number(&node) {
            Some(Number::Fits(id)) if id > 0 => Some(Self::new(id)),
            Some(_) => wrong.note(at, Code::Unknown { resource: T::RESOURCE }),
            None => wrong.note(at, Code::WrongType { want: "integer" }),
        }
    }
}

/// A value of a closed list of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Words<W>(pub(crate) W);

impl<W: Word> Read for Words<W> {
    fn read(node: Node, at: &Path, wrong: &mut Wrong) -> Option<Self> {
        let text = String::read(node, at, wrong)?;
        match W::parse(&text) {
            Some(word) => Some(Self(word)),
            None => wrong.note(at, Code::NotOneOf { words: W::VARIANTS.iter().map(|word| word.word()).collect() }),
        }
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: Node, at: &Path, wrong: &mut Wrong) -> Option<Self> {
        let Node::List(items) = node else { return wrong.note(at, Code::WrongType { want: "array" }) };
        let before = wrong.count();
        let read = items.into_iter().enumerate().filter_map(|(n, item)| T::read(item, &at.then(n), wrong)).collect();
        (wrong.count() == before).then_some(read)
    }
}

/// Values by names of the client's own.
impl<T: Read> Read for BTreeMap<String, T> {
    fn read(node: Node, at: &Path, wrong: &mut Wrong) -> Option<Self> {
        let Node::Object(members) = node else { return wrong.note(at, Code::WrongType { want: "object" }) };
        let before = wrong.count();
        let mut read = Self::new();
        for (name, node) in members {
            if let Some(value) = T::read(node, &at.then(tree::echo(&name)), wrong) {
                read.insert(name, value);
            }
        }
        (wrong.count() == before).then_some(read)
    }
}

/// Any values by names of the client's own.
impl Read for Map<String, Value> {
    fn read(node: Node, at: &Path, wrong: &mut Wrong) -> Option<Self> {
        match node.into_value() {
            Value::Object(members) => Some(members),
            _ => wrong.note(at, Code::WrongType { want: "object" }),
        }
    }
}

/// Where a list goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor(pub(crate) i64);

impl Read for Cursor {
    fn read(node: Node, at: &Path, wrong: &mut Wrong) -> Option<Self> {
        let text = String::read(node, at, wrong)?;
        match paging::decode_cursor(&text) {
            Ok(key) => Some(Self(key)),
            Err(paging::BadCursor) => {
                wrong.note(at, Code::Format { rule: "must be the `next` of a page of this list" })
            }
        }
    }
}
