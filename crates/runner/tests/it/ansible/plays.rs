//! Plays, tasks and results: each has its event, below the one that it belongs to.

use std::collections::{BTreeMap, BTreeSet};

use chandler_model::jobs::Success;
use chandler_model::templates::AnsibleSpec;
use serde_json::Value;
use tempfile::TempDir;

use super::{Case, command, playbook, run};

pub(super) const PLAYS: &str = r#"
- name: First
  hosts: all
  gather_facts: false
  tasks:
    - name: Say
      debug: { msg: "said on {{ inventory_hostname }}" }
    - name: Change
      command: echo changed
    - name: Loop
      debug: { msg: "item {{ item }}" }
      loop: [x, y]
    - name: Skip
      debug: { msg: never }
      when: false
    - name: Include
      include_tasks: more.yml
      loop: [one, two]
      loop_control: { loop_var: part }
- name: Second
  hosts: b
  gather_facts: false
  roles: [r]
  tasks:
    - name: Notify
      command: echo notify
      notify: Handle
  handlers:
    - name: Handle
      debug: { msg: handled }
- hosts: nobody
  tasks: []
"#;
pub(super) const BESIDE: &[(&str, &str)] = &[
    ("more.yml", "- name: Included\n  debug: { msg: 'part {{ part }}' }\n"),
    ("roles/r/tasks/main.yml", "- name: In a role\n  debug: { msg: from the role }\n"),
];

#[test]
fn plays_tasks_loops_includes_roles_and_handlers_have_their_events() {
    let ran = Case { spec: playbook(PLAYS), beside: BESIDE, ..Case::default() }.run();
    ran.done(Success::Changed);
    assert_eq!(ran.diagnostic, None);
    let tasks: Vec<_> = ran.of("playbook_on_task_start").into_iter().map(|(task, _)| task).collect();
    let expected =
        ["Say", "Change", "Loop", "Skip", "Include", "Included", "Included", "r : In a role", "Notify", "Handle"];
    assert_eq!(tasks, expected);
    let included = ("Included", "a");
    assert_eq!(ran.sorted("runner_on_ok").iter().filter(|found| **found == included).count(), 2);
    for task in ["Say", "Change", "Loop", "Include"] {
        for host in ["a", "b"] {
            assert!(ran.of("runner_on_ok").contains(&(task, host)), "{task} on {host}");
            assert!(ran.of("runner_on_start").contains(&(task, host)), "{task} on {host}");
        }
    }
    assert_eq!(
        ran.sorted("runner_item_on_ok"),
        [
            ("Include", "a"),
            ("Include", "a"),
            ("Include", "b"),
            ("Include", "b"),
            ("Loop", "a"),
            ("Loop", "a"),
            ("Loop", "b"),
            ("Loop", "b")
        ]
    );
    assert_eq!(ran.sorted("runner_on_skipped"), [("Skip", "a"), ("Skip", "b")]);
    let changed: BTreeSet<_> =
        ran.events.iter().filter(|event| event.changed).filter_map(|event| event.task.as_deref()).collect();
    assert_eq!(changed, BTreeSet::from(["Change", "Notify"]));
    assert!(ran.events.iter().all(|event| !event.failed));
    let role = ran.events.iter().find(|event| event.task.as_deref() == Some("r : In a role")).unwrap();
    assert_eq!(role.role.as_deref(), Some("r"));
    let stats: Value = serde_json::from_str(&ran.one("playbook_on_stats").data.0).unwrap();
    assert_eq!(stats["changed"], serde_json::json!({"a": 1, "b": 2}));
    let result = ran.events.iter().find(|event| event.event == "runner_on_ok" && event.changed).unwrap();
    let data: Value = serde_json::from_str(&result.data.0).unwrap();
    assert_eq!(data["res"]["stdout"], "changed");
    assert!(data["duration"].is_number());
    ran.one("playbook_on_no_hosts_matched");
}

#[test]
fn check_mode_changes_nothing_and_says_what_would_change() {
    let text = "- hosts: a\n  gather_facts: false\n  tasks:\n    - name: Write\n      copy: { dest: '{{ playbook_dir }}/written', content: x }\n";
    let ran = Case { spec: AnsibleSpec { check: true, ..playbook(text) }, ..Case::default() }.run();
    ran.done(Success::Changed);
    assert!(ran.one("runner_on_ok").changed);
    assert!(!ran.dir.path().join("written").exists());
}

