//! The one function that decides what becomes of a job: `step(job, event, now) -> (job, effects)`.
//!
//! It is the table of `docs/core/jobs.md` 3 for jobs of one step, row by row, and nothing else: it reads no clock and no
//! row but the one it is given. Whoever calls it holds the job's queue lock and does what the effects say.

use chandler_model::Id;
use chandler_model::jobs::{Canceled, Fault, Hold, Job, Stage, State, StopFor};
use chandler_model::workers::Worker;
use jiff::Timestamp;

/// Returns of a job from `assigned` after which it is given up: the tenth fails it.
pub const RETURNS_MAX: i64 = 10;

/// Something that happens to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A worker claimed it; `attempt` is the new number.
    Claim { attempt: i64, worker: Id<Worker>, worker_name: String },
    /// The worker says how far it is.
    Stage(Stage),
    /// The work ended well by itself.
    Done,
    /// The work ended badly by itself, or could not be done. `fault` is work or platform.
    Error { fault: Fault, message: String, exit_code: Option<i64> },
    /// It ended, in whatever way, after it had been signalled.
    Stopped { exit_code: Option<i64> },
    /// Its worker has not been heard of.
    Lost,
    /// The KILL was not answered.
    KillUnanswered,
    /// Somebody or something wants it stopped.
    Stop(StopFor),
    /// Its time is up.
    Deadline,
}

impl Event {
    /// The word of the transition in the job's history.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Claim { .. } => "claim",
            Self::Stage(_) => "stage",
            Self::Done => "done",
            Self::Error { .. } => "error",
            Self::Stopped { .. } => "stopped",
            Self::Lost => "lost",
            Self::KillUnanswered => "kill_unanswered",
            Self::Stop(_) => "stop",
            Self::Deadline => "deadline",
        }
    }
}

/// What must be written besides the job row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// How the queue row stands.
    Hold(Hold),
    /// Not before the back-off has passed; goes with `Hold(Delayed)`.
    BackOff,
    /// The queue row goes: the job has ended.
    LeaveQueue,
    /// The present attempt is over, in these words.
    EndAttempt(&'static str),
    /// The time limit of the job starts to run.
    StartDeadline,
    ClearDeadline,
    /// There is something to claim.
    WakeWorkers,
    /// The worker that holds the job should ask for its orders.
    TellWorker,
}

/// Why an event changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is already being stopped for this or something stronger.
    AlreadyStopping(StopFor),
    /// It is being stopped: the worker should stop instead of going on.
    Stopping(StopFor),
    /// It has ended.
    Ended,
    /// The event does not fit the state.
    NotNow,
}

/// Decides what becomes of a job.
///
/// # Errors
/// `Refused`: the event changes nothing.
pub fn step(mut job: Job, event: Event, now: Timestamp) -> Result<(Job, Vec<Effect>), Refused> {
    let before = job.state;
    let back_off = decide(&mut job, event, now)?;
    if job.state.is_final() {
        job.finished_at = Some(now);
        job.events_complete = true;
        if matches!(job.state, State::Canceled(_)) && job.cancel_requested_at.is_none() {
            job.cancel_requested_at = Some(now);
        }
    }
    job.updated_at = now;
    let effects = effects(before, job.state, back_off);
    Ok((job, effects))
}

/// Moves the job. Returns whether it goes back to the queue with a back-off.
fn decide(job: &mut Job, event: Event, now: Timestamp) -> Result<bool, Refused> {
    match (job.state, event) {
        (state, _) if state.is_final() => return Err(Refused::Ended),

        (State::Pending { .. }, Event::Claim { attempt, worker, worker_name }) => {
            job.state = State::Running(Stage::Assigned);
            job.attempt = attempt;
            job.worker_id = Some(worker);
            job.snapshot.worker = Some(worker_name);
            job.started_at = Some(now);
        }
        (
            State::Pending { .. } | State::Waiting(chandler_model::jobs::WaitingFor::Approval) | State::Suspended,
            Event::Stop(StopFor::Cancel),
        ) => {
            job.cancel_requested_at = Some(now);
            job.state = State::Canceled(Canceled::Request);
        }
        (State::Pending { .. }, Event::Error { fault, message, exit_code }) => fail(job, fault, message, exit_code),
        (State::Pending { .. }, Event::Deadline) => {
            fail(job, Fault::Timeout, "The job was not started in time.".to_owned(), None);
        }

        (State::Running(_), Event::Stage(stage)) => job.state = State::Running(stage),
        (State::Running(_), Event::Done) => succeed(job),
        (State::Running(_), Event::Error { fault, message, exit_code }) => {
            if may_try_again(job) {
                return Ok(try_again(job, Some(message)));
            }
            fail(job, fault, message, exit_code);
        }
        (State::Running(stage), Event::Stop(why)) => stop(job, Some(stage), why, now),
        (State::Running(stage), Event::Deadline) => stop(job, Some(stage), StopFor::Timeout, now),

        // Nothing had been done yet, so handing it to another worker is safe for every kind.
        (
            State::Running(Stage::Assigned) | State::Stopping { stage: Some(Stage::Assigned), why: StopFor::Drain },
            Event::Lost,
        ) => {
            job.returns += 1;
            if job.returns >= RETURNS_MAX {
                let message = format!("Given up after {RETURNS_MAX} workers vanished before starting the job.");
                fail(job, Fault::Platform, message, None);
            } else {
                requeue(job);
            }
        }
        (State::Running(_), Event::Lost) => {
            if may_try_again(job) {
                job.retries_left -= 1;
                requeue(job);
            } else {
                fail(job, Fault::Lost, LOST.to_owned(), None);
            }
        }

        (State::Stopping { stage, why: present }, Event::Stop(why)) => {
            if why <= present {
                return Err(Refused::AlreadyStopping(present));
            }
            stop(job, stage, why, now);
        }
        (State::Stopping { stage, why: present }, Event::Deadline) => {
            if StopFor::Timeout <= present {
                return Err(Refused::AlreadyStopping(present));
            }
            stop(job, stage, StopFor::Timeout, now);
        }
        (State::Stopping { why, .. }, Event::Stage(_)) => return Err(Refused::Stopping(why)),
        (State::Stopping { why: StopFor::Cancel, .. }, Event::Done) => {
            job.state = State::Canceled(Canceled::Request);
        }
        (State::Stopping { .. }, Event::Done) => succeed(job),
        (State::Stopping { .. }, Event::Error { fault, message, exit_code }) => fail(job, fault, message, exit_code),
        (State::Stopping { why, .. }, Event::Stopped { exit_code }) => stopped(job, why, exit_code),
        (State::Stopping { why, .. }, Event::Lost) => stopped(job, why, None),
        (State::Stopping { why: StopFor::Suspend, .. }, Event::KillUnanswered) => job.state = State::Suspended,
        (State::Stopping { why, .. }, Event::KillUnanswered) => {
            let message = if why == StopFor::Cancel { "Cancel timed out" } else { "The job could not be killed." };
            fail(job, Fault::Lost, message.to_owned(), None);
        }

        _ => return Err(Refused::NotNow),
    }
    Ok(false)
}

