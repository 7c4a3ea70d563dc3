//! Playbooks run for real, as the recipe says and without sandbox or keeper: what they print becomes events, once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use chandler_core::jobs::link::{Assignment, Materials};
use chandler_model::Id;
use chandler_model::jobs::{AnsibleIntent, Fault, Intent, Success};
use chandler_model::logs::{Entry, Stream};
use chandler_model::task_events::NewTaskEvent;
use chandler_model::templates::AnsibleSpec;
use chandler_runner::mask::Mask;
use chandler_runner::recipe::Program;
use chandler_runner::tools::{self, Exit, Verdict};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

/// Hosts that are the machine of the test.
const INVENTORY: &str =
    "a\nb\n[all:vars]\nansible_connection=local\nansible_python_interpreter=\"{{ ansible_playbook_python }}\"\n";

/// A playbook, and what lies beside it.
#[derive(Default)]
struct Case<'a> {
    spec: AnsibleSpec,
    beside: &'a [(&'a str, &'a str)],
    env: &'a [(&'a str, &'a str)],
    secrets: &'a [(&'a str, &'a str)],
}

/// What came of it.
struct Ran {
    events: Vec<NewTaskEvent>,
    verdict: Verdict,
    diagnostic: Option<String>,
    dir: TempDir,
}

fn playbook(text: &str) -> AnsibleSpec {
    AnsibleSpec { playbook: text.to_owned(), inventory: INVENTORY.to_owned(), ..AnsibleSpec::default() }
}

fn run(text: &str) -> Ran {
    Case { spec: playbook(text), ..Case::default() }.run()
}

fn programs() -> String {
    std::env::var("CHANDLER_TEST_ANSIBLE").unwrap_or_else(|_| {
        panic!("CHANDLER_TEST_ANSIBLE names no folder with an ansible-playbook: run ./test.sh, or set it to what `tests/ansible.sh start` prints")
    })
}

fn command(program: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).env_clear().env("LANG", "C.UTF-8").env("HOME", dir.join("home"));
    command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs())).env("TMPDIR", dir.join("tmp"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Both outputs in small pieces, in the order of their arrival.
fn pieces(child: &mut Child) -> mpsc::Receiver<(Stream, Vec<u8>)> {
    let (tell, told) = mpsc::channel();
    let outputs: [(Stream, Box<dyn Read + Send>); 2] = [
        (Stream::Stdout, Box::new(child.stdout.take().unwrap())),
        (Stream::Stderr, Box::new(child.stderr.take().unwrap())),
    ];
    for (stream, mut output) in outputs {
        let tell = tell.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 997];
            while let Ok(read @ 1..) = output.read(&mut piece) {
                tell.send((stream, piece[..read].to_vec())).unwrap();
            }
        });
    }
    told
}

impl Case<'_> {
    fn run(self) -> Ran {
        let dir = TempDir::new().unwrap();
        let mut materials = Materials::default();
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        materials.secrets.env.extend(self.env.iter().map(owned));
        materials.secrets.files.extend(self.secrets.iter().map(owned).map(|(name, text)| (name, text.into_bytes())));
        let assignment = Assignment {
            job: Id::new(1),
            attempt: 1,
            name: "test".to_owned(),
            intent: Intent::Ansible(AnsibleIntent { spec: self.spec, image: None }),
            steps: Vec::new(),
        };
        let mut prepared = tools::prepare(&assignment, None, &materials).unwrap();
        let Program::Recipe(recipe) = prepared.program else { panic!("an image") };
        assert_eq!(recipe.tools[0].names, ["ansible-playbook"]);
        let beside = self.beside.iter().map(|(path, text)| (*path, text.as_bytes(), false));
        let files = recipe.files.iter().map(|file| (file.path.as_str(), file.bytes.as_slice(), file.executable));
        for (path, bytes, executable) in files.chain(beside) {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mode = if executable { 0o700 } else { 0o600 };
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).unwrap();
            std::io::Write::write_all(&mut file, bytes).unwrap();
        }
        for folder in ["home", "tmp"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let (program, args) = recipe.command.split_first().unwrap();
        let mut child = command(program, dir.path()).args(args).envs(recipe.env).spawn().unwrap();
        let mask = Mask::new(materials.secrets.values()).unwrap();
        let mut masked = [mask.stream(), mask.stream()];
        let (mut entries, at) = (Vec::new(), Timestamp::UNIX_EPOCH);
        for (stream, piece) in pieces(&mut child) {
            let shown = masked[usize::from(stream == Stream::Stderr)].feed(&piece);
            entries.extend(prepared.reader.read(at, stream, &shown));
        }
        for (stream, masked) in [Stream::Stdout, Stream::Stderr].into_iter().zip(&mut masked) {
            entries.extend(prepared.reader.read(at, stream, &masked.end()));
        }
        entries.extend(prepared.reader.end(at));
        let verdict = prepared.reader.verdict(Exit { code: child.wait().unwrap().code(), signal: None });
        let events = entries.into_iter().map(|entry| match entry {
            Entry::Event(event) => event,
            Entry::Chunk(chunk) => panic!("{chunk:?} is in no event"),
        });
        let ran = Ran { events: events.collect(), verdict, diagnostic: prepared.reader.diagnostic(), dir };
        ran.holds_together();
        ran
    }
}

