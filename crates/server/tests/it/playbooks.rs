//! Ansible playbooks in the real program, with the real Ansible, on both engines.

use serde_json::{Value, json};

use crate::jobs::{Engine, Place, ended, log_has, log_of, on_both_engines};
use crate::program::Program;

const PLAYBOOK: &str = r"
- name: Two hosts
  hosts: all
  gather_facts: false
  tasks:
    - name: Say it
      ansible.builtin.command: echo {{ inventory_hostname }} {{ word }}
    - name: Nothing to do
      ansible.builtin.debug:
        msg: done
";

/// Ansible from `tests/ansible.sh`, before everything else.
fn serve(place: &Place) -> Program {
    let ansible = std::env::var("CHANDLER_TEST_ANSIBLE")
        .unwrap_or_else(|_| panic!("CHANDLER_TEST_ANSIBLE names no folder of an Ansible: run ./test.sh"));
    let path = format!("{ansible}:{}", std::env::var("PATH").unwrap());
    place.serve_with(&[("PATH", &path), ("CHANDLER_WORKER_CONTAINER_SOCKET", "off")])
}

fn launch(program: &Program, spec: Value, secrets: Value) -> i64 {
    let mut spec = spec;
    spec["kind"] = json!("ansible");
    let body = json!({"organization_id": 1, "name": "play", "spec": spec, "secrets": secrets});
    let (status, job) = program.call("POST", "/jobs", Some(body));
    assert_eq!(status, 201, "{job}");
    job["id"].as_i64().unwrap()
}

fn events(program: &Program, id: i64) -> Vec<Value> {
    let (status, page) = program.call("GET", &format!("/jobs/{id}/events?limit=200"), None);
    assert_eq!(status, 200, "{page}");
    page["items"].as_array().unwrap().clone()
}

fn every_task_and_host_is_an_event_and_every_line_belongs_to_one(engine: Engine) {
    let place = Place::new(engine);
    let program = serve(&place);
    let inventory = "one ansible_connection=local\ntwo ansible_connection=local\n";
    let spec = json!({"playbook": PLAYBOOK, "inventory": inventory, "extra_vars": "word: hello\n"});
    let id = launch(&program, spec, json!({}));
    let done = ended(&program, id);
    assert_eq!(done["status"], "succeeded", "{done}\n{}", log_of(&program, id));

    let events = events(&program, id);
    for host in ["one", "two"] {
        let results: Vec<_> =
            events.iter().filter(|event| event["host"] == host && event["event"] == "runner_on_ok").collect();
        assert_eq!(results.len(), 2, "{events:?}");
        assert_eq!((&results[0]["task"], &results[0]["changed"]), (&json!("Say it"), &json!(true)));
    }
    // The log is the texts of the events in their order, and lines are numbered through.
    let texts: Vec<_> =
        events.iter().filter_map(|event| event["stdout"].as_str()).filter(|text| !text.is_empty()).collect();
    assert_eq!(log_of(&program, id), texts.iter().map(|text| format!("{text}\n")).collect::<String>());
    let mut lines = 0;
    for event in &events {
        assert_eq!(event["first_line"], lines + 1, "{event}");
        lines += event["lines"].as_i64().unwrap();
    }
    assert_eq!(done["log"]["lines"], lines);
}

fn a_failure_says_which_task_and_hides_what_is_secret(engine: Engine) {
    let place = Place::new(engine);
    let program = serve(&place);
    let playbook = r#"
- hosts: all
  gather_facts: false
  tasks:
    - name: Tell a secret
      ansible.builtin.command: sh -c 'echo "$TOKEN"; echo "$TOKEN" >&2; exit 3'
"#;
    let secret = "correct-horse-battery";
    let id = launch(&program, json!({"playbook": playbook}), json!({"env": {"TOKEN": secret}}));
    let done = ended(&program, id);
    assert_eq!((&done["status"], &done["outcome"]), (&json!("failed"), &json!("work")), "{done}");
    assert!(done["error"].as_str().unwrap().contains("Tell a secret"), "{done}");
    let said = format!("{done} {} {:?}", log_of(&program, id), events(&program, id));
    assert!(said.contains("[hidden]") && !said.contains(secret), "{said}");

    let broken = ended(&program, launch(&program, json!({"playbook": "- hosts: [\n"}), json!({})));
    assert_eq!((&broken["status"], &broken["outcome"]), (&json!("failed"), &json!("work")), "{broken}");
    assert_eq!(broken["error"].as_str().unwrap().lines().count(), 1);

    drop(program);
    let program = place.serve_with(&[("PATH", "/nonexistent")]);
    let missing = ended(&program, launch(&program, json!({"playbook": playbook}), json!({})));
    let reason = missing["error"].as_str().unwrap();
    assert!(missing["outcome"] == "platform" && reason.starts_with("The program ansible-playbook is not"), "{missing}");
}

fn a_cancelled_playbook_leaves_nothing(engine: Engine) {
    let place = Place::new(engine);
    let program = serve(&place);
    let playbook = r"
- hosts: all
  gather_facts: false
  tasks:
    - name: Begin
      ansible.builtin.debug:
        msg: it has begun
    - name: Wait
      ansible.builtin.command: sleep 600
";
    let id = launch(&program, json!({"playbook": playbook}), json!({}));
    log_has(&program, id, "TASK [Wait]");
    assert_eq!(program.call("POST", &format!("/jobs/{id}/cancel"), None).0, 202);
    assert_eq!(ended(&program, id)["status"], "canceled");
}

on_both_engines!(
    every_task_and_host_is_an_event_and_every_line_belongs_to_one,
    a_failure_says_which_task_and_hides_what_is_secret,
    a_cancelled_playbook_leaves_nothing,
);
