//! Ansible playbooks: playbook, inventory, variables and secrets become files in the job's directory, and
//! `ansible-playbook` runs them with Chandler's callback plugin, so that what it does comes as events and is never guessed
//! from text. What a template may hold and what comes of it: `docs/reference/ansible.md`.

mod events;
mod outcome;

use chandler_core::jobs::link::{Materials, Secrets};
use chandler_model::jobs::{AnsibleIntent, Fault};
use chandler_model::logs::{Entry, Stream};
use chandler_model::task_events::NewTaskEvent;
use chandler_model::templates::AnsibleSpec;
use jiff::Timestamp;

use self::events::Lines;
use self::outcome::Outcome;
use super::{Exit, Prepared, Reader, Unpreparable, Verdict};
use crate::keep::Signal;
use crate::recipe::{File, Program, Recipe, Tool};

const PROGRAM: &str = "ansible-playbook";
/// Names of files in the job's directory.
const PLAYBOOK: &str = "playbook.yml";
const INVENTORY: &str = "inventory";
const EXTRA_VARS: &str = "extra_vars.yml";
const PLUGIN: &str = "plugins/chandler_events.py";
const DRIVER: &str = "run";
/// Secret files that mean something by their names.
const VAULT_PASSWORD: &str = "vault_password";
const SSH_KEY: &str = "ssh_key";
/// As far as Ansible counts.
const VERBOSITY_MAX: u8 = 4;

/// Without an inventory a playbook runs where `ansible-playbook` does, with the Python that it runs with.
const LOCALHOST: &str =
    "localhost ansible_connection=local ansible_python_interpreter=\"{{ ansible_playbook_python }}\"\n";

/// Then background tasks keep their notes in the job's directory: else one half of Ansible looks for them in the job's
/// home and the other half in the one that the system knows. Other hosts have no such folder.
const LOCALHOST_DRIVER: &str = "export ANSIBLE_ASYNC_DIR=\"$PWD/.ansible/async\"\n";
const DRIVER_END: &str = "exec ansible-playbook \"$@\"\n";

/// Says where Ansible finds and keeps its things: beneath the directory that it is started in, wherever that is. What a
/// secret may set, as a default only.
const DRIVER_TEXT: &str = r#"#!/bin/sh
export ANSIBLE_STDOUT_CALLBACK=chandler_events
export ANSIBLE_CALLBACK_PLUGINS="$PWD/plugins"
export ANSIBLE_HOME="$PWD/.ansible"
export ANSIBLE_LOCAL_TEMP="$PWD/.ansible/tmp"
# Not ~, which Ansible takes for the home that the system knows: a job may not write there. A host's own shell reads it.
export ANSIBLE_REMOTE_TEMP="${ANSIBLE_REMOTE_TEMP:-\$HOME/.ansible/tmp}"
export ANSIBLE_RETRY_FILES_ENABLED=False
export ANSIBLE_NOCOLOR=1
export ANSIBLE_FORCE_COLOR=False
export ANSIBLE_HOST_KEY_CHECKING="${ANSIBLE_HOST_KEY_CHECKING:-False}"
export PYTHONUNBUFFERED=1
export PYTHONDONTWRITEBYTECODE=1
export LC_ALL="${LC_ALL:-${LANG:-C.UTF-8}}"
"#;

pub(super) fn prepare(intent: &AnsibleIntent, materials: &Materials) -> Result<Prepared, Unpreparable> {
    let (spec, secrets) = (&intent.spec, &materials.secrets);
    let (inventory, more) = match spec.inventory.trim() {
        "" => (LOCALHOST, LOCALHOST_DRIVER),
        _ => (spec.inventory.as_str(), ""),
    };
    let mut files = vec![
        File::new(PLAYBOOK, spec.playbook.as_bytes()),
        File::new(INVENTORY, inventory.as_bytes()),
        File::new(PLUGIN, include_bytes!("chandler_events.py")),
        File::program(DRIVER, [DRIVER_TEXT, more, DRIVER_END].concat()),
    ];
    if has_extra_vars(spec) {
        files.push(File::new(EXTRA_VARS, spec.extra_vars.as_bytes()));
    }
    for (path, bytes) in &secrets.files {
        if files.iter().any(|file| file.path == *path) {
            return Err((Fault::Work, super::taken(path)));
        }
        let mut bytes = bytes.clone();
        if path == SSH_KEY && !bytes.ends_with(b"\n") {
            // ssh takes no key whose last line has no end, and forms lose it easily.
            bytes.push(b'\n');
        }
        files.push(File::new(path, bytes));
    }
    let mut command = vec!["/bin/sh".to_owned(), format!("./{DRIVER}")];
    command.extend(arguments(spec, secrets));
    let recipe = Recipe {
        files,
        command,
        env: secrets.env.clone().into_iter().collect(),
        tools: vec![Tool {
            names: vec![PROGRAM.to_owned()],
            hint: "Install ansible-core 2.16 or newer (`pipx install ansible-core`).".to_owned(),
        }],
        // Ansible ends its own processes and says that it was interrupted; TERM it answers in its newer versions only.
        stop: Some(Signal::Int),
        ..Recipe::default()
    };
    Ok(Prepared { program: Program::Recipe(recipe), reader: Box::new(Playbook::default()), targets: Vec::new() })
}

