//! Closed word lists: enums that are stored and shown as one lower-case word.
//!
//! The database has no CHECK on such columns (`docs/core/model.md` 4): the enum is the list. The words come from `strum`
//! (`serialize_all = "snake_case"`), the same rule as serde's `rename_all`, so that storage and native wire agree.

use std::str::FromStr;

use strum::VariantArray;

/// An enum whose values are written as words. Every enum with strum's three derives is one.
pub trait Word: Copy + Into<&'static str> + FromStr + VariantArray + 'static {
    /// The word of this value.
    fn word(self) -> &'static str {
        self.into()
    }

    /// The value of a word; `None` for anything that is not exactly one of the words.
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl<T: Copy + Into<&'static str> + FromStr + VariantArray + 'static> Word for T {}
