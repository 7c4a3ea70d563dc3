//! Every event in every state of every kind: always an answer, never a panic, and the whole as a text for the eye.

use std::collections::BTreeMap;

use chandler_model::Word;
use chandler_model::jobs::{Canceled, Fault, JobKind, Stage, State, StopFor, Success, WaitingFor};
use strum::VariantArray;

use super::super::{Blame, Canceler, Children, Event, Outcome, Refused, Steps, Subject};
use super::fixtures::*;
use super::show;

fn states() -> Vec<State> {
    let mut all = vec![PENDING, State::Pending { resuming: true }];
    all.extend(Stage::VARIANTS.iter().map(|stage| State::Running(*stage)));
    all.extend(WaitingFor::VARIANTS.iter().map(|what| State::Waiting(*what)));
    all.push(State::Suspended);
    for why in StopFor::VARIANTS {
        all.extend(Stage::VARIANTS.iter().map(|stage| State::Stopping { stage: Some(*stage), why: *why }));
    }
    all.extend([StopFor::Timeout, StopFor::Cancel].map(|why| State::Stopping { stage: None, why }));
    all.push(State::Succeeded(None));
    all.extend(Success::VARIANTS.iter().map(|outcome| State::Succeeded(Some(*outcome))));
    all.extend(Fault::VARIANTS.iter().map(|fault| State::Failed(*fault)));
    all.extend(Canceled::VARIANTS.iter().map(|cause| State::Canceled(*cause)));
    all
}

/// One job for each way in which a kind can behave, by name. All have one retry left.
fn jobs() -> Vec<(String, Subject)> {
    let plain: [JobKind; 9] = [
        JobKind::Ansible,
        JobKind::AnsibleAdhoc,
        JobKind::SourceSync,
        JobKind::TerraformImport,
        JobKind::TerraformDryRun,
        JobKind::TerraformBuild,
        JobKind::Container,
        JobKind::HostScript,
        JobKind::HostAnsible,
    ];
    let mut all: Vec<_> = plain.iter().map(|kind| (kind.word().to_owned(), fresh(*kind, Steps::Single))).collect();
    let children = Children { unfinished: 1, succeeded: 0, failed: 1, canceled: 1 };
    let more = [
        ("script_once", script(false)),
        ("script_repeats", script(true)),
        ("flow_plan_then_apply", flow(false)),
        ("flow_plan_then_ask", flow(true)),
        ("flow_asks", flow_at_apply(false)),
        ("flow_approved", flow_at_apply(true)),
        ("saved_plan_then_ask", saved_plan(flow(true))),
        ("saved_plan_asks", saved_plan(flow_at_apply(false))),
        ("host_build", host_build(false)),
        ("host_cleanup", host_build(true)),
        ("invocation_done", invocation(Children { unfinished: 0, ..children })),
        ("invocation_busy", invocation(children)),
    ];
    all.extend(more.map(|(name, job)| (name.to_owned(), job)));
    all
}

/// Whether a job can get into a state at all.
fn can_be(job: &Subject, state: State) -> bool {
    let invocation = job.job.kind == JobKind::Invocation;
    match state {
        State::Waiting(WaitingFor::Approval) => job.lacks_decision(),
        State::Waiting(WaitingFor::Children) | State::Stopping { stage: None, .. } => invocation,
        State::Suspended => !invocation,
        State::Pending { resuming } => !(job.lacks_decision() || invocation && resuming),
        State::Running(stage) | State::Stopping { stage: Some(stage), .. } => {
            let suspend = state.stop_for() == Some(StopFor::Suspend);
            !job.lacks_decision() && !(invocation && (suspend || stage > Stage::Assigned))
        }
        _ => true,
    }
}

fn events(job: &Subject) -> Vec<(String, Event)> {
    let (present, other) = (job.steps.present_number().unwrap_or(1), 999);
    let mut all = vec![("claim".to_owned(), claim(job))];
    all.extend(Stage::VARIANTS.iter().map(|stage| (format!("stage {}", stage.word()), Event::Stage(*stage))));
    for (name, blame) in [("work", Blame::Work), ("platform", Blame::Platform)] {
        let reason = "It broke.".to_owned();
        all.push((format!("unpreparable {name}"), Event::Unpreparable { blame, reason: reason.clone() }));
        all.push((format!("error {name}"), Event::Error { blame, reason, exit: exit(1) }));
    }
    for (name, step) in [("present", present), ("other", other)] {
        all.push((format!("approve {name}"), Event::Approve { step, by: None }));
        all.push((format!("reject {name}"), Event::Reject { step, by: None }));
        all.push((format!("done {name}"), Event::StepDone { step, outcome: None }));
    }
    all.push((
        "done present unchanged".to_owned(),
        Event::StepDone { step: present, outcome: Some(Success::Unchanged) },
    ));
    let plain = [
        Event::NeededFailed,
        Event::Stopped { exit: exit(143) },
        Event::Lost,
        Event::KillUnanswered,
        Event::ChildrenInserted,
        Event::InitiatorGone,
        Event::ChildEnded,
        Event::Drain,
        Event::Suspend,
        Event::Resume,
        Event::Deadline,
        CANCEL,
        DELETE,
    ];
    all.extend(plain.map(|event| (event.word().to_owned(), event)));
    all.push(("cancel unexpected".to_owned(), Event::Cancel { by: Canceler::Person, expect: Some(&[]) }));
    all
}

