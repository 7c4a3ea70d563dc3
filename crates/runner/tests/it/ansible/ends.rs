//! How playbooks end, and what the job is told of it.

use chandler_model::jobs::Success;
use chandler_model::templates::AnsibleSpec;

use super::{Case, playbook, run};

#[test]
fn failures_that_are_ignored_or_rescued_are_no_failure_of_the_job() {
    let ran = run(r#"
- hosts: a
  gather_facts: false
  tasks:
    - name: Ignored
      fail: { msg: not so bad }
      ignore_errors: true
    - block:
        - name: Rescued
          fail: { msg: saved }
      rescue:
        - name: Rescue
          debug: { msg: helped }
"#);
    ran.done(Success::Unchanged);
    assert_eq!(ran.of("runner_on_failed"), [("Ignored", "a"), ("Rescued", "a")]);
    let failed: Vec<_> = ran.events.iter().filter(|event| event.failed).map(|event| event.task.as_deref()).collect();
    assert_eq!(failed, [Some("Rescued")]);
    assert_eq!(ran.diagnostic, None);
}

#[test]
fn the_failure_of_a_host_is_told_by_its_first_message() {
    let ran = run(r#"
- hosts: all
  gather_facts: false
  tasks:
    - name: Break
      fail: { msg: "broken\nfor good" }
      when: inventory_hostname == 'b'
    - name: After
      command: echo after
"#);
    assert_eq!(ran.failed(), "The playbook failed: tasks failed on b.");
    assert_eq!(ran.diagnostic.as_deref(), Some("Task `Break` failed on b: broken"));
    assert_eq!(ran.sorted("runner_on_failed"), [("Break", "b")]);
    assert_eq!(ran.sorted("runner_on_ok"), [("After", "a")]);
    assert!(ran.events.iter().any(|event| event.event == "runner_on_failed" && event.failed));
}

#[test]
fn hosts_that_do_not_answer_are_unreachable() {
    // Ansible says so too where it cannot make its folder; nothing else is needed for that.
    let inventory = "far ansible_connection=local ansible_remote_tmp=/proc/nowhere\n".to_owned();
    let text = "- hosts: far\n  gather_facts: false\n  tasks:\n    - name: Ask\n      ping:\n";
    let ran = Case { spec: AnsibleSpec { inventory, ..playbook(text) }, ..Case::default() }.run();
    assert_eq!(ran.failed(), "The playbook failed: far could not be reached.");
    assert!(ran.diagnostic.as_deref().unwrap().starts_with("Task `Ask` failed on far: "), "{:?}", ran.diagnostic);
    assert!(ran.one("runner_on_unreachable").failed);
}

#[test]
fn a_playbook_that_cannot_be_read_fails_with_ansibles_words() {
    for text in ["- hosts: [a\n", "- hosts: all\n  tasks:\n    - no_such_module_anywhere: {}\n", "nonsense\n"] {
        let ran = run(text);
        assert_eq!(
            ran.failed(),
            "The playbook could not be read: it has an error, or a file that it names is not there."
        );
        let diagnostic = ran.diagnostic.as_deref().unwrap();
        assert!(diagnostic.len() > 10 && !diagnostic.contains("ERROR"), "{diagnostic}");
        assert!(ran.text().contains(diagnostic), "{diagnostic}: {}", ran.text());
        assert!(ran.events.iter().all(|event| event.event == "error"), "{:?}", ran.events);
    }
}

#[test]
fn a_playbook_without_hosts_to_run_on_is_not_begun() {
    let spec = AnsibleSpec { limit: "nowhere".to_owned(), ..playbook("- hosts: all\n  tasks: []\n") };
    let ran = Case { spec, ..Case::default() }.run();
    assert_eq!(ran.failed(), "The playbook was not begun: something that it needs is missing or wrong.");
    assert!(
        ran.diagnostic.as_deref().unwrap().starts_with("Specified inventory, host pattern"),
        "{:?}",
        ran.diagnostic
    );
}

#[test]
fn an_unreachable_host_that_is_ignored_is_no_failure() {
    let inventory = "far ansible_connection=local ansible_remote_tmp=/proc/nowhere\n".to_owned();
    let text = "- hosts: far\n  gather_facts: false\n  tasks:\n    - { name: Ask, ping: , ignore_unreachable: true }\n    - { name: Go on, debug: { msg: x } }\n";
    let ran = Case { spec: AnsibleSpec { inventory, ..playbook(text) }, ..Case::default() }.run();
    ran.done(Success::Unchanged);
    assert!(!ran.one("runner_on_unreachable").failed);
    assert_eq!(ran.of("runner_on_ok"), [("Go on", "far")]);
}

#[test]
fn a_failure_that_must_not_be_logged_says_just_that() {
    let text = "- hosts: a\n  gather_facts: false\n  tasks:\n    - name: Quiet\n      fail:\n        msg: \"{{ 'UNSPEAKABLE' | lower }}\"\n      no_log: true\n";
    let ran = run(text);
    assert_eq!(ran.failed(), "The playbook failed: tasks failed on a.");
    assert!(ran.diagnostic.as_deref().unwrap().contains("no_log"), "{:?}", ran.diagnostic);
    assert!(!format!("{:?}", ran.events).contains("unspeakable"), "{}", ran.text());
}
