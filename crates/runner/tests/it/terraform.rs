//! Steps of Terraform jobs run for real: the recipe is laid into a directory and started here, without a keeper, and
//! what one step leaves is handed to the next as the server would do it.

use std::{
    cell::RefCell,
    fs,
    io::Read,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
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
    templates::{FlowSpec, IacTool},
};
use chandler_runner::{
    keep,
    recipe::{Program, Recipe},
    tools::{Exit, Prepared, Target, Verdict, prepare},
};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};

use crate::job::{BOUND, Job};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Neither a divisor of the length of anything nor longer than a line.
const PIECE: usize = 61;

const CHANGED: Verdict = Verdict::Done(Some(Success::Changed));
const UNCHANGED: Verdict = Verdict::Done(Some(Success::Unchanged));

/// A job and its workspace, between its steps.
struct Flow {
    spec: FlowSpec,
    materials: Materials,
    number: i64,
    path: String,
}

/// What came of a step.
#[derive(Debug)]
struct Ran {
    exit: Exit,
    verdict: Verdict,
    diagnostic: Option<String>,
    chunks: Vec<NewChunk>,
    /// Names of the files that it left, `state` for the state.
    left: Vec<String>,
}

/// What is done to a step while it runs, as soon as its log has this text.
struct Then<'a>(&'a str, Box<dyn FnOnce(Pid) + 'a>);

fn terraform() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(PATH).chain(std::env::split_paths(&path)).map(|folder| folder.join("terraform"));
    folders
        .into_iter()
        .find(|file| file.is_file())
        .expect("these tests run Terraform, which is not in PATH: https://developer.hashicorp.com/terraform/install")
}

impl Flow {
    fn new(main: &str) -> Self {
        let path = format!("{}:{PATH}", terraform().parent().unwrap().display());
        let spec = FlowSpec { configuration: [("main.tf".into(), main.into())].into(), ..FlowSpec::default() };
        Self { spec, materials: Materials::default(), number: 0, path }
    }

    fn file(mut self, name: &str, text: &str) -> Self {
        self.spec.configuration.insert(name.to_owned(), text.to_owned());
        self
    }

    fn run(&mut self, kind: StepKind) -> Ran {
        self.run_and(kind, Vec::new())
    }

    /// Lays the next step into a directory.
    fn lay_out(&mut self, kind: StepKind, dir: &Path) -> (Recipe, Prepared) {
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
        let Program::Recipe(recipe) = prepared.program.clone() else { panic!("an image of its own") };
        for file in &recipe.files {
            let path = dir.join(&file.path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &file.bytes).unwrap();
        }
        (recipe, prepared)
    }

    fn run_and(&mut self, kind: StepKind, then: Vec<Then<'_>>) -> Ran {
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
    fn resources(&self) -> Vec<(String, bool)> {
        let state: Value = serde_json::from_slice(self.materials.state.as_ref().expect("a state")).unwrap();
        let resources = state["resources"].as_array().unwrap().iter();
        let tainted = |resource: &Value| resource["instances"][0]["status"] == "tainted";
        resources.map(|resource| (resource["name"].as_str().unwrap().to_owned(), tainted(resource))).collect()
    }

    fn output(&self, name: &str) -> Value {
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
    Exit { code: status.code(), signal: std::os::unix::process::ExitStatusExt::signal(&status) }
}

fn text(chunks: &[NewChunk]) -> String {
    chunks.iter().map(|chunk| String::from_utf8_lossy(&chunk.bytes)).collect()
}

impl Ran {
    fn text(&self) -> String {
        text(&self.chunks)
    }

    /// The log has each of these, and nothing of how it came to be.
    #[track_caller]
    fn assert_says(&self, wanted: &[&str]) {
        let text = self.text();
        assert!(!text.contains("@message") && !text.contains('\u{1e}'), "{text}");
        for wanted in wanted {
            assert!(text.contains(wanted), "no {wanted:?} in: {text}");
        }
    }

    #[track_caller]
    fn assert_never_says(&self, unwanted: &str) {
        assert!(!self.text().contains(unwanted), "{unwanted:?} in: {}", self.text());
    }

    #[track_caller]
    fn assert_is(&self, verdict: &Verdict) {
        assert_eq!(self.verdict, *verdict, "{}", self.text());
    }

    #[track_caller]
    fn assert_failed(&self, command: &str, diagnostic: &str) {
        self.assert_is(&Verdict::Failed(Fault::Work, format!("`{command}` ended with exit code 1.")));
        assert_eq!(self.diagnostic.as_deref(), Some(diagnostic));
    }

    /// What was said at this level.
    fn at(&self, level: Level) -> String {
        let chunks = self.chunks.iter().filter(|chunk| chunk.level == level);
        chunks.map(|chunk| String::from_utf8_lossy(&chunk.bytes)).collect()
    }
}

/// A resource whose input is a variable.
const ONE: &str = "
variable \"value\" {
  default = \"first\"
}
resource \"terraform_data\" \"one\" {
  input = var.value
}
output \"value\" {
  value = terraform_data.one.output
}
";

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
    let main = "variable \"n\" {\n  type    = number\n  default = 1\n  validation {\n    condition     = var.n > \
                1\n    error_message = \"Too small.\"\n  }\n}\n";
    let ran = Flow::new(main).run(StepKind::Plan);
    ran.assert_failed("terraform plan", "Invalid value for variable: Too small.");
    assert_eq!(ran.left, [""; 0]);
    let shown = "\nError: Invalid value for variable\n\n  on main.tf line 1:\n   1: variable \"n\" {\n    \
                 ├────────────────\n    │ var.n is 1\n\nToo small.\n";
    assert!(ran.at(Level::Error).contains(shown), "{}", ran.text());
}

