//! One attempt: start it where it belongs, hand in output and beats, obey orders, report the end.
//!
//! Everything that is said to the engine is said from one place, one after the other, so beats only grow and a batch
//! that was stored without an answer is not stored twice when it is sent again.

use std::sync::Arc;

use chandler_core::jobs::Timing;
use chandler_core::jobs::link::{Assignment, Materials, Order, Report, WorkerLink};
use chandler_model::Id;
use chandler_model::jobs::{Fault, Job, Stage};
use chandler_model::logs::{Entry, Level, NewChunk, Stream};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::{Executors, RETRY, Settings, name_of};
use crate::executor::{Event, Executor, Ran, Running, Work};
use crate::tools;
use crate::keep::{Boottime, Signal, Timing as Lease};

/// One attempt at one job.
pub(super) struct Attempt<L> {
    link: L,
    settings: Arc<Settings>,
    executors: Executors,
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
        executors: Executors,
        assignment: Assignment,
        claimed_at: Boottime,
        bell: Arc<Notify>,
        drain: CancellationToken,
    ) -> Self {
        let timing = link.timing();
        Self { link, settings, executors, assignment, claimed_at, bell, drain, timing, beat: 0, order: Order::Continue }
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
        let lease =
            Lease { lease: self.timing.lease, lease_kill: self.timing.kill, unanswered: self.timing.kill_unanswered };
        let executor = match self.executor() {
            Ok(executor) => executor,
            Err(reason) => return self.give_up(Fault::Platform, reason).await,
        };
        let Assignment { job, attempt, ref intent, .. } = self.assignment;
        let prepared = match tools::prepare(&self.assignment, None, &Materials::default()) {
            Ok(prepared) => prepared,
            Err((fault, reason)) => return self.give_up(fault, reason).await,
        };
        let work = Work {
            job,
            attempt,
            program: prepared.program,
            image: intent.image().cloned(),
            registry: None,
            claimed_at: self.claimed_at,
            timing: lease,
        };
        let running = executor.start(work).await;
        self.tend(running).await;
    }

    /// What runs it: an image means a container, and never anything else.
    fn executor(&self) -> Result<Arc<dyn Executor>, String> {
        match (self.assignment.intent.image(), &self.executors.containers) {
            (None, _) => Ok(Arc::clone(&self.executors.local)),
            (Some(_), Some(containers)) => Ok(Arc::clone(containers)),
            (Some(image), None) => Err(format!(
                "The job's environment names the image {}, and this worker runs no containers. \
                 Use an environment without an image to run it as a local process.",
                image.reference
            )),
        }
    }

    /// Accompanies running work until nothing of it is left, then reports the end and has it cleaned up.
    async fn tend(&mut self, running: Running) {
        let Running { stdout, stderr, mut events, control } = running;
        let mut output = Output::new(stdout, stderr, self.timing.log_flush, Arc::clone(&self.settings.clock));
        let mut stopping = Stopping { signalled: false, next: None };
        let mut pending: Option<Vec<NewChunk>> = None;
        // Lines that are not the job's own, until they can be handed in.
        let mut words: Vec<NewChunk> = Vec::new();
        let mut reading = true;
        let mut end: Option<End> = None;
        let mut gone = false;
        let mut drain_at: Option<Instant> = None;
        let mut say_at = Instant::now() + self.timing.beat / 2;

        while !gone || reading || pending.is_some() || !words.is_empty() {
            tokio::select! {
                // Events first: what is said before the job writes stands before it in the log.
                biased;
                event = events.next(), if !gone => {
                    gone = !matches!(
                        event,
                        Event::Said(_) | Event::File { .. } | Event::Started { .. } | Event::Exited { .. }
                    );
                    match event {
                        Event::Said(line) => words.push(self.line(&line)),
                        Event::Started { ran } => {
                            if let Some(Ran { image, digest }) = ran {
                                self.report(Report::Ran { image, digest }).await;
                            }
                            self.report(Report::Stage(Stage::Executing)).await;
                        }
                        Event::File { .. } => {}
                        Event::Exited { code, signal } => end = Some(End::Exited { code, signal }),
                        Event::Gone => {}
                        Event::KillUnanswered => {
                            end = Some(End::KillUnanswered);
                            reading = false;
                        }
                        Event::Refused { fault, reason } => {
                            // The reason is the last word of its log too.
                            words.push(self.line(&sentence(&reason)));
                            end = Some(End::Refused { fault, reason });
                        }
                        Event::Lost { reason } => {
                            end.get_or_insert(End::Refused { fault: Fault::Platform, reason });
                        }
                    }
                }
                () = self.bell.notified() => say_at = Instant::now(),
                () = self.drain.cancelled(), if drain_at.is_none() => {
                    drain_at = Some(Instant::now() + self.timing.grace);
                }
                () = until(drain_at), if drain_at.is_some() && self.order == Order::Continue => {
                    self.report(Report::Drain).await;
                }
                () = until(stopping.next), if stopping.next.is_some() => {
                    control.signal(Signal::Kill);
                    stopping.next = None;
                }
                () = tokio::time::sleep_until(say_at) => {}
                // One batch at a time: while it cannot be handed in, the pipe holds the job back.
                chunks = output.next(), if reading && pending.is_none() && words.is_empty() => match chunks {
                    Some(chunks) => pending = Some(chunks),
                    None => reading = false,
                },
            }
            if pending.is_none() && !words.is_empty() {
                pending = Some(std::mem::take(&mut words));
            }
            if pending.is_some() || say_at <= Instant::now() {
                let sent_at = Boottime::now();
                let answered = self.say(&mut pending).await;
                if answered {
                    control.renew(sent_at);
                }
                say_at = Instant::now() + if answered { self.timing.beat / 2 } else { RETRY.min(self.timing.beat / 2) };
                if !answered && gone {
                    tokio::time::sleep(RETRY.min(self.timing.beat / 2)).await;
                }
            }
            self.obey(&mut stopping, |signal| control.signal(signal));
            if self.order == Order::Gone {
                pending = None;
                words.clear();
            }
        }
        self.finish(end, stopping.signalled).await;
        control.finished().await;
    }

    /// A line of the log that Chandler writes.
    fn line(&self, text: &str) -> NewChunk {
        let bytes = format!("{text}\n").into_bytes();
        NewChunk { at: self.settings.clock.now(), step: None, stream: Stream::System, level: Level::Info, bytes }
    }

    /// Fails the job before anything of it has run; the reason is the last word of its log too.
    async fn give_up(&mut self, fault: Fault, reason: String) {
        let mut words = Some(vec![self.line(&reason)]);
        self.say(&mut words).await;
        self.report(Report::Error { fault, message: reason, exit_code: None, diagnostic: None }).await;
    }

    /// Sends the pending batch, or a beat. Whether it was answered.
    async fn say(&mut self, pending: &mut Option<Vec<NewChunk>>) -> bool {
        let (name, beat) = (name_of(&self.assignment), self.beat + 1);
        let told = match pending {
            Some(chunks) => {
                let entries: Vec<Entry> = chunks.iter().cloned().map(Entry::Chunk).collect();
                self.link.log(name, beat, &entries).await
            }
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
            Some(End::Exited { code: Some(0), .. }) if !signalled => Report::Done { step: 1, outcome: None },
            Some(End::Exited { code, signal }) if signalled => Report::Stopped { exit_code: exit_code(code, signal) },
            Some(End::Exited { code, signal }) => Report::Error {
                fault: Fault::Work,
                message: match (code, signal) {
                    (Some(code), _) => format!("The script ended with exit code {code}."),
                    (None, Some(signal)) => format!("The script was ended by signal {signal}."),
                    (None, None) => "The script ended in an unknown way.".to_owned(),
                },
                exit_code: exit_code(code, signal),
                diagnostic: None,
            },
            Some(End::Refused { fault, reason }) => {
                Report::Error { fault, message: sentence(&reason), exit_code: None, diagnostic: None }
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
