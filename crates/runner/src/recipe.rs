//! What an attempt runs, said so that a local process and a container can both do it: files in the job's directory, a
//! command that starts there, and what is kept of what it leaves.
//!
//! A recipe never names the job's directory: paths are relative to it, and commands start in it.

use std::fmt;
use std::path::{Component, Path};

use chandler_model::run_spec::RunSpec;
use serde::{Deserialize, Serialize};

use crate::keep::Signal;

/// What is run.
#[derive(Clone, Debug)]
pub enum Program {
    /// Files of ours and a command of ours.
    Recipe(Recipe),
    /// What the image itself brings, changed by this. Only containers can.
    Image(Own),
}

/// The program of an image.
#[derive(Clone, Default)]
pub struct Own {
    pub run: RunSpec,
    /// Further variables, in the place of those of the same name. Secrets may be among them.
    pub env: Vec<(String, String)>,
}

impl Program {
    /// The files that are handed back.
    #[must_use]
    pub fn keep(&self) -> &[Kept] {
        match self {
            Self::Recipe(recipe) => &recipe.keep,
            Self::Image(_) => &[],
        }
    }

    /// What asks it to stop.
    #[must_use]
    pub fn stop(&self) -> Signal {
        match self {
            Self::Recipe(recipe) => recipe.stop.unwrap_or(Signal::Term),
            Self::Image(_) => Signal::Term,
        }
    }
}

/// Files, and a command among them.
#[derive(Clone, Default)]
pub struct Recipe {
    pub files: Vec<File>,
    /// The program and its arguments. A program with a slash that does not begin with one is a file of the recipe.
    pub command: Vec<String>,
    /// Besides what every job gets (`HOME` and `TMPDIR` in its directory, `PATH`, `LANG`, `CHANDLER_JOB_ID`). Secrets
    /// may be among them.
    pub env: Vec<(String, String)>,
    /// Programs that the command starts by name.
    pub tools: Vec<Tool>,
    /// Files that are handed back.
    pub keep: Vec<Kept>,
    /// What asks it to stop. `None` = TERM.
    pub stop: Option<Signal>,
}

/// A file in the job's directory.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Relative, of normal components only; folders on the way are made.
    pub path: String,
    pub bytes: Vec<u8>,
    pub executable: bool,
}

/// A program that must be there; found in `PATH` by the first of these names that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    pub names: Vec<String>,
    /// What brings it, for the message when it is missing: `Install ansible-core …`.
    pub hint: String,
}

/// A file that the executor hands back as `Event::File`: once after the main process has ended, and if `live`, whenever
/// its content has changed meanwhile. Links and what is longer than `max` are not followed and not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub path: String,
    pub max: usize,
    pub live: bool,
}

/// Whether a path of a recipe stays in the job's directory: normal components and nothing else.
#[must_use]
pub fn stays_within(path: &str) -> bool {
    let mut components = Path::new(path).components().peekable();
    components.peek().is_some() && components.all(|component| matches!(component, Component::Normal(_)))
}

impl File {
    #[must_use]
    pub fn new(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), bytes: bytes.into(), executable: false }
    }

    #[must_use]
    pub fn program(path: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        Self { executable: true, ..Self::new(path, text) }
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is in it may be a secret.
        write!(f, "{} ({} bytes)", self.path, self.bytes.len())
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.env.iter().map(|(name, _)| name).collect::<Vec<_>>();
        f.debug_struct("Own").field("run", &self.run).field("env", &names).finish()
    }
}

impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipe")
            .field("files", &self.files)
            .field("command", &self.command)
            .field("env", &self.env.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("tools", &self.tools)
            .field("keep", &self.keep)
            .field("stop", &self.stop)
            .finish()
    }
}
