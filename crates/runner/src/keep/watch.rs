//! The keeper's life: one loop over the worker's socket, the job's processes and the lease.
//!
//! It decides when to kill and tells what happened. It never reads output, and it ends only when no descendant is
//! left, whatever the worker does.

use std::{
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::RecvFlags,
    process::{Pid, Signal as Os, WaitOptions, WaitStatus, getpid, kill_process_group, wait},
};

use super::{
    process::{self, Identity, Stat},
    spec::{Boottime, Signal, Spec, Timing},
    wire::{self, Failure, Order, Report},
};

/// Orphans are reaped and the lease is looked at no later than this, also after the machine has slept.
const TICK: Duration = Duration::from_secs(1);
/// The waits between two rounds of killing grow from the first to the second.
const ROUND: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// A started second stage.
pub(crate) struct Begun {
    pub(crate) job: Identity,
    /// Closes when the program runs; carries a [`Failure`] if it never will.
    pub(crate) handshake: UnixStream,
    pub(crate) sandboxed: bool,
}

pub(crate) struct Watch {
    worker: UnixStream,
    worker_is_there: bool,
    inbox: Vec<u8>,
    job: Identity,
    /// Until the program runs.
    handshake: Option<UnixStream>,
    sandboxed: bool,
    /// Of the job's main process, until it is reaped.
    handle: Option<OwnedFd>,
    reaped: bool,
    refused: bool,
    stop: Signal,
    asked_to_stop: bool,
    timing: Timing,
    renewed_at: Boottime,
    killing: Option<Killing>,
}

struct Killing {
    since: Instant,
    round: Duration,
    told: bool,
}

impl Watch {
    pub(crate) fn new(worker: UnixStream, spec: &Spec, begun: Begun) -> Self {
        Self {
            worker,
            worker_is_there: true,
            inbox: Vec::new(),
            handle: process::open(begun.job),
            job: begun.job,
            handshake: Some(begun.handshake),
            sandboxed: begun.sandboxed,
            reaped: false,
            refused: false,
            stop: spec.stop,
            asked_to_stop: false,
            timing: spec.timing.clone(),
            renewed_at: spec.renewed_at.min(Boottime::now()),
            killing: None,
        }
    }

    /// Returns when nothing is left of the job.
    pub(crate) fn run(mut self) -> io::Result<()> {
        while self.reap()? {
            self.look_at_the_lease();
            if self.killing.is_some() {
                self.kill_round()?;
            }
            self.wait_for_news()?;
        }
        if !self.refused {
            self.tell(&Report::Gone);
        }
        Ok(())
    }

