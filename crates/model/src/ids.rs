//! The two identities of every row (`docs/core/model.md` 3): a positive integer per table and a UUID v7 over all tables.
//!
//! `Id<T>` carries the type of its row, so that an environment's id cannot be passed where a job's is wanted.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// The integer id of a row of type `T`: positive, unique in its table, never used again.
pub struct Id<T>(i64, PhantomData<fn() -> T>);

impl<T> Id<T> {
    #[must_use]
    pub const fn new(value: i64) -> Self {
        Self(value, PhantomData)
    }

    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

// Written out because `derive` would ask the same of `T`, which is only a name here.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<T> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}
impl<'de, T> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self::new)
    }
}

/// The UUID v7 of a row: what Run:ai, Coder and Terrakube show, and what outlives the row in audit and snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uid(pub Uuid);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// How a caller names a row in a path: by integer id or by UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector<T> {
    Id(Id<T>),
    Uid(Uid),
}

impl<T> Selector<T> {
    /// Reads a path segment. `None` if it is neither a positive integer nor a UUID: no row has such a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(id) = text.parse::<i64>() {
            return (id > 0).then_some(Self::Id(Id::new(id)));
        }
        Uuid::try_parse(text).ok().map(|uuid| Self::Uid(Uid(uuid)))
    }
}

impl<T> From<Id<T>> for Selector<T> {
    fn from(id: Id<T>) -> Self {
        Self::Id(id)
    }
}

impl<T> From<Uid> for Selector<T> {
    fn from(uid: Uid) -> Self {
        Self::Uid(uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_segment_names_a_row_by_number_or_uuid_and_by_nothing_else() {
        assert_eq!(Selector::<()>::parse("7"), Some(Selector::Id(Id::new(7))));
        let uid = "0192f0c1-2a5b-7c3d-8e4f-0123456789ab";
        assert!(matches!(Selector::<()>::parse(uid), Some(Selector::Uid(u)) if u.to_string() == uid));
        for wrong in ["0", "-3", "default", "", "1.5", "99999999999999999999"] {
            assert_eq!(Selector::<()>::parse(wrong), None, "{wrong}");
        }
    }
}
