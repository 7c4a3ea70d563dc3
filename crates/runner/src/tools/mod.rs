//! What each kind of job runs, and how its output is read. A tool knows its files, its command line and its own words;
//! it starts nothing, waits for nothing and knows neither sandbox nor container.

pub mod ansible;
mod container;
mod plain;
mod script;
pub mod terraform;

use chandler_core::jobs::link::{Assignment, Materials};
use chandler_model::jobs::{Fault, Intent, JobStep, Success};
use chandler_model::logs::{Entry, Stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::recipe::Program;

/// Why a job cannot be run: whose fault, and a sentence for the job.
pub type Unpreparable = (Fault, String);

/// Everything for one step of an attempt; a job without steps has one.
#[derive(Debug)]
pub struct Prepared {
    pub program: Program,
    pub reader: Box<dyn Reader>,
    /// What becomes of a kept file, by its path.
    pub targets: Vec<(String, Target)>,
}

/// Where a file that was kept goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// It is the state of the job's workspace.
    State,
    /// It belongs to the step under this name, for a later step or for people.
    File(String),
}

/// Understands what a tool writes. Gets both outputs in the order of arrival, secrets already hidden.
pub trait Reader: std::fmt::Debug + Send {
    /// What these bytes add to the log. Text may be held back until its line ends.
    fn read(&mut self, at: Timestamp, stream: Stream, bytes: &[u8]) -> Vec<Entry>;
    /// What was held back.
    fn end(&mut self, at: Timestamp) -> Vec<Entry>;
    /// What the end of the main process means. Never called for work that was stopped.
    fn verdict(&mut self, exit: Exit) -> Verdict;
    /// The first thing that the tool complained of, as one line.
    fn diagnostic(&self) -> Option<String> {
        None
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done well; whether it changed anything, where the tool can tell. A plan that plans nothing is `Unchanged`.
    Done(Option<Success>),
    /// A sentence for the job.
    Failed(Fault, String),
}

impl Exit {
    /// As shells say it: 128 and the signal's number.
    #[must_use]
    pub fn as_code(self) -> Option<i64> {
        self.code.map(i64::from).or(self.signal.map(|signal| 128 + i64::from(signal)))
    }

    /// Exit code 0 is well, everything else the work's fault. `what`: `The script`.
    #[must_use]
    pub fn plainly(self, what: &str) -> Verdict {
        match (self.code, self.signal) {
            (Some(0), _) => Verdict::Done(None),
            (Some(code), _) => Verdict::Failed(Fault::Work, format!("{what} ended with exit code {code}.")),
            (None, Some(signal)) => Verdict::Failed(Fault::Work, format!("{what} was ended by signal {signal}.")),
            (None, None) => Verdict::Failed(Fault::Work, format!("{what} ended in an unknown way.")),
        }
    }
}

/// Why a secret file cannot be laid out.
fn taken(path: &str) -> String {
    format!("The secret file `{path}` has the name of a file of the job itself: give it another name.")
}

/// Says how a step of a job is run. `step`: none for a job without steps.
///
/// # Errors
/// The job cannot be run, whoever tries.
pub fn prepare(
    assignment: &Assignment,
    step: Option<&JobStep>,
    materials: &Materials,
) -> Result<Prepared, Unpreparable> {
    match &assignment.intent {
        Intent::Script(intent) => script::prepare(intent, materials),
        Intent::Ansible(intent) => ansible::prepare(intent, materials),
        Intent::Terraform(intent) => match step {
            Some(step) => terraform::prepare(intent, step, materials),
            None => Err((Fault::Platform, "A Terraform job without a step cannot be run.".to_owned())),
        },
        Intent::Container(intent) => container::prepare(intent, materials),
    }
}