    /// Buries the dead; false when there is no child any more. Every descendant whose parent has died is a child of
    /// this process, so then there is no descendant either.
    fn reap(&mut self) -> io::Result<bool> {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == self.job.pid => self.job_ended(status),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return Ok(true),
                Err(Errno::CHILD) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn job_ended(&mut self, status: WaitStatus) {
        self.reaped = true;
        self.handle = None;
        if let Some(handshake) = self.handshake.take() {
            self.finish_handshake(handshake);
        }
        if !self.refused {
            self.tell(&Report::Exited { code: status.exit_status(), signal: status.terminating_signal() });
        }
        // Nothing that the job left in the background may outlive it.
        self.kill();
    }

    fn kill(&mut self) {
        self.killing.get_or_insert_with(|| Killing { since: Instant::now(), round: ROUND.0, told: false });
    }

    fn look_at_the_lease(&mut self) {
        let age = Boottime::now().since(self.renewed_at);
        if age >= self.timing.lease_kill {
            self.kill();
        } else if age >= self.timing.lease && !self.asked_to_stop {
            self.ask_to_stop(self.stop);
        }
    }

    fn until_the_lease_needs_a_look(&self) -> Duration {
        let age = Boottime::now().since(self.renewed_at);
        let next = if self.asked_to_stop { self.timing.lease_kill } else { self.timing.lease };
        next.saturating_sub(age).clamp(Duration::from_millis(1), TICK)
    }

    /// Each descendant gets the signal once: a second INT means something else to Terraform than the first.
    fn ask_to_stop(&mut self, signal: Signal) {
        let os = match signal {
            Signal::Term => Os::TERM,
            Signal::Int => Os::INT,
            Signal::Kill => return self.kill(),
        };
        self.asked_to_stop = true;
        if self.killing.is_some() {
            return;
        }
        // The group's number is the job's own as long as its leader is not buried.
        let group = (!self.reaped).then_some(self.job.pid);
        if let Some(pid) = group.and_then(Pid::from_raw)
            && let Err(error) = kill_process_group(pid, os)
        {
            eprintln!("chandler keep: signal to the group: {error}");
        }
        for other in self.family().iter().filter(|other| Some(other.group) != group && other.runs()) {
            if let Err(error) = process::signal(other.identity(), os) {
                eprintln!("chandler keep: signal to {}: {error}", other.pid);
            }
        }
    }

    fn family(&self) -> Vec<Stat> {
        match process::all() {
            Ok(all) => process::descendants(&all, getpid().as_raw_nonzero().get()),
            Err(error) => {
                eprintln!("chandler keep: cannot read the process table: {error}");
                Vec::new()
            }
        }
    }

    fn kill_round(&mut self) -> io::Result<()> {
        let family = self.family();
        let Some(killing) = &mut self.killing else { return Ok(()) };
        killing.round = (killing.round * 2).min(ROUND.1);
        let unanswered = killing.since.elapsed() >= self.timing.unanswered;
        let patience = killing.round;
        if unanswered && !std::mem::replace(&mut killing.told, true) {
            self.tell(&Report::KillUnanswered);
        }
        if let Err(error) = process::kill_and_wait(&family, patience) {
            eprintln!("chandler keep: KILL: {error}");
        }
        Ok(())
    }

    fn wait_for_news(&mut self) -> io::Result<()> {
        // A round of killing has waited already.
        let patience = if self.killing.is_some() { Duration::ZERO } else { self.until_the_lease_needs_a_look() };
        let mut polled = Vec::with_capacity(3);
        let worker = self.worker_is_there.then(|| push(&mut polled, &self.worker));
        let handshake = self.handshake.as_ref().map(|socket| push(&mut polled, socket));
        if let Some(handle) = &self.handle {
            push(&mut polled, handle);
        }
        match poll(&mut polled, Some(&process::timespec(patience))) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let ready = |index: Option<usize>| index.is_some_and(|index| !polled[index].revents().is_empty());
        let (worker, handshake) = (ready(worker), ready(handshake));
        drop(polled);
        if handshake && let Some(socket) = self.handshake.take() {
            self.finish_handshake(socket);
        }
        if worker {
            self.hear_the_worker();
        }
        Ok(())
    }

    /// The second stage has become the program, has failed or has died. Its end of the socket closes with each.
    fn finish_handshake(&mut self, mut socket: UnixStream) {
        let mut said = Vec::new();
        let _ = socket.read_to_end(&mut said);
        if said.is_empty() {
            let Identity { pid, start_time } = self.job;
            self.tell(&Report::Started { pid, start_time, sandboxed: self.sandboxed });
        } else {
            let unreadable = |_| Failure::platform("the second stage failed");
            let failure = serde_json::from_slice(&said).unwrap_or_else(unreadable);
            self.refused = true;
            self.tell(&Report::Refused(failure));
        }
    }

    fn hear_the_worker(&mut self) {
        let mut buffer = [0; 4096];
        match rustix::net::recv(&self.worker, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => self.worker_has_gone(),
            Ok((read, _)) => {
                self.inbox.extend_from_slice(&buffer[..read]);
                self.obey();
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.worker_has_gone(),
        }
    }

    fn worker_has_gone(&mut self) {
        self.worker_is_there = false;
        self.kill();
    }

    fn obey(&mut self) {
        while let Some(end) = self.inbox.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.inbox.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                // A renewal from the future would be a lease without end.
                Ok(Order::Renew(at)) => self.renewed_at = self.renewed_at.max(at.min(Boottime::now())),
                Ok(Order::Signal(signal)) => self.ask_to_stop(signal),
                Err(_) => eprintln!("chandler keep: an order that makes no sense"),
            }
        }
    }

    fn tell(&mut self, report: &Report) {
        // A worker that has only closed its own end still listens; one that has gone needs no report.
        if tell(&self.worker, report).is_err() {
            self.worker_has_gone();
        }
    }
}

/// Sends one report.
pub(crate) fn tell(worker: &UnixStream, report: &Report) -> io::Result<()> {
    wire::send_now(worker, &wire::line(report)?)
}

fn push<'fd>(polled: &mut Vec<PollFd<'fd>>, fd: &'fd impl AsFd) -> usize {
    polled.push(PollFd::new(fd, PollFlags::IN));
    polled.len() - 1
}
