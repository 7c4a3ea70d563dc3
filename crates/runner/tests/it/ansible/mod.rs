//! Playbooks run for real, as the recipe says and without sandbox or keeper: what they print becomes events, once.

mod ends;
mod output;
mod plays;

use std::collections::HashMap;
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
