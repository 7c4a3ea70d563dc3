//! The types of settings that are more than text: addresses, databases, sizes, times, secrets.
//!
//! Each is read from text by `FromStr`; `Debug` of those that can hold a secret never shows it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// The text has another form; which one is right is known to the setting's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongForm;

impl fmt::Display for WrongForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value has the wrong form")
    }
}

impl std::error::Error for WrongForm {}

/// A piece of text that neither `Debug` nor any output shows.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct Secret(SecretString);

impl Secret {
    /// The text itself. Whoever calls this takes care of where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(SecretString::from(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hidden")
    }
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Listen {
    /// Nowhere.
    Off,
    /// At this `host:port`.
    At(String),
}

impl FromStr for Listen {
    type Err = WrongForm;

    fn from_str(text: &str) -> Result<Self, WrongForm> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let (host, port) = text.rsplit_once(':').ok_or(WrongForm)?;
        let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
        let plain = !host.is_empty() && !host.contains([':', '[', ']', '/', '@']);
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        if !(bracketed || plain) || host.contains(char::is_whitespace) || !digits || port.parse::<u16>().is_err() {
            return Err(WrongForm);
        }
        Ok(Self::At(text.to_owned()))
    }
}

/// The database to open.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub enum DatabaseUrl {
    /// A file.
    Sqlite(PathBuf),
    /// A server, by its whole URL.
    Postgres(Secret),
}

impl FromStr for DatabaseUrl {
    type Err = WrongForm;

    fn from_str(text: &str) -> Result<Self, WrongForm> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            // A database in memory would forget acknowledged writes.
            let usable = !path.is_empty() && !path.contains(":memory:") && !path.contains('\0');
            return if usable { Ok(Self::Sqlite(path.into())) } else { Err(WrongForm) };
        }
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        match rest {
            Some(rest) if !rest.is_empty() && !text.contains(char::is_whitespace) => {
                Ok(Self::Postgres(text.to_owned().into()))
            }
            _ => Err(WrongForm),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    /// The URL without its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_password(url.expose())),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hides what may be a password: in doubt (an `@` or `?` that was not escaped) more than needed.
fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    let mut out = format!("{scheme}://");
    match user.map(|user| user.split_once(':')) {
        Some(Some((name, _password))) => out.push_str(&format!("{name}:hidden@")),
        Some(None) => out.push_str(&format!("{}@", user.unwrap_or_default())),
        None => {}
    }
    let (place, query) = place.split_once('?').map_or((place, None), |(place, query)| (place, Some(query)));
    out.push_str(place);
    for (index, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        out.push(if index == 0 { '?' } else { '&' });
        let name = pair.split('=').next().unwrap_or_default();
        out.push_str(if name.to_lowercase().contains("pass") { "password=hidden" } else { pair });
    }
    out
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Size(pub usize);

impl FromStr for Size {
    type Err = WrongForm;

    fn from_str(text: &str) -> Result<Self, WrongForm> {
        let (number, unit) = number_and_unit(text)?;
        let factor = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(WrongForm),
        };
        let bytes = number.checked_mul(factor).and_then(|bytes| usize::try_from(bytes).ok()).ok_or(WrongForm)?;
        Ok(Self(bytes))
    }
}

/// A length of time above zero; a number without a unit is in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = WrongForm;

    fn from_str(text: &str) -> Result<Self, WrongForm> {
        let (number, unit) = number_and_unit(text)?;
        let factor = match unit {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(WrongForm),
        };
        // Above a year it is a typing error, and far above it timers overflow.
        let longest = 366 * 24 * 3_600_000;
        let ms = number.checked_mul(factor).filter(|ms| (1..=longest).contains(ms)).ok_or(WrongForm)?;
        Ok(Self(Duration::from_millis(ms)))
    }
}

fn number_and_unit(text: &str) -> Result<(u64, &str), WrongForm> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Ok((number.parse().map_err(|_| WrongForm)?, unit.trim_start()))
}

macro_rules! from_text {
    ($($name:ty),*) => {$(
        impl TryFrom<String> for $name {
            type Error = WrongForm;

            fn try_from(text: String) -> Result<Self, WrongForm> {
                text.parse()
            }
        }
    )*};
}

from_text!(Listen, DatabaseUrl, Size, Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!("off".parse(), Ok(Listen::Off));
        for good in ["127.0.0.1:7080", "localhost:0", "[::1]:80", "0.0.0.0:65535"] {
            assert_eq!(good.parse(), Ok(Listen::At(good.into())));
        }
        for bad in
            ["", "Off", "7080", ":7080", "host:", "host:65536", "host:+1", "::1:80", "[]:80", "a b:1", "http://a:1"]
        {
            assert_eq!(bad.parse::<Listen>(), Err(WrongForm), "{bad:?}");
        }
    }

    #[test]
    fn sizes_and_times() {
        assert_eq!("4 MiB".parse(), Ok(Size(4 << 20)));
        assert_eq!("1000".parse(), Ok(Size(1000)));
        assert_eq!("2KiB".parse(), Ok(Size(2048)));
        assert_eq!("500ms".parse(), Ok(Span(Duration::from_millis(500))));
        assert_eq!("30".parse(), Ok(Span(Duration::from_secs(30))));
        assert_eq!("2 h".parse(), Ok(Span(Duration::from_secs(7200))));
        for bad in ["", "MiB", "-1", "4 MB", "1.5 MiB", "99999999999 GiB"] {
            assert_eq!(bad.parse::<Size>(), Err(WrongForm), "{bad:?}");
        }
        for bad in ["", "s", "0", "0s", "-1s", "1 day", "99999h", "18446744073709551615h"] {
            assert_eq!(bad.parse::<Span>(), Err(WrongForm), "{bad:?}");
        }
    }

    #[test]
    fn databases_never_show_a_password() {
        let shown = |url: &str| {
            let url: DatabaseUrl = url.parse().unwrap();
            assert_eq!(format!("{url:?}"), url.to_string());
            url.to_string()
        };
        assert_eq!(shown("postgres://u:p@h:5432/db"), "postgres://u:hidden@h:5432/db");
        assert_eq!(shown("postgresql://u:p@ss:w/o?rd@h/db"), "postgresql://u:hidden@h/db");
        assert_eq!(shown("postgres://u@h/db?sslmode=require"), "postgres://u@h/db?sslmode=require");
        assert_eq!(shown("postgres://h/db?user=u&password=p&x=1"), "postgres://h/db?user=u&password=hidden&x=1");
        assert_eq!(shown("sqlite:/a/b.db"), "sqlite:/a/b.db");
        assert_eq!(shown("sqlite:///a/b.db"), "sqlite:/a/b.db");
        for bad in ["", "mysql://h/db", "postgres://", "sqlite:", "sqlite::memory:", "/a/b.db", "postgres://h /db"] {
            assert!(bad.parse::<DatabaseUrl>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_secret_is_hidden_in_debug() {
        let secret = Secret::from("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "hidden");
        assert_eq!(secret.expose(), "hunter2");
    }
}
