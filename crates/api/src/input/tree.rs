//! Reads the bytes of a body into a tree: one JSON object and nothing else.
//!
//! Stricter than JSON asks for: a key may stand once, no text may hold NUL (no database column could), and nesting is
//! bounded. What the fields mean is not known here.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use crate::failure::Unreadable;

/// Levels of objects and arrays in a body, the outermost included.
pub(super) const DEPTH_MAX: usize = 64;
/// Characters of a client's own key that are repeated to it.
const ECHO_MAX: usize = 64;

/// One value of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number that is none of ours: with a fraction, an exponent, or beyond 64 bits.
    OtherNumber(Number),
    Text(String),
    List(Vec<Node>),
    Object(BTreeMap<String, Node>),
    /// A parameter of a query string: its type is whatever the field wants.
    Parameter(String),
}

impl Node {
    /// The value as it came, for fields that take any.
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Integer(value) => value.into(),
            Self::OtherNumber(value) => value.into(),
            Self::Text(text) | Self::Parameter(text) => text.into(),
            Self::List(items) => items.into_iter().map(Self::into_value).collect(),
            Self::Object(members) => members.into_iter().map(|(key, value)| (key, value.into_value())).collect(),
        }
    }
}

/// Reads a body.
pub(super) fn parse(bytes: &[u8]) -> Result<BTreeMap<String, Node>, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::Encoding)?;
    if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
        return Err(Unreadable::Empty);
    }
    let trouble = Cell::new(None);
    let mut json = serde_json::Deserializer::from_str(text);
    let root = Reader { levels: DEPTH_MAX, trouble: &trouble }.deserialize(&mut json);
    match root.and_then(|node| json.end().map(|()| node)) {
        Ok(Node::Object(members)) => Ok(members),
        Ok(_) => Err(Unreadable::NotAnObject),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            Err(match trouble.take() {
                None => Unreadable::Syntax { line, column },
                Some(Trouble::TooDeep) => Unreadable::TooDeep { max: DEPTH_MAX },
                Some(Trouble::Duplicate(key)) => Unreadable::DuplicateKey(key),
                Some(Trouble::Nul) => Unreadable::Nul { line, column },
            })
        }
    }
}

/// A client's key as it may be repeated to it.
pub(super) fn echo(key: &str) -> String {
    let mut shown: String = key.chars().take(ECHO_MAX).collect();
    if shown.len() < key.len() {
        shown.push('…');
    }
    shown
}

/// Why the reader stopped, where it was not the JSON.
enum Trouble {
    TooDeep,
    Duplicate(String),
    Nul,
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    /// Levels that may still open.
    levels: usize,
    trouble: &'a Cell<Option<Trouble>>,
}

impl Reader<'_> {
    fn stop<E: serde::de::Error>(self, why: Trouble) -> E {
        self.trouble.set(Some(why));
        E::custom("stopped")
    }

    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.levels.checked_sub(1) {
            Some(levels) => Ok(Self { levels, ..self }),
            None => Err(self.stop(Trouble::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(i64::try_from(value).map_or_else(|_| Node::OtherNumber(value.into()), Node::Integer))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        Number::from_f64(value).map(Node::OtherNumber).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Node, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Node, E> {
        if text.contains('\0') { Err(self.stop(Trouble::Nul)) } else { Ok(Node::Text(text)) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let below = self.below()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(below)? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let below = self.below()?;
        let mut members = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            if key.contains('\0') {
                return Err(self.stop(Trouble::Nul));
            }
            if members.contains_key(&key) {
                return Err(self.stop(Trouble::Duplicate(echo(&key))));
            }
            let value = map.next_value_seed(below)?;
            members.insert(key, value);
        }
        Ok(Node::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_is_read_with_all_its_values() {
        let read =
            parse(br#" {"a":null,"b":true,"c":-7,"d":1.5,"e":"x","f":[1,{}],"g":18446744073709551615} "#).unwrap();
        let wanted = [
            ("a", Node::Null),
            ("b", Node::Bool(true)),
            ("c", Node::Integer(-7)),
            ("d", Node::OtherNumber(Number::from_f64(1.5).unwrap())),
            ("e", Node::Text("x".into())),
            ("f", Node::List(vec![Node::Integer(1), Node::Object(BTreeMap::new())])),
            ("g", Node::OtherNumber(u64::MAX.into())),
        ];
        assert_eq!(read, wanted.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
    }

    #[test]
    fn whatever_is_not_one_object_is_refused_by_name() {
        let cases: [(&[u8], Unreadable); 12] = [
            (b"", Unreadable::Empty),
            (b" \n", Unreadable::Empty),
            (b"\xff", Unreadable::Encoding),
            (b"{", Unreadable::Syntax { line: 1, column: 1 }),
            (b"{} {}", Unreadable::Syntax { line: 1, column: 4 }),
            (b"{\"a\":01}", Unreadable::Syntax { line: 1, column: 7 }),
            (b"[]", Unreadable::NotAnObject),
            (b"null", Unreadable::NotAnObject),
            (b"{\"a\":{\"b\":1,\n\"b\":2}}", Unreadable::DuplicateKey("b".into())),
            (b"{\"a\":\"x\\u0000\"}", Unreadable::Nul { line: 1, column: 14 }),
            (b"{\"\\u0000\":1}", Unreadable::Nul { line: 1, column: 9 }),
            (b"{\"a\":\"\\ud800\"}", Unreadable::Syntax { line: 1, column: 13 }),
        ];
        for (bytes, wanted) in cases {
            assert_eq!(parse(bytes), Err(wanted), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn sixty_four_levels_are_the_deepest() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(parse(nested(64).as_bytes()).is_ok());
        assert_eq!(parse(nested(65).as_bytes()), Err(Unreadable::TooDeep { max: 64 }));
        assert_eq!(parse("[".repeat(1_000_000).as_bytes()), Err(Unreadable::TooDeep { max: 64 }));
    }
}
