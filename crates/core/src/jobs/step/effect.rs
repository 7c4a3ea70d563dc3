//! What must be written besides the job, derived from how it stood, how it stands now and what happened between, so
//! that no row of the table can forget a part of it.

use chandler_model::Id;
use chandler_model::jobs::{Canceled, Canceler, Fault, Hold, Job, JobKind, State, StopFor, WaitingFor};

use super::event::Event;
use super::subject::Subject;

/// Something to write, in the same transaction and in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The job enters the queue: its queue row is made, ready or blocked as `Requeue` says.
    Enqueue,
    /// It may be claimed as far as it is concerned. The queue says whether it is ready, delayed or blocked, and brings
    /// `NeededFailed` if the job that it needs has ended badly meanwhile. Keys that only wait draw a new turn.
    Requeue(When),
    /// The queue row stands like this.
    Hold(Held),
    /// The queue row goes: the job has ended.
    LeaveQueue,

    /// What becomes of its keys; nothing to do for a job that has none.
    Keys(Keys),

    /// This limit runs from now on, and no other does; a job without such a limit has none.
    SetDeadline(Clock),
    /// The limit that ran does not run any more.
    ClearDeadline,
    /// The patience for an unanswered KILL runs from now on, anew.
    StartKillClock,
    ClearKillClock,

    /// The present attempt is over, with this exit code if it had one: its worker has a free slot again and must leave
    /// nothing of the attempt alive.
    EndAttempt(AttemptEnd, Option<i64>),
    /// Rows of steps have changed.
    WriteSteps,
    /// Secrets that were given at the launch go.
    EraseSealed,

    /// Every unfinished child is cancelled, by this one's order.
    StopChildren(Canceler),
    /// A child has ended: its parent gets `ChildEnded`.
    SettleParent(Id<Job>),
    /// Jobs that need this one are read again if it succeeded; else each of them gets `NeededFailed`.
    SettleDependents(Needed),
    /// The commands that the flow has for this case, if any, run as a child job.
    RunCommands(Commands),
    /// What a build has made is taken down again by a job of its own.
    CleanUp,
    /// The row itself goes, with all that hangs on it.
    DeleteRow,

    /// There may be something to claim.
    WakeWorkers,
    /// The worker that holds the job should ask for its orders.
    TellWorker,
}

/// When a job may run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Now,
    /// Not before the back-off has passed.
    AfterBackOff,
}

/// How a queue row stands that cannot be claimed whatever the queue looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The claim itself wrote it.
    Claimed,
    Waiting,
    Parent,
    Suspended,
}

impl From<Held> for Hold {
    fn from(held: Held) -> Self {
        match held {
            Held::Claimed => Self::Claimed,
            Held::Waiting => Self::Waiting,
            Held::Parent => Self::Parent,
            Held::Suspended => Self::Suspended,
        }
    }
}

/// What becomes of a job's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// All are taken, with a new turn.
    Take,
    /// All are given up, and whoever waits for them is read again.
    GiveUp,
    /// Rows stay as they are until the worker says that the process is gone; until then the job is not made ready.
    Keep,
    /// A step that changes things executes: `apply:<workspace>` is held besides. Waiting jobs that were ready but not
    /// claimed go behind it.
    TakeApply,
    GiveUpApply,
}

/// The limits in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// It must be claimed within this time.
    Claim,
    /// The job's own limit, from its claim.
    Run,
    /// A flow's whole life, except while it is parked or suspended: then the limit begins anew.
    Flow,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    Succeeded,
    Failed,
    Canceled,
    Lost,
    /// The job goes on in another attempt, or may.
    Returned,
}

impl AttemptEnd {
    /// How it is stored.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Lost => "lost",
            Self::Returned => "returned",
        }
    }
}

/// What a job is to those that need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    Succeeded,
    Failed,
}

/// Commands that a flow runs after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commands {
    Reject,
    Failure,
}

/// Where a job stands in the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Open,
    Held(Held),
    Out,
}

fn place(state: State) -> Place {
    match state {
        State::Pending { .. } => Place::Open,
        State::Running(_) | State::Stopping { stage: Some(_), .. } => Place::Held(Held::Claimed),
        State::Waiting(WaitingFor::Approval) => Place::Held(Held::Waiting),
        State::Waiting(WaitingFor::Children) | State::Stopping { stage: None, .. } => Place::Held(Held::Parent),
        State::Suspended => Place::Held(Held::Suspended),
        State::Succeeded(_) | State::Failed(_) | State::Canceled(_) => Place::Out,
    }
}

/// What follows from the submit of a job.
pub(super) fn of_submit(job: &Subject) -> Vec<Effect> {
    let mut effects = vec![Effect::Enqueue];
    if job.holds_keys() {
        effects.push(Effect::Keys(Keys::Take));
    }
    match place(job.job.state) {
        Place::Open => effects.push(Effect::WakeWorkers),
        Place::Held(held) => effects.push(Effect::Hold(held)),
        Place::Out => {}
    }
    effects.extend(job.clock().map(Effect::SetDeadline));
    effects
}

