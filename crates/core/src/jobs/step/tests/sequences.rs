//! Random lives of jobs of every kind: after each event everything that must hold of a job holds, and the world that
//! the effects have made agrees with where the job stands.

use chandler_model::Id;
use chandler_model::jobs::{JobKind, Stage, State, StepKind, StopFor, Success};
use proptest::prelude::*;
use strum::VariantArray;

use super::super::{
    Blame, Canceler, Children, Effect, Event, Exit, Keys, Outcome, RETURNS_MAX, Steps, Subject, step, submit,
};
use super::fixtures::*;
use super::show;
use super::world::{World, check, compare};

/// Something that happens; numbers are made to fit when it does.
#[derive(Clone, Debug)]
enum Happening {
    Event(Event),
    Claim,
    /// A step is reported: the present one, or another.
    Done(Option<i64>, Option<Success>),
    Decide(bool, Option<i64>),
    /// An invocation inserts that many children.
    Children(u32),
    ChildEnds(Ending),
    Deadline,
    /// The worker tells of a process that does not die, or that it is gone.
    ProcessLeft(bool),
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Succeeded,
    Failed,
    Canceled,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::{ChildEnds, Children, Claim, Deadline, Decide, Done, ProcessLeft};
    let outcome = prop_oneof![3 => Just(None), 1 => Just(Some(Success::Changed)), 1 => Just(Some(Success::Unchanged))];
    let number = prop_oneof![8 => Just(None), 1 => (0..4i64).prop_map(|n| Some(n * 100))];
    let stage = prop::sample::select(Stage::VARIANTS);
    let blame = prop_oneof![Just(Blame::Work), Just(Blame::Platform)];
    let by = prop_oneof![Just(Canceler::Person), Just(Canceler::System)];
    let exit = prop::option::of(0..3i64).prop_map(|code| Exit { code, diagnostic: None });
    let ending = prop_oneof![Just(Ending::Succeeded), Just(Ending::Failed), Just(Ending::Canceled)];
    let reason = || prop_oneof![Just(String::new()), Just("It broke.".to_owned())];
    prop_oneof![
        12 => Just(Claim),
        10 => stage.prop_map(|stage| Happening::Event(Event::Stage(stage))),
        8 => (number.clone(), outcome).prop_map(|(step, outcome)| Done(step, outcome)),
        6 => (any::<bool>(), number).prop_map(|(yes, step)| Decide(yes, step)),
        4 => (0..4u32).prop_map(Children),
        6 => ending.prop_map(ChildEnds),
        2 => Just(Deadline),
        1 => any::<bool>().prop_map(ProcessLeft),
        4 => (blame.clone(), reason(), exit.clone())
            .prop_map(|(blame, reason, exit)| Happening::Event(Event::Error { blame, reason, exit })),
        1 => (blame, reason()).prop_map(|(blame, reason)| Happening::Event(Event::Unpreparable { blame, reason })),
        4 => exit.prop_map(|exit| Happening::Event(Event::Stopped { exit })),
        2 => by.clone().prop_map(|by| Happening::Event(Event::Cancel { by, expect: None })),
        1 => by.prop_map(|by| Happening::Event(Event::Delete { by })),
        12 => prop::sample::select(vec![
            Event::NeededFailed,
            Event::Lost,
            Event::Lost,
            Event::Lost,
            Event::KillUnanswered,
            Event::ChildrenInserted,
            Event::InitiatorGone,
            Event::ChildEnded,
            Event::Drain,
            Event::Drain,
            Event::Suspend,
            Event::Suspend,
            Event::Resume,
            Event::Resume,
            Event::Resume,
            Event::Deadline,
        ]).prop_map(Happening::Event),
    ]
}

/// A job of any kind, with steps and facts that its kind can have.
fn job() -> impl Strategy<Value = Subject> {
    let kinds = prop::sample::select(JobKind::VARIANTS);
    let step_kinds = [StepKind::Plan, StepKind::Apply, StepKind::Destroy, StepKind::Script, StepKind::Approval];
    let steps = prop::collection::vec((prop::sample::select(step_kinds.to_vec()), any::<bool>()), 1..5);
    (kinds, steps, any::<bool>(), any::<bool>(), 0..4i64, any::<bool>(), 0..RETURNS_MAX).prop_map(
        |(kind, steps, repeats, save_plan, retries, child, returns)| {
            let rows = |kinds: Vec<(StepKind, bool)>| {
                let numbered = (100..).step_by(100).zip(kinds);
                Steps::Rows(numbered.map(|(number, (kind, asks))| row(number, kind, asks)).collect())
            };
            let steps = match kind {
                JobKind::TerraformFlow => rows(steps),
                JobKind::HostBuild => rows(steps.iter().map(|_| (StepKind::Task, false)).collect()),
                JobKind::Invocation => Steps::Rows(Vec::new()),
                _ => Steps::Single,
            };
            let mut job = fresh(kind, steps);
            job.facts.intent_may_repeat = repeats;
            job.facts.save_plan = save_plan && kind == JobKind::TerraformFlow;
            job.facts.parent = child.then_some(Id::new(9));
            job.job.retries_left = retries;
            job.job.returns = returns;
            job
        },
    )
}

