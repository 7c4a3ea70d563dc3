//! The keeper's beginning: from a fresh process to a running second stage, then over to `watch`.
//!
//! The order matters: signals and inherited descriptors first, then the spec, then the namespaces (one thread, before
//! anything else is opened), then the child.

use std::{
    ffi::OsStr,
    fs::{DirBuilder, File},
    io::{self, Write},
    net::Shutdown,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::DirBuilderExt, net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use rustix::process::{DumpableBehavior, getpid, set_child_subreaper, set_dumpable_behavior, setsid};

use super::{
    COMMAND, ENTER,
    complain::complain,
    enter::Entry,
    process::Identity,
    spec::{Spec, below},
    watch::{self, Watch},
    wire::{self, Failure, Report},
};
use crate::sandbox::{self, Plan, privileges};

/// A second stage that does not take its orders within this time never will.
const HAND_OVER: Duration = Duration::from_secs(10);

pub(crate) fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    sandbox::sys::outlive_signals()?;
    sandbox::sys::close_on_exec_from(3)?;
    // A session of its own: no signal for the server's group, and no terminal for the job.
    if let Err(error) = setsid() {
        complain(format_args!("no session of its own: {error}"));
    }
    rustix::process::chdir("/")?;

    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let Some((length, pipes)) = wire::receive_head(socket.as_fd())? else { return Ok(()) };
    let spec: Spec = wire::read_body(&mut socket, length)?;

    set_child_subreaper(Some(getpid()))?;
    match begin(&spec, pipes) {
        Ok(begun) => {
            Watch::new(socket, &spec, begun).run();
            Ok(())
        }
        Err(failure) => watch::tell(&socket, &Report::Refused(failure)),
    }
}

fn begin(spec: &Spec, pipes: [OwnedFd; 2]) -> Result<watch::Begun, Failure> {
    let cwd = below(&spec.dir, &spec.cwd).ok_or_else(|| Failure::program("the start folder leaves the directory"))?;
    let plan = Plan::new(spec)?;
    if spec.confinement.unsandboxed {
        make_private_folders(spec)?;
    } else {
        plan.enter()?;
        privileges::withhold_from_children().map_err(Failure::platform)?;
        make_private_folders(spec)?;
    }
    // Another process of the same user shall not look into this one: it holds the job's secrets.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        complain(format_args!("stays inspectable: {error}"));
    }
    let entry = Entry {
        program: plan.program.clone(),
        args: spec.args.clone(),
        env: spec.env.clone(),
        cwd,
        rules: (!spec.confinement.unsandboxed).then(|| plan.rules()),
        limits: spec.limits.clone(),
    };
    spawn(&entry, pipes).map_err(|error| Failure::platform(format!("cannot start the second stage: {error}")))
}

/// `HOME` and `TMPDIR`, where they lie in the job's directory.
fn make_private_folders(spec: &Spec) -> Result<(), Failure> {
    for (name, value) in &spec.env {
        let path = PathBuf::from(value);
        if matches!(name.as_str(), "HOME" | "TMPDIR") && path.starts_with(&spec.dir) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(|error| Failure::platform(format!("cannot make {}: {error}", path.display())))?;
        }
    }
    Ok(())
}

fn spawn(entry: &Entry, [stdout, stderr]: [OwnedFd; 2]) -> io::Result<watch::Begun> {
    let (mut ours, theirs) = UnixStream::pair()?;
    ours.set_write_timeout(Some(HAND_OVER))?;
    // The job's environment goes over the socket, not to this process: it could name a library to be loaded, and the
    // second stage is not inside the sandbox yet. The command owns the pipes; it must not outlive this function.
    let child = Command::new("/proc/self/exe")
        .arg0("chandler")
        .args([OsStr::new(COMMAND), OsStr::new(ENTER)])
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0)
        .spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let identity = Identity::of(pid).ok_or_else(|| io::Error::other("it is gone already"))?;
    let body = serde_json::to_vec(entry)?;
    // A second stage that has died says so by its exit; a broken pipe adds nothing.
    let sent = ours.write_all(&wire::length_of(&body)?).and_then(|()| ours.write_all(&body));
    if let Err(error) = sent {
        complain(format_args!("the second stage takes no orders: {error}"));
    }
    ours.shutdown(Shutdown::Write)?;
    Ok(watch::Begun { child: identity, words: ours, sandboxed: entry.rules.is_some() })
}
