//! Runs steps of a Terraform job: lays the recipe into a directory, starts it without a keeper, and hands what one step
//! leaves to the next as the server would do it.

use std::{
    fs,
    io::Read,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Instant,
};

use chandler_core::jobs::link::{Assignment, JobFile, Materials};
use chandler_model::{
    Id,
    jobs::{Fault, Intent, JobStep, StepKind, StepState, Success, TerraformIntent},
    logs::{Entry, Level, NewChunk, Stream},
    templates::FlowSpec,
};
use chandler_runner::{
    recipe::{Program, Recipe},
    tools::{Exit, Prepared, Target, Verdict, prepare},
};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::job::BOUND;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Neither a divisor of the length of anything nor longer than a line.
const PIECE: usize = 61;

pub(super) const CHANGED: Verdict = Verdict::Done(Some(Success::Changed));
pub(super) const UNCHANGED: Verdict = Verdict::Done(Some(Success::Unchanged));

/// A job and its workspace, between its steps.
pub(super) struct Flow {
    pub(super) spec: FlowSpec,
    pub(super) materials: Materials,
    number: i64,
    pub(super) path: String,
    /// Bytes of the longest plan; none = as it is.
    pub(super) plan_max: Option<u32>,
}

/// What came of a step.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) exit: Exit,
    pub(super) verdict: Verdict,
    pub(super) diagnostic: Option<String>,
    chunks: Vec<NewChunk>,
    /// Names of the files that it left, `state` for the state.
    pub(super) left: Vec<String>,
}

/// What is done to a step while it runs, as soon as its log has this text.
pub(super) struct Then<'a>(pub(super) &'a str, pub(super) Box<dyn FnOnce(Pid) + 'a>);

pub(super) fn terraform() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(PATH).chain(std::env::split_paths(&path)).map(|folder| folder.join("terraform"));
    folders
        .into_iter()
        .find(|file| file.is_file())
        .expect("these tests run Terraform, which is not in PATH: https://developer.hashicorp.com/terraform/install")
}

impl Flow {
    pub(super) fn new(main: &str) -> Self {
        let path = format!("{}:{PATH}", terraform().parent().unwrap().display());
        let spec = FlowSpec { configuration: [("main.tf".into(), main.into())].into(), ..FlowSpec::default() };
        Self { spec, materials: Materials::default(), number: 0, path, plan_max: None }
    }

    pub(super) fn file(mut self, name: &str, text: &str) -> Self {
        self.spec.configuration.insert(name.to_owned(), text.to_owned());
        self
    }

    pub(super) fn run(&mut self, kind: StepKind) -> Ran {
        self.run_and(kind, Vec::new())
    }

    /// Lays the next step into a directory.
    pub(super) fn lay_out(&mut self, kind: StepKind, dir: &Path) -> (Recipe, Prepared) {
        self.number += 1;
        let step = JobStep {
            number: self.number,
            name: "step".to_owned(),
            kind,
            state: StepState::Running,
            needs_decision: false,
            decision: None,
            outcome: None,
            started_at: None,
            finished_at: None,
        };
        let intent = Intent::Terraform(TerraformIntent { spec: self.spec.clone(), image: None });
        let assignment =
            Assignment { job: Id::new(1), attempt: 1, name: "job".to_owned(), intent, steps: vec![step.clone()] };
        let prepared = prepare(&assignment, Some(&step), &self.materials).unwrap();
        let Program::Recipe(mut recipe) = prepared.program.clone() else { panic!("an image of its own") };
        if let Some(max) = self.plan_max {
            recipe.command[3] = max.to_string();
        }
        for file in &recipe.files {
            let path = dir.join(&file.path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &file.bytes).unwrap();
        }
        (recipe, prepared)
    }

    pub(super) fn run_and(&mut self, kind: StepKind, then: Vec<Then<'_>>) -> Ran {
        let dir = tempfile::tempdir().unwrap();
        let (recipe, prepared) = self.lay_out(kind, dir.path());
        let mut command = Command::new(&recipe.command[0]);
        command.args(&recipe.command[1..]).current_dir(dir.path()).env_clear().process_group(0);
        command.env("HOME", dir.path()).env("TMPDIR", dir.path()).env("PATH", &self.path).env("LANG", "C.UTF-8");
        command.envs(recipe.env);

        let mut reader = prepared.reader;
        let mut chunks: Vec<NewChunk> = Vec::new();
        let mut add = |entries: Vec<Entry>| {
            chunks.extend(entries.into_iter().map(|entry| match entry {
                Entry::Chunk(chunk) => chunk,
                Entry::Event(event) => panic!("{event:?}"),
            }));
            text(&chunks)
        };
        let exit = output(command, then, |stream, bytes| add(reader.read(Timestamp::UNIX_EPOCH, stream, bytes)));
        add(reader.end(Timestamp::UNIX_EPOCH));

        let mut left = Vec::new();
        for kept in recipe.keep {
            let Ok(bytes) = fs::read(dir.path().join(&kept.path)) else { continue };
            assert!(bytes.len() <= kept.max);
            let (_, target) = prepared.targets.iter().find(|(path, _)| *path == kept.path).unwrap();
            match target {
                Target::State => {
                    self.materials.state = Some(bytes);
                    left.push("state".to_owned());
                }
                Target::File(name) => {
                    self.materials.files.push(JobFile { step: self.number, name: name.clone(), bytes });
                    left.push(name.clone());
                }
            }
        }
        Ran { exit, verdict: reader.verdict(exit), diagnostic: reader.diagnostic(), chunks, left }
    }

