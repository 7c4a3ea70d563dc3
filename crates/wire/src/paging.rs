//! Paging maths of lists that go on after a key: how many rows, and the opaque cursor that names the last one.
//!
//! A cursor is the key of the last row of a page, base64url without padding: eleven characters that a
//! client can carry in a link and that it has no reason to take apart.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// How many rows a list gives by default and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitRule {
    /// Without a wish of the client.
    pub default: u32,
    /// Whatever the client wishes.
    pub max: u32,
}

impl LimitRule {
    /// The number of rows for a client's wish: at least one, at most `max`.
    #[must_use]
    pub fn clamp(self, wish: Option<u64>) -> u32 {
        let rows = wish.map_or(self.default, |wish| u32::try_from(wish).unwrap_or(u32::MAX));
        rows.clamp(1, self.max.max(1))
    }
}

/// The text is no cursor that [`encode_cursor`] made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCursor;

/// The cursor of the page that follows the row with this key.
#[must_use]
pub fn encode_cursor(key: i64) -> String {
    URL_SAFE_NO_PAD.encode(key.to_be_bytes())
}

/// The key in a cursor. Every key has exactly one cursor; any other text is refused.
pub fn decode_cursor(text: &str) -> Result<i64, BadCursor> {
    let mut key = [0; 8];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut key) {
        Ok(8) => Ok(i64::from_be_bytes(key)),
        _ => Err(BadCursor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_kept_between_one_and_the_maximum() {
        let rule = LimitRule { default: 50, max: 500 };
        let cases = [(None, 50), (Some(0), 1), (Some(7), 7), (Some(500), 500), (Some(501), 500), (Some(u64::MAX), 500)];
        for (wish, rows) in cases {
            assert_eq!(rule.clamp(wish), rows, "{wish:?}");
        }
    }

    #[test]
    fn a_key_comes_back_from_its_cursor() {
        for key in [0, 1, -1, 4711, i64::MIN, i64::MAX] {
            let cursor = encode_cursor(key);
            assert_eq!(cursor.len(), 11);
            assert_eq!(decode_cursor(&cursor), Ok(key));
        }
    }

    #[test]
    fn any_other_text_is_refused() {
        for bad in ["", "1", "AAAAAAAAAAA=", "AAAAAAAAAAB", "AAAAAAAAAA", "AAAAAAAAAAAA", "AAAAA AAAAA", "////////////"]
        {
            assert_eq!(decode_cursor(bad), Err(BadCursor), "{bad:?}");
        }
    }
}
