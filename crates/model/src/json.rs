//! Columns that hold JSON: typed (`Json`) where the core reads them, raw text (`RawJson`) where it only keeps them.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

/// A value that is stored as one JSON column. It serializes as the value itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json<T>(pub T);

impl<T> Deref for Json<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Json<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// JSON text that is kept as it is. Whoever makes one answers for its being valid JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawJson(pub String);
