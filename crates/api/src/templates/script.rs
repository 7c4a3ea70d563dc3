//! The content of a script template.

use chandler_model::templates::ScriptSpec;
use serde::Serialize;

use crate::input::{Fields, FromFields};

#[derive(Serialize)]
pub(super) struct View<'a> {
    script: &'a str,
    args: &'a [String],
    may_repeat: bool,
    retries: u16,
    timeout_s: Option<u32>,
}

impl<'a> View<'a> {
    pub(super) fn of(spec: &'a ScriptSpec) -> Self {
        let ScriptSpec { script, args, may_repeat, retries, timeout_s } = spec;
        Self { script, args, may_repeat: *may_repeat, retries: *retries, timeout_s: *timeout_s }
    }
}

impl FromFields for ScriptSpec {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let (script, args) = (fields.required("script"), fields.given("args"));
        let may_repeat = fields.given("may_repeat").unwrap_or_default();
        let (retries, timeout_s) = (super::retries(fields), super::timeout(fields));
        Some(Self { script: script?, args: args.unwrap_or_default(), may_repeat, retries, timeout_s })
    }
}
