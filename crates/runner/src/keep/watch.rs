//! The keeper's life: one loop over the worker's socket, the job's processes and the lease.
//!
//! It decides when to kill and tells what happened. It never reads output, and it ends only when no descendant is
//! left, whatever the worker does and whatever goes wrong here: every error ends in killing, none in leaving.

use std::{
    collections::BTreeSet,
    io,
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
    process::{Pid, Signal as Os, WaitOptions, WaitStatus, getpid, kill_process_group, pidfd_send_signal, wait},
};

use super::{
    complain::complain,
    process::{self, Identity, Stat},
    spec::{Boottime, Signal, Spec, Timing},
    wire::{self, Order, Report, Word},
};

/// Orphans are reaped and the lease is looked at no later than this, also after the machine has slept.
const TICK: Duration = Duration::from_secs(1);
/// The waits between two rounds of killing grow from the first to the second.
const ROUND: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// A started second stage.
pub(crate) struct Begun {
    pub(crate) child: Identity,
    /// Where it tells its [`Word`]s; closed when it will say no more.
    pub(crate) words: UnixStream,
    pub(crate) sandboxed: bool,
}

pub(crate) struct Watch {
    worker: UnixStream,
    worker_is_there: bool,
    orders: Vec<u8>,
    /// The second stage: first process of the job's namespace or, without a sandbox, the program.
    child: Identity,
    /// Of the child, until it is reaped.
    handle: Option<OwnedFd>,
    words: Option<UnixStream>,
    said: Vec<u8>,
    sandboxed: bool,
    told: Told,
    stop: Signal,
    asked_to_stop: bool,
    /// Came before the program ran; it gets it as soon as it does.
    deferred: Option<Signal>,
    timing: Timing,
    renewed_at: Boottime,
    killing: Option<Killing>,
}

