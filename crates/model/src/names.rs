//! Names: folding for comparison, the rules of slugs, and how a slug is derived from a title
//! (`docs/core/model.md` 2.8 and 3).

use crate::errors::Code;

/// Longest slug, in characters (all ASCII).
pub const SLUG_MAX: usize = 32;
/// Longest title or name that the native API takes, in characters.
pub const NAME_MAX: usize = 512;
/// Longest description that the native API takes, in characters.
pub const DESCRIPTION_MAX: usize = 16_384;

/// Unicode lower case: what a `*_key` column holds and what `fold(x)` means in SQL.
#[must_use]
pub fn fold(text: &str) -> String {
    text.to_lowercase()
}

/// Refuses what no text column may hold on either engine.
pub fn check_text(text: &str, max: usize) -> Result<(), Code> {
    if text.contains('\0') {
        return Err(Code::Format { rule: "must not contain the character NUL" });
    }
    if text.chars().count() > max { Err(Code::TooLong { max }) } else { Ok(()) }
}

/// A name as the native API takes it: trimmed, not empty, at most [`NAME_MAX`] characters, no control characters.
pub fn check_name(text: &str) -> Result<String, Code> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(Code::Blank);
    }
    if trimmed.chars().any(char::is_control) {
        return Err(Code::Format { rule: "must not contain control characters" });
    }
    check_text(trimmed, NAME_MAX)?;
    Ok(trimmed.to_owned())
}

/// The slug that a title gets when it was not made in Coder: ASCII where a transliteration is known, lower case, every
/// other run of characters one `-`, at most [`SLUG_MAX`] long, never empty and never one of the forbidden words.
#[must_use]
pub fn derive_slug(title: &str) -> String {
    let mut slug = String::with_capacity(SLUG_MAX);
    for c in any_ascii::any_ascii(title).chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(SLUG_MAX);
    let slug = slug.trim_matches('-');
    match slug {
        "" => "org".to_owned(),
        _ if slug_is_forbidden(slug) => numbered(slug, "-org"),
        _ => slug.to_owned(),
    }
}

/// The `n`-th candidate when the derived slug is taken: `net`, `net-2`, `net-3`, …, cut so that it still fits.
#[must_use]
pub fn slug_candidate(slug: &str, n: u32) -> String {
    if n <= 1 { slug.to_owned() } else { numbered(slug, &format!("-{n}")) }
}

fn numbered(slug: &str, suffix: &str) -> String {
    let room = SLUG_MAX - suffix.len();
    let stem = slug.get(..room.min(slug.len())).unwrap_or(slug).trim_end_matches('-');
    format!("{stem}{suffix}")
}

/// Words that Coder's paths use for something else, and anything that parses as a UUID.
fn slug_is_forbidden(slug: &str) -> bool {
    matches!(slug, "default" | "new" | "create") || uuid::Uuid::try_parse(slug).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_derived_as_the_core_model_says() {
        let cases = [
            ("Network Operations", "network-operations"),
            ("Zürich / Büro №1", "zurich-buro-no1"),
            ("  --  ", "org"),
            ("", "org"),
            ("Default", "default-org"),
            ("new", "new-org"),
            ("0192f0c1-2a5b-7c3d-8e4f-0123456789ab", "0192f0c1-2a5b-7c3d-8e4f-01234567"),
            ("0192f0c12a5b7c3d8e4f0123456789ab", "0192f0c12a5b7c3d8e4f01234567-org"),
            ("a-very-long-title-that-goes-on-and-on", "a-very-long-title-that-goes-on-a"),
        ];
        for (title, slug) in cases {
            assert_eq!(derive_slug(title), slug, "{title:?}");
            assert!(derive_slug(title).len() <= SLUG_MAX);
        }
    }

    #[test]
    fn a_taken_slug_is_numbered_and_still_fits() {
        assert_eq!(slug_candidate("net", 1), "net");
        assert_eq!(slug_candidate("net", 2), "net-2");
        let long = "a".repeat(32);
        assert_eq!(slug_candidate(&long, 10), format!("{}-10", "a".repeat(29)));
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(check_name("  net ").as_deref(), Ok("net"));
        assert_eq!(check_name(" \t "), Err(Code::Blank));
        assert!(matches!(check_name("a\u{7}b"), Err(Code::Format { .. })));
        assert_eq!(check_name(&"x".repeat(513)), Err(Code::TooLong { max: 512 }));
    }
}
