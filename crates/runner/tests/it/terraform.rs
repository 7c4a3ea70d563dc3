//! Steps of Terraform jobs, run for real.

mod flow;

use std::{
    cell::RefCell,
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use chandler_model::{
    jobs::{Fault, StepKind},
    logs::Level,
    templates::IacTool,
};
use chandler_runner::{
    keep,
    tools::{Exit, Verdict},
};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};

use self::flow::{CHANGED, Flow, Then, UNCHANGED, terraform};
use crate::job::Job;

/// A resource whose input is a variable.
const ONE: &str = r#"
variable "value" {
  default = "first"
}
resource "terraform_data" "one" {
  input = var.value
}
output "value" {
  value = terraform_data.one.output
}
"#;

#[test]
fn a_plan_says_what_would_change_and_leaves_itself() {
    let mut flow = Flow::new(ONE);
    let ran = flow.run(StepKind::Plan);
    ran.assert_is(&CHANGED);
    assert_eq!(ran.exit.code, Some(2));
    ran.assert_says(&[
        "Terraform has been successfully initialized!\n",
        "\nterraform_data.one: Plan to create\n",
        "\nPlan: 1 to add, 0 to change, 0 to destroy.\n",
        "\nChanges to outputs:\n  value: create\n",
    ]);
    assert_eq!(ran.left, ["plan", "plan_json"]);
    let json: Value = serde_json::from_slice(&flow.materials.files[1].bytes).unwrap();
    assert_eq!(json["resource_changes"][0]["change"]["actions"], json!(["create"]));
}

#[test]
fn a_plan_that_is_too_long_to_be_kept_fails() {
    let mut flow = Flow::new(ONE);
    flow.plan_max = Some(100);
    let ran = flow.run(StepKind::Plan);
    ran.assert_failed("terraform show", "The plan is longer than 100 bytes and cannot be kept");
    assert_eq!(ran.left, [""; 0]);
}

#[test]
fn a_lock_file_goes_from_step_to_step() {
    let mut flow = Flow::new(ONE).file(".terraform.lock.hcl", "# theirs\n");
    assert_eq!(flow.run(StepKind::Plan).left, ["plan", "plan_json", "lock_file"]);
    assert_eq!(flow.materials.files[2].bytes, b"# theirs\n");
    flow.run(StepKind::Apply).assert_is(&CHANGED);
}

#[test]
fn a_saved_plan_is_applied_as_it_was_made() {
    let mut flow = Flow::new(ONE);
    flow.run(StepKind::Plan).assert_is(&CHANGED);
    flow.spec.variables.insert("value".to_owned(), json!("second"));
    let ran = flow.run(StepKind::Apply);
    ran.assert_is(&CHANGED);
    ran.assert_says(&[
        "\nterraform_data.one: Creating...\n",
        "\nterraform_data.one: Creation complete after 0s [id=",
        "\nApply complete! Resources: 1 added, 0 changed, 0 destroyed.\n",
        "\nOutputs:\n\nvalue = \"first\"\n",
    ]);
    assert_eq!(ran.left, ["state"]);
    assert_eq!(flow.output("value"), "first");

    // The next job of the workspace: it is what it should be, then it is not.
    flow.spec.variables.clear();
    flow.run(StepKind::Plan).assert_is(&UNCHANGED);
    flow.spec.variables.insert("value".to_owned(), json!("second"));
    let ran = flow.run(StepKind::Plan);
    ran.assert_is(&CHANGED);
    ran.assert_says(&["terraform_data.one: Plan to update\n", "  value: update\n"]);
}

#[test]
fn a_stale_plan_is_refused_by_terraform_itself() {
    let mut flow = Flow::new(ONE);
    flow.run(StepKind::Plan).assert_is(&CHANGED);
    let files = std::mem::take(&mut flow.materials.files);
    flow.run(StepKind::Apply).assert_is(&CHANGED);
    let state = flow.materials.state.clone();

    flow.materials.files = files;
    let ran = flow.run(StepKind::Apply);
    let why = "Saved plan is stale: The given plan file can no longer be applied because the state was changed by \
               another operation after the plan was created.";
    ran.assert_failed("terraform apply", why);
    assert_eq!(flow.materials.state, state);
}

