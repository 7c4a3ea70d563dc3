//! Bounds that the contents of several kinds of templates share.

use chandler_model::errors::{Code, Path};

use crate::input::Check;

/// Most bytes of one argument of a command.
pub const ARG_MAX: usize = 32 * 1024;
/// Most repetitions after failures.
pub const RETRIES_MAX: u16 = 100;

/// A text of at most so many bytes, without NUL: no file name, no argument and no column of ours could hold that.
pub(super) fn text(check: &mut Check, path: impl Into<Path>, text: &str, max: usize) {
    let path = path.into();
    check.require(text.len() <= max, path.clone(), Code::TooLong { max });
    check.require(!text.contains('\0'), path, Code::Format { rule: "must not contain the character NUL" });
}

pub(super) fn retries(check: &mut Check, retries: u16) {
    check.require(retries <= RETRIES_MAX, "spec.retries", Code::Range { min: 0, max: i64::from(RETRIES_MAX) });
}

pub(super) fn timeout(check: &mut Check, timeout_s: Option<u32>) {
    check.require(timeout_s != Some(0), "spec.timeout_s", Code::Range { min: 1, max: i64::from(u32::MAX) });
}
