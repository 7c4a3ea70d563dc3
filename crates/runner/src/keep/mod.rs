//! The keeper: a small process of its own between the worker and one attempt of a local job.
//!
//! `client` is the worker's side (async). Everything else runs inside `chandler keep`: synchronous, one thread, no
//! runtime. The keeper owns the life and death of processes and nothing more: it does not read the job's output, does
//! not know what a job is for, and decides nothing but when to kill.
//!
//! Two stages of one program: `keep` stays outside the sandbox, holds the socket to the worker and kills; `keep
//! --enter` is started by it inside, puts on the sandbox and starts the job's program as the first process of a process
//! namespace (without a sandbox: becomes the program).

pub mod client;
pub(crate) mod complain;
mod enter;
pub mod leftovers;
pub mod process;
mod spec;
mod start;
mod watch;
pub(crate) mod wire;

pub use client::{Control, Event, Events, Keeper};
pub(crate) use spec::SYSTEM_PATH;
pub use spec::{Boottime, Confinement, Limits, Signal, Spec, Timing};
pub use wire::Cause;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The hidden subcommand that starts a keeper.
pub const COMMAND: &str = "keep";
/// Its flag for the second stage.
pub const ENTER: &str = "--enter";
/// Its flag for the probe behind [`crate::sandbox::support`].
pub const PROBE: &str = "--probe";

/// Runs the keeper if this process was started as one (`… keep`, `… keep --enter`, `… keep --probe`), and returns
/// its exit code; `None` for every other command line.
///
/// Call it first in `main`, before any thread, runtime or log is set up: a process with threads cannot enter a user
/// namespace, and a keeper that parses the whole command line of the product costs start time.
#[must_use]
pub fn dispatch() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != COMMAND {
        return None;
    }
    match args.next() {
        None => Some(main()),
        Some(flag) if flag == ENTER => Some(enter_main()),
        Some(flag) if flag == crate::executor::guard::CONTAINER => Some(crate::executor::guard::main()),
        Some(flag) if flag == PROBE => Some(crate::sandbox::probe_main()),
        Some(_) => None,
    }
}

/// The keeper itself. Standard input is the worker's socket. Must run in a process with one thread.
#[must_use]
pub fn main() -> ExitCode {
    start::main()
}

/// The second stage: puts on the sandbox and starts the job's program.
#[must_use]
pub fn enter_main() -> ExitCode {
    enter::main()
}

/// The program to start keepers with: the running one itself, even when its file has been replaced by an upgrade.
#[must_use]
pub fn own_program() -> PathBuf {
    Path::new("/proc/self/exe").to_owned()
}
