//! What a step is given and what is kept of it.

use chandler_core::jobs::link::JobFile;
use chandler_model::jobs::StepState;
use chandler_model::templates::FlowSpec;
use serde_json::json;

use super::*;

fn step(number: i64, kind: StepKind) -> JobStep {
    JobStep {
        number,
        name: "step".to_owned(),
        kind,
        state: StepState::Running,
        needs_decision: false,
        decision: None,
        outcome: None,
        started_at: None,
        finished_at: None,
    }
}

fn intent() -> TerraformIntent {
    let configuration = [("main.tf".to_owned(), "# nothing\n".to_owned())].into();
    TerraformIntent { spec: FlowSpec { configuration, ..FlowSpec::default() }, image: None }
}

fn prepared(intent: &TerraformIntent, step: &JobStep, materials: &Materials) -> (Recipe, Vec<(String, Target)>) {
    let prepared = prepare(intent, step, materials).unwrap();
    let Program::Recipe(recipe) = prepared.program else { panic!() };
    (recipe, prepared.targets)
}

fn content<'a>(recipe: &'a Recipe, path: &str) -> Option<&'a str> {
    let file = recipe.files.iter().find(|file| file.path == path)?;
    Some(str::from_utf8(&file.bytes).unwrap())
}

fn left_behind() -> Materials {
    let file = |step, name: &str, text: &str| JobFile { step, name: name.to_owned(), bytes: text.into() };
    Materials {
        state: Some(b"state".to_vec()),
        files: vec![
            file(2, PLAN_FILE, "second"),
            file(1, PLAN_FILE, "first"),
            file(1, LOCK_FILE_FILE, "locks"),
            file(5, PLAN_FILE, "later"),
        ],
        ..Materials::default()
    }
}

#[test]
fn an_apply_gets_state_locks_and_the_latest_plan_before_it() {
    let (recipe, targets) = prepared(&intent(), &step(3, StepKind::Apply), &left_behind());
    assert_eq!(recipe.command, ["/bin/sh", ".chandler/run", "apply", "67108864", "terraform", "tofu"]);
    assert_eq!(content(&recipe, "terraform.tfstate"), Some("state"));
    assert_eq!(content(&recipe, "plan.out"), Some("second"));
    assert_eq!(content(&recipe, ".terraform.lock.hcl"), Some("locks"));
    assert!(matches!(recipe.stop, Some(Signal::Int)));
    assert_eq!(recipe.keep, [Kept { path: "terraform.tfstate".into(), max: STATE_MAX, live: true }]);
    assert_eq!(targets, [("terraform.tfstate".to_owned(), Target::State)]);
}

#[test]
fn an_apply_whose_plan_is_gone_is_refused() {
    let mut materials = left_behind();
    materials.files.retain(|file| file.name != PLAN_FILE);
    prepare(&intent(), &step(3, StepKind::Apply), &materials).unwrap();
    materials.files.push(JobFile { step: 1, name: PLAN_JSON_FILE.to_owned(), bytes: b"{}".to_vec() });
    let (fault, reason) = prepare(&intent(), &step(3, StepKind::Apply), &materials).unwrap_err();
    assert_eq!(fault, Fault::Platform);
    assert!(reason.contains("not there any more"), "{reason}");
}

#[test]
fn other_steps_get_no_plan_and_a_plan_leaves_no_state() {
    for kind in [StepKind::Plan, StepKind::PlanDestroy, StepKind::Destroy] {
        let (recipe, targets) = prepared(&intent(), &step(3, kind), &left_behind());
        assert_eq!((content(&recipe, "plan.out"), content(&recipe, "terraform.tfstate")), (None, Some("state")));
        assert_eq!(targets.iter().any(|(_, target)| *target == Target::State), kind == StepKind::Destroy);
    }
    let (_, targets) = prepared(&intent(), &step(1, StepKind::Plan), &Materials::default());
    let names: Vec<&Target> = targets.iter().map(|(_, target)| target).collect();
    let expected = ["plan", "plan_json", "lock_file"].map(|name| Target::File(name.to_owned()));
    assert_eq!(names, expected.iter().collect::<Vec<_>>());
}

#[test]
fn variables_are_a_file_of_their_own_and_secrets_lie_where_they_should() {
    let mut intent = intent();
    intent.spec.variables.insert("n".to_owned(), json!({"a": [1]}));
    let mut materials = Materials::default();
    materials.secrets.env.insert("TF_VAR_token".to_owned(), "hush".to_owned());
    materials.secrets.files.insert("keys/id".to_owned(), b"key".to_vec());
    let (recipe, _) = prepared(&intent, &step(1, StepKind::Plan), &materials);
    assert_eq!(content(&recipe, ".chandler/variables.tfvars.json"), Some(r#"{"n":{"a":[1]}}"#));
    assert_eq!(content(&recipe, "keys/id"), Some("key"));
    assert_eq!(recipe.env, [("TF_VAR_token".to_owned(), "hush".to_owned())]);

    materials.secrets.files.insert("main.tf".to_owned(), Vec::new());
    let (fault, reason) = prepare(&intent, &step(1, StepKind::Plan), &materials).unwrap_err();
    assert_eq!(fault, Fault::Work);
    assert!(reason.contains("`main.tf`") && reason.contains("another one of this name"), "{reason}");
}

#[test]
fn the_tool_that_is_named_is_the_only_one() {
    let mut intent = intent();
    intent.spec.tool = Some(IacTool::Tofu);
    let (recipe, _) = prepared(&intent, &step(1, StepKind::Destroy), &Materials::default());
    assert_eq!(recipe.command, ["/bin/sh", ".chandler/run", "destroy", "67108864", "tofu"]);
    assert_eq!(recipe.tools[0].names, ["tofu"]);
}

#[test]
fn a_step_of_another_kind_is_refused() {
    let refused = prepare(&intent(), &step(1, StepKind::Approval), &Materials::default()).unwrap_err();
    assert_eq!(
        refused,
        (Fault::Platform, "The step `step` is of kind approval, which Terraform cannot run.".to_owned())
    );
}
