//! Collecting what is wrong with an input: all wrong fields are told at once.

use chandler_model::errors::{Code, FieldError, Path};
use chandler_model::{Patch, names};

use crate::error::{Kind, Result};

/// A text that may be absent; an empty one counts as absent.
pub(crate) fn optional_text(text: Option<String>, max: usize) -> Result<Option<String>, Code> {
    match text {
        None => Ok(None),
        Some(text) if text.is_empty() => Ok(None),
        Some(text) => names::check_text(&text, max).map(|()| Some(text)),
    }
}

/// A text after an update that may set or clear it; as at the creation, an empty one counts as absent.
pub(crate) fn patched_text(patch: &Patch<String>, before: Option<String>) -> Option<String> {
    patch.clone().apply(before).filter(|text| !text.is_empty())
}

/// Compares the version that the caller named with the present one.
pub(crate) fn expect_version(named: Option<i64>, present: i64) -> Result<()> {
    match named {
        Some(version) if version != present => Err(Kind::Precondition.into()),
        _ => Ok(()),
    }
}

/// Characters of a caller's own key that the path of a wrong field repeats.
const SHOWN_MAX: usize = 64;

/// A caller's own key as a part of the path of a wrong field.
pub(crate) fn shown(key: &str) -> String {
    let mut shown: String = key.chars().take(SHOWN_MAX).collect();
    if shown.len() < key.len() {
        shown.push('…');
    }
    shown
}

/// The wrong fields of one request.
#[derive(Debug, Default)]
pub(crate) struct Check {
    errors: Vec<FieldError>,
}

impl Check {
    /// Takes a checked value, or notes what is wrong and goes on with the default.
    pub(crate) fn take<T: Default>(&mut self, path: &str, checked: Result<T, Code>) -> T {
        checked.unwrap_or_else(|code| {
            self.errors.push(FieldError::new(path, code));
            T::default()
        })
    }

    /// Checks the text that a patch sets.
    pub(crate) fn patch(&mut self, path: &str, patch: &Patch<String>, max: usize) {
        if let Some(text) = patch.as_set() {
            self.take(path, names::check_text(text, max));
        }
    }

    pub(crate) fn require(&mut self, holds: bool, path: impl Into<Path>, code: Code) {
        if !holds {
            self.errors.push(FieldError::new(path, code));
        }
    }

    /// Whether nothing was wrong.
    pub(crate) fn done(self) -> Result<()> {
        if self.errors.is_empty() { Ok(()) } else { Err(Kind::Invalid(self.errors).into()) }
    }

    /// Paths and codes without their numbers: `name Blank, spec.retries Range`.
    #[cfg(test)]
    pub(crate) fn told(self) -> String {
        let word = |code: &Code| format!("{code:?}").split(' ').next().unwrap_or_default().to_owned();
        let told: Vec<String> = self.errors.iter().map(|e| format!("{} {}", e.path, word(&e.code))).collect();
        told.join(", ")
    }
}
