//! What a keeper is to a process, a guard is to a container: a small process of its own that ends it when the worker
//! has gone or the lease runs out.
//!
//! The worker's side is async; `main` runs inside `keep --container`: synchronous, one thread. It speaks a few words
//! of HTTP over the runtime's socket and needs no client for that. It tells nothing: the worker sees the container end.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::keep::{Boottime, COMMAND, Signal, Timing};

/// The flag of the hidden subcommand that starts a guard.
pub const CONTAINER: &str = "--container";

/// The runtime answers within this time or is asked again.
const ANSWER: Duration = Duration::from_secs(30);
/// Between two tries.
const AGAIN: Duration = Duration::from_secs(1);

/// Everything that a guard knows.
#[derive(Debug, Serialize, Deserialize)]
struct Spec {
    socket: PathBuf,
    container: String,
    timing: Timing,
    renewed_at: Boottime,
    /// What asks the job to stop.
    stop: Signal,
    /// It has something to hand in: it is killed, and removed by whoever has taken that.
    leave: bool,
}

/// What a guard does to its container.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// What asks the job to stop when the lease runs out.
    pub stop: Signal,
    /// Killed only, not removed, because it has files to hand in.
    pub leave: bool,
}

/// A running guard. Dropping it has the container killed and removed, if it is still there.
#[derive(Debug)]
pub struct Guard {
    worker: UnixStream,
    /// Reaped by the runtime when it ends.
    _guard: Child,
}

impl Guard {
    /// Starts `program keep --container` for a container that has not been started yet. From then on it ends with the
    /// worker.
    ///
    /// # Errors
    /// The process could not be started.
    pub async fn spawn(
        program: &Path,
        socket: &Path,
        container: &str,
        timing: &Timing,
        renewed_at: Boottime,
        Manner { stop, leave }: Manner,
    ) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        let guard = Command::new(program)
            .arg0("chandler")
            .args([COMMAND, CONTAINER])
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()?;
        let (socket, container) = (socket.to_owned(), container.to_owned());
        let line = line(&Spec { socket, container, timing: timing.clone(), renewed_at, stop, leave })?;
        ours.set_nonblocking(true)?;
        let mut worker = UnixStream::from_std(ours)?;
        tokio::io::AsyncWriteExt::write_all(&mut worker, &line).await?;
        Ok(Self { worker, _guard: guard })
    }

    /// Moves the lease on: `sent_at` is when the renewal that has now been answered was sent.
    pub fn renew(&self, sent_at: Boottime) {
        let sent = line(&sent_at).and_then(|line| self.worker.try_write(&line));
        if let Err(error) = sent {
            tracing::warn!(%error, "the guard of a container does not listen");
        }
    }
}

fn name_of(signal: Signal) -> &'static str {
    match signal {
        Signal::Term => "TERM",
        Signal::Int => "INT",
        Signal::Kill => "KILL",
    }
}

fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The guard itself. Standard input is the worker's socket.
#[must_use]
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chandler keep --container: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    crate::sandbox::sys::outlive_signals()?;
    // A session of its own: no signal for the server's group reaches it.
    if let Err(error) = rustix::process::setsid() {
        eprintln!("chandler keep --container: no session of its own: {error}");
    }
    rustix::process::chdir("/")?;
    let mut worker =
        Worker { socket: StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?), inbox: Vec::new() };
    let Some(first) = worker.line(None)? else { return Ok(()) };
    let mut spec: Spec = serde_json::from_slice(&first)?;
    let mut asked = false;
    let mut patience = Duration::ZERO;
    loop {
        match worker.line(Some(patience))? {
            Some(renewal) if renewal.is_empty() => {}
            Some(renewal) => {
                // A renewal from the future would be a lease without end.
                let at: Boottime = serde_json::from_slice(&renewal)?;
                spec.renewed_at = spec.renewed_at.max(at.min(Boottime::now()));
            }
            None => break,
        }
        let age = Boottime::now().since(spec.renewed_at);
        if age >= spec.timing.lease_kill {
            spec.kill("KILL");
            patience = AGAIN;
            continue;
        }
        if age >= spec.timing.lease && !asked {
            spec.kill(name_of(spec.stop));
            asked = true;
        }
        let next = if asked { spec.timing.lease_kill } else { spec.timing.lease };
        patience = next.saturating_sub(age).clamp(Duration::from_millis(1), AGAIN);
    }
    spec.remove();
    Ok(())
}

struct Worker {
    socket: StdUnixStream,
    inbox: Vec<u8>,
}

impl Worker {
    /// The next line; an empty one if none has come in time; `None` when the worker has gone.
    fn line(&mut self, patience: Option<Duration>) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.inbox.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(self.inbox.drain(..=end).collect()));
            }
            let timeout = patience.and_then(|patience| rustix::time::Timespec::try_from(patience).ok());
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], timeout.as_ref()) {
                Ok(0) => return Ok(Some(Vec::new())),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let mut buffer = [0; 1024];
            match self.socket.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(read) => self.inbox.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(None),
            }
        }
    }
}

impl Spec {
    fn kill(&self, signal: &str) {
        let path = format!("/containers/{}/kill?signal={signal}", self.container);
        if let Err(error) = self.ask("POST", &path) {
            eprintln!("chandler keep --container: {signal}: {error}");
        }
    }

    /// Kills and removes the container; tries again for as long as an unanswered KILL is borne.
    fn remove(&self) {
        let started = Instant::now();
        let path = format!("/containers/{}?force=true&v=true", self.container);
        loop {
            // Removal by force alone waits for the stop time of the container with some runtimes.
            let killed = self.ask("POST", &format!("/containers/{}/kill?signal=KILL", self.container));
            match killed {
                Ok(404) => return,
                // Some runtimes say 409, others 500, of one that does not run any more.
                Ok(_) if self.leave => return,
                _ => {}
            }
            match self.ask("DELETE", &path) {
                Ok(200..=299 | 404) => return,
                Ok(status) => eprintln!("chandler keep --container: the container stays: status {status}"),
                Err(error) => eprintln!("chandler keep --container: the container stays: {error}"),
            }
            if started.elapsed() >= self.timing.unanswered {
                return;
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// One request; the status of its answer.
    fn ask(&self, method: &str, path: &str) -> io::Result<u16> {
        let mut runtime = StdUnixStream::connect(&self.socket)?;
        runtime.set_read_timeout(Some(ANSWER))?;
        runtime.set_write_timeout(Some(ANSWER))?;
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: runtime\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        runtime.write_all(request.as_bytes())?;
        let mut head = [0; 12];
        runtime.read_exact(&mut head)?;
        let status = std::str::from_utf8(&head[9..]).ok().and_then(|digits| digits.parse().ok());
        status.ok_or_else(|| io::Error::other("an answer that is not HTTP"))
    }
}
