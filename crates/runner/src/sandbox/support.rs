//! What this machine can do for local jobs, found out by trying it in a process of its own.

use std::{
    fs, io,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use serde::{Deserialize, Serialize};

use super::{namespaces, rules};
use crate::keep::{COMMAND, PROBE};

/// Whether local jobs can be sandboxed here, for messages at start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Support {
    /// `None`: the kernel has no Landlock, or it is switched off.
    pub landlock_abi: Option<u32>,
    /// Why user and mount namespaces cannot be entered, if they cannot.
    pub namespaces: Result<(), String>,
}

impl Support {
    /// `Err` says in one sentence why local jobs will be refused.
    ///
    /// # Errors
    /// Landlock is missing or too old, or namespaces are refused.
    pub fn verdict(&self) -> Result<(), String> {
        match (self.landlock_abi, &self.namespaces) {
            (None, _) => Err("the kernel has no Landlock, or it is switched off".to_owned()),
            (Some(level), _) if !rules::is_enough(level) => {
                Err(format!("the kernel's Landlock is version {level}; version 6 (Linux 6.12) is needed"))
            }
            (Some(_), Err(reason)) => Err(format!("namespaces are refused: {reason}")),
            (Some(_), Ok(())) => Ok(()),
        }
    }
}

/// Tries both in a child of `program` (see [`crate::keep::own_program`]). Blocks for some milliseconds.
///
/// # Errors
/// The child could not be started or gave no answer; that says nothing about the machine.
pub fn support(program: &Path) -> io::Result<Support> {
    let output = Command::new(program)
        .args([COMMAND, PROBE])
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The child of [`support`].
pub(crate) fn main() -> ExitCode {
    let covered: Vec<_> = fs::canonicalize("/tmp").into_iter().collect();
    let namespaces = namespaces::enter(&covered, Vec::new());
    let found = Support { landlock_abi: rules::confine_to_find_level(), namespaces };
    match serde_json::to_writer(io::stdout().lock(), &found) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
