//! Terraform flows in the real program, with the real Terraform, on both engines.

use serde_json::{Value, json};

use crate::jobs::{Engine, Place, ended, job, log_has, log_of, on_both_engines, until};
use crate::program::Program;

/// Two resources, the second after the first; the second tells when it begins and then takes long.
const SLOW: &str = r#"
resource "terraform_data" "first" { input = "one" }
resource "terraform_data" "second" {
  input      = "two"
  depends_on = [terraform_data.first]
  provisioner "local-exec" { command = "echo second has begun; exec sleep 600" }
}
"#;

const PLACE: &str = r#"
variable "word" { type = string }
resource "terraform_data" "place" { input = var.word }
output "word" { value = terraform_data.place.output }
"#;

fn serve(place: &Place) -> Program {
    let path = std::env::var("PATH").unwrap();
    // Terraform waits for its provisioner before it ends itself.
    place.serve_with(&[("CHANDLER_WORKER_GRACE", "20s"), ("PATH", &path), ("CHANDLER_WORKER_CONTAINER_SOCKET", "off")])
}

fn workspace(program: &Program, name: &str) -> i64 {
    let (status, made) = program.call("POST", "/workspaces", Some(json!({"organization_id": 1, "name": name})));
    assert_eq!(status, 201, "{made}");
    made["id"].as_i64().unwrap()
}

fn launch(program: &Program, workspace: i64, spec: Value, secrets: Value) -> i64 {
    let mut spec = spec;
    spec["kind"] = json!("flow");
    let body =
        json!({"organization_id": 1, "name": "flow", "workspace_id": workspace, "spec": spec, "secrets": secrets});
    let (status, job) = program.call("POST", "/jobs", Some(body));
    assert_eq!(status, 201, "{job}");
    job["id"].as_i64().unwrap()
}

fn place_spec(word: &str) -> Value {
    json!({"configuration": {"main.tf": PLACE}, "variables": {"word": word}})
}

/// A flow without questions.
fn at_once(configuration: &str) -> Value {
    json!({"configuration": {"main.tf": configuration}, "steps": [{"kind": "apply"}]})
}

fn waits(program: &Program, id: i64) -> Value {
    until("an approval is waited for", || {
        let found = job(program, id);
        assert!(!["failed", "canceled", "succeeded"].iter().any(|word| found["status"] == *word), "{found}");
        (found["status"] == "waiting_approval").then_some(found)
    })
}

fn states(program: &Program, workspace: i64) -> Vec<Value> {
    let (status, page) = program.call("GET", &format!("/workspaces/{workspace}/states"), None);
    assert_eq!(status, 200, "{page}");
    page["items"].as_array().unwrap().clone()
}

/// The names of the resources in the newest state.
fn resources(program: &Program, workspace: i64) -> Vec<String> {
    let id = &states(program, workspace)[0]["id"];
    let (status, state) = program.call("GET", &format!("/workspaces/{workspace}/states/{id}/content"), None);
    assert_eq!(status, 200, "{state}");
    state["resources"].as_array().unwrap().iter().map(|of| of["name"].as_str().unwrap().to_owned()).collect()
}

fn what_was_planned_and_approved_is_applied(engine: Engine) {
    let place = Place::new(engine);
    let program = serve(&place);
    let workspace = workspace(&program, "net");
    let id = launch(&program, workspace, place_spec("one"), json!({}));
    waits(&program, id);
    assert!(states(&program, workspace).is_empty(), "a plan makes no state");

    let (_, steps) = program.call("GET", &format!("/jobs/{id}/steps"), None);
    let of = |n: usize, field: &str| steps["steps"][n][field].clone();
    assert_eq!(
        (of(0, "kind"), of(0, "state"), of(0, "outcome")),
        (json!("plan"), json!("succeeded"), json!("changed"))
    );
    assert_eq!((of(1, "kind"), of(1, "state")), (json!("apply"), json!("pending")));
    let (status, plan) = program.call("GET", &format!("/jobs/{id}/steps/1/files/plan_json"), None);
    assert_eq!((status, &plan["planned_values"]["outputs"]["word"]["sensitive"]), (200, &json!(false)), "{plan}");

    // A decision names the step that its maker saw.
    let approve = format!("/jobs/{id}/approve");
    assert_eq!(program.call("POST", &approve, Some(json!({"step": 1}))).0, 409);
    assert_eq!(program.call("POST", &approve, Some(json!({"step": 2}))).0, 200);
    let done = ended(&program, id);
    assert_eq!((&done["status"], &done["outcome"]), (&json!("succeeded"), &json!("changed")), "{done}");
    assert_eq!(resources(&program, workspace), ["place"]);
    assert!(log_of(&program, id).contains("Apply complete! Resources: 1 added"));

    // What is there already needs no approval, and no new state.
    let again = ended(&program, launch(&program, workspace, place_spec("one"), json!({})));
    assert_eq!((&again["status"], &again["outcome"]), (&json!("succeeded"), &json!("unchanged")), "{again}");
    assert_eq!(states(&program, workspace).len(), 1);

    // Somebody says no.
    let rejected = launch(&program, workspace, place_spec("two"), json!({}));
    waits(&program, rejected);
    assert_eq!(program.call("POST", &format!("/jobs/{rejected}/reject"), Some(json!({"step": 2}))).0, 200);
    let rejected = ended(&program, rejected);
    assert_eq!((&rejected["status"], &rejected["outcome"]), (&json!("canceled"), &json!("rejected")), "{rejected}");

    let mut destroy = place_spec("one");
    destroy["steps"] = json!([{"kind": "plan_destroy"}, {"kind": "apply"}]);
    let destroyed = ended(&program, launch(&program, workspace, destroy, json!({})));
    assert_eq!(destroyed["status"], "succeeded", "{destroyed}");
    assert!(resources(&program, workspace).is_empty());
}

