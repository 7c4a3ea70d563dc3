//! Strong entity tags made of a row's version number, and the `If-Match` header that names them.
//!
//! The tag of version 12 is `"12"`. Weak tags never match (RFC 9110 §8.8.3.2 demands a strong comparison
//! for `If-Match`), and a tag that is not one of ours matches nothing.

use http::header::IF_MATCH;
use http::{HeaderMap, HeaderValue};

/// The strong entity tag of a version, as the value of the `ETag` header.
#[must_use]
pub fn of_version(version: i64) -> HeaderValue {
    // Digits in quotes are always a valid header value; an empty one is the answer to the impossible.
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// What a request demands of the version it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: any version, as long as the row exists.
    Any,
    /// One of these versions. Empty if the client named only tags that can never match.
    Versions(Vec<i64>),
}

/// The `If-Match` header is not a list of entity tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl IfMatch {
    /// Reads the header; `None` if the request has none.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Malformed> {
        let mut versions = Vec::new();
        let (mut any, mut seen) = (false, false);
        for value in headers.get_all(IF_MATCH) {
            seen = true;
            let text = value.to_str().map_err(|_| Malformed)?.trim();
            if text == "*" {
                any = true;
            } else {
                tags(text, &mut versions)?;
            }
        }
        match (seen, any) {
            (false, _) => Ok(None),
            (true, false) => Ok(Some(Self::Versions(versions))),
            (true, true) if versions.is_empty() => Ok(Some(Self::Any)),
            (true, true) => Err(Malformed),
        }
    }

    /// Whether a row of this version may be changed.
    #[must_use]
    pub fn allows(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Versions(versions) => versions.contains(&version),
        }
    }
}

/// Reads `"1", W/"2", "three"`, appending the versions among them.
fn tags(mut text: &str, versions: &mut Vec<i64>) -> Result<(), Malformed> {
    loop {
        let (weak, rest) = match text.strip_prefix("W/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (tag, rest) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')).ok_or(Malformed)?;
        if !weak && let Some(version) = version(tag) {
            versions.push(version);
        }
        let rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(());
        }
        text = rest.strip_prefix(',').ok_or(Malformed)?.trim_start();
    }
}

/// Tags compare byte by byte, so only the one way in which we write a number is that version.
fn version(tag: &str) -> Option<i64> {
    tag.parse::<i64>().ok().filter(|version| version.to_string() == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&str]) -> Result<Option<IfMatch>, Malformed> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_MATCH, HeaderValue::from_str(line).unwrap());
        }
        IfMatch::from_headers(&headers)
    }

    fn versions(list: &[i64]) -> Result<Option<IfMatch>, Malformed> {
        Ok(Some(IfMatch::Versions(list.to_vec())))
    }

    #[test]
    fn a_version_comes_back_from_its_tag() {
        for version in [0, 1, 12, i64::MAX] {
            let tag = of_version(version);
            let text = tag.to_str().unwrap();
            assert_eq!(text, format!("\"{version}\""));
            assert_eq!(parse(&[text]), versions(&[version]));
        }
    }

    #[test]
    fn lists_lines_and_the_star() {
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&["*"]), Ok(Some(IfMatch::Any)));
        assert_eq!(parse(&["\"1\", \"2\"", "\"3\""]), versions(&[1, 2, 3]));
        assert_eq!(parse(&["\"1\",\"2\" , \"3\" "]), versions(&[1, 2, 3]));
    }

    #[test]
    fn weak_and_foreign_tags_match_nothing() {
        assert_eq!(parse(&["W/\"1\", \"x,y\", \"+1\", \"01\", \"\""]), versions(&[]));
        let Ok(Some(tags)) = parse(&["W/\"1\", \"2\""]) else { panic!() };
        assert!(!tags.allows(1) && tags.allows(2));
    }

    #[test]
    fn what_is_no_list_of_tags_is_malformed() {
        for bad in ["", "1", "\"1", "\"1\" \"2\"", "\"1\",", "*, \"1\"", "w/\"1\""] {
            assert_eq!(parse(&[bad]), Err(Malformed), "{bad:?}");
        }
        assert_eq!(parse(&["*", "\"1\""]), Err(Malformed));
    }
}