/// Every state with every event and every kind: name of the job, of the event, and what came of it.
fn cells(state: State) -> Vec<(String, String, Subject, Result<Outcome, Refused>)> {
    let mut cells = Vec::new();
    for (name, job) in jobs() {
        if can_be(&job, state) {
            let job = in_state(job, state);
            for (word, event) in events(&job) {
                let outcome = take(&job, &event);
                cells.push((name.clone(), word, job.clone(), outcome));
            }
        }
    }
    cells
}

#[test]
fn every_event_in_every_state_of_every_kind() {
    // Refusals for no better reason than that the event does not fit are left out, and lines that are alike are one.
    let mut sections: Vec<(Vec<String>, String)> = Vec::new();
    for state in states() {
        let mut lines: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
        for (name, word, before, outcome) in cells(state) {
            if !matches!(outcome, Err(Refused::NotNow | Refused::Ended | Refused::Unexpected)) {
                let text = brief(state, &show::outcome(&before, &outcome));
                lines.entry(word).or_default().entry(text).or_default().push(name);
            }
        }
        let mut text = String::new();
        for (word, outcomes) in lines {
            text.push_str(&format!("  {word}\n"));
            for (outcome, names) in outcomes {
                text.push_str(&format!("    {outcome}\n        {}\n", together(state, &names)));
            }
        }
        match sections.iter_mut().find(|(_, other)| *other == text) {
            Some((states, _)) => states.push(show::state(state)),
            None => sections.push((vec![show::state(state)], text)),
        }
    }
    let text: String = sections.iter().map(|(states, text)| format!("{}\n{text}\n", states.join(", "))).collect();
    insta::assert_snapshot!(text);
}

/// Names of jobs; those that behave alike throughout, and all of them, under one name.
fn together(state: State, names: &[String]) -> String {
    let possible = jobs().into_iter().filter(|(_, job)| can_be(job, state)).count();
    if names.len() == possible {
        return "all".to_owned();
    }
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (class, members) in ALIKE {
        if members.iter().all(|member| names.contains(member)) {
            names.retain(|name| !members.contains(name));
            names.push(class);
        }
    }
    names.join(" ")
}

const ALIKE: [(&str, &[&str]); 3] = [
    ("ONCE", &["ansible", "ansible_adhoc", "host_script", "host_ansible", "script_once"]),
    ("REPEATS", &["source_sync", "script_repeats"]),
    ("PROVISIONER_REPEATS", &["terraform_import", "terraform_dry_run"]),
];

/// A stage that is kept is not worth a line of its own, nor is what follows from every end.
fn brief(state: State, text: &str) -> String {
    let text = match state.stage() {
        Some(stage) if matches!(state, State::Stopping { .. }) => text.replace(&format!(")/{}", stage.word()), ")/·"),
        Some(stage) => text.replace(&format!("stopping({})/{}", "drain", stage.word()), "stopping(drain)/·"),
        None => text.to_owned(),
    };
    text.replace("EraseSealed SettleDependents(Failed)", "(end)")
        .replace("EraseSealed SettleDependents(Succeeded)", "(end)")
}

#[test]
fn what_is_refused_is_refused_for_a_reason_that_fits() {
    for state in states() {
        for (name, word, before, outcome) in cells(state) {
            let at = format!("{name} {} + {word}", show::state(state));
            match outcome {
                Err(Refused::Ended) => assert!(state.is_final(), "{at}"),
                Err(Refused::Stopping(why)) => assert_eq!(state.stop_for(), Some(why), "{at}"),
                Err(Refused::AlreadyStopping(why)) => assert_eq!(state.stop_for(), Some(why), "{at}"),
                Err(Refused::OtherStep) => assert!(state == APPROVAL && word.ends_with("other"), "{at}"),
                Err(Refused::Unexpected) => assert_eq!(word, "cancel unexpected", "{at}"),
                Err(Refused::NotNow) => assert!(!state.is_final(), "{at}"),
                Ok(Outcome::Same) => {}
                Ok(Outcome::Moved(after, effects)) => {
                    assert!(*after != before || !effects.is_empty(), "{at}: moved nowhere");
                    assert_eq!(after.facts, before.facts, "{at}: facts are only read");
                    assert!(!state.is_final() || after.job.state == state, "{at}: nothing leaves a final state");
                }
            }
        }
    }
}