#[test]
fn limits_tags_and_variables_reach_ansible() {
    let text = "- hosts: all\n  gather_facts: false\n  tasks:\n    - { name: One, debug: { var: x }, tags: one }\n    - { name: Two, debug: { var: x }, tags: two }\n    - { name: Three, debug: { var: x }, tags: [two, three] }\n";
    let spec = AnsibleSpec {
        extra_vars: "x: { deep: [1] }".to_owned(),
        limit: "b".to_owned(),
        tags: "two".to_owned(),
        skip_tags: "three".to_owned(),
        ..playbook(text)
    };
    let ran = Case { spec, ..Case::default() }.run();
    assert_eq!(ran.of("runner_on_ok"), [("Two", "b")]);
    let data: Value = serde_json::from_str(&ran.one("runner_on_ok").data.0).unwrap();
    assert_eq!(data["res"]["x"]["deep"][0], 1);
}

#[test]
fn a_vaulted_variable_opens_with_the_password_that_came_as_a_secret() {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("tmp")).unwrap();
    std::fs::write(dir.path().join("vault_password"), "open sesame\n").unwrap();
    let mut vault = command("ansible-vault", dir.path());
    let made =
        vault.args(["encrypt_string", "--vault-password-file=vault_password", "--name=x", "opened"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = "- hosts: a\n  gather_facts: false\n  tasks:\n    - debug: { msg: 'it {{ x }}' }\n";
    let spec = AnsibleSpec { extra_vars: String::from_utf8(made.stdout).unwrap(), ..playbook(text) };
    let ran = Case { spec, secrets: &[("vault_password", "open sesame\n")], ..Case::default() }.run();
    ran.done(Success::Unchanged);
    assert!(ran.text().contains("it opened"), "{}", ran.text());
}

#[test]
fn hosts_at_their_own_pace_keep_their_results_apart() {
    let ran = run(r#"
- hosts: all
  strategy: free
  gather_facts: false
  tasks:
    - { name: One, command: echo one }
    - { name: Two, command: echo two }
"#);
    ran.done(Success::Changed);
    assert_eq!(ran.sorted("runner_on_ok"), [("One", "a"), ("One", "b"), ("Two", "a"), ("Two", "b")]);
}

#[test]
fn a_play_in_batches_begins_once_for_each() {
    let ran =
        run("- name: Slow\n  hosts: all\n  serial: 1\n  gather_facts: false\n  tasks:\n    - { name: One, ping: }\n");
    let mut tasks: BTreeMap<_, usize> = BTreeMap::new();
    for event in ran.events.iter().filter(|event| event.event == "playbook_on_task_start") {
        *tasks.entry(event.parent_uuid).or_default() += 1;
    }
    assert_eq!(tasks.values().copied().collect::<Vec<_>>(), [1, 1]);
    assert_eq!(ran.of("runner_on_ok"), [("One", "a"), ("One", "b")]);
}

#[test]
fn retries_background_tasks_and_differences_are_events_of_their_task() {
    let text = r#"
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Again
      command: cat appears
      args: { chdir: "{{ playbook_dir }}" }
      register: seen
      until: seen is succeeded
      retries: 1
      delay: 0
      ignore_errors: true
    - name: Aside
      command: echo aside
      async: 30
      poll: 1
    - name: Differ
      copy: { dest: "{{ playbook_dir }}/differs", content: "new line" }
      diff: true
    - name: Wait
      pause: { seconds: 0 }
    - name: Stop here
      meta: end_play
    - name: Never
      fail: { msg: never }
"#;
    let ran = Case { spec: AnsibleSpec { inventory: String::new(), ..playbook(text) }, ..Case::default() }.run();
    ran.done(Success::Changed);
    assert!(ran.dir.path().join("home/.ansible/tmp").is_dir(), "it wrote somewhere else");
    assert_eq!(ran.one("runner_retry").task.as_deref(), Some("Again"));
    assert!(!ran.of("runner_on_async_ok").is_empty());
    assert!(ran.one("runner_on_file_diff").stdout.contains("+new line"));
    assert!(!ran.text().contains("Never"), "{}", ran.text());
}