/// What follows from moving between two standings because of an event.
pub(super) fn of_move(before: &Subject, after: &Subject, event: &Event) -> Vec<Effect> {
    if before.job.state.is_final() {
        // Only a deletion moves an ended job.
        let kept = after.job.kind.is_kept_when_deleted();
        return if kept { Vec::new() } else { vec![Effect::DeleteRow] };
    }
    let mut effects = Vec::with_capacity(8);
    keys(before, after, event, &mut effects);
    let (from, to) = (place(before.job.state), place(after.job.state));
    if from != to {
        effects.push(match to {
            Place::Open if matches!(event, Event::Error { .. }) => Effect::Requeue(When::AfterBackOff),
            Place::Open => Effect::Requeue(When::Now),
            Place::Held(held) => Effect::Hold(held),
            Place::Out => Effect::LeaveQueue,
        });
    }
    clocks(before, after, &mut effects);
    if before.is_held() && !after.is_held() {
        effects.push(Effect::EndAttempt(attempt_end(after.job.state, event), exit_code(event)));
    }
    if before.steps != after.steps {
        effects.push(Effect::WriteSteps);
    }
    if after.job.state.is_final() {
        end(after, &mut effects);
    }
    if let (State::Waiting(WaitingFor::Children), State::Stopping { why, .. }) = (before.job.state, after.job.state) {
        // Nobody asked for the children's end when their parent ran out of time.
        let by = if why == StopFor::Cancel { after.job.canceler } else { Canceler::System };
        effects.push(Effect::StopChildren(by));
    }
    if from != to && to == Place::Open && !matches!(event, Event::Error { .. }) {
        effects.push(Effect::WakeWorkers);
    }
    if after.is_held() && before.job.state.stop_for() != after.job.state.stop_for() {
        effects.push(Effect::TellWorker);
    }
    effects
}

fn keys(before: &Subject, after: &Subject, event: &Event, effects: &mut Vec<Effect>) {
    let ends = |holds: fn(&Subject) -> bool| holds(before) && !holds(after);
    // However such an attempt ends, its process may still be at work (section 4.4).
    let process_left = before.facts.process_left || *event == Event::KillUnanswered;
    if process_left && [Subject::is_held, Subject::holds_keys, Subject::holds_apply_key].into_iter().any(ends) {
        effects.push(Effect::Keys(Keys::Keep));
        return;
    }
    match (before.holds_keys(), after.holds_keys()) {
        (true, false) => effects.push(Effect::Keys(Keys::GiveUp)),
        (false, true) => effects.push(Effect::Keys(Keys::Take)),
        _ => match (before.holds_apply_key(), after.holds_apply_key()) {
            (true, false) => effects.push(Effect::Keys(Keys::GiveUpApply)),
            (false, true) => effects.push(Effect::Keys(Keys::TakeApply)),
            _ => {}
        },
    }
}

fn clocks(before: &Subject, after: &Subject, effects: &mut Vec<Effect>) {
    match (before.clock(), after.clock()) {
        (None, Some(new)) => effects.push(Effect::SetDeadline(new)),
        (Some(old), Some(new)) if old != new => effects.extend([Effect::ClearDeadline, Effect::SetDeadline(new)]),
        (Some(_), None) => effects.push(Effect::ClearDeadline),
        _ => {}
    }
    match (kill_clock(before), kill_clock(after)) {
        // Anew with every raise.
        (old, Some(new)) if old != Some(new) => effects.push(Effect::StartKillClock),
        (Some(_), None) => effects.push(Effect::ClearKillClock),
        _ => {}
    }
}

/// What it is being stopped for, if a process must answer. An invocation has none.
fn kill_clock(of: &Subject) -> Option<StopFor> {
    of.job.state.stop_for().filter(|_| of.is_held() && of.job.kind != JobKind::Invocation)
}

/// How an attempt ended, by where it left its job.
fn attempt_end(after: State, event: &Event) -> AttemptEnd {
    match after {
        State::Succeeded(_) => AttemptEnd::Succeeded,
        State::Failed(Fault::Lost) => AttemptEnd::Lost,
        State::Failed(_) => AttemptEnd::Failed,
        State::Canceled(_) => AttemptEnd::Canceled,
        _ if matches!(event, Event::StepDone { .. } | Event::ChildrenInserted) => AttemptEnd::Succeeded,
        _ => AttemptEnd::Returned,
    }
}

/// The exit code of the attempt. The job itself forgets it when it goes on.
fn exit_code(event: &Event) -> Option<i64> {
    match event {
        Event::StepDone { .. } => Some(0),
        Event::Error { exit, .. } | Event::Stopped { exit } => exit.code,
        _ => None,
    }
}

fn end(after: &Subject, effects: &mut Vec<Effect>) {
    let (kind, state, ran) = (after.job.kind, after.job.state, after.job.attempt > 0);
    effects.push(Effect::EraseSealed);
    effects.extend(after.facts.parent.map(Effect::SettleParent));
    let needed = if matches!(state, State::Succeeded(_)) { Needed::Succeeded } else { Needed::Failed };
    effects.push(Effect::SettleDependents(needed));
    match (kind, state) {
        (JobKind::TerraformFlow, State::Canceled(Canceled::Rejected)) => {
            effects.push(Effect::RunCommands(Commands::Reject));
        }
        (JobKind::TerraformFlow, State::Failed(_)) if ran => effects.push(Effect::RunCommands(Commands::Failure)),
        // What may repeat is itself a clean-up.
        (JobKind::HostBuild, State::Failed(_) | State::Canceled(_)) if ran && !after.may_repeat() => {
            effects.push(Effect::CleanUp);
        }
        _ => {}
    }
}
