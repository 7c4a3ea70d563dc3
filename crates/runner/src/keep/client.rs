//! The worker's side of a keeper: starts it, renews its lease, sends signals, hears what happens.
//!
//! Async, on tokio. Output comes as two byte streams straight from the job's processes; no line is looked at here and
//! nothing passes through the keeper.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as StdUnixStream,
    },
    path::Path,
    process::Stdio,
};

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf, pipe},
    },
    process::{Child, Command},
};

use super::{
    COMMAND,
    leftovers::Note,
    process::Identity,
    spec::{Boottime, Signal, Spec},
    wire::{self, Cause, Failure, Order, Report},
};

/// A running keeper. Dropping it (or its [`Control`]) kills everything that belongs to the job.
#[derive(Debug)]
pub struct Keeper {
    /// Ends when the last process that holds it has gone.
    pub stdout: pipe::Receiver,
    /// Ends like `stdout`.
    pub stderr: pipe::Receiver,
    pub control: Control,
    pub events: Events,
    identity: Identity,
}

/// What a worker can say to its keeper. Nothing here waits.
#[derive(Debug)]
pub struct Control {
    socket: OwnedWriteHalf,
}

/// What a keeper tells, in order.
#[derive(Debug)]
pub struct Events {
    lines: Lines<BufReader<OwnedReadHalf>>,
    note: Option<Note>,
    over: bool,
    /// Reaped by the runtime when it ends.
    _keeper: Child,
}

/// First `Started` or `Refused`; after `Started` one `Exited`, then `Gone`. `KillUnanswered` may come once before
/// `Gone`. Nothing follows `Gone`, `Refused` or `KeeperLost`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The program runs.
    Started { job: Identity, sandboxed: bool },
    /// The main process has ended by itself or by a signal. Others of the job are being killed.
    Exited { code: Option<i32>, signal: Option<i32> },
    /// No process of the job is left.
    Gone,
    /// A process does not die of KILL; `Gone` comes if it does after all.
    KillUnanswered,
    /// Nothing was started.
    Refused { cause: Cause, reason: String },
    /// The keeper itself has died; what it kept may still run. See [`super::leftovers::Note::kill`].
    KeeperLost,
}

impl Keeper {
    /// Starts `program keep` for this attempt. The note, if there is one, is written before the job can start; it
    /// stays until [`Note::remove`], which belongs after the job's files have been handed in.
    ///
    /// # Errors
    /// The keeper could not be started, or died before it had its orders. Nothing runs then.
    pub async fn spawn(program: &Path, spec: &Spec, note: Option<Note>) -> io::Result<Self> {
        let body = serde_json::to_vec(spec)?;
        let length = wire::length_of(&body)?;
        let (ours, theirs) = StdUnixStream::pair()?;
        let (stdout, job_stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, job_stderr) = pipe_with(PipeFlags::CLOEXEC)?;
        let keeper = Command::new(program)
            .arg0("chandler")
            .arg(COMMAND)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()?;
        let pid = keeper.id().and_then(|pid| i32::try_from(pid).ok());
        let identity = pid.and_then(Identity::of).ok_or_else(|| io::Error::other("the keeper died at once"))?;
        if let Some(note) = &note {
            note.write(identity, None)?;
        }
        wire::send_head(ours.as_fd(), length, [job_stdout.as_fd(), job_stderr.as_fd()])?;
        drop((job_stdout, job_stderr));

        ours.set_nonblocking(true)?;
        let (reports, mut socket) = UnixStream::from_std(ours)?.into_split();
        socket.write_all(&body).await?;
        let events = Events { lines: BufReader::new(reports).lines(), note, over: false, _keeper: keeper };
        Ok(Self {
            stdout: pipe::Receiver::from_owned_fd(stdout)?,
            stderr: pipe::Receiver::from_owned_fd(stderr)?,
            control: Control { socket },
            events,
            identity,
        })
    }

    /// The keeper's own process.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// See [`Control::renew`].
    ///
    /// # Errors
    /// As there.
    pub fn renew(&self, sent_at: Boottime) -> io::Result<()> {
        self.control.renew(sent_at)
    }

    /// See [`Control::signal`].
    ///
    /// # Errors
    /// As there.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.control.signal(signal)
    }

    /// See [`Events::next`].
    pub async fn next_event(&mut self) -> Event {
        self.events.next().await
    }
}

impl Control {
    /// Moves the lease on: `sent_at` is when the renewal that has now been answered was sent.
    ///
    /// # Errors
    /// The keeper is gone or does not listen; [`Events`] tells which.
    pub fn renew(&self, sent_at: Boottime) -> io::Result<()> {
        self.send(&Order::Renew(sent_at))
    }

    /// Sends a signal to every process of the job, once each; [`Signal::Kill`] is repeated until none is left.
    ///
    /// # Errors
    /// As for [`Control::renew`].
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.send(&Order::Signal(signal))
    }

    fn send(&self, order: &Order) -> io::Result<()> {
        let line = wire::line(order)?;
        let sent = self.socket.try_write(&line)?;
        if sent == line.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}

impl Events {
    /// The next event; after a last one, `KeeperLost` for ever. Cancel safe.
    pub async fn next(&mut self) -> Event {
        if self.over {
            return Event::KeeperLost;
        }
        let event = match self.lines.next_line().await {
            Ok(Some(line)) => serde_json::from_str::<Report>(&line).map_or(Event::KeeperLost, Event::from),
            Ok(None) | Err(_) => Event::KeeperLost,
        };
        match &event {
            Event::Started { job, .. } => self.write_note(*job),
            Event::Gone | Event::Refused { .. } | Event::KeeperLost => self.over = true,
            Event::Exited { .. } | Event::KillUnanswered => {}
        }
        event
    }

    fn write_note(&self, job: Identity) {
        let keeper = self._keeper.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Identity::of);
        if let (Some(note), Some(keeper)) = (&self.note, keeper)
            && let Err(error) = note.write(keeper, Some(job))
        {
            // The first note, which names the keeper, still stands.
            tracing::warn!(%error, "the job's process is not noted");
        }
    }
}

impl From<Report> for Event {
    fn from(report: Report) -> Self {
        match report {
            Report::Started { pid, start_time, sandboxed } => {
                Self::Started { job: Identity { pid, start_time }, sandboxed }
            }
            Report::Exited { code, signal } => Self::Exited { code, signal },
            Report::Gone => Self::Gone,
            Report::KillUnanswered => Self::KillUnanswered,
            Report::Refused(Failure { cause, reason }) => Self::Refused { cause, reason },
        }
    }
}
