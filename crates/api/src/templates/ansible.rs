//! The content of an Ansible template.

use chandler_core::templates::VERBOSITY_MAX;
use chandler_model::templates::AnsibleSpec;
use serde::Serialize;

use crate::input::{Fields, FromFields, Within};

#[derive(Serialize)]
pub(super) struct View<'a> {
    playbook: &'a str,
    inventory: Option<&'a str>,
    extra_vars: Option<&'a str>,
    limit: Option<&'a str>,
    tags: Option<&'a str>,
    skip_tags: Option<&'a str>,
    verbosity: u8,
    check: bool,
    simultaneous: bool,
    timeout_s: Option<u32>,
}

impl<'a> View<'a> {
    pub(super) fn of(spec: &'a AnsibleSpec) -> Self {
        fn set(text: &str) -> Option<&str> {
            Some(text).filter(|text| !text.is_empty())
        }
        let AnsibleSpec { playbook, inventory, extra_vars, limit, tags, skip_tags, .. } = spec;
        let AnsibleSpec { verbosity, check, simultaneous, timeout_s, .. } = *spec;
        Self {
            playbook,
            inventory: set(inventory),
            extra_vars: set(extra_vars),
            limit: set(limit),
            tags: set(tags),
            skip_tags: set(skip_tags),
            verbosity,
            check,
            simultaneous,
            timeout_s,
        }
    }
}

impl FromFields for AnsibleSpec {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let playbook = fields.required("playbook");
        let verbosity: Option<Within<0, { VERBOSITY_MAX as i64 }>> = fields.given("verbosity");
        let rest = Self {
            playbook: String::new(),
            inventory: fields.optional("inventory").unwrap_or_default(),
            extra_vars: fields.optional("extra_vars").unwrap_or_default(),
            limit: fields.optional("limit").unwrap_or_default(),
            tags: fields.optional("tags").unwrap_or_default(),
            skip_tags: fields.optional("skip_tags").unwrap_or_default(),
            verbosity: verbosity.and_then(|level| u8::try_from(level.0).ok()).unwrap_or_default(),
            check: fields.given("check").unwrap_or_default(),
            simultaneous: fields.given("simultaneous").unwrap_or_default(),
            timeout_s: super::timeout(fields),
        };
        Some(Self { playbook: playbook?, ..rest })
    }
}
