//! What the content of an Ansible template must be like. Whether it is YAML, and means something, only Ansible knows.

use chandler_model::errors::Code;
use chandler_model::templates::{AnsibleSpec, TEXT_MAX};

use super::bounds::{self, ARG_MAX};
use crate::input::Check;

/// The most that a playbook may say of what it does.
pub const VERBOSITY_MAX: u8 = 4;

pub(super) fn check(check: &mut Check, spec: &AnsibleSpec) {
    check.require(!spec.playbook.trim().is_empty(), "spec.playbook", Code::Blank);
    // Files …
    for (name, text) in [("playbook", &spec.playbook), ("inventory", &spec.inventory), ("extra_vars", &spec.extra_vars)]
    {
        bounds::text(check, format!("spec.{name}"), text, TEXT_MAX);
    }
    // … and arguments.
    for (name, text) in [("limit", &spec.limit), ("tags", &spec.tags), ("skip_tags", &spec.skip_tags)] {
        bounds::text(check, format!("spec.{name}"), text, ARG_MAX);
    }
    let range = Code::Range { min: 0, max: i64::from(VERBOSITY_MAX) };
    check.require(spec.verbosity <= VERBOSITY_MAX, "spec.verbosity", range);
    bounds::timeout(check, spec.timeout_s);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playbook_is_needed_and_everything_has_its_bound() {
        let told = |spec: &AnsibleSpec| {
            let mut found = Check::default();
            check(&mut found, spec);
            found.told()
        };
        let fine =
            AnsibleSpec { playbook: "[]".to_owned(), verbosity: 4, timeout_s: Some(1), ..AnsibleSpec::default() };
        assert_eq!(told(&fine), "");
        assert_eq!(told(&AnsibleSpec { playbook: " \n".to_owned(), ..fine.clone() }), "spec.playbook Blank");
        let wrong = AnsibleSpec {
            inventory: "x".repeat(TEXT_MAX + 1),
            extra_vars: "a\0b".to_owned(),
            limit: "x".repeat(ARG_MAX + 1),
            verbosity: 5,
            timeout_s: Some(0),
            ..fine
        };
        assert_eq!(
            told(&wrong),
            "spec.inventory TooLong, spec.extra_vars Format, spec.limit TooLong, spec.verbosity Range, \
             spec.timeout_s Range"
        );
    }
}
