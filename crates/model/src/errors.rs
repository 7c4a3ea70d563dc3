//! What can be wrong with one field of an input. Codes carry the numbers that a text needs, never the text: each
//! dialect words them itself.

use std::fmt;

/// One thing that is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub path: Path,
    pub code: Code,
}

impl FieldError {
    #[must_use]
    pub fn new(path: impl Into<Path>, code: Code) -> Self {
        Self { path: path.into(), code }
    }
}

/// Where in the request: core names from the outside in, array positions as numbers (`spec.env.0.name`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(String);

impl Path {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of a part of this one.
    #[must_use]
    pub fn then(&self, part: impl fmt::Display) -> Self {
        Self(format!("{}.{part}", self.0))
    }
}

impl From<&str> for Path {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Path {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// Absent, and there is no default.
    Required,
    /// Present but empty.
    Blank,
    /// More than `max` characters (of text) or members (of a list).
    TooLong {
        max: usize,
    },
    TooShort {
        min: usize,
    },
    Range {
        min: i64,
        max: i64,
    },
    /// Another JSON type than `want`.
    WrongType {
        want: &'static str,
    },
    /// Text of the right type in the wrong form; `rule` says the form in words.
    Format {
        rule: &'static str,
    },
    NotUnique,
    /// Names no row of that resource which the actor may use.
    Unknown {
        resource: &'static str,
    },
    NotOneOf {
        words: Vec<&'static str>,
    },
    /// A key that this request does not take.
    UnknownField,
    ReadOnly,
    /// Excludes `other`.
    NotTogether {
        other: &'static str,
    },
}