fn a_cancelled_apply_keeps_what_it_has_made(engine: Engine) {
    let place = Place::new(engine);
    let program = serve(&place);
    let workspace = workspace(&program, "slow");
    let id = launch(&program, workspace, at_once(SLOW), json!({}));
    log_has(&program, id, "second has begun");
    // Nobody else comes in meanwhile.
    let next = launch(&program, workspace, at_once(SLOW), json!({}));
    assert_eq!(program.call("POST", &format!("/jobs/{id}/cancel"), None).0, 202);
    let done = ended(&program, id);
    assert_eq!(done["status"], "canceled", "{done}");
    let kept = states(&program, workspace);
    assert_eq!((kept.len(), &kept[0]["origin"], &kept[0]["job_id"]), (1, &json!("job"), &json!(id)));
    assert!(resources(&program, workspace).contains(&"first".to_owned()));

    log_has(&program, next, "second has begun");
    assert_eq!(program.call("POST", &format!("/jobs/{next}/cancel"), None).0, 202);
    assert_eq!(ended(&program, next)["status"], "canceled");
}

fn a_killed_server_loses_no_state(engine: Engine) {
    let place = Place::new(engine);
    let program = serve(&place);
    let workspace = workspace(&program, "killed");
    let id = launch(&program, workspace, at_once(SLOW), json!({}));
    log_has(&program, id, "second has begun");
    program.signal("KILL");
    drop(program);

    let program = serve(&place);
    // What lay in the directory of the attempt is handed in before anything is claimed, and before the job is lost.
    until("the state is handed in", || (!states(&program, workspace).is_empty()).then_some(()));
    assert!(resources(&program, workspace).contains(&"first".to_owned()));
    assert_eq!(states(&program, workspace)[0]["origin"], "job");
}

fn what_goes_wrong_is_said_in_one_line(engine: Engine) {
    let place = Place::new(engine);
    let program = serve(&place);
    let workspace = workspace(&program, "wrong");
    let secret = "hunter2-and-more";
    let echo = r#"
variable "secret" { type = string }
resource "terraform_data" "leak" {
  provisioner "local-exec" { command = "echo said ${nonsensitive(var.secret)} and $TF_VAR_secret; exit 3" }
}
"#;
    let leaks = launch(&program, workspace, at_once(echo), json!({"env": {"TF_VAR_secret": secret}}));
    let invalid = launch(&program, workspace, at_once("resource \"terraform_data\" {"), json!({}));
    let leaks = ended(&program, leaks);
    let log = log_of(&program, leaks["id"].as_i64().unwrap());
    assert!(leaks["status"] == "failed" && !leaks.to_string().contains(secret), "{leaks}");
    assert!(log.contains("said [hidden] and [hidden]") && !log.contains(secret), "{log}");
    let invalid = ended(&program, invalid);
    assert_eq!((&invalid["status"], &invalid["outcome"]), (&json!("failed"), &json!("work")), "{invalid}");
    let reason = invalid["error"].as_str().unwrap();
    assert!(reason.lines().count() == 1 && log_of(&program, invalid["id"].as_i64().unwrap()).contains("main.tf"));

    drop(program);
    let program = place.serve_with(&[("PATH", "/nonexistent")]);
    let missing = ended(&program, launch(&program, workspace, at_once(PLACE), json!({})));
    assert_eq!(missing["outcome"], "platform", "{missing}");
    assert!(
        missing["error"].as_str().unwrap().starts_with("The program terraform is not on this worker."),
        "{missing}"
    );
}

on_both_engines!(
    what_was_planned_and_approved_is_applied,
    a_cancelled_apply_keeps_what_it_has_made,
    a_killed_server_loses_no_state,
    what_goes_wrong_is_said_in_one_line,
);
