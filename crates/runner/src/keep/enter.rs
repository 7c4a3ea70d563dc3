//! The second stage, `chandler keep --enter`: gives up every privilege, puts on the sandbox, becomes the program.
//!
//! It runs inside the job's namespaces but not yet inside its rules, so it must touch nothing that the job's author
//! wrote (no environment, no working directory) before the rules are on. Only `exec` may follow them.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::AsFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Command, ExitCode},
};

use rustix::fs::Mode;
use serde::{Deserialize, Serialize};

use super::{
    spec::Limits,
    wire::{self, Failure},
};
use crate::sandbox::{Rules, privileges};

#[derive(Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: PathBuf,
    pub(crate) rules: Option<Rules>,
    pub(crate) limits: Limits,
}

pub(crate) fn main() -> ExitCode {
    let failure = match take_over() {
        Ok((entry, mut socket)) => {
            let failure = become_program(entry);
            if let Ok(body) = serde_json::to_vec(&failure) {
                // Nobody listens only if the keeper is gone, and then this process is about to be killed.
                let _ = socket.write_all(&body);
            }
            failure
        }
        Err(error) => Failure::platform(format!("no orders: {error}")),
    };
    eprintln!("chandler keep: {}", failure.reason);
    ExitCode::from(127)
}

/// Takes the socket off standard input (it closes itself on `exec`, which is how the keeper learns of it) and reads
/// the orders.
fn take_over() -> io::Result<(Entry, UnixStream)> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let entry = wire::read_body(&mut socket, length)?;
    Ok((entry, socket))
}

/// Returns only if it failed.
fn become_program(entry: Entry) -> Failure {
    rustix::process::umask(Mode::from_raw_mode(0o022));
    // If the keeper is killed by force, the job's main process goes with it.
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)) {
        return Failure::platform(format!("cannot tie the job to its keeper: {error}"));
    }
    privileges::limit(&entry.limits);
    if let Some(rules) = entry.rules {
        let confined = privileges::give_up().and_then(|()| rules.apply());
        if let Err(reason) = confined {
            return Failure::platform(reason);
        }
    }
    let error =
        Command::new(&entry.program).args(entry.args).env_clear().envs(entry.env).current_dir(&entry.cwd).exec();
    Failure::program(format!("cannot start {}: {error}", entry.program.display()))
}
