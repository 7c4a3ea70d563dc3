//! One attempt: for each step of the job that is not done, start it where it belongs, accompany it, hand in what it
//! leaves, report what it came to.

use std::sync::Arc;

use chandler_core::jobs::link::{Assignment, Materials, Order, Report, WorkerLink};
use chandler_model::Id;
use chandler_model::jobs::{Fault, Job, JobStep, Stage, StepState};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::hiding::Hiding;
use super::reading::Reading;
use super::stopping::Stopping;
use super::tend::{End, Tended};
use super::voice::Voice;
use super::{Executors, Settings, name_of};
use crate::executor::{Control, Event, Events, Executor, Running, Work};
use crate::keep::{Boottime, Timing as Lease};
use crate::tools::{self, Prepared, Verdict};

/// One attempt at one job.
pub(super) struct Attempt<L> {
    voice: Voice<L>,
    settings: Arc<Settings>,
    executors: Executors,
    assignment: Assignment,
    bell: Arc<Notify>,
    drain: CancellationToken,
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
        let voice = Voice::new(link, name_of(&assignment), Arc::clone(&settings.clock), drain.clone(), claimed_at);
        Self { voice, settings, executors, assignment, bell, drain }
    }

    /// Runs the attempt to its end and returns whose it was.
    pub(super) async fn run(mut self) -> Id<Job> {
        let job = self.assignment.job;
        if Boottime::now().since(self.voice.heard_at) > self.voice.timing.lease {
            // The answer to the claim came too late: the job may be another worker's by now.
            return job;
        }
        self.voice.report(Report::Stage(Stage::Preparing)).await;
        let steps: Vec<Option<JobStep>> = match self.assignment.steps.as_slice() {
            [] => vec![None],
            steps => steps.iter().filter(|step| step.state != StepState::Succeeded).cloned().map(Some).collect(),
        };
        let last = steps.len();
        for (position, step) in steps.into_iter().enumerate() {
            match self.voice.order {
                Order::Continue => Box::pin(self.step(step, position + 1 < last)).await,
                // Nothing of this step was begun.
                Order::Stop(_) => {
                    self.voice.report(Report::Stopped { exit_code: None }).await;
                    break;
                }
                Order::Gone => break,
            }
        }
        job
    }

    /// One step, or the whole of a job without steps. The order that it leaves behind says whether to go on. `more`:
    /// whether there are further steps.
    async fn step(&mut self, step: Option<JobStep>, more: bool) {
        let Some(materials) = self.voice.materials().await else { return };
        match Hiding::of(&materials) {
            Ok(hiding) => self.voice.hiding = hiding,
            Err(reason) => return self.give_up(None, Fault::Platform, reason).await,
        }
        let number = step.as_ref().map(|step| step.number);
        let executor = match self.executor() {
            Ok(executor) => executor,
            Err(reason) => return self.give_up(number, Fault::Platform, reason).await,
        };
        let prepared = match tools::prepare(&self.assignment, step.as_ref(), &materials) {
            Ok(prepared) => prepared,
            Err((fault, reason)) => return self.give_up(number, fault, reason).await,
        };
        let Materials { registry, .. } = materials;
        let Prepared { program, reader, targets } = prepared;
        let timing = &self.voice.timing;
        let lease = Lease { lease: timing.lease, lease_kill: timing.kill, unanswered: timing.kill_unanswered };
        let mut reading = Reading::new(reader, &self.voice.hiding, number);
        let stopping = Stopping::new(program.stop(), timing.grace);
        let work = Work {
            job: self.assignment.job,
            attempt: self.assignment.attempt,
            step: number.unwrap_or(1),
            program,
            targets: targets.clone(),
            image: self.assignment.intent.image().cloned(),
            registry,
            claimed_at: self.voice.heard_at,
            timing: lease,
        };
        let Running { stdout, stderr, mut events, control } = executor.start(work).await;
        let tended = Tended::new(
            &mut self.voice,
            (&self.bell, &self.drain),
            (&control, &mut events),
            &mut reading,
            stopping,
            number,
            &targets,
        );
        let clock = Arc::clone(&self.settings.clock);
        let (end, stopped) = Box::pin(tended.run(stdout, stderr, clock)).await;
        // What it leaves is the server's before its end is.
        if !self.voice.flush().await {
            tracing::warn!(job = %self.assignment.job, "what a job left is handed in when the worker starts again");
            control.leave();
            self.voice.order = Order::Gone;
        }
        let unanswered = matches!(end, End::KillUnanswered);
        if more && self.drain.is_cancelled() && self.voice.order == Order::Continue && !unanswered {
            // A step that is done while the job is drained is followed by the next one on another worker.
            self.voice.report(Report::Drain).await;
        }
        if self.voice.order != Order::Gone {
            let report = conclude(end, stopped, &mut reading, number.unwrap_or(1));
            self.voice.report(report).await;
        }
        if unanswered {
            self.outlast(&control, &mut events).await;
        }
        control.finished().await;
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

    /// Fails the job before anything of it has run; the reason is the last word of its log too.
    async fn give_up(&mut self, step: Option<i64>, fault: Fault, reason: String) {
        self.voice.line(step, &reason);
        self.voice.say().await;
        self.voice.report(Report::Error { fault, message: reason, exit_code: None, diagnostic: None }).await;
    }

    /// Waits for the end of what did not answer the KILL, and says it: until then nobody else may have the job's keys.
    /// A worker that is shut down does not wait; it says it after its next start.
    async fn outlast(&mut self, control: &Control, events: &mut Events) {
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Event::Gone | Event::Refused { .. } => break,
                    // Whether anything is left is not known; the next start of the worker finds out.
                    Event::Lost { .. } => return control.leave(),
                    Event::Said(_) | Event::File { .. } | Event::Started { .. } => {}
                    Event::Exited { .. } | Event::KillUnanswered => {}
                },
                () = self.drain.cancelled() => return,
                () = tokio::time::sleep(self.voice.timing.beat / 2), if self.voice.order != Order::Gone => {
                    if self.voice.say().await {
                        control.renew(self.voice.heard_at);
                    }
                }
            }
        }
        self.voice.report(Report::ProcessGone).await;
    }
}

/// What is reported of an end.
fn conclude(end: End, stopped: bool, reading: &mut Reading, step: i64) -> Report {
    match end {
        End::Exited(exit) if stopped => Report::Stopped { exit_code: exit.as_code() },
        End::Exited(exit) => match reading.verdict(exit) {
            Verdict::Done(outcome) => Report::Done { step, outcome },
            Verdict::Failed(fault, message) => {
                Report::Error { fault, message, exit_code: exit.as_code(), diagnostic: reading.diagnostic() }
            }
        },
        End::Refused { fault, reason } => Report::Error { fault, message: reason, exit_code: None, diagnostic: None },
        End::KillUnanswered => Report::KillUnanswered,
        End::Nothing => Report::Stopped { exit_code: None },
    }
}