struct Life {
    job: Subject,
    world: World,
    now: i64,
}

impl Life {
    fn begin(job: Subject) -> Self {
        let (job, effects) = submit(job);
        let mut world = World::default();
        world.write(&job, &effects);
        world.agrees_with(&job);
        Self { job, world, now: 0 }
    }

    /// Returns whether the event was accepted.
    fn take(&mut self, event: &Event) -> bool {
        self.now += 1;
        let before = self.job.clone();
        let outcome = step(&before, event, at(self.now));
        assert_eq!(outcome, step(&before, event, at(self.now)), "the same twice");
        let accepted = outcome.is_ok();
        if let Ok(Outcome::Moved(after, effects)) = outcome {
            compare(&before, &after, event);
            if matches!(event, Event::Claim { .. }) {
                self.world.attempts += 1;
                self.world.at_work = true;
            }
            if before.facts.process_left || *event == Event::KillUnanswered {
                let given_up = [Keys::GiveUp, Keys::GiveUpApply].map(Effect::Keys);
                assert!(
                    !effects.iter().any(|effect| given_up.contains(effect)),
                    "keys of a living process are given up"
                );
            }
            self.world.write(&after, &effects);
            match event {
                Event::Cancel { .. } => self.world.cancel_accepted = true,
                Event::Delete { .. } if !before.job.state.is_final() => self.world.delete_accepted = true,
                _ => {}
            }
            self.job = *after;
        }
        check(&self.job, &self.world);
        self.world.agrees_with(&self.job);
        accepted
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Event(Event::ChildrenInserted | Event::ChildEnded | Event::Deadline) => {}
            Happening::Event(event) => drop(self.take(&event)),
            Happening::Claim => drop(self.take(&claim(&self.job))),
            Happening::Done(step, outcome) => {
                let step = step.or_else(|| self.job.steps.present_number()).unwrap_or_default();
                self.take(&Event::StepDone { step, outcome });
            }
            Happening::Decide(yes, step) => {
                let step = step.or_else(|| self.job.steps.present_number()).unwrap_or_default();
                let by = None;
                self.take(&if yes { Event::Approve { step, by } } else { Event::Reject { step, by } });
            }
            Happening::Children(unfinished) => {
                let before = self.job.facts.children;
                self.job.facts.children = Children { unfinished, ..Children::default() };
                if !self.take(&Event::ChildrenInserted) {
                    // Refused: the transaction inserts none.
                    self.job.facts.children = before;
                }
            }
            Happening::ChildEnds(how) => {
                let children = &mut self.job.facts.children;
                if children.unfinished > 0 {
                    children.unfinished -= 1;
                    match how {
                        Ending::Succeeded => children.succeeded += 1,
                        Ending::Failed => children.failed += 1,
                        Ending::Canceled => children.canceled += 1,
                    }
                    self.take(&Event::ChildEnded);
                }
            }
            Happening::Deadline => {
                if self.world.deadline.take().is_some() {
                    self.take(&Event::Deadline);
                }
            }
            Happening::ProcessLeft(left) => {
                self.job.facts.process_left = left && self.job.is_held();
            }
        }
    }

    /// Somebody wants it to end, and everything answers.
    fn end(&mut self) {
        if self.job.job.state.is_final() {
            return;
        }
        let asked = self.take(&CANCEL);
        assert!(asked || self.job.job.state.stop_for() == Some(StopFor::Cancel), "it cannot be cancelled");
        if self.job.is_held() {
            assert!(self.take(&Event::Stopped { exit: exit(143) }));
        }
        while !self.job.job.state.is_final() && self.job.facts.children.unfinished > 0 {
            self.happen(Happening::ChildEnds(Ending::Canceled));
        }
        let state = self.job.job.state;
        assert!(matches!(state, State::Canceled(_)), "it does not end: {}", show::state(state));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_life_breaks_what_must_hold(job in job(), happenings in prop::collection::vec(happening(), 1..60)) {
        let mut life = Life::begin(job);
        for happening in happenings {
            life.happen(happening);
        }
        life.end();
        // Nor does anything that comes late.
        let (ended, late) = (life.job.clone(), [Event::Lost, CANCEL, Event::Resume, Event::Deadline]);
        for event in late {
            life.take(&event);
        }
        prop_assert_eq!(ended, life.job);
    }
}
