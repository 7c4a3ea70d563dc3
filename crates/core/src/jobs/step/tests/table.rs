//! The table of section 3, row by row. A row of the text without a case, or a case without a row, fails.

use chandler_model::jobs::{Canceled, JobKind, State, StepKind};

use super::super::{Blame, Canceler, Effect, Event, Exit, Keys, Outcome, Refused, Steps, record, submit};
use super::cases::{ASSIGNED, DONE, Expect, cases, stopped};
use super::fixtures::*;
use super::show;

/// The first two columns of the rows of the text.
fn rows_of_the_text() -> Vec<String> {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/core/jobs.md"));
    let mut rows = Vec::new();
    for line in text.lines().skip_while(|line| !line.starts_with("| in | event |")).skip(2) {
        let Some(line) = line.strip_prefix("| ") else { break };
        rows.push(line.split(" | ").take(2).collect::<Vec<_>>().join(" | "));
    }
    rows
}

#[test]
fn every_row_of_the_text_has_its_case() {
    let mut named: Vec<&str> = cases().into_iter().map(|(row, _)| row).collect();
    // Nothing is there yet that could be stepped: see the two tests below.
    named.extend([
        "– | submit",
        "– | record: the work was done elsewhere, or there is none (Terrakube state upload, Coder orphan delete without a \
         live fitting worker)",
    ]);
    let rows = rows_of_the_text();
    let missing: Vec<_> = rows.iter().filter(|row| !named.contains(&row.as_str())).collect();
    let stale: Vec<_> = named.iter().filter(|name| !rows.iter().any(|row| row == *name)).collect();
    assert!(missing.is_empty() && stale.is_empty(), "without a case: {missing:#?}\nwithout a row: {stale:#?}");
}

#[test]
fn every_row_does_what_the_text_says() {
    for (row, cases) in cases() {
        for (n, (before, event, expect)) in cases.iter().enumerate() {
            let outcome = take(before, event);
            let fits = match (expect, &outcome) {
                (Expect::To(state), Ok(Outcome::Moved(after, _))) => after.job.state == *state,
                (Expect::Same, Ok(Outcome::Same)) | (Expect::Refused, Err(_)) => true,
                _ => false,
            };
            assert!(fits, "{row}, case {n}: {event:?} wants {expect:?}: {}", show::outcome(before, &outcome));
        }
    }
}

/// What comes of the rows besides the state, for the eye.
#[test]
fn every_row_with_its_effects() {
    let mut text = String::new();
    for (row, cases) in cases() {
        text.push_str(&format!("{row}\n"));
        for (before, event, _) in &cases {
            let (kind, from): (&str, _) = (before.job.kind.into(), show::state(before.job.state));
            let outcome = show::outcome(before, &take(before, event));
            text.push_str(&format!("    {kind} {from} + {}: {outcome}\n", event.word()));
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn submit_puts_a_job_into_the_queue() {
    let (job, effects) = submit(fresh(JobKind::TerraformBuild, Steps::Single));
    assert_eq!(job.job.state, PENDING);
    assert_eq!(show::effects(&effects), "Enqueue Keys(Take) WakeWorkers SetDeadline(Claim)");

    let mut approval_first = flow(true);
    approval_first.steps = Steps::Rows(vec![row(150, StepKind::Approval, true)]);
    let (job, effects) = submit(approval_first);
    assert_eq!(job.job.state, APPROVAL, "nobody may begin what nobody approved");
    assert_eq!(show::effects(&effects), "Enqueue Keys(Take) Hold(Waiting) SetDeadline(Flow)");
}

#[test]
fn nobody_claims_a_step_that_nobody_approved() {
    let job = flow_at_apply(false);
    assert_eq!(take(&job, &claim(&job)), Err(Refused::NotNow));
}

#[test]
fn a_process_that_is_not_known_to_be_gone_keeps_the_keys() {
    let mut job = in_state(script(false), EXECUTING);
    job.facts.process_left = true;
    let Ok(Outcome::Moved(_, effects)) = take(&job, &Event::Lost) else { panic!() };
    assert!(effects.contains(&Effect::Keys(Keys::Keep)) && !effects.contains(&Effect::Keys(Keys::GiveUp)));
}

#[test]
fn a_recorded_job_has_ended_and_was_never_queued() {
    let job = record(fresh(JobKind::TerraformBuild, Steps::Single), None, at(10));
    assert_eq!((job.job.state, job.job.finished_at), (DONE, Some(at(10))));
    assert!(job.job.events_complete && job.job.started_at.is_none());
}

#[test]
fn a_cancel_counts_only_in_the_states_that_its_caller_expects() {
    let cancel = Event::Cancel { by: Canceler::Person, expect: Some(&[PENDING]) };
    assert!(take(&script(false), &cancel).is_ok());
    let refused = take(&in_state(script(false), ASSIGNED), &cancel);
    assert_eq!(refused, Err(Refused::Unexpected));
}

#[test]
fn a_cancel_by_the_installation_itself_ends_so() {
    let by = Canceler::System;
    let before = in_state(script(false), EXECUTING);
    let Ok(Outcome::Moved(stopping, _)) = take(&before, &Event::Cancel { by, expect: None }) else { panic!() };
    let Ok(Outcome::Moved(ended, _)) = take(&stopping, &stopped()) else { panic!() };
    assert_eq!(ended.job.state, State::Canceled(Canceled::System));
}

#[test]
fn the_first_diagnostic_of_the_tool_is_appended_to_the_standard_text() {
    let event = |reason: &str, diagnostic: &str| Event::Error {
        blame: Blame::Work,
        reason: reason.to_owned(),
        exit: Exit { code: Some(1), diagnostic: Some(diagnostic.to_owned()) },
    };
    let said = |reason, diagnostic| match take(&in_state(script(false), EXECUTING), &event(reason, diagnostic)) {
        Ok(Outcome::Moved(after, _)) => after.job.error.unwrap_or_default(),
        other => panic!("{other:?}"),
    };
    assert_eq!(said("Terraform failed.", "Error: no\n"), "Terraform failed. Error: no");
    assert_eq!(said("Terraform failed", "no"), "Terraform failed: no");
    assert_eq!(said(" ", " "), "The job failed.");
}