impl Ran {
    /// What is true of every playbook: who is whose child, and that frames are no text.
    fn holds_together(&self) {
        let mut known = HashMap::new();
        for event in &self.events {
            assert!(known.insert(event.uuid, event).is_none(), "{event:?} has an id that another has");
            assert!(!event.stdout.contains('\u{1e}') && !event.stdout.contains('\u{1b}'), "{event:?}");
            serde_json::from_str::<Value>(&event.data.0).unwrap();
            let parent = event.parent_uuid.map(|parent| known.get(&parent).copied().expect("a parent comes first"));
            let expected = match event.event.as_str() {
                "playbook_on_start" => "none",
                "playbook_on_play_start" | "playbook_on_stats" => "playbook_on_start",
                "playbook_on_task_start" | "playbook_on_no_hosts_matched" => "playbook_on_play_start",
                name if name.starts_with("runner_") || name == "playbook_on_include" => "playbook_on_task_start",
                _ => continue,
            };
            assert_eq!(parent.map_or("none", |parent| parent.event.as_str()), expected, "{event:?}");
            if event.event.starts_with("runner_") {
                let task = parent.unwrap();
                assert_eq!((&event.task, &event.play), (&task.task, &task.play), "{event:?}");
                assert!(event.host_name.is_some(), "{event:?}");
            }
        }
    }

    fn text(&self) -> String {
        let texts = self.events.iter().filter(|event| !event.stdout.is_empty());
        texts.map(|event| format!("{}\n", event.stdout)).collect()
    }

    /// `(task, host)` of the events of this name, in order.
    fn of(&self, name: &str) -> Vec<(&str, &str)> {
        let own = self.events.iter().filter(|event| event.event == name);
        own.map(|event| (event.task.as_deref().unwrap_or(""), event.host_name.as_deref().unwrap_or(""))).collect()
    }

    /// Hosts differ in the order that they answer in.
    fn sorted(&self, name: &str) -> Vec<(&str, &str)> {
        let mut found = self.of(name);
        found.sort_unstable();
        found
    }

    fn one(&self, name: &str) -> &NewTaskEvent {
        let own: Vec<_> = self.events.iter().filter(|event| event.event == name).collect();
        assert_eq!(own.len(), 1, "{name}: {own:?}");
        own[0]
    }

    fn done(&self, success: Success) {
        assert_eq!(self.verdict, Verdict::Done(Some(success)), "{}", self.text());
    }

    fn failed(&self) -> &str {
        match &self.verdict {
            Verdict::Failed(Fault::Work, reason) => reason,
            other => panic!("{other:?}: {}", self.text()),
        }
    }
}

const PLAYS: &str = r#"
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
const BESIDE: &[(&str, &str)] = &[
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
fn the_text_is_what_ansible_itself_prints_line_by_line() {
    // One host, because the order of several is chance.
    let spec = |verbosity| AnsibleSpec {
        inventory: String::new(),
        verbosity,
        ..playbook(&PLAYS.replace("hosts: b", "hosts: all").replace("echo", "/bin/true"))
    };
    let ran = Case { spec: spec(0), beside: BESIDE, ..Case::default() }.run();
    // The same files, with Ansible's own callback.
    let own = command("ansible-playbook", ran.dir.path()).args(["-i", "inventory", "playbook.yml"]).output().unwrap();
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
fn a_failure_that_must_not_be_logged_says_just_that() {
    let text = "- hosts: a\n  gather_facts: false\n  tasks:\n    - name: Quiet\n      fail:\n        msg: \"{{ 'UNSPEAKABLE' | lower }}\"\n      no_log: true\n";
    let ran = run(text);
    assert_eq!(ran.failed(), "The playbook failed: tasks failed on a.");
    assert!(ran.diagnostic.as_deref().unwrap().contains("no_log"), "{:?}", ran.diagnostic);
    assert!(!format!("{:?}", ran.events).contains("unspeakable"), "{}", ran.text());
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