#[test]
fn an_apply_without_a_plan_makes_its_own() {
    let mut flow = Flow::new(ONE);
    let ran = flow.run(StepKind::Apply);
    ran.assert_is(&CHANGED);
    ran.assert_says(&["terraform_data.one: Plan to create\n", "terraform_data.one: Creation complete after 0s"]);
    flow.run(StepKind::Apply).assert_is(&UNCHANGED);
    assert_eq!(flow.resources(), [("one".to_owned(), false)]);
}

#[test]
fn a_destroy_empties_the_state_with_and_without_a_plan() {
    let mut flow = Flow::new(ONE);
    for steps in [&[StepKind::Destroy][..], &[StepKind::PlanDestroy, StepKind::Apply]] {
        flow.materials.files.clear();
        flow.run(StepKind::Apply).assert_is(&CHANGED);
        for step in steps {
            let ran = flow.run(*step);
            ran.assert_is(&CHANGED);
            ran.assert_says(&["terraform_data.one: Plan to delete\n"]);
        }
        assert_eq!(flow.resources(), []);
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_the_works_fault() {
    let ran = Flow::new("resource \"terraform_data\" \"x\" {\n").run(StepKind::Plan);
    let why = "Unclosed configuration block: There is no closing brace for this block before the end of the file. This \
               may be caused by incorrect brace nesting elsewhere in this file.";
    ran.assert_failed("terraform init", why);
    ran.assert_says(&["   1: resource \"terraform_data\" \"x\" {\n"]);
    assert_eq!(ran.left, [""; 0]);
}

#[test]
fn a_configuration_that_cannot_be_planned_is_shown_where_it_is_wrong() {
    let main = r#"variable "n" {
  type    = number
  default = 1
  validation {
    condition     = var.n > 1
    error_message = "Too small."
  }
}
"#;
    let ran = Flow::new(main).run(StepKind::Plan);
    ran.assert_failed("terraform plan", "Invalid value for variable: Too small.");
    assert_eq!(ran.left, [""; 0]);
    let shown = "\nError: Invalid value for variable\n\n  on main.tf line 1:\n   1: variable \"n\" {\n    \
                 ├────────────────\n    │ var.n is 1\n\nToo small.\n";
    assert!(ran.at(Level::Error).contains(shown), "{}", ran.text());
}

#[test]
fn an_apply_that_fails_half_way_keeps_what_was_made() {
    let main = r#"resource "terraform_data" "one" {}
resource "terraform_data" "two" {
  input = terraform_data.one.id
  provisioner "local-exec" {
    command = "echo said here; exit 3"
  }
}
resource "terraform_data" "three" {
  input = terraform_data.two.id
}
"#;
    let mut flow = Flow::new(main);
    flow.run(StepKind::Plan).assert_is(&CHANGED);
    let ran = flow.run(StepKind::Apply);
    let why = "local-exec provisioner error: Error running command 'echo said here; exit 3': exit status 3. Output: \
               said here";
    ran.assert_failed("terraform apply", why);
    ran.assert_says(&[
        "terraform_data.two: (local-exec): said here\n",
        "  with terraform_data.two,\n  on main.tf line ",
    ]);
    assert_eq!(flow.resources(), [("one".to_owned(), false), ("two".to_owned(), true)]);
}

/// As the keeper does it, and as a container runtime does.
const INTERRUPTS: [fn(Pid); 2] =
    [|group| kill_process_group(group, Signal::INT).unwrap(), |main| kill_process(main, Signal::INT).unwrap()];

/// The second of three resources takes for ever.
const ENDLESS: &str = r#"
resource "terraform_data" "first" {}
resource "terraform_data" "running" {
  input = terraform_data.first.id
  provisioner "local-exec" {
    command = "echo it runs; exec tail -f /dev/null"
  }
}
resource "terraform_data" "second" {
  input = terraform_data.running.id
}
"#;

#[test]
fn an_interrupted_apply_ends_in_order_and_writes_its_state() {
    for interrupt in INTERRUPTS {
        let mut flow = Flow::new(ENDLESS);
        let then = Then("(local-exec): it runs\n", Box::new(interrupt));
        let ran = flow.run_and(StepKind::Apply, vec![then]);
        assert_eq!(ran.exit, Exit { code: Some(1), signal: None }, "{}", ran.text());
        ran.assert_says(&["Interrupt received"]);
        ran.assert_never_says("Two interrupts received");
        assert_eq!(ran.left, ["state"]);
        assert_eq!(flow.resources(), [("first".to_owned(), false), ("running".to_owned(), true)]);
    }
}

#[tokio::test]
async fn in_the_sandbox_the_keeper_interrupts_it_once() {
    let mut flow = Flow::new(ENDLESS);
    let mut job = Job::script("");
    let (recipe, _) = flow.lay_out(StepKind::Apply, job.dir());
    job.spec.program = PathBuf::from(&recipe.command[0]);
    job.spec.args = recipe.command[1..].to_vec();
    let tool = terraform().parent().unwrap().to_owned();
    job.spec.confinement.read.push(tool);
    job.spec.set_env("PATH", flow.path.clone());

    let mut running = job.start().await;
    let mut said = String::new();
    while !said.contains("it runs\"") {
        said = running.line().await;
    }
    running.keeper.control.signal(keep::Signal::Int).unwrap();
    let ended = running.finish().await;
    assert!(ended.is_gone() && ended.code() == Some(1), "{ended:?}");
    assert!(ended.out().contains("Interrupt received") && !ended.out().contains("Two interrupts"), "{}", ended.out());
    flow.materials.state = Some(fs::read(job.dir().join("terraform.tfstate")).unwrap());
    assert_eq!(flow.resources(), [("first".to_owned(), false), ("running".to_owned(), true)]);
}

#[test]
fn an_interrupted_plan_ends_without_its_next_phase() {
    // A state that is read from somebody who does not answer before he is told to.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let main = format!(
        r#"data "terraform_remote_state" "slow" {{
  backend = "http"
  config = {{
    address   = "http://{address}/"
    retry_max = 0
  }}
}}
"#
    );
    for interrupt in INTERRUPTS {
        let connection = RefCell::new(None);
        let once_it_asks = |driver| {
            *connection.borrow_mut() = Some(listener.accept().unwrap());
            interrupt(driver);
        };
        let then = vec![
            Then("data.terraform_remote_state.slow: Refreshing...\n", Box::new(once_it_asks)),
            Then("Interrupt received", Box::new(|_| drop(connection.take()))),
        ];
        let ran = Flow::new(&main).run_and(StepKind::Plan, then);
        assert_eq!(ran.exit.code, Some(130), "{}", ran.text());
        assert_eq!(ran.left, [""; 0]);
    }
}

