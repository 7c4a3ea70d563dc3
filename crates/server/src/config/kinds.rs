//! The forms that a setting's value can have: how each is checked, and how it is described to a person.
//!
//! A value arrives as text (environment, flag) or as a TOML value (file) and leaves in the one shape that the
//! fields of [`Config`](super::Config) are read from.

use config::{Value, ValueKind};

use super::values::{DatabaseUrl, Listen, Size, Span};

/// The form of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text without blanks.
    Word,
    /// Text that is never printed.
    Secret,
    /// A file or directory.
    Path,
    /// Several of them.
    Paths,
    /// `host:port` or `off`.
    Listen,
    /// The address of a database; a password in it is never printed.
    Database,
    /// A number of bytes.
    Size,
    /// A length of time.
    Span,
    /// A whole number.
    Count {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// `true` or `false`.
    Switch,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A filter of log lines.
    Filter,
    /// An e-mail address.
    Email,
}

impl Kind {
    /// What a value should have looked like, to follow "expected".
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Word => "text without blanks".into(),
            Self::Secret => "text".into(),
            Self::Path => "a path".into(),
            Self::Paths => "absolute paths: a list in the file, separated by `:` elsewhere".into(),
            Self::Listen => "`host:port` (port 0 takes a free one) or `off`".into(),
            Self::Database => "`postgres://user:password@host/name` or `sqlite:PATH`".into(),
            Self::Size => "a number of bytes such as `4 MiB` (KiB, MiB, GiB)".into(),
            Self::Span => "a time such as `500ms`, `30s`, `5m` or `2h`, above zero".into(),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Switch => "`true` or `false`".into(),
            Self::OneOf(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
            Self::Filter => {
                "a level (`error`, `warn`, `info`, `debug`, `trace`) or `part=level` pairs with commas".into()
            }
            Self::Email => "an e-mail address".into(),
        }
    }

    /// Whether the value must not be shown, not even in an error.
    #[must_use]
    pub fn is_hidden(self) -> bool {
        matches!(self, Self::Secret | Self::Database)
    }

    /// The value in its one shape, or `None` if it has another form.
    #[must_use]
    pub fn read(self, raw: &Value) -> Option<ValueKind> {
        match self {
            Self::Paths => paths(raw),
            Self::Switch => match &raw.kind {
                ValueKind::Boolean(on) => Some(ValueKind::Boolean(*on)),
                ValueKind::String(text) => text.trim().parse().ok().map(ValueKind::Boolean),
                _ => None,
            },
            Self::Count { min, max } => {
                let number: i64 = scalar(raw)?.trim().parse().ok()?;
                (min..=max).contains(&number).then_some(ValueKind::I64(number))
            }
            Self::Size | Self::Span => scalar(raw).filter(|text| self.accepts(text)).map(ValueKind::String),
            _ => match &raw.kind {
                ValueKind::String(text) if self.accepts(text) => Some(ValueKind::String(text.clone())),
                _ => None,
            },
        }
    }

    fn accepts(self, text: &str) -> bool {
        match self {
            Self::Listen => text.parse::<Listen>().is_ok(),
            Self::Database => text.parse::<DatabaseUrl>().is_ok(),
            Self::Size => text.parse::<Size>().is_ok(),
            Self::Span => text.parse::<Span>().is_ok(),
            Self::OneOf(words) => words.contains(&text),
            Self::Filter => tracing_subscriber::EnvFilter::builder().parse(text).is_ok() && !text.trim().is_empty(),
            Self::Word => is_word(text),
            Self::Email => is_word(text) && text.split_once('@').is_some_and(|(name, host)| is_mail(name, host)),
            Self::Path | Self::Secret => !text.is_empty() && !text.contains('\0'),
            Self::Paths | Self::Count { .. } | Self::Switch => true,
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn is_mail(name: &str, host: &str) -> bool {
    !name.is_empty() && !host.is_empty() && !host.contains('@')
}

/// Text or a whole number, as text.
fn scalar(raw: &Value) -> Option<String> {
    match &raw.kind {
        ValueKind::String(text) => Some(text.clone()),
        ValueKind::I64(number) => Some(number.to_string()),
        _ => None,
    }
}

fn paths(raw: &Value) -> Option<ValueKind> {
    let list: Vec<String> = match &raw.kind {
        ValueKind::String(text) => text.split(':').filter(|path| !path.is_empty()).map(str::to_owned).collect(),
        ValueKind::Array(items) => items
            .iter()
            .map(|item| match &item.kind {
                ValueKind::String(path) => Some(path.clone()),
                _ => None,
            })
            .collect::<Option<_>>()?,
        _ => return None,
    };
    let absolute = list.iter().all(|path| path.starts_with('/') && !path.contains('\0'));
    absolute.then(|| ValueKind::Array(list.into_iter().map(Value::from).collect()))
}
