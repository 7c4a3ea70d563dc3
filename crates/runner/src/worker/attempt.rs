//! One attempt: prepare, start under a keeper, hand in output and beats, obey orders, report the end.
//!
//! Everything that is said to the engine is said from one place, one after the other, so beats only grow and a batch
//! that was stored without an answer is not stored twice when it is sent again.

use std::path::PathBuf;
use std::sync::Arc;

use chandler_core::Result;
use chandler_core::jobs::Timing;
use chandler_core::jobs::link::{Assignment, Order, Report, WorkerLink};
use chandler_model::Id;
use chandler_model::jobs::{Fault, Intent, Job, Stage};
use chandler_model::logs::{NewChunk, Stream};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::{RETRY, Settings, name_of, script};
use crate::keep::leftovers::{self, Note};
use crate::keep::{Boottime, Cause, Event, Keeper, Signal, Spec, Timing as Lease};

/// One attempt at one job.
pub(super) struct Attempt<L> {
    link: L,
    settings: Arc<Settings>,
    assignment: Assignment,
    claimed_at: Boottime,
    bell: Arc<Notify>,
    drain: CancellationToken,
    timing: Timing,
    beat: i64,
    /// The latest order.
    order: Order,
}

/// How the work ended.
enum End {
    Exited { code: Option<i32>, signal: Option<i32> },
    Refused { fault: Fault, reason: String },
    KillUnanswered,
}

/// The stopping of a running job, as far as it has come.
struct Stopping {
    /// Whether a signal has been sent; what ends afterwards was stopped.
    signalled: bool,
    /// When the next stronger means is due.
    next: Option<Instant>,
}

impl<L: WorkerLink> Attempt<L> {
    pub(super) fn new(
        link: L,
        settings: Arc<Settings>,
        assignment: Assignment,
        claimed_at: Boottime,
        bell: Arc<Notify>,
        drain: CancellationToken,
    ) -> Self {
        let timing = link.timing();
        Self { link, settings, assignment, claimed_at, bell, drain, timing, beat: 0, order: Order::Continue }
    }

    /// Runs the attempt to its end and returns whose it was.
    pub(super) async fn run(mut self) -> Id<Job> {
        let job = self.assignment.job;
        if Boottime::now().since(self.claimed_at) > self.timing.lease {
            // The answer to the claim came too late: the job may be another worker's by now.
            return job;
        }
        self.report(Report::Stage(Stage::Preparing)).await;
        match self.order {
            Order::Continue => self.work().await,
            // Nothing was begun.
            Order::Stop(_) => self.report(Report::Stopped { exit_code: None }).await,
            Order::Gone => {}
        }
        job
    }

