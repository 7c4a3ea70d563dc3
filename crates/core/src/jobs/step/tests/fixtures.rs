//! Jobs of every kind, without an executor for any of them. The intent is a script's throughout: `step` takes what it
//! must know of the others from the facts and the steps.

use chandler_model::jobs::{
    Decision, Intent, Job, JobKind, JobStep, LaunchType, ScriptIntent, Snapshot, Stage, State, StepKind, StepState,
    StopFor, Verdict, WaitingFor,
};
use chandler_model::kinds::Dialect;
use chandler_model::templates::ScriptSpec;
use chandler_model::{Id, Json, Uid};
use jiff::{SignedDuration, Timestamp};

use super::super::{Canceler, Children, Event, Exit, Facts, Outcome, Refused, Steps, Subject, step};

/// The time `s` seconds after the submit.
pub(super) fn at(s: i64) -> Timestamp {
    Timestamp::from_second(1_000_000).unwrap() + SignedDuration::from_secs(s)
}

pub(super) const WORKER: i64 = 7;

fn job(kind: JobKind) -> Job {
    let spec = ScriptSpec { script: String::new(), args: Vec::new(), may_repeat: false, retries: 0, timeout_s: None };
    Job {
        id: Id::new(1),
        uid: Uid(uuid::Uuid::nil()),
        created_at: at(0),
        updated_at: at(0),
        family: kind.families()[0],
        kind,
        organization_id: None,
        template_id: None,
        revision_id: None,
        environment_id: None,
        workspace_id: None,
        parent_id: None,
        needs_job_id: None,
        initiator_id: None,
        dialect: Dialect::Native,
        launch_type: LaunchType::Manual,
        name: "job".to_owned(),
        intent: Json(Intent::Script(ScriptIntent { spec, image: None })),
        priority: 0,
        state: State::Pending { resuming: false },
        error: None,
        exit_code: None,
        retries_left: 1,
        returns: 0,
        attempt: 0,
        worker_id: None,
        started_at: None,
        finished_at: None,
        cancel_requested_at: None,
        canceler: Canceler::Person,
        delete_requested_at: None,
        deleted_at: None,
        base_state_id: None,
        events_complete: false,
        log_bytes: 0,
        log_lines: 0,
        log_truncated: false,
        image: None,
        digest: None,
        snapshot: Json(Snapshot::default()),
    }
}

/// A job of a kind as it is submitted.
pub(super) fn fresh(kind: JobKind, steps: Steps) -> Subject {
    let facts = Facts {
        intent_may_repeat: false,
        save_plan: false,
        parent: None,
        children: Children::default(),
        process_left: false,
    };
    Subject { job: job(kind), steps, facts }
}

/// A step that waits for its turn.
pub(super) fn row(number: i64, kind: StepKind, needs_decision: bool) -> JobStep {
    JobStep {
        number,
        name: format!("step {number}"),
        kind,
        state: StepState::Pending,
        needs_decision,
        decision: None,
        outcome: None,
        started_at: None,
        finished_at: None,
    }
}

pub(super) fn done(step: JobStep) -> JobStep {
    JobStep { state: StepState::Succeeded, started_at: Some(at(1)), finished_at: Some(at(2)), ..step }
}

pub(super) fn approved(step: JobStep) -> JobStep {
    JobStep { decision: Some(Decision { verdict: Verdict::Approved, by: None, at: at(3) }), ..step }
}

/// A plan, then an apply that somebody must approve or that follows by itself.
pub(super) fn flow(asks: bool) -> Subject {
    let steps = vec![row(100, StepKind::Plan, false), row(200, StepKind::Apply, asks)];
    fresh(JobKind::TerraformFlow, Steps::Rows(steps))
}

/// The same with its plan done, so that the apply is the present step.
pub(super) fn flow_at_apply(decided: bool) -> Subject {
    let apply = row(200, StepKind::Apply, true);
    let apply = if decided { approved(apply) } else { apply };
    let steps = vec![done(row(100, StepKind::Plan, false)), apply];
    fresh(JobKind::TerraformFlow, Steps::Rows(steps))
}

pub(super) fn saved_plan(mut flow: Subject) -> Subject {
    flow.facts.save_plan = true;
    flow
}

pub(super) fn script(may_repeat: bool) -> Subject {
    let mut script = fresh(JobKind::Script, Steps::Single);
    script.facts.intent_may_repeat = may_repeat;
    script
}

pub(super) fn host_build(cleanup: bool) -> Subject {
    let steps = vec![row(1, StepKind::Task, false), row(2, StepKind::Task, false)];
    let mut build = fresh(JobKind::HostBuild, Steps::Rows(steps));
    build.facts.intent_may_repeat = cleanup;
    build
}

pub(super) fn invocation(children: Children) -> Subject {
    let mut invocation = fresh(JobKind::Invocation, Steps::Rows(Vec::new()));
    invocation.facts.children = children;
    invocation
}

pub(super) fn container() -> Subject {
    fresh(JobKind::Container, Steps::Single)
}

/// The job in a state, with all that belongs to it there.
pub(super) fn in_state(mut of: Subject, state: State) -> Subject {
    of.job.state = state;
    let claimed = !matches!(state, State::Pending { resuming: false });
    if claimed {
        of.job.attempt = 1;
    }
    let held = state.stage().is_some();
    if held || state.is_final() {
        of.job.worker_id = Some(Id::new(WORKER));
    }
    if claimed && !matches!(state, State::Pending { .. }) {
        of.job.started_at = Some(at(5));
    }
    if state.stage().is_some_and(|stage| stage > Stage::Assigned) {
        of.steps.begin(at(6));
    }
    if let State::Stopping { why: StopFor::Cancel, .. } | State::Canceled(_) = state {
        of.job.cancel_requested_at = Some(at(7));
    }
    match state {
        State::Failed(_) => of.job.error = Some("It broke.".to_owned()),
        State::Succeeded(_) => of.job.exit_code = Some(0),
        _ => {}
    }
    if state.is_final() {
        of.job.finished_at = Some(at(8));
        of.job.events_complete = true;
        of.steps.close(state, at(8));
    }
    of
}

pub(super) const PENDING: State = State::Pending { resuming: false };
pub(super) const APPROVAL: State = State::Waiting(WaitingFor::Approval);
pub(super) const CHILDREN: State = State::Waiting(WaitingFor::Children);
pub(super) const EXECUTING: State = State::Running(Stage::Executing);

pub(super) const fn stopping(why: StopFor) -> State {
    State::Stopping { stage: Some(Stage::Executing), why }
}

pub(super) fn claim(of: &Subject) -> Event {
    Event::Claim { attempt: of.job.attempt + 1, worker: Id::new(WORKER), worker_name: "w".to_owned() }
}

pub(super) fn exit(code: i64) -> Exit {
    Exit { code: Some(code), diagnostic: None }
}

pub(super) const CANCEL: Event = Event::Cancel { by: Canceler::Person, expect: None };
pub(super) const DELETE: Event = Event::Delete { by: Canceler::Person };

/// The step, ten seconds after the submit.
pub(super) fn take(before: &Subject, event: &Event) -> Result<Outcome, Refused> {
    step(before, event, at(10))
}