fn has_extra_vars(spec: &AnsibleSpec) -> bool {
    !spec.extra_vars.trim().is_empty()
}

fn arguments(spec: &AnsibleSpec, secrets: &Secrets) -> Vec<String> {
    let mut args = vec![format!("--inventory={INVENTORY}")];
    if has_extra_vars(spec) {
        args.push(format!("--extra-vars=@{EXTRA_VARS}"));
    }
    for (flag, name) in [("--vault-password-file", VAULT_PASSWORD), ("--private-key", SSH_KEY)] {
        if secrets.files.contains_key(name) {
            args.push(format!("{flag}={name}"));
        }
    }
    // Joined by `=`, so that no value is taken for a flag.
    for (flag, value) in [("--limit", &spec.limit), ("--tags", &spec.tags), ("--skip-tags", &spec.skip_tags)] {
        if !value.trim().is_empty() {
            args.push(format!("{flag}={value}"));
        }
    }
    if spec.check {
        args.push("--check".to_owned());
    }
    if spec.verbosity > 0 {
        args.push(format!("-{}", "v".repeat(usize::from(spec.verbosity.min(VERBOSITY_MAX)))));
    }
    args.push(PLAYBOOK.to_owned());
    args
}

/// Reads the output of a playbook.
#[derive(Debug, Default)]
struct Playbook {
    lines: Lines,
    outcome: Outcome,
}

impl Playbook {
    fn take(&mut self, events: Vec<NewTaskEvent>) -> Vec<Entry> {
        for event in &events {
            self.outcome.note(event);
        }
        events.into_iter().map(Entry::Event).collect()
    }
}

impl Reader for Playbook {
    fn read(&mut self, at: Timestamp, stream: Stream, bytes: &[u8]) -> Vec<Entry> {
        let events = self.lines.feed(at, stream, bytes);
        self.take(events)
    }

    fn end(&mut self, at: Timestamp) -> Vec<Entry> {
        let events = self.lines.end(at);
        self.take(events)
    }

    fn verdict(&mut self, exit: Exit) -> Verdict {
        self.outcome.verdict(exit)
    }

    fn diagnostic(&self) -> Option<String> {
        self.outcome.diagnostic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(spec: AnsibleSpec, files: &[(&str, &str)]) -> Result<Recipe, Unpreparable> {
        let mut materials = Materials::default();
        for (path, text) in files {
            materials.secrets.files.insert((*path).to_owned(), text.as_bytes().to_vec());
        }
        materials.secrets.env.insert("TOKEN".to_owned(), "hunter2".to_owned());
        match prepare(&AnsibleIntent { spec, image: None }, &materials)?.program {
            Program::Recipe(recipe) => Ok(recipe),
            Program::Image(_) => panic!("no recipe"),
        }
    }

    #[test]
    fn every_field_has_its_place_in_the_command() {
        let spec = AnsibleSpec {
            playbook: "- hosts: all".to_owned(),
            inventory: "a\nb\n".to_owned(),
            extra_vars: "x: 1".to_owned(),
            limit: "-a".to_owned(),
            tags: "one,two".to_owned(),
            skip_tags: "three".to_owned(),
            verbosity: 9,
            check: true,
            ..AnsibleSpec::default()
        };
        let recipe = prepared(spec, &[("ssh_key", "KEY"), ("vault_password", "v"), ("keys/other", "o")]).unwrap();
        let expected = [
            "/bin/sh",
            "./run",
            "--inventory=inventory",
            "--extra-vars=@extra_vars.yml",
            "--vault-password-file=vault_password",
            "--private-key=ssh_key",
            "--limit=-a",
            "--tags=one,two",
            "--skip-tags=three",
            "--check",
            "-vvvv",
            "playbook.yml",
        ];
        assert_eq!(recipe.command, expected);
        assert_eq!(recipe.env, [("TOKEN".to_owned(), "hunter2".to_owned())]);
        let key = recipe.files.iter().find(|file| file.path == "ssh_key").unwrap();
        assert!(key.bytes == b"KEY\n" && !key.executable);
        assert!(recipe.files.iter().any(|file| file.path == "keys/other"));
        assert!(recipe.files.iter().any(|file| file.path == "inventory" && file.bytes == b"a\nb\n"));
    }

    #[test]
    fn what_is_empty_is_left_out() {
        let recipe = prepared(AnsibleSpec::default(), &[]).unwrap();
        assert_eq!(recipe.command, ["/bin/sh", "./run", "--inventory=inventory", "playbook.yml"]);
        assert!(!recipe.files.iter().any(|file| file.path == EXTRA_VARS));
        assert!(recipe.files.iter().any(|file| file.bytes.starts_with(b"localhost ")));
    }

    #[test]
    fn a_secret_takes_the_place_of_no_file_of_the_job() {
        let (fault, reason) = prepared(AnsibleSpec::default(), &[("run", "x")]).unwrap_err();
        assert_eq!(fault, Fault::Work);
        assert!(reason.contains("`run`"), "{reason}");
    }
}