    /// The resources of the state: type, name, and whether the next apply would make it anew.
    pub(super) fn resources(&self) -> Vec<(String, bool)> {
        let state: Value = serde_json::from_slice(self.materials.state.as_ref().expect("a state")).unwrap();
        let resources = state["resources"].as_array().unwrap().iter();
        let tainted = |resource: &Value| resource["instances"][0]["status"] == "tainted";
        resources.map(|resource| (resource["name"].as_str().unwrap().to_owned(), tainted(resource))).collect()
    }

    pub(super) fn output(&self, name: &str) -> Value {
        let state: Value = serde_json::from_slice(self.materials.state.as_ref().expect("a state")).unwrap();
        state["outputs"][name]["value"].clone()
    }
}

/// Runs a command and passes on what it writes, in small pieces; what is passed on answers with the whole log.
fn output(mut command: Command, then: Vec<Then<'_>>, mut seen: impl FnMut(Stream, &[u8]) -> String) -> Exit {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let group = Pid::from_child(&child);
    let (sender, receiver) = mpsc::channel();
    let pass_on = |stream, mut from: Box<dyn Read + Send>| {
        let sender = sender.clone();
        thread::spawn(move || {
            let mut piece = [0; PIECE];
            while let Ok(length @ 1..) = from.read(&mut piece) {
                sender.send((stream, piece[..length].to_vec())).unwrap();
            }
        })
    };
    pass_on(Stream::Stdout, Box::new(child.stdout.take().unwrap()));
    pass_on(Stream::Stderr, Box::new(child.stderr.take().unwrap()));
    drop(sender);
    let mut then = then.into_iter().peekable();
    let mut log = String::new();
    // Of the whole step: Terraform says every ten seconds that it still works.
    let bound = Instant::now() + BOUND;
    loop {
        match receiver.recv_timeout(bound.saturating_duration_since(Instant::now())) {
            Ok((stream, bytes)) => log = seen(stream, &bytes),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let _ = kill_process_group(group, Signal::KILL);
                panic!("it has not ended: {log}");
            }
        }
        while let Some(Then(_, act)) = then.next_if(|Then(wanted, _)| log.contains(wanted)) {
            act(group);
        }
    }
    assert!(then.next().is_none(), "what was waited for was never written: {log}");
    let status = child.wait().unwrap();
    Exit { code: status.code(), signal: status.signal() }
}

fn text(chunks: &[NewChunk]) -> String {
    chunks.iter().map(|chunk| String::from_utf8_lossy(&chunk.bytes)).collect()
}

impl Ran {
    pub(super) fn text(&self) -> String {
        text(&self.chunks)
    }

    /// The log has each of these, and nothing of how it came to be.
    #[track_caller]
    pub(super) fn assert_says(&self, wanted: &[&str]) {
        let text = self.text();
        assert!(!text.contains("@message") && !text.contains('\u{1e}'), "{text}");
        for wanted in wanted {
            assert!(text.contains(wanted), "no {wanted:?} in: {text}");
        }
    }

    #[track_caller]
    pub(super) fn assert_never_says(&self, unwanted: &str) {
        assert!(!self.text().contains(unwanted), "{unwanted:?} in: {}", self.text());
    }

    #[track_caller]
    pub(super) fn assert_is(&self, verdict: &Verdict) {
        assert_eq!(self.verdict, *verdict, "{}", self.text());
    }

    #[track_caller]
    pub(super) fn assert_failed(&self, command: &str, diagnostic: &str) {
        self.assert_is(&Verdict::Failed(Fault::Work, format!("`{command}` ended with exit code 1.")));
        assert_eq!(self.diagnostic.as_deref(), Some(diagnostic));
    }

    /// What was said at this level.
    pub(super) fn at(&self, level: Level) -> String {
        let chunks = self.chunks.iter().filter(|chunk| chunk.level == level);
        chunks.map(|chunk| String::from_utf8_lossy(&chunk.bytes)).collect()
    }
}
