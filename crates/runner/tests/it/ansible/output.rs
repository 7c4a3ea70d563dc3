//! The text of playbooks: all of it, once, without secrets.

use chandler_model::jobs::Success;
use chandler_model::task_events::NewTaskEvent;
use chandler_model::templates::AnsibleSpec;

use super::plays::{BESIDE, PLAYS};
use super::{Case, command, playbook, run};

#[test]
fn the_text_is_what_ansible_itself_prints_line_by_line() {
    // One host, because the order of several is chance.
    let spec = |verbosity| AnsibleSpec {
        inventory: String::new(),
        verbosity,
        ..playbook(&PLAYS.replace("hosts: b", "hosts: all").replace("echo", "/bin/true"))
    };
    let ran = Case { spec: spec(0), beside: BESIDE, ..Case::default() }.run();
    // The same files, with Ansible's own callback.
    let mut own = command("ansible-playbook", ran.dir.path());
    own.args(["-i", "inventory", "playbook.yml"]).env("ANSIBLE_REMOTE_TEMP", "$HOME/.ansible/tmp");
    let own = own.output().unwrap();
    let own = String::from_utf8(own.stdout).unwrap();
    let text: String = ran
        .events
        .iter()
        .filter(|event| !matches!(event.event.as_str(), "warning" | "error"))
        .filter(|event| !event.stdout.is_empty())
        .map(|event| format!("{}\n", event.stdout))
        .collect();
    assert_eq!(text, own);
    let lines: i64 = ran.events.iter().map(NewTaskEvent::lines).sum();
    assert_eq!(lines, ran.text().lines().count() as i64);
}

#[test]
fn more_words_are_said_once_at_every_verbosity() {
    let text = "- hosts: a\n  gather_facts: false\n  tasks:\n    - name: Say\n      debug: { msg: unheard-of }\n";
    let mut before = 0;
    for verbosity in 0..=4 {
        let ran = Case { spec: AnsibleSpec { verbosity, ..playbook(text) }, ..Case::default() }.run();
        ran.done(Success::Unchanged);
        assert_eq!(ran.text().matches("\"msg\": \"unheard-of\"").count(), 1, "{}", ran.text());
        assert_eq!(ran.text().matches("TASK [Say]").count(), 1);
        let lines = ran.text().lines().count();
        assert!(lines >= before, "{verbosity}: {lines} after {before}");
        before = lines;
    }
}

#[test]
fn what_must_not_be_logged_and_what_is_secret_is_nowhere() {
    let secret = "s3cr\"et\\wörd 😀/+x";
    let text = r#"
- hosts: a
  gather_facts: false
  tasks:
    - { name: Print, debug: { msg: "it is {{ lookup('env', 'TOKEN') }}!" } }
    - { name: Encode, debug: { msg: "{{ ('user:' ~ lookup('env', 'TOKEN')) | b64encode }}" } }
    - { name: Json, debug: { msg: "{{ {'token': lookup('env', 'TOKEN')} | to_json }}" } }
    - { name: Quiet, command: echo unspeakable, no_log: true }
    - { name: Quiet loop, command: "echo {{ item }}", loop: [unspeakable], no_log: true }
    - { name: Quiet failure, fail: { msg: unspeakable }, no_log: true, ignore_errors: true }
    - { name: Open the vault, debug: { msg: "{{ lookup('file', 'notes') }}" } }
"#;
    let case = Case {
        spec: AnsibleSpec { verbosity: 3, ..playbook(text) },
        env: &[("TOKEN", secret)],
        secrets: &[("notes", "line-one-of-it\nline-two-of-it\n"), ("vault_password", "open sesame")],
        ..Case::default()
    };
    let ran = case.run();
    ran.done(Success::Changed);
    for hidden in ["s3cr", "wörd", "unspeakable", "czNjci", "line-one", "line-two", "sesame"] {
        let seen = ran.events.iter().find(|event| format!("{event:?}").contains(hidden));
        assert!(seen.is_none(), "{hidden}: {seen:?}");
    }
    assert!(ran.text().contains("it is [hidden]!"), "{}", ran.text());
    assert_eq!(ran.of("runner_on_ok").len(), 6);
}

#[test]
fn output_that_is_no_text_and_output_without_end_are_kept_in_bounds() {
    let text = r#"
- hosts: a
  gather_facts: false
  tasks:
    - { name: Refused, command: "printf 'a\\377'", ignore_errors: true }
    - { name: Bytes, raw: "printf 'a\\377\\000b\\033[31mred'" }
    - { name: Much, shell: "head -c 1500000 /dev/zero | tr '\\0' x" }
"#;
    let ran = Case { spec: AnsibleSpec { verbosity: 1, ..playbook(text) }, ..Case::default() }.run();
    ran.done(Success::Changed);
    // Newer ones refuse what a module says if it is no text.
    let well: Vec<_> = ran.of("runner_on_ok").into_iter().filter(|(task, _)| *task != "Refused").collect();
    assert_eq!(well, [("Bytes", "a"), ("Much", "a")]);
    assert!(ran.events.iter().all(|event| event.stdout.len() <= 1024 * 1024 && event.data.0.len() <= 1024 * 1024));
    let printed: usize = ran.events.iter().map(|event| event.stdout.matches('x').count()).sum();
    assert!(printed >= 1_500_000, "{printed}");
    assert!(ran.events.iter().any(|event| event.stdout.ends_with(" [the line goes on]")));
    assert!(!ran.text().contains('\0'));
}

#[test]
fn warnings_are_events_of_their_own() {
    let text = "- hosts: a\n  gather_facts: false\n  tasks:\n    - name: Warn\n      debug: { msg: x }\n      when: \"'{{ 1 }}' == '1'\"\n    - { name: Odd, set_fact: { ok: true }, ignore_errors: true }\n- hosts: nobody\n  tasks: []\n";
    let ran = run(text);
    let warnings: Vec<_> = ran.events.iter().filter(|event| event.stdout.contains("[WARNING]")).collect();
    assert!(warnings.iter().any(|event| event.event == "warning"), "{:?}", ran.events);
    assert!(warnings.iter().all(|event| event.event != "verbose"), "{warnings:?}");
}