#[test]
fn secrets_and_sensitive_outputs_are_not_in_the_log() {
    let main = r#"variable "token" {
  sensitive = true
}
resource "terraform_data" "user" {
  input = var.token
  provisioner "local-exec" {
    command = "echo ${var.token}"
  }
}
output "token" {
  value     = var.token
  sensitive = true
}
output "list" {
  value = [1, null]
}
output "key" {
  value     = file("keys/id")
  sensitive = true
}
"#;
    let mut flow = Flow::new(main);
    flow.materials.secrets.env.insert("TF_VAR_token".to_owned(), "hunter2hunter2".to_owned());
    flow.materials.secrets.files.insert("keys/id".to_owned(), b"hunter2 too".to_vec());
    flow.run(StepKind::Plan).assert_never_says("hunter2");
    let ran = flow.run(StepKind::Apply);
    ran.assert_is(&CHANGED);
    ran.assert_never_says("hunter2");
    ran.assert_says(&["\nOutputs:\n\nkey = <sensitive>\nlist = [\n  1,\n  null\n]\ntoken = <sensitive>\n"]);
    assert_eq!([flow.output("token"), flow.output("key")], ["hunter2hunter2", "hunter2 too"]);
}

#[test]
fn values_that_no_variable_takes_are_a_warning() {
    let mut flow = Flow::new(ONE).file("terraform.tfvars", "value = \"of the file\"\n");
    flow.spec.variables.insert("value".to_owned(), json!("of the template"));
    flow.spec.variables.insert("nobody".to_owned(), json!({"takes": ["this"]}));
    let ran = flow.run(StepKind::Apply);
    ran.assert_is(&CHANGED);
    assert!(ran.at(Level::Warn).contains("\nWarning: Value for undeclared variable\n"), "{}", ran.text());
    assert_eq!(flow.output("value"), "of the template");
}

