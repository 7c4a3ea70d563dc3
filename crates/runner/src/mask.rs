//! Hides secrets in what a job writes: by exact value, and as base64, URL encoding and JSON make it look
//! (`docs/core/jobs.md` 6).
//!
//! Works on a stream of bytes in pieces of any size: a secret that is cut in two by a read is still found, because the
//! bytes that may be its beginning are held back until the next piece, or the end, tells.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, BuildError, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What stands in the place of a secret.
const HIDDEN: &[u8] = b"[hidden]";
/// Shorter values are not hidden: they would tear ordinary words apart, and guessing them is easy anyway.
pub const SHORTEST: usize = 4;

/// Tools print JSON that holds JSON, and pass it on in JSON of their own.
const JSON_DEPTH: usize = 3;

/// Of a longer value only the text itself is looked for, line by line: all looks of it would take too much memory.
const LONG: usize = 8 * 1024;

/// What is to be hidden, shared by all streams of a job.
#[derive(Clone)]
pub struct Mask {
    /// `None` if there is nothing to hide.
    finder: Option<AhoCorasick>,
    /// Everything that is looked for, in order.
    patterns: Arc<[Vec<u8>]>,
    longest: usize,
}

/// One stream of bytes under a mask.
pub struct Masked {
    mask: Mask,
    held: Vec<u8>,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a mask of {} patterns", self.patterns.len())
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes under {:?}", self.held.len(), self.mask)
    }
}

impl Mask {
    /// A mask for these secrets. Lines of a secret of several lines are hidden one by one too, because tools print them
    /// so; of a value of more than 8 KiB nothing but its lines is.
    ///
    /// # Errors
    /// There are too many or too long secrets to look for at once.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, BuildError> {
        let mut patterns = BTreeSet::new();
        for secret in secrets {
            let lines = secret.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| line.len() >= SHORTEST);
            if secret.len() > LONG {
                patterns.extend(lines.map(<[u8]>::to_vec));
            } else if secret.len() >= SHORTEST {
                patterns.extend(std::iter::once(secret).chain(lines).flat_map(looks));
            }
        }
        let patterns: Arc<[Vec<u8>]> = patterns.into_iter().collect();
        let finder = if patterns.is_empty() {
            None
        } else {
            Some(AhoCorasickBuilder::new().match_kind(MatchKind::LeftmostLongest).build(patterns.iter())?)
        };
        let longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
        Ok(Self { finder, patterns, longest })
    }

    /// A new stream.
    #[must_use]
    pub fn stream(&self) -> Masked {
        Masked { mask: self.clone(), held: Vec::new() }
    }

    /// A whole text, such as an error message.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut stream = self.stream();
        let mut bytes = stream.feed(text.as_bytes());
        bytes.extend(stream.end());
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Where the last bytes may be the beginning of a secret, so that only the next ones tell.
    fn unsure(&self, bytes: &[u8]) -> usize {
        let begins = |suffix: &[u8]| {
            // In order, whatever begins with the suffix follows it.
            let at = self.patterns.partition_point(|pattern| pattern.as_slice() <= suffix);
            self.patterns.get(at).is_some_and(|pattern| pattern.starts_with(suffix))
        };
        let first = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        (first..bytes.len()).find(|at| begins(&bytes[*at..])).unwrap_or(bytes.len())
    }
}

impl Masked {
    /// What can be shown after these bytes. The rest comes with a later call.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(finder) = &self.mask.finder else { return bytes.to_vec() };
        self.held.extend_from_slice(bytes);
        let mut shown = Vec::with_capacity(self.held.len());
        let (mut from, mut sure) = (0, self.mask.unsure(&self.held));
        // A match that begins where we are unsure may turn out to be a part of a longer one.
        while let Some(found) = finder.find(&self.held[from..]).filter(|found| from + found.start() < sure) {
            shown.extend_from_slice(&self.held[from..from + found.start()]);
            shown.extend_from_slice(HIDDEN);
            from += found.end();
            if from > sure {
                // What made us unsure was a part of this match.
                sure = from + self.mask.unsure(&self.held[from..]);
            }
        }
        shown.extend_from_slice(&self.held[from..sure]);
        self.held.drain(..sure);
        shown
    }

    /// What was held back, at the end of the stream.
    pub fn end(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let Some(finder) = &self.mask.finder else { return held };
        let mut shown = Vec::with_capacity(held.len());
        let mut from = 0;
        for found in finder.find_iter(&held) {
            shown.extend_from_slice(&held[from..found.start()]);
            shown.extend_from_slice(HIDDEN);
            from = found.end();
        }
        shown.extend_from_slice(&held[from..]);
        shown
    }
}