const LOST: &str = "The worker that ran the job has not been heard of.";

fn may_try_again(job: &Job) -> bool {
    job.retries_left > 0 && job.intent.may_repeat()
}

/// Back to the queue after an error, later.
fn try_again(job: &mut Job, error: Option<String>) -> bool {
    job.retries_left -= 1;
    job.error = error;
    requeue(job);
    true
}

/// Back to the queue: what the latest claim noted goes.
fn requeue(job: &mut Job) {
    job.state = State::Pending { resuming: false };
    job.started_at = None;
    job.worker_id = None;
    job.exit_code = None;
}

fn succeed(job: &mut Job) {
    job.state = State::Succeeded(None);
    job.exit_code = Some(0);
    job.error = None;
}

fn fail(job: &mut Job, fault: Fault, message: String, exit_code: Option<i64>) {
    job.state = State::Failed(fault);
    job.exit_code = exit_code;
    // A failed job always says why.
    job.error = Some(if message.trim().is_empty() { "The job failed.".to_owned() } else { message });
}

fn stop(job: &mut Job, stage: Option<Stage>, why: StopFor, now: Timestamp) {
    job.state = State::Stopping { stage, why };
    if why == StopFor::Cancel {
        job.cancel_requested_at = Some(now);
    }
}

/// It is gone after the signal, or its worker is.
fn stopped(job: &mut Job, why: StopFor, exit_code: Option<i64>) {
    match why {
        StopFor::Drain if job.intent.may_repeat() => requeue(job),
        StopFor::Drain => {
            fail(job, Fault::Lost, "The worker was shut down before the job had ended.".to_owned(), exit_code);
        }
        StopFor::Suspend => job.state = State::Suspended,
        StopFor::Timeout => fail(job, Fault::Timeout, "The job took longer than it may.".to_owned(), exit_code),
        StopFor::Cancel => {
            job.state = State::Canceled(Canceled::Request);
            job.exit_code = exit_code;
        }
    }
}

/// What follows from moving between two states.
fn effects(before: State, after: State, back_off: bool) -> Vec<Effect> {
    let mut effects = Vec::with_capacity(4);
    let (held, holds) = (before.stage().is_some(), after.stage().is_some());
    match after {
        _ if after.is_final() => effects.push(Effect::LeaveQueue),
        State::Pending { .. } if back_off => effects.extend([Effect::Hold(Hold::Delayed), Effect::BackOff]),
        State::Pending { .. } => effects.extend([Effect::Hold(Hold::Ready), Effect::WakeWorkers]),
        State::Running(_) | State::Stopping { .. } if !held => effects.push(Effect::Hold(Hold::Claimed)),
        State::Waiting(chandler_model::jobs::WaitingFor::Approval) => effects.push(Effect::Hold(Hold::Waiting)),
        State::Waiting(chandler_model::jobs::WaitingFor::Children) => effects.push(Effect::Hold(Hold::Parent)),
        State::Suspended => effects.push(Effect::Hold(Hold::Suspended)),
        _ => {}
    }
    if holds && !held {
        effects.push(Effect::StartDeadline);
    }
    if held && !holds {
        effects.extend([Effect::EndAttempt(attempt_word(after)), Effect::ClearDeadline]);
    }
    if before.stop_for() != after.stop_for() && after.stop_for().is_some() {
        effects.push(Effect::TellWorker);
    }
    effects
}

/// How an attempt ended, by where it left its job.
fn attempt_word(after: State) -> &'static str {
    match after {
        State::Succeeded(_) => "succeeded",
        State::Failed(Fault::Lost) => "lost",
        State::Failed(_) => "failed",
        State::Canceled(_) => "canceled",
        _ => "returned",
    }
}
