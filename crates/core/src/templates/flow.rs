//! What the content of a flow must be like. Whether its configuration means something, only Terraform knows.

use chandler_model::errors::Code;
use chandler_model::jobs::StepKind;
use chandler_model::names;
use chandler_model::templates::{FlowSpec, FlowStep, TEXT_MAX};
use serde_json::Value;

use super::bounds;
use crate::input::{Check, shown};

/// Most files of a configuration.
pub const FILES_MAX: usize = 500;
/// Longest path of a file and longest name of a variable, in bytes.
pub const PATH_MAX: usize = 255;
/// Most steps of a flow.
pub const STEPS_MAX: usize = 100;

/// What a step of a flow may do.
const STEP_KINDS: [&str; 4] = ["plan", "plan_destroy", "apply", "destroy"];

pub(super) fn check(check: &mut Check, spec: &FlowSpec) {
    check_configuration(check, spec);
    check_variables(check, spec);
    check_steps(check, &spec.steps);
}

fn check_configuration(check: &mut Check, spec: &FlowSpec) {
    let files = &spec.configuration;
    check.require(!files.is_empty(), "spec.configuration", Code::Blank);
    if files.len() > FILES_MAX {
        // Not each of them as well.
        return check.require(false, "spec.configuration", Code::TooLong { max: FILES_MAX });
    }
    for (path, text) in files {
        let field = format!("spec.configuration.{}", shown(path));
        let rule = "must be a relative path of plain names";
        check.require(is_plain(path), field.as_str(), Code::Format { rule });
        check.require(path.len() <= PATH_MAX, field.as_str(), Code::TooLong { max: PATH_MAX });
        let folders = path.match_indices('/').filter_map(|(end, _)| path.get(..end));
        let rule = "lies in a folder whose name is a file's";
        check.require(
            !folders.into_iter().any(|folder| files.contains_key(folder)),
            field.as_str(),
            Code::Format { rule },
        );
        bounds::text(check, field, text, TEXT_MAX);
    }
}

/// Whether a path leads to a file below a directory, by one spelling only.
fn is_plain(path: &str) -> bool {
    path.split('/').all(|name| !matches!(name, "" | "." | "..")) && !path.contains(char::is_control)
}

fn check_variables(check: &mut Check, spec: &FlowSpec) {
    for (name, value) in &spec.variables {
        let field = format!("spec.variables.{}", shown(name));
        let rule = "must be a name of letters, digits, underscores and hyphens";
        check.require(is_identifier(name), field.as_str(), Code::Format { rule });
        check.require(name.len() <= PATH_MAX, field.as_str(), Code::TooLong { max: PATH_MAX });
        let rule = "must not contain the character NUL";
        check.require(!has_nul(value), field, Code::Format { rule });
    }
    // Maps of JSON values cannot fail to serialize.
    let text = serde_json::to_string(&spec.variables).unwrap_or_default();
    check.require(text.len() <= TEXT_MAX, "spec.variables", Code::TooLong { max: TEXT_MAX });
}

/// As Terraform names its variables.
fn is_identifier(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-'))
}

/// PostgreSQL's JSON cannot hold it.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn check_steps(check: &mut Check, steps: &[FlowStep]) {
    check.require(steps.len() <= STEPS_MAX, "spec.steps", Code::TooLong { max: STEPS_MAX });
    for (i, FlowStep { kind, name, .. }) in steps.iter().enumerate().take(STEPS_MAX) {
        let fits = match kind {
            StepKind::Plan | StepKind::PlanDestroy | StepKind::Apply | StepKind::Destroy => true,
            StepKind::Script
            | StepKind::Approval
            | StepKind::ScheduleTemplates
            | StepKind::DisableWorkspace
            | StepKind::Task => false,
        };
        check.require(fits, format!("spec.steps.{i}.kind"), Code::NotOneOf { words: STEP_KINDS.to_vec() });
        if let Some(name) = name {
            check.take(&format!("spec.steps.{i}.name"), names::check_name(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(spec: &FlowSpec) -> String {
        let mut found = Check::default();
        check(&mut found, spec);
        found.told()
    }

    fn with_files(paths: &[&str]) -> FlowSpec {
        let configuration = paths.iter().map(|path| ((*path).to_owned(), String::new())).collect();
        FlowSpec { configuration, ..FlowSpec::default() }
    }

    #[test]
    fn files_lie_below_the_directory_under_one_name_each() {
        assert_eq!(told(&with_files(&["main.tf", "modules/a b/ä.tf", ".terraform.lock.hcl", "a...b"])), "");
        assert_eq!(told(&with_files(&[])), "spec.configuration Blank");
        for bad in ["", "/etc/x", "../x", "a/../b", "./a", "a//b", "a/", "a\nb"] {
            assert_eq!(told(&with_files(&[bad])), format!("spec.configuration.{bad} Format"), "{bad:?}");
        }
        let longest = "x".repeat(PATH_MAX);
        assert_eq!(told(&with_files(&[&longest])), "");
        let longer = "x".repeat(PATH_MAX + 1);
        assert_eq!(told(&with_files(&[&longer])), format!("spec.configuration.{}… TooLong", "x".repeat(64)));
        assert_eq!(told(&with_files(&["a", "a-b", "a/b/c"])), "spec.configuration.a/b/c Format");
        let many: Vec<String> = (0..=FILES_MAX).map(|n| format!("../{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(told(&with_files(&many)), "spec.configuration TooLong");
    }

    #[test]
    fn variables_have_names_that_terraform_takes() {
        let with = |name: &str, value: Value| FlowSpec {
            variables: [(name.to_owned(), value)].into_iter().collect(),
            ..with_files(&["main.tf"])
        };
        for fine in ["a", "_a", "instance-type", "größe", "a1"] {
            assert_eq!(told(&with(fine, json!({ "deep": [1.5, null] }))), "", "{fine}");
        }
        for bad in ["", "1a", "-a", "a.b", "a b", "a="] {
            assert_eq!(told(&with(bad, json!(1))), format!("spec.variables.{bad} Format"), "{bad:?}");
        }
        assert_eq!(told(&with("a", json!({ "deep": ["x\0"] }))), "spec.variables.a Format");
        assert_eq!(told(&with("a", json!({ "x\0": 1 }))), "spec.variables.a Format");
        assert_eq!(told(&with("a", json!("x".repeat(TEXT_MAX)))), "spec.variables TooLong");
    }

    #[test]
    fn steps_are_those_of_a_flow() {
        let steps = |kinds: &[StepKind]| {
            let steps = kinds.iter().map(|kind| FlowStep { kind: *kind, name: None, approval: false }).collect();
            FlowSpec { steps, ..with_files(&["main.tf"]) }
        };
        // An apply without a plan before it plans itself.
        assert_eq!(told(&steps(&[StepKind::Apply])), "");
        assert_eq!(told(&steps(&[StepKind::PlanDestroy, StepKind::Destroy, StepKind::Plan])), "");
        assert_eq!(told(&steps(&[StepKind::Plan, StepKind::Script])), "spec.steps.1.kind NotOneOf");
        assert_eq!(told(&steps(&[StepKind::Plan; STEPS_MAX])), "");
        assert_eq!(told(&steps(&[StepKind::Task; STEPS_MAX + 1])).matches("TooLong").count(), 1);
        let mut named = steps(&[StepKind::Plan]);
        named.steps[0].name = Some(" ".to_owned());
        assert_eq!(told(&named), "spec.steps.0.name Blank");
    }
}