/// Everything that a secret may look like in a log.
fn looks(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut looks = vec![secret.to_vec(), percent_encoded(secret, false), percent_encoded(secret, true)];
    for before in 0..3 {
        let mut shifted = vec![0; before];
        shifted.extend_from_slice(secret);
        // Characters that also hold bits of the neighbours differ from text to text: only the sure ones are looked for.
        let first = [0, 2, 3][before];
        let last = usize::from(!shifted.len().is_multiple_of(3));
        for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            let sure = encoded.as_bytes().get(first..encoded.len() - last).unwrap_or_default();
            if sure.len() >= SHORTEST {
                looks.push(sure.to_vec());
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(secret) {
        let mut texts = BTreeSet::from([text.to_owned()]);
        for _ in 0..JSON_DEPTH {
            texts = texts.iter().flat_map(|text| [json_escaped(text, false), json_escaped(text, true)]).collect();
            looks.extend(texts.iter().map(|text| text.clone().into_bytes()));
        }
    }
    looks
}

/// As it stands between the quotes of a JSON string; `ascii`: with everything beyond ASCII escaped by its number, as Python does.
fn json_escaped(text: &str, ascii: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\u{8}' => escaped.push_str("\\b"),
            '\u{c}' => escaped.push_str("\\f"),
            other if other < ' ' || (ascii && !(' '..='~').contains(&other)) => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            }
            other => escaped.push(other),
        }
    }
    escaped
}