/// How much of the job's story the worker has heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Started,
    Exited,
    Refused,
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
            orders: Vec::new(),
            handle: process::open(begun.child),
            child: begun.child,
            words: Some(begun.words),
            said: Vec::new(),
            sandboxed: begun.sandboxed,
            told: Told::Nothing,
            stop: spec.stop,
            asked_to_stop: false,
            deferred: None,
            timing: spec.timing.clone(),
            renewed_at: spec.renewed_at.min(Boottime::now()),
            killing: None,
        }
    }

    /// Returns when nothing is left of the job.
    pub(crate) fn run(mut self) {
        while self.reap() {
            self.look_at_the_lease();
            if self.killing.is_some() {
                self.kill_round();
            }
            if let Err(error) = self.wait_for_news() {
                complain(format_args!("cannot watch any more, the job ends: {error}"));
                self.kill();
            }
        }
        if self.told != Told::Refused {
            self.tell(&Report::Gone);
        }
    }

    /// Buries the dead; false when there is no child any more. Every descendant whose parent has died is a child of
    /// this process or of one below it, so then there is no descendant either.
    fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == self.child.pid => self.child_ended(status),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return true,
                // The one error there is: no child.
                Err(_) => return false,
            }
        }
    }

    fn child_ended(&mut self, status: WaitStatus) {
        self.handle = None;
        self.hear_the_child();
        self.child_has_begun();
        self.job_ended(status.exit_status(), status.terminating_signal());
    }

    /// Told once: the first to know is the second stage, if it lives to tell.
    fn job_ended(&mut self, code: Option<i32>, signal: Option<i32>) {
        if self.told == Told::Started {
            self.told = Told::Exited;
            self.tell(&Report::Exited { code, signal });
        }
        // Nothing that the job left in the background may outlive it.
        self.kill();
    }

    fn child_has_begun(&mut self) {
        if self.told == Told::Nothing {
            self.told = Told::Started;
            let Identity { pid, start_time } = self.child;
            self.tell(&Report::Started { pid, start_time, sandboxed: self.sandboxed });
            if let Some(signal) = self.deferred.take() {
                self.ask_to_stop(signal);
            }
        }
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

    /// Each process gets the signal once (a second INT means something else to Terraform than the first), and each
    /// group at one moment, so that what a process starts in answer does not get it.
    fn ask_to_stop(&mut self, signal: Signal) {
        let os = match signal {
            Signal::Term => Os::TERM,
            Signal::Int => Os::INT,
            Signal::Kill => return self.kill(),
        };
        self.asked_to_stop = true;
        if self.told == Told::Nothing {
            // There is no program yet that could hear it.
            self.deferred.get_or_insert(signal);
            return;
        }
        // Not to this process, and not to the second stage as long as it is one.
        let mut spared = vec![getpid().as_raw_nonzero().get()];
        spared.extend(self.sandboxed.then_some(self.child.pid));
        let family = self.family();
        let running = || family.iter().filter(|process| process.runs() && !spared.contains(&process.pid));
        let groups: BTreeSet<i32> = running().map(|process| process.group).collect();
        for group in groups.iter().filter(|group| !spared.contains(group)) {
            match Pid::from_raw(*group).map(|group| kill_process_group(group, os)) {
                Some(Err(error)) if error != Errno::SRCH => complain(format_args!("signal to group {group}: {error}")),
                _ => {}
            }
        }
        for single in running().filter(|process| spared.contains(&process.group)) {
            if let Err(error) = process::signal(single.identity(), os) {
                complain(format_args!("signal to {}: {error}", single.pid));
            }
        }
    }

    fn family(&self) -> Vec<Stat> {
        match process::all() {
            Ok(all) => process::descendants(&all, getpid().as_raw_nonzero().get()),
            Err(error) => {
                complain(format_args!("cannot read the process table: {error}"));
                Vec::new()
            }
        }
    }

    fn kill_round(&mut self) {
        let family = self.family();
        let Some(killing) = &mut self.killing else { return };
        killing.round = (killing.round * 2).min(ROUND.1);
        let patience = killing.round;
        if killing.since.elapsed() >= self.timing.unanswered && !std::mem::replace(&mut killing.told, true) {
            self.child_has_begun();
            self.tell(&Report::KillUnanswered);
        }
        // Needs no process table, and takes the whole namespace with it.
        if let Some(Err(error)) = self.handle.as_ref().map(|handle| pidfd_send_signal(handle, Os::KILL)) {
            complain(format_args!("KILL: {error}"));
        }
        if let Err(error) = process::kill_and_wait(&family, patience) {
            complain(format_args!("KILL: {error}"));
        }
    }

    fn wait_for_news(&mut self) -> io::Result<()> {
        // A round of killing has waited already.
        let patience = if self.killing.is_some() { Duration::ZERO } else { self.until_the_lease_needs_a_look() };
        let mut polled = Vec::with_capacity(3);
        let worker = self.worker_is_there.then(|| push(&mut polled, &self.worker));
        let words = self.words.as_ref().map(|socket| push(&mut polled, socket));
        if let Some(handle) = &self.handle {
            push(&mut polled, handle);
        }
        match poll(&mut polled, Some(&process::timespec(patience))) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let ready =
            |index: Option<usize>| index.and_then(|index| polled.get(index)).is_some_and(|fd| !fd.revents().is_empty());
        let (worker, words) = (ready(worker), ready(words));
        drop(polled);
        if words {
            self.hear_the_child();
        }
        if worker {
            self.hear_the_worker();
        }
        Ok(())
    }

    fn hear_the_child(&mut self) {
        let Some(socket) = &self.words else { return };
        let open = receive(socket, &mut self.said);
        for word in wire::take_lines(&mut self.said) {
            match word {
                Word::Running { warning } => {
                    if let Some(warning) = warning {
                        complain(format_args!("{warning}"));
                    }
                    self.child_has_begun();
                }
                Word::Exited { code, signal } => self.job_ended(code, signal),
                Word::Failed(failure) if self.told == Told::Nothing => {
                    self.told = Told::Refused;
                    self.tell(&Report::Refused(failure));
                }
                Word::Failed(_) => {}
            }
        }
        if !open {
            self.words = None;
            // Closed without a word: it has become the program.
            self.child_has_begun();
        }
    }

    fn hear_the_worker(&mut self) {
        let open = receive(&self.worker, &mut self.orders);
        for order in wire::take_lines(&mut self.orders) {
            match order {
                // A renewal from the future would be a lease without end.
                Order::Renew(at) => self.renewed_at = self.renewed_at.max(at.min(Boottime::now())),
                Order::Signal(signal) => self.ask_to_stop(signal),
            }
        }
        if !open {
            self.worker_has_gone();
        }
    }

    fn worker_has_gone(&mut self) {
        self.worker_is_there = false;
        self.kill();
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

/// Takes what is there, up to a limit that no honest peer reaches; false at the end.
fn receive(socket: &UnixStream, inbox: &mut Vec<u8>) -> bool {
    const MOST: usize = 64 << 10;
    let mut buffer = [0; 4096];
    while inbox.len() < MOST {
        match rustix::net::recv(socket, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return false,
            Ok((read, _)) => inbox.extend_from_slice(&buffer[..read]),
            Err(Errno::AGAIN) => return true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    inbox.contains(&b'\n')
}

fn push<'fd>(polled: &mut Vec<PollFd<'fd>>, fd: &'fd impl AsFd) -> usize {
    polled.push(PollFd::new(fd, PollFlags::IN));
    polled.len() - 1
}
