//! The SQL functions that SQLite gets from us: `fold(text)` and `rx(text, pattern)`. PostgreSQL's are in `engine.rs`.

use std::cell::RefCell;

use regex::{Regex, RegexBuilder};
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Error, Result};

/// The size up to which a pattern may grow when it is compiled: bounds both time and memory.
const PATTERN_BYTES: usize = 1 << 20;
/// A connection runs one statement at a time, and few statements have more than one pattern.
const PATTERNS: usize = 8;

pub(super) fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("fold", 1, flags, |context| {
        Ok(context.get_raw(0).as_str_or_null()?.map(str::to_lowercase))
    })?;
    let patterns = RefCell::new(Patterns::default());
    connection.create_scalar_function("rx", 2, flags, move |context| {
        let (Some(text), Some(pattern)) = (context.get_raw(0).as_str_or_null()?, context.get_raw(1).as_str_or_null()?)
        else {
            return Ok(None);
        };
        patterns.borrow_mut().matches(pattern, text).map(Some)
    })
}

/// The patterns used last, the newest at the end.
#[derive(Default)]
struct Patterns(Vec<Regex>);

impl Patterns {
    fn matches(&mut self, pattern: &str, text: &str) -> Result<bool> {
        let regex = match self.0.iter().rposition(|regex| regex.as_str() == pattern) {
            Some(index) => &self.0[index],
            None => {
                let compiled = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build();
                let compiled = compiled.map_err(|error| Error::UserFunctionError(error.into()))?;
                if self.0.len() == PATTERNS {
                    self.0.remove(0);
                }
                self.0.push(compiled);
                &self.0[self.0.len() - 1]
            }
        };
        Ok(regex.is_match(text))
    }
}