fn percent_encoded(secret: &[u8], small: bool) -> Vec<u8> {
    let mut encoded = String::with_capacity(secret.len() * 3);
    for byte in secret {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(*byte)),
            other => {
                // Writing to a string cannot fail.
                let _ = if small { write!(encoded, "%{other:02x}") } else { write!(encoded, "%{other:02X}") };
            }
        }
    }
    encoded.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    fn masked(secrets: &[&str], text: &str) -> String {
        Mask::new(secrets.iter().map(|secret| secret.as_bytes())).unwrap().text(text)
    }

    #[test]
    fn a_secret_is_hidden_in_every_look() {
        let secret = "hunter2/p+ß";
        assert_eq!(masked(&[secret], "password=hunter2/p+ß!"), "password=[hidden]!");
        assert_eq!(masked(&[secret], "?p=hunter2%2Fp%2B%C3%9F&x"), "?p=[hidden]&x");
        assert_eq!(masked(&[secret], "?p=hunter2%2fp%2b%c3%9f&x"), "?p=[hidden]&x");
        for around in ["", "u:", "us:", "user:"] {
            let encoded = STANDARD.encode(format!("{around}{secret}; and more"));
            let shown = masked(&[secret], &encoded);
            assert!(shown.contains("[hidden]"), "{around}: {shown}");
            let decoded = STANDARD.decode(shown.replace("[hidden]", "")).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&decoded).contains("unter2"), "{around}: {shown}");
        }
    }

    #[test]
    fn a_secret_is_hidden_in_json_and_in_json_within_json() {
        let secret = "a\"b\\c/ß😀\u{1}\u{7f}\tz";
        let inner = serde_json::to_string(&serde_json::json!({ "password": secret })).unwrap();
        assert_eq!(masked(&[secret], &inner), r#"{"password":"[hidden]"}"#);
        let outer = serde_json::to_string(&serde_json::json!([inner])).unwrap();
        assert_eq!(masked(&[secret], &outer), r#"["{\"password\":\"[hidden]\"}"]"#);
        let deepest = serde_json::to_string(&outer).unwrap();
        assert_eq!(masked(&[secret], &deepest).matches("[hidden]").count(), 1, "{deepest}");
        // What Python's `json.dumps` makes of it, once and twice.
        let once = r#""a\"b\\c/\u00df\ud83d\ude00\u0001\u007f\tz""#;
        let twice = r#""\"a\\\"b\\\\c/\\u00df\\ud83d\\ude00\\u0001\\u007f\\tz\"""#;
        assert_eq!(masked(&[secret], once), r#""[hidden]""#);
        assert_eq!(masked(&[secret], twice), r#""\"[hidden]\"""#);
        let key = "line one\nline two\n";
        assert_eq!(masked(&[key], &serde_json::to_string(key).unwrap()), "\"[hidden]\"");
    }

    #[test]
    fn nothing_of_a_secret_is_seen_where_a_mask_is_debugged() {
        let mask = Mask::new([b"hunter2".as_slice()]).unwrap();
        let mut stream = mask.stream();
        stream.feed(b"hunt");
        assert!(!format!("{mask:?} {stream:?}").contains("hunt"));
    }

    #[test]
    fn lines_of_a_key_are_hidden_one_by_one_and_short_values_not_at_all() {
        let key = "-----BEGIN KEY-----\nabcdefgh\nij\n-----END KEY-----";
        assert_eq!(masked(&[key], "line: abcdefgh, ij"), "line: [hidden], ij");
        assert_eq!(masked(&["abc", ""], "abc"), "abc");
    }

    #[test]
    fn the_longer_of_two_secrets_wins() {
        assert_eq!(masked(&["secret", "secret-and-more"], "a secret-and-more b secret c"), "a [hidden] b [hidden] c");
    }

    #[test]
    fn the_end_of_a_secret_that_may_begin_another_does_not_uncover_it() {
        let mut stream = Mask::new([b"abcd".as_slice(), b"dexy"]).unwrap().stream();
        assert_eq!(stream.feed(b"abcd"), b"[hidden]");
        assert_eq!(stream.feed(b"exy"), b"exy");
        let mut stream = Mask::new([b"xabcdq".as_slice(), b"abcd"]).unwrap().stream();
        assert_eq!(stream.feed(b"xabcd"), b"");
        assert_eq!(stream.feed(b"q!"), b"[hidden]!");
    }

    #[test]
    fn what_is_no_secret_is_not_held_back() {
        let mut stream = Mask::new([b"secret".as_slice()]).unwrap().stream();
        assert_eq!(stream.feed(b"password: "), b"password: ");
        assert_eq!(stream.feed(b"sec"), b"");
        assert_eq!(stream.feed(b"ond"), b"second");
        assert_eq!(stream.feed(b"se"), b"");
        assert_eq!(stream.end(), b"se");
    }

    #[test]
    fn of_a_long_value_the_lines_are_hidden() {
        let bundle: String = (0..1000).map(|n| format!("line number {n:06}\n")).collect();
        let shown = masked(&[&bundle], &format!("head\n{bundle}tail"));
        assert_eq!(shown, format!("head\n{}tail", "[hidden]\n".repeat(1000)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn no_look_of_a_secret_is_left(secret in "[ -~\n\tßé😀]{5,40}", before in "[ -~]{0,5}", after in "[ -~]{0,5}") {
            let mask = Mask::new([secret.as_bytes()]).unwrap();
            let text = format!("{before}{secret}{after}");
            let json = serde_json::to_string(&text).unwrap();
            for (shown, look) in [
                (mask.text(&text), secret.clone()),
                (mask.text(&json), json_escaped(&secret, false)),
                (mask.text(&serde_json::to_string(&json).unwrap()), json_escaped(&json_escaped(&secret, false), false)),
                (mask.text(&json_escaped(&text, true)), json_escaped(&secret, true)),
            ] {
                prop_assert!(!shown.contains(&look), "{shown}");
                prop_assert!(shown.contains("[hidden]"), "{shown}");
            }
            let shown = mask.text(&STANDARD.encode(&text));
            prop_assert!(shown.contains("[hidden]"), "{shown}");
        }

        #[test]
        fn however_the_text_is_cut_the_result_is_the_same(
            text in "[abs]{0,40}(sabbas|babs)[abs]{0,40}(sabbasab)?[abs]{0,10}",
            cuts in proptest::collection::vec(0_usize..100, 0..8),
        ) {
            let mask = Mask::new([b"sabbas".as_slice(), b"sabbasab", b"babs"]).unwrap();
            let whole = mask.text(&text);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.push(text.len());
            cuts.sort_unstable();
            let (mut stream, mut from, mut shown) = (mask.stream(), 0, Vec::new());
            for cut in cuts {
                shown.extend(stream.feed(&text.as_bytes()[from..cut]));
                from = cut;
            }
            shown.extend(stream.end());
            prop_assert_eq!(&String::from_utf8(shown).unwrap(), &whole);
            for secret in ["sabbas", "babs"] {
                prop_assert!(!whole.contains(secret), "{}", whole);
            }
        }
    }
}