#[test]
fn an_apply_that_fails_half_way_keeps_what_was_made() {
    let main = "resource \"terraform_data\" \"one\" {}\nresource \"terraform_data\" \"two\" {\n  input = \
                terraform_data.one.id\n  provisioner \"local-exec\" {\n    command = \"echo said here; exit 3\"\n  \
                }\n}\nresource \"terraform_data\" \"three\" {\n  input = terraform_data.two.id\n}\n";
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
const ENDLESS: &str = "
resource \"terraform_data\" \"first\" {}
resource \"terraform_data\" \"running\" {
  input = terraform_data.first.id
  provisioner \"local-exec\" {
    command = \"echo it runs; exec tail -f /dev/null\"
  }
}
resource \"terraform_data\" \"second\" {
  input = terraform_data.running.id
}
";

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
        "data \"terraform_remote_state\" \"slow\" {{\n  backend = \"http\"\n  config = {{\n    address = \
         \"http://{address}/\"\n    retry_max = 0\n  }}\n}}\n"
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
    let main = "variable \"token\" {\n  sensitive = true\n}\nresource \"terraform_data\" \"user\" {\n  input = \
                var.token\n  provisioner \"local-exec\" {\n    command = \"echo ${var.token}\"\n  }\n}\noutput \"token\" \
                {\n  value     = var.token\n  sensitive = true\n}\noutput \"list\" {\n  value = [1, null]\n}\n";
    let mut flow = Flow::new(main);
    flow.materials.secrets.env.insert("TF_VAR_token".to_owned(), "hunter2hunter2".to_owned());
    flow.run(StepKind::Plan).assert_never_says("hunter2");
    let ran = flow.run(StepKind::Apply);
    ran.assert_is(&CHANGED);
    ran.assert_never_says("hunter2");
    ran.assert_says(&["\nOutputs:\n\nlist = [\n  1,\n  null\n]\ntoken = <sensitive>\n"]);
    assert_eq!(flow.output("token"), "hunter2hunter2");
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
    let main = "module \"a\" {\n  source = \"./modules/a\"\n  value  = \"deep\"\n}\noutput \"value\" {\n  value = \
                module.a.value\n}\n";
    let mut flow = Flow::new(main).file("modules/a/main.tf", ONE);
    let ran = flow.run(StepKind::Plan);
    ran.assert_is(&CHANGED);
    ran.assert_says(&["module.a.terraform_data.one: Plan to create\n"]);
    flow.run(StepKind::Apply).assert_is(&CHANGED);
    assert_eq!(flow.output("value"), "deep");
}

#[test]
fn the_state_is_a_local_file_whatever_the_configuration_says() {
    let s3 = "terraform {\n  backend \"s3\" {\n    bucket = \"theirs\"\n  }\n}\n";
    let cloud = "terraform {\n  cloud {\n    organization = \"theirs\"\n    workspaces {\n      name = \"theirs\"\n    }\n  \
                 }\n}\n";
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