    async fn work(&mut self) {
        let dir = self.settings.jobs_folder().join(format!("{}-{}", self.assignment.job, self.assignment.attempt));
        let spec = match self.prepare(dir.clone()).await {
            Ok(spec) => spec,
            Err((fault, reason)) => {
                self.give_up(fault, reason).await;
                self.remove(dir).await;
                return;
            }
        };
        let attempt = u32::try_from(self.assignment.attempt).unwrap_or(u32::MAX);
        let note = Note::new(&self.settings.notes_folder(), &self.assignment.job.to_string(), attempt, &dir);
        match Keeper::spawn(&self.settings.keeper, &spec, Some(note.clone())).await {
            Ok(keeper) => {
                if !self.tend(keeper, &note).await {
                    // What does not die is found by its note at the next start.
                    return;
                }
            }
            Err(error) => {
                self.give_up(Fault::Platform, format!("The keeper process could not be started: {error}.")).await;
            }
        }
        let removed = tokio::task::spawn_blocking(move || note.remove()).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(job = %self.assignment.job, %error, "the directory of an attempt stays");
        }
    }

    /// Makes the job's directory and says what is run in it.
    async fn prepare(&self, dir: PathBuf) -> Result<Spec, (Fault, String)> {
        let Intent::Script(intent) = &self.assignment.intent;
        if let Some(image) = &intent.image {
            let reason = format!(
                "The job's environment names the image {image}, and this worker has no container runtime. \
                 Use an environment without an image to run it as a local process."
            );
            return Err((Fault::Platform, reason));
        }
        let (intent, settings) = (intent.clone(), Arc::clone(&self.settings));
        let prepared = tokio::task::spawn_blocking(move || script::prepare(&intent, &dir, &settings)).await;
        let mut spec = prepared.map_err(|error| (Fault::Platform, format!("The worker failed: {error}.")))??;
        spec.renewed_at = self.claimed_at;
        spec.timing =
            Lease { lease: self.timing.lease, lease_kill: self.timing.kill, unanswered: self.timing.kill_unanswered };
        spec.set_env("CHANDLER_JOB_ID", self.assignment.job.to_string());
        Ok(spec)
    }

    /// Accompanies a running keeper until nothing of the job is left, then reports the end. `false`: something of the
    /// job does not die.
    async fn tend(&mut self, keeper: Keeper, note: &Note) -> bool {
        let Keeper { stdout, stderr, control, mut events, .. } = keeper;
        let mut output = Output::new(stdout, stderr, self.timing.log_flush, Arc::clone(&self.settings.clock));
        let mut stopping = Stopping { signalled: false, next: None };
        let mut pending: Option<Vec<NewChunk>> = self.opening_words();
        let mut reading = true;
        let mut end: Option<End> = None;
        let mut gone = false;
        let mut drain_at: Option<Instant> = None;
        let mut say_at = Instant::now() + self.timing.beat / 2;

        while !gone || reading || pending.is_some() {
            tokio::select! {
                event = events.next(), if !gone => match event {
                    Event::Started { .. } => self.report(Report::Stage(Stage::Executing)).await,
                    Event::Exited { code, signal } => end = Some(End::Exited { code, signal }),
                    Event::Gone => gone = true,
                    Event::KillUnanswered => {
                        end = Some(End::KillUnanswered);
                        gone = true;
                        reading = false;
                    }
                    Event::Refused { cause, reason } => {
                        let fault = match cause {
                            Cause::Program => Fault::Work,
                            Cause::Platform => Fault::Platform,
                        };
                        end = Some(End::Refused { fault, reason });
                        gone = true;
                    }
                    Event::KeeperLost => {
                        self.end_without_keeper(note).await;
                        end.get_or_insert_with(|| End::Refused {
                            fault: Fault::Platform,
                            reason: "The keeper process of the job has died.".to_owned(),
                        });
                        gone = true;
                    }
                },
                // One batch at a time: while it cannot be handed in, the pipe holds the job back.
                chunks = output.next(), if reading && pending.is_none() => match chunks {
                    Some(chunks) => pending = Some(chunks),
                    None => reading = false,
                },
                () = self.bell.notified() => say_at = Instant::now(),
                () = tokio::time::sleep_until(say_at) => {}
                () = self.drain.cancelled(), if drain_at.is_none() => {
                    drain_at = Some(Instant::now() + self.timing.grace);
                }
                () = until(drain_at), if drain_at.is_some() && self.order == Order::Continue => {
                    self.report(Report::Drain).await;
                }
                () = until(stopping.next), if stopping.next.is_some() => {
                    drop(control.signal(Signal::Kill));
                    stopping.next = None;
                }
            }
            if pending.is_some() || say_at <= Instant::now() {
                let sent_at = Boottime::now();
                let answered = self.say(&mut pending).await;
                if answered {
                    // A keeper that no longer listens tells so by its events.
                    drop(control.renew(sent_at));
                }
                say_at = Instant::now() + if answered { self.timing.beat / 2 } else { RETRY.min(self.timing.beat / 2) };
                if !answered && gone {
                    tokio::time::sleep(RETRY.min(self.timing.beat / 2)).await;
                }
            }
            self.obey(&mut stopping, |signal| drop(control.signal(signal)));
            if self.order == Order::Gone {
                pending = None;
            }
        }
        let dead = !matches!(end, Some(End::KillUnanswered));
        self.finish(end, stopping.signalled).await;
        dead
    }

    /// Fails the job before anything of it has run; the reason is the last word of its log too.
    async fn give_up(&mut self, fault: Fault, reason: String) {
        let bytes = format!("{reason}\n").into_bytes();
        let mut words = Some(vec![NewChunk { at: self.settings.clock.now(), stream: Stream::System, bytes }]);
        self.say(&mut words).await;
        self.report(Report::Error { fault, message: reason, exit_code: None }).await;
    }

    /// What Chandler itself says at the head of the log.
    fn opening_words(&self) -> Option<Vec<NewChunk>> {
        let text = "This job runs without a sandbox: the operator of this worker allowed it.\n";
        let at = self.settings.clock.now();
        self.settings
            .unsandboxed
            .then(|| vec![NewChunk { at, stream: Stream::System, bytes: text.as_bytes().to_vec() }])
    }

    /// Sends the pending batch, or a beat. Whether it was answered.
    async fn say(&mut self, pending: &mut Option<Vec<NewChunk>>) -> bool {
        let (name, beat) = (name_of(&self.assignment), self.beat + 1);
        let told = match pending {
            Some(chunks) => self.link.log(name, beat, chunks).await,
            None => self.link.beat(name, beat).await,
        };
        match told {
            Ok(order) => {
                self.beat = beat;
                self.order = order;
                *pending = None;
                true
            }
            // Sent again under the same number, so it is not stored twice.
            Err(error) => {
                tracing::warn!(job = %self.assignment.job, %error, "the worker cannot reach the engine");
                false
            }
        }
    }

    /// Starts or strengthens the stopping that the latest order asks for.
    fn obey(&self, stopping: &mut Stopping, signal: impl Fn(Signal)) {
        match self.order {
            Order::Continue => {}
            Order::Stop(_) if stopping.signalled => {}
            Order::Stop(_) => {
                signal(Signal::Term);
                stopping.signalled = true;
                stopping.next = Some(Instant::now() + self.timing.grace);
            }
            Order::Gone if stopping.signalled && stopping.next.is_none() => {}
            Order::Gone => {
                signal(Signal::Kill);
                stopping.signalled = true;
                stopping.next = None;
            }
        }
    }

    async fn end_without_keeper(&self, note: &Note) {
        let (note, patience) = (note.clone(), self.timing.grace);
        let killed = tokio::task::spawn_blocking(move || note.kill(patience)).await;
        if !matches!(killed, Ok(Ok(true))) {
            tracing::error!(job = %self.assignment.job, "the keeper of a job has died and something of it may still run");
        }
    }

    /// Reports how it ended, until the engine has heard it or the attempt is not ours any more.
    async fn finish(&mut self, end: Option<End>, signalled: bool) {
        if self.order == Order::Gone {
            return;
        }
        let exit_code = |code: Option<i32>, signal: Option<i32>| {
            // As shells say it: 128 and the signal's number.
            code.map(i64::from).or(signal.map(|signal| 128 + i64::from(signal)))
        };
        let report = match end {
            Some(End::Exited { code: Some(0), .. }) if !signalled => Report::Done,
            Some(End::Exited { code, signal }) if signalled => Report::Stopped { exit_code: exit_code(code, signal) },
            Some(End::Exited { code, signal }) => Report::Error {
                fault: Fault::Work,
                message: match (code, signal) {
                    (Some(code), _) => format!("The script ended with exit code {code}."),
                    (None, Some(signal)) => format!("The script was ended by signal {signal}."),
                    (None, None) => "The script ended in an unknown way.".to_owned(),
                },
                exit_code: exit_code(code, signal),
            },
            Some(End::Refused { fault, reason }) => {
                Report::Error { fault, message: sentence(&reason), exit_code: None }
            }
            Some(End::KillUnanswered) => Report::KillUnanswered,
            None => Report::Stopped { exit_code: None },
        };
        self.report(report).await;
    }

    /// Says something until it is heard. A worker that is not heard for the lease gives up: the job is lost then, and
    /// its keeper has ended it.
    async fn report(&mut self, report: Report) {
        let name = name_of(&self.assignment);
        let give_up = Instant::now() + self.timing.lost;
        loop {
            match self.link.report(name, report.clone()).await {
                Ok(order) => {
                    self.order = order;
                    return;
                }
                Err(error) => {
                    tracing::warn!(job = %self.assignment.job, %error, "the worker cannot reach the engine");
                }
            }
            if Instant::now() >= give_up {
                self.order = Order::Gone;
                return;
            }
            tokio::time::sleep(RETRY.min(self.timing.beat / 2)).await;
        }
    }

    async fn remove(&self, dir: PathBuf) {
        let removed = tokio::task::spawn_blocking(move || leftovers::remove_tree(&dir)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(job = %self.assignment.job, %error, "the directory of an attempt stays");
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A reason as a sentence: begun with a capital, ended with a full stop.
fn sentence(reason: &str) -> String {
    let mut letters = reason.trim().trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
