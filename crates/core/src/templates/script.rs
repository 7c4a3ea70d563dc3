//! What the content of a script template must be like.

use chandler_model::errors::Code;
use chandler_model::templates::{SCRIPT_MAX, ScriptSpec};

use super::bounds::{self, ARG_MAX};
use crate::input::Check;

/// Most arguments of a script.
pub const ARGS_MAX: usize = 256;

pub(super) fn check(check: &mut Check, spec: &ScriptSpec) {
    check.require(!spec.script.trim().is_empty(), "spec.script", Code::Blank);
    bounds::text(check, "spec.script", &spec.script, SCRIPT_MAX);
    check.require(spec.args.len() <= ARGS_MAX, "spec.args", Code::TooLong { max: ARGS_MAX });
    for (i, arg) in spec.args.iter().enumerate() {
        bounds::text(check, format!("spec.args.{i}"), arg, ARG_MAX);
    }
    bounds::retries(check, spec.retries);
    check.require(spec.retries == 0 || spec.may_repeat, "spec.retries", Code::Format { rule: "needs may_repeat" });
    bounds::timeout(check, spec.timeout_s);
}
