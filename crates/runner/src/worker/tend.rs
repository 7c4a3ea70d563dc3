//! Accompanies one start: hands in output, kept files and beats, obeys orders, until nothing of it is left.

use std::sync::Arc;

use chandler_core::jobs::link::{Order, Report, WorkerLink};
use chandler_model::jobs::{Fault, Stage};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::reading::Reading;
use super::stopping::Stopping;
use super::voice::Voice;
use crate::executor::{Control, Event, Events, Output as Bytes, Ran};
use crate::keep::Signal;
use crate::tools::{Exit, Target};

/// How the work ended.
pub(super) enum End {
    Exited(Exit),
    /// It has not run, or what ran it has failed.
    Refused {
        fault: Fault,
        reason: String,
    },
    KillUnanswered,
    /// It was stopped before it had begun.
    Nothing,
}

/// What is accompanied.
pub(super) struct Tended<'a, L> {
    pub(super) voice: &'a mut Voice<L>,
    pub(super) bell: &'a Notify,
    pub(super) drain: &'a CancellationToken,
    pub(super) control: &'a Control,
    pub(super) events: &'a mut Events,
    pub(super) reading: &'a mut Reading,
    pub(super) stopping: Stopping,
    /// The number of its step; none for a job without steps.
    pub(super) step: Option<i64>,
    pub(super) targets: &'a [(String, Target)],
    end: Option<End>,
}

impl<'a, L: WorkerLink> Tended<'a, L> {
    pub(super) fn new(
        voice: &'a mut Voice<L>,
        (bell, drain): (&'a Notify, &'a CancellationToken),
        (control, events): (&'a Control, &'a mut Events),
        reading: &'a mut Reading,
        stopping: Stopping,
        step: Option<i64>,
        targets: &'a [(String, Target)],
    ) -> Self {
        Self { voice, bell, drain, control, events, reading, stopping, step, targets, end: None }
    }

    /// Returns how it ended and whether it was stopped, when everything of it but its state is handed in, or cannot be
    /// any more. Of work that does not die that is before its end.
    pub(super) async fn run(
        mut self,
        stdout: Bytes,
        stderr: Bytes,
        clock: Arc<dyn chandler_core::Clock>,
    ) -> (End, bool) {
        let mut output = Output::new(stdout, stderr, self.voice.timing.log_flush, clock);
        let (mut flowing, mut over) = (true, false);
        let mut drain_at: Option<Instant> = None;
        let mut draining = false;
        let mut say_at = Instant::now() + self.voice.timing.beat / 2;

        while !over || flowing {
            let mut due = false;
            let behind = self.voice.is_behind();
            tokio::select! {
                // Events first: what is said before the job writes stands before it in the log.
                biased;
                event = self.events.next(), if !over => {
                    over = event.is_last() || event == Event::KillUnanswered;
                    if event == Event::KillUnanswered {
                        flowing = false;
                    }
                    self.hear(event).await;
                }
                () = self.bell.notified() => due = true,
                () = self.drain.cancelled(), if !draining => {
                    draining = true;
                    drain_at = Some(Instant::now() + self.voice.timing.grace);
                }
                () = until(drain_at), if self.voice.order == Order::Continue => {
                    self.voice.report(Report::Drain).await;
                    drain_at = Some(Instant::now() + self.voice.timing.grace);
                }
                () = self.stopping.patience_ends() => self.control.signal(Signal::Kill),
                () = tokio::time::sleep_until(say_at) => due = true,
                // One batch at a time: while it cannot be handed in, the pipe holds the job back. What is in the pipe
                // when the job is over is not much.
                chunks = output.next(), if flowing && (over || !behind) => match chunks {
                    Some(chunks) => {
                        let entries = self.reading.read(chunks);
                        self.voice.log(entries);
                    }
                    None => flowing = false,
                },
            }
            // What is behind already waits for its next try.
            due |= !behind && self.voice.is_behind();
            if due {
                let answered = self.voice.say().await;
                if answered {
                    self.control.renew(self.voice.heard_at);
                }
                say_at = Instant::now() + self.voice.pause(answered);
            }
            if let Some(signal) = self.stopping.obey(self.voice.order) {
                self.control.signal(signal);
            }
        }
        let rest = self.reading.end(self.voice.now());
        self.voice.log(rest);
        (self.end.unwrap_or(End::Nothing), self.stopping.signalled)
    }

    async fn hear(&mut self, event: Event) {
        match event {
            Event::Said(line) => self.voice.line(self.step, &line),
            Event::Started { ran } => {
                if let Some(Ran { image, digest }) = ran {
                    self.voice.report(Report::Ran { image, digest }).await;
                }
                self.voice.report(Report::Stage(Stage::Executing)).await;
            }
            Event::File { path, bytes } => self.keep(&path, bytes),
            Event::Exited { code, signal } => self.end = Some(End::Exited(Exit { code, signal })),
            Event::Gone => {}
            Event::KillUnanswered => self.end = Some(End::KillUnanswered),
            Event::Refused { fault, reason } => {
                // The reason is the last word of its log too. A secret at its head must not be hidden by its capital.
                let reason = sentence(&self.voice.hiding.text(&reason));
                self.voice.line(self.step, &reason);
                self.end = Some(End::Refused { fault, reason });
            }
            Event::Lost { reason } => {
                let reason = sentence(&self.voice.hiding.text(&reason));
                self.end.get_or_insert(End::Refused { fault: Fault::Platform, reason });
            }
        }
    }

    /// Hands a kept file in where it belongs.
    fn keep(&mut self, path: &str, bytes: Vec<u8>) {
        let Some((_, target)) = self.targets.iter().find(|(of, _)| of == path) else { return };
        if *target == Target::State && serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_err() {
            // Caught while it was written, or cut off by force. Handed in, it would take the place of a good one.
            if matches!(self.end, Some(End::Exited(_) | End::KillUnanswered)) {
                self.voice.line(self.step, "The state file is not whole; the one that was handed in before counts.");
            }
            return;
        }
        self.voice.file(self.step.unwrap_or(1), target, bytes);
    }
}

pub(super) async fn until(at: Option<Instant>) {
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