#[test]
fn modules_lie_in_folders() {
    let main = r#"module "a" {
  source = "./modules/a"
  value  = "deep"
}
output "value" {
  value = module.a.value
}
"#;
    let mut flow = Flow::new(main).file("modules/a/main.tf", ONE);
    let ran = flow.run(StepKind::Plan);
    ran.assert_is(&CHANGED);
    ran.assert_says(&["module.a.terraform_data.one: Plan to create\n"]);
    flow.run(StepKind::Apply).assert_is(&CHANGED);
    assert_eq!(flow.output("value"), "deep");
}

#[test]
fn the_state_is_a_local_file_whatever_the_configuration_says() {
    let s3 = r#"terraform {
  backend "s3" {
    bucket = "theirs"
  }
}
"#;
    let cloud = r#"terraform {
  cloud {
    organization = "theirs"
    workspaces {
      name = "theirs"
    }
  }
}
"#;
    for (name, backend) in [("backend.tf", s3), ("cloud.tf", cloud), ("z_override.tf", s3)] {
        let mut flow = Flow::new(ONE).file(name, backend);
        flow.materials.secrets.env.insert("TF_WORKSPACE".to_owned(), "elsewhere".to_owned());
        for (step, verdict) in [(StepKind::Plan, &CHANGED), (StepKind::Apply, &CHANGED), (StepKind::Plan, &UNCHANGED)] {
            flow.run(step).assert_is(verdict);
        }
        assert_eq!(flow.resources(), [("one".to_owned(), false)], "{name}");
    }
}

/// A folder with programs of these names that say so and are Terraform.
fn stubs(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let file = folder.path().join(name);
        fs::write(&file, format!("#!/bin/sh\necho as {name}\nexec {} \"$@\"\n", terraform().display())).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    }
    folder
}

fn path_of(folder: &Path) -> String {
    format!("{}:/usr/bin:/bin", folder.display())
}

#[test]
fn the_tool_is_the_one_that_was_named_or_the_one_that_is_there() {
    let cases: [(&[&str], Option<IacTool>, &str); 4] = [
        (&["tofu"], None, "tofu"),
        (&["terraform", "tofu"], None, "terraform"),
        (&["terraform", "tofu"], Some(IacTool::Tofu), "tofu"),
        (&["terraform", "tofu"], Some(IacTool::Terraform), "terraform"),
    ];
    for (there, named, expected) in cases {
        let folder = stubs(there);
        let mut flow = Flow::new("nonsense");
        flow.path = path_of(folder.path());
        flow.spec.tool = named;
        let ran = flow.run(StepKind::Plan);
        ran.assert_says(&[&format!("as {expected}\n")]);
        let failed = Verdict::Failed(Fault::Work, format!("`{expected} init` ended with exit code 1."));
        ran.assert_is(&failed);
    }
}

#[test]
fn a_tool_that_is_missing_is_not_the_works_fault() {
    let folder = stubs(&["terraform"]);
    let mut flow = Flow::new(ONE);
    flow.path = folder.path().display().to_string();
    flow.spec.tool = Some(IacTool::Tofu);
    let ran = flow.run(StepKind::Plan);
    assert_eq!(ran.exit.code, Some(127));
    let Verdict::Failed(Fault::Platform, reason) = &ran.verdict else { panic!("{ran:?}") };
    assert!(reason.contains("choose an environment"), "{reason}");
    ran.assert_says(&["Not found here: tofu\n"]);
}
