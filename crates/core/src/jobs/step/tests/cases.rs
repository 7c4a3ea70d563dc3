//! Cases for every row of section 3, named by the first two columns of their row.

use chandler_model::jobs::{Canceled, Fault, JobKind, Stage, State, StopFor, Success};

use super::super::{Blame, Children, Event, Outcome, RETURNS_MAX, Steps, Subject};
use super::fixtures::*;

/// A row, and what is to come of it: a job, an event, and the state that the third column says.
pub(super) type Case = (&'static str, Vec<(Subject, Event, Expect)>);

#[derive(Debug)]
pub(super) enum Expect {
    To(State),
    Same,
    Refused,
}
use Expect::{Refused, Same, To};

fn error(blame: Blame) -> Event {
    Event::Error { blame, reason: "It broke.".to_owned(), exit: exit(1) }
}

pub(super) fn stopped() -> Event {
    Event::Stopped { exit: exit(143) }
}

fn step_done(step: i64) -> Event {
    Event::StepDone { step, outcome: None }
}

const fn children(unfinished: u32, failed: u32, canceled: u32) -> Children {
    Children { unfinished, succeeded: 1, failed, canceled }
}

const REQUEST: State = State::Canceled(Canceled::Request);
pub(super) const DONE: State = State::Succeeded(None);
const TIMEOUT: State = State::Failed(Fault::Timeout);
const LOST: State = State::Failed(Fault::Lost);
pub(super) const ASSIGNED: State = State::Running(Stage::Assigned);

const fn parent_stopping(why: StopFor) -> State {
    State::Stopping { stage: None, why }
}

fn returned_often(state: State) -> Subject {
    let mut job = in_state(script(false), state);
    job.job.returns = RETURNS_MAX - 1;
    job
}

fn without_retries(mut job: Subject) -> Subject {
    job.job.retries_left = 0;
    job
}

fn waiting_rows() -> Vec<Case> {
    let provisioner = || fresh(JobKind::TerraformBuild, Steps::Single);
    let decision = |event: fn(i64) -> Event, to: State| (in_state(flow_at_apply(false), APPROVAL), event(200), To(to));
    let approve = |step| Event::Approve { step, by: None };
    let reject = |step| Event::Reject { step, by: None };
    let parent = |children| in_state(invocation(children), CHILDREN);
    vec![
        ("pending | claim: hold ready, worker fits", vec![(script(false), claim(&script(false)), To(ASSIGNED))]),
        (
            "pending, suspended | needed job ended otherwise than succeeded",
            [PENDING, State::Suspended]
                .map(|state| {
                    (in_state(script(false), state), Event::NeededFailed, To(State::Failed(Fault::Dependency)))
                })
                .into(),
        ),
        (
            "pending | cannot be prepared (reference gone, no environment, missing value)",
            [(Blame::Work, Fault::Work), (Blame::Platform, Fault::Platform)]
                .map(|(blame, fault)| {
                    let event = Event::Unpreparable { blame, reason: "There is no environment.".to_owned() };
                    (script(false), event, To(State::Failed(fault)))
                })
                .into(),
        ),
        (
            "pending, waiting(approval) | deadline (provisioner kinds: 30 min pending; terraform_flow: 6 h after submit, \
             not while parked)",
            vec![
                (provisioner(), Event::Deadline, To(TIMEOUT)),
                (flow(true), Event::Deadline, To(TIMEOUT)),
                (in_state(flow_at_apply(false), APPROVAL), Event::Deadline, To(TIMEOUT)),
                (in_state(saved_plan(flow_at_apply(false)), APPROVAL), Event::Deadline, Refused),
                (script(false), Event::Deadline, Refused),
            ],
        ),
        (
            "waiting(approval) | approve · reject, *naming the step* (another step: refused)",
            vec![
                decision(approve, PENDING),
                decision(reject, State::Canceled(Canceled::Rejected)),
                (in_state(saved_plan(flow_at_apply(false)), APPROVAL), approve(200), To(PENDING)),
                (in_state(flow_at_apply(false), APPROVAL), approve(100), Refused),
                (in_state(flow_at_apply(false), APPROVAL), reject(100), Refused),
            ],
        ),
        (
            "waiting(children) | last child ended (none at all: at once, succeeded)",
            vec![
                (parent(children(1, 1, 0)), Event::ChildEnded, Same),
                (parent(children(0, 1, 1)), Event::ChildEnded, To(State::Failed(Fault::Work))),
                (parent(children(0, 0, 1)), Event::ChildEnded, To(REQUEST)),
                (parent(children(0, 0, 0)), Event::ChildEnded, To(DONE)),
                (in_state(invocation(Children::default()), ASSIGNED), Event::ChildrenInserted, To(DONE)),
            ],
        ),
        (
            "waiting(children) | cancel · deadline",
            vec![
                (parent(children(1, 0, 0)), CANCEL, To(parent_stopping(StopFor::Cancel))),
                (parent(children(1, 0, 0)), Event::Deadline, To(parent_stopping(StopFor::Timeout))),
                (parent(children(1, 0, 0)), Event::Suspend, Refused),
            ],
        ),
        (
            "stopping, of a parent | last child ended",
            vec![
                (
                    in_state(invocation(children(0, 0, 2)), parent_stopping(StopFor::Cancel)),
                    Event::ChildEnded,
                    To(REQUEST),
                ),
                (
                    in_state(invocation(children(0, 0, 2)), parent_stopping(StopFor::Timeout)),
                    Event::ChildEnded,
                    To(TIMEOUT),
                ),
                (in_state(invocation(children(1, 0, 2)), parent_stopping(StopFor::Timeout)), Event::ChildEnded, Same),
                (
                    in_state(invocation(children(1, 0, 0)), parent_stopping(StopFor::Cancel)),
                    Event::KillUnanswered,
                    Refused,
                ),
            ],
        ),
        (
            "pending, waiting(approval), suspended | cancel",
            [script(false), in_state(flow_at_apply(false), APPROVAL), in_state(script(false), State::Suspended)]
                .map(|job| (job, CANCEL, To(REQUEST)))
                .into(),
        ),
        (
            "pending, waiting(approval) · running | suspend (container jobs only in the dialects; never an invocation)",
            vec![
                (container(), Event::Suspend, To(State::Suspended)),
                (in_state(flow_at_apply(false), APPROVAL), Event::Suspend, To(State::Suspended)),
                (in_state(container(), EXECUTING), Event::Suspend, To(stopping(StopFor::Suspend))),
                (invocation(Children::default()), Event::Suspend, Refused),
                (in_state(invocation(Children::default()), ASSIGNED), Event::Suspend, Refused),
            ],
        ),
        (
            "suspended | resume",
            vec![
                (in_state(flow_at_apply(false), State::Suspended), Event::Resume, To(APPROVAL)),
                (in_state(container(), State::Suspended), Event::Resume, To(State::Pending { resuming: true })),
            ],
        ),
    ]
}

fn running_rows() -> Vec<Case> {
    let repeats = || in_state(script(true), EXECUTING);
    let once = || in_state(script(false), EXECUTING);
    vec![
        (
            "running | stage · step done, more steps",
            vec![
                (in_state(script(false), ASSIGNED), Event::Stage(Stage::Executing), To(EXECUTING)),
                (in_state(flow(false), EXECUTING), step_done(100), To(EXECUTING)),
                (in_state(flow_at_apply(true), EXECUTING), step_done(100), Same),
            ],
        ),
        ("running | next step needs a decision", vec![(in_state(flow(true), EXECUTING), step_done(100), To(APPROVAL))]),
        (
            "running/assigned, of an invocation | children inserted · initiator suspended or gone",
            vec![
                (in_state(invocation(children(2, 0, 0)), ASSIGNED), Event::ChildrenInserted, To(CHILDREN)),
                (
                    in_state(invocation(Children::default()), ASSIGNED),
                    Event::InitiatorGone,
                    To(State::Failed(Fault::Dependency)),
                ),
                (in_state(script(false), ASSIGNED), Event::ChildrenInserted, Refused),
            ],
        ),
        (
            "running | done well",
            vec![
                (once(), step_done(Steps::SINGLE), To(DONE)),
                (in_state(flow_at_apply(true), EXECUTING), step_done(200), To(DONE)),
                (
                    in_state(flow(true), EXECUTING),
                    Event::StepDone { step: 100, outcome: Some(Success::Unchanged) },
                    To(State::Succeeded(Some(Success::Unchanged))),
                ),
            ],
        ),
        (
            "running | work or platform error, retries left and kind may repeat",
            vec![
                (repeats(), error(Blame::Work), To(PENDING)),
                (in_state(flow(true), EXECUTING), error(Blame::Platform), To(PENDING)),
            ],
        ),
        (
            "running | work or platform error",
            vec![
                (once(), error(Blame::Work), To(State::Failed(Fault::Work))),
                (without_retries(repeats()), error(Blame::Platform), To(State::Failed(Fault::Platform))),
                (in_state(flow_at_apply(true), EXECUTING), error(Blame::Work), To(State::Failed(Fault::Work))),
            ],
        ),
        (
            "running | stop(why); deadline (job timeout, terraform_flow 6 h) = stop(timeout)",
            vec![
                (once(), Event::Drain, To(stopping(StopFor::Drain))),
                (once(), Event::Deadline, To(stopping(StopFor::Timeout))),
                (once(), CANCEL, To(stopping(StopFor::Cancel))),
            ],
        ),
        (
            "running/assigned, stopping(drain)/assigned | lost",
            vec![
                (in_state(script(false), ASSIGNED), Event::Lost, To(PENDING)),
                (
                    in_state(script(false), State::Stopping { stage: Some(Stage::Assigned), why: StopFor::Drain }),
                    Event::Lost,
                    To(PENDING),
                ),
                (returned_often(ASSIGNED), Event::Lost, To(State::Failed(Fault::Platform))),
            ],
        ),
        (
            "running | lost",
            vec![
                (repeats(), Event::Lost, To(PENDING)),
                (without_retries(repeats()), Event::Lost, To(LOST)),
                (once(), Event::Lost, To(LOST)),
            ],
        ),
    ]
}

fn stopping_rows() -> Vec<Case> {
    let script = |why| in_state(script(false), stopping(why));
    let flow = |asks, why| in_state(flow(asks), stopping(why));
    use StopFor::{Cancel, Drain, Suspend, Timeout};
    vec![
        (
            "stopping | stop(higher)",
            vec![
                (script(Drain), Event::Suspend, To(stopping(Suspend))),
                (script(Suspend), Event::Deadline, To(stopping(Timeout))),
                (script(Timeout), CANCEL, To(stopping(Cancel))),
                (script(Cancel), CANCEL, Refused),
                (script(Cancel), Event::Drain, Refused),
                (in_state(container(), stopping(Cancel)), DELETE, To(stopping(Cancel))),
                (in_state(container(), stopping(Drain)), DELETE, To(stopping(Cancel))),
            ],
        ),
        ("stopping | stage", vec![(script(Drain), Event::Stage(Stage::Finishing), Refused)]),
        (
            "stopping | step done, more steps",
            vec![
                (flow(true, Drain), step_done(100), To(APPROVAL)),
                (flow(false, Drain), step_done(100), To(PENDING)),
                (flow(false, Suspend), step_done(100), To(State::Suspended)),
                (flow(false, Timeout), step_done(100), To(TIMEOUT)),
                (flow(false, Cancel), step_done(100), To(REQUEST)),
            ],
        ),
        (
            "stopping | last step done well by itself",
            vec![
                (script(Drain), step_done(1), To(DONE)),
                (script(Suspend), step_done(1), To(DONE)),
                (script(Timeout), step_done(1), To(DONE)),
                (script(Cancel), step_done(1), To(REQUEST)),
            ],
        ),
        (
            "stopping | any exit after the signal was sent, or lost",
            [stopped(), Event::Lost]
                .into_iter()
                .flat_map(|event| {
                    [
                        (in_state(super::fixtures::script(true), stopping(Drain)), To(PENDING)),
                        (script(Drain), To(LOST)),
                        (script(Suspend), To(State::Suspended)),
                        (script(Timeout), To(TIMEOUT)),
                        (script(Cancel), To(REQUEST)),
                    ]
                    .map(|(job, expect)| (job, event.clone(), expect))
                })
                .collect(),
        ),
        (
            "stopping | an error before the signal",
            [Drain, Suspend, Timeout, Cancel]
                .map(|why| (script(why), error(Blame::Work), To(State::Failed(Fault::Work))))
                .into(),
        ),
        (
            "stopping | kill unanswered for 10 min after the last raise",
            vec![
                (script(Suspend), Event::KillUnanswered, To(State::Suspended)),
                (script(Drain), Event::KillUnanswered, To(LOST)),
                (script(Timeout), Event::KillUnanswered, To(LOST)),
                (script(Cancel), Event::KillUnanswered, To(LOST)),
            ],
        ),
    ]
}

fn other_rows() -> Vec<Case> {
    let ended = |job: Subject| in_state(job, REQUEST);
    let failed = in_state(script(false), EXECUTING);
    let Ok(Outcome::Moved(failed, _)) = take(&failed, &error(Blame::Work)) else { panic!("it fails") };
    vec![
        (
            "any unfinished | delete (workloads)",
            vec![
                (container(), DELETE, To(REQUEST)),
                (in_state(container(), State::Suspended), DELETE, To(REQUEST)),
                (in_state(container(), EXECUTING), DELETE, To(stopping(StopFor::Cancel))),
                (script(false), DELETE, Refused),
            ],
        ),
        (
            "unfinished | anything not listed",
            vec![
                (script(false), stopped(), Refused),
                (in_state(script(false), State::Suspended), Event::Suspend, Refused),
                (in_state(script(false), EXECUTING), Event::Resume, Refused),
                (in_state(script(false), EXECUTING), claim(&in_state(script(false), EXECUTING)), Refused),
            ],
        ),
        ("final | delete", [container(), script(false)].map(|job| (ended(job), DELETE, To(REQUEST))).into()),
        (
            "final | the same attempt reports the same end again",
            vec![
                (in_state(script(false), DONE), step_done(1), Same),
                (*failed.clone(), error(Blame::Work), Same),
                (*failed, error(Blame::Platform), Refused),
            ],
        ),
        (
            "final | anything else",
            [CANCEL, Event::Resume, Event::Lost, Event::Deadline]
                .map(|event| (ended(container()), event, Refused))
                .into(),
        ),
    ]
}

pub(super) fn cases() -> Vec<Case> {
    [waiting_rows(), running_rows(), stopping_rows(), other_rows()].into_iter().flatten().collect()
}
