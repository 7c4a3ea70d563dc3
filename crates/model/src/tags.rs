//! Tags: what a job asks of its worker (`docs/core/jobs.md` 5, Coder contract 7.2). They are normalised whatever dialect
//! wrote them, so `scope` and `owner` are always there.

use std::collections::BTreeMap;

use serde::Serialize;

const SCOPE: &str = "scope";
const OWNER: &str = "owner";
const ORGANIZATION: &str = "organization";
const USER: &str = "user";

/// Normalised tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Tags(BTreeMap<String, String>);

impl Default for Tags {
    /// Of a job that asks for nothing.
    fn default() -> Self {
        Self::merged([], "")
    }
}

impl Tags {
    /// Merges maps from left to right; an empty value never overrides. `owner` is the id of the person whose tags they
    /// are, for those that say `scope=user`.
    #[must_use]
    pub fn merged<'a>(maps: impl IntoIterator<Item = &'a BTreeMap<String, String>>, owner: &str) -> Self {
        let mut tags = BTreeMap::new();
        for (key, value) in maps.into_iter().flatten() {
            if !value.is_empty() || !tags.contains_key(key) {
                tags.insert(key.clone(), value.clone());
            }
        }
        let users = tags.get(SCOPE).is_some_and(|scope| scope == USER);
        tags.insert(SCOPE.to_owned(), if users { USER } else { ORGANIZATION }.to_owned());
        tags.insert(OWNER.to_owned(), if users { owner.to_owned() } else { String::new() });
        Self(tags)
    }

    /// Whether nothing is asked for. Such jobs run only where nothing special is offered.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.0.len() == 2 && self.0.get(SCOPE).is_some_and(|scope| scope == ORGANIZATION)
    }

    /// Whether a worker with the tags `of` may run a job with these.
    #[must_use]
    pub fn fit(&self, of: &Self) -> bool {
        if self.is_plain() { of.is_plain() } else { self.iter().all(|(key, value)| of.0.get(key) == Some(value)) }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }

    /// The one text of these tags: an object of JSON with sorted keys.
    #[must_use]
    pub fn canonical(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// Reads a canonical text. `None`: it is none.
    #[must_use]
    pub fn from_canonical(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn tags(pairs: Pairs<'_>) -> Tags {
        let map = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Tags::merged([&map], "A")
    }

    /// The table of the Coder contract 7.2.
    #[test]
    fn a_worker_runs_what_fits_it() {
        let table: [(Pairs<'_>, Pairs<'_>, bool); 7] = [
            (&[], &[], true),
            (&[("region", "n"), ("dc", "1")], &[("region", "n")], true),
            (&[("region", "n")], &[("region", "n"), ("dc", "1")], false),
            (&[("region", "n")], &[], false),
            (&[], &[("region", "n")], false),
            (&[("scope", "user"), ("region", "n")], &[("scope", "user")], true),
            (&[("scope", "user")], &[], false),
        ];
        for (worker, job, runs) in table {
            assert_eq!(tags(job).fit(&tags(worker)), runs, "{worker:?} {job:?}");
        }
        let other = Tags::merged([&[("scope".to_owned(), "user".to_owned())].into()], "B");
        assert!(!other.fit(&tags(&[("scope", "user")])));
    }

    #[test]
    fn scope_and_owner_are_always_there() {
        assert_eq!(Tags::default().canonical(), r#"{"owner":"","scope":"organization"}"#);
        assert_eq!(tags(&[("scope", "user")]).canonical(), r#"{"owner":"A","scope":"user"}"#);
        assert_eq!(tags(&[("scope", "nowhere"), ("owner", "B")]).canonical(), r#"{"owner":"","scope":"organization"}"#);
        let (first, second) = ([("a".to_owned(), "1".to_owned())].into(), [("a".to_owned(), String::new())].into());
        let merged = Tags::merged([&first, &second], "");
        assert_eq!(merged.canonical(), r#"{"a":"1","owner":"","scope":"organization"}"#);
        assert_eq!(Tags::from_canonical(&merged.canonical()), Some(merged));
    }
}
