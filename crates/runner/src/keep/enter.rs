//! The second stage, `chandler keep --enter`: gives up every privilege, puts on the sandbox, starts the program.
//!
//! It runs inside the job's namespaces but not yet inside its rules, so it must touch nothing that the job's author
//! wrote (no environment, no working directory) before the rules are on. In the sandbox it is the first process of a
//! process namespace: it buries orphans, tells how the program ended, and with its own end the kernel ends all others.
//! Without a sandbox it becomes the program by `exec`.

use std::{
    fs::File,
    io::{self, Read},
    os::{
        fd::AsFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Command, ExitCode},
};

use rustix::{
    fs::Mode,
    io::Errno,
    process::{DumpableBehavior, Signal, WaitOptions, set_dumpable_behavior, set_parent_process_death_signal, wait},
};
use serde::{Deserialize, Serialize};

use super::{
    complain::complain,
    spec::Limits,
    wire::{self, Failure, Word},
};
use crate::sandbox::{Rules, own_processes_only, privileges};

#[derive(Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: PathBuf,
    /// `None`: no sandbox.
    pub(crate) rules: Option<Rules>,
    pub(crate) limits: Limits,
}

impl Entry {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        let env = self.env.iter().map(|(name, value)| (name, value));
        command.args(&self.args).env_clear().envs(env).current_dir(&self.cwd);
        command
    }

    fn not_started(&self, error: &io::Error) -> Failure {
        Failure::program(format!("cannot start {}: {error}", self.program.display()))
    }
}

pub(crate) fn main() -> ExitCode {
    // First of all: whatever happens to the keeper by force happens to the job too.
    let tied = set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from);
    let (entry, socket) = match tied.and_then(|()| take_over()) {
        Ok(both) => both,
        Err(error) => {
            complain(format_args!("no orders: {error}"));
            return ExitCode::FAILURE;
        }
    };
    rustix::process::umask(Mode::from_raw_mode(0o022));
    privileges::limit(&entry.limits);
    let done = match &entry.rules {
        Some(rules) => run_inside(rules, &entry, &socket),
        None => Err(entry.not_started(&entry.command().exec())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&socket, &Word::Failed(failure));
            ExitCode::FAILURE
        }
    }
}

/// Takes the socket off standard input (no program started from here inherits it) and reads the orders.
fn take_over() -> io::Result<(Entry, UnixStream)> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let entry = wire::read_body(&mut socket, length)?;
    Ok((entry, socket))
}

fn run_inside(rules: &Rules, entry: &Entry, socket: &UnixStream) -> Result<(), Failure> {
    let warning = own_processes_only().err();
    privileges::give_up().and_then(|()| rules.apply()).map_err(Failure::platform)?;
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let program = entry.command().process_group(0).spawn().map_err(|error| entry.not_started(&error))?;
    // Only now, for what is written here goes to the job's own output until the program has it.
    let _ = silence();
    tell(socket, &Word::Running { warning });
    let (code, signal) = bury_until(program.id());
    tell(socket, &Word::Exited { code, signal });
    Ok(())
}

/// Gives the job's output up: it ends when the job's processes have, not when this one has.
fn silence() -> io::Result<()> {
    let nothing = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nothing)?;
    Ok(rustix::stdio::dup2_stderr(&nothing)?)
}

/// Buries every orphan of the job until the program itself has ended; how it ended.
fn bury_until(program: u32) -> (Option<i32>, Option<i32>) {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if u32::try_from(pid.as_raw_nonzero().get()) == Ok(program) => {
                return (status.exit_status(), status.terminating_signal());
            }
            Ok(_) | Err(Errno::INTR) => {}
            // Not reached as long as the program is a child of this process.
            Err(_) => return (None, None),
        }
    }
}

fn tell(socket: &UnixStream, word: &Word) {
    // A keeper that does not listen has died, and then this process is being killed.
    let _ = wire::line(word).and_then(|line| wire::send_now(socket, &line));
}
