//! Flows: steps, decisions, saved plans, deadlines, and what one step leaves for another.

use anyhow::ensure;
use chandler_core::jobs::Along;
use chandler_core::jobs::link::{Order, WorkerLink};
use chandler_model::ids::Selector;
use chandler_model::jobs::{Canceled, Fault, Hold, JobKind, Stage, State, StepState, Success, WaitingFor};
use chandler_model::templates::TemplateSpec;
use chandler_store::jobs::look;

use crate::bench::{APPROVED, AT_ONCE, Custom, PLAN_ONLY, flow, on_both};
use crate::support::DONE;

#[tokio::test]
async fn a_decision_names_its_step() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let id = b.flow(workspace, APPROVED).await?;
        ensure!(b.approve(id, 2).await.is_err(), "it does not wait yet");
        let at = b.claims(id).await?;
        b.stage(at, Stage::Executing).await?;
        ensure!(b.done(at, 1).await? == Order::Gone);
        ensure!(b.state(id).await? == State::Waiting(WaitingFor::Approval));
        ensure!(b.hold(id).await? == Some(Hold::Waiting));
        ensure!(b.approve(id, 1).await.is_err() && b.approve(id, 3).await.is_err() && b.reject(id, 1).await.is_err());
        ensure!(b.approve(id, 2).await? == State::Pending { resuming: false });
        ensure!(b.approve(id, 2).await.is_err(), "it was approved already");
        let at = b.claims(id).await?;
        ensure!(at.number == 2);
        b.stage(at, Stage::Executing).await?;
        ensure!(b.done(at, 1).await? == Order::Continue, "the plan was done before: nothing changes");
        b.done(at, 2).await?;
        let ended = b.job(id).await?;
        ensure!(ended.state == State::Succeeded(Some(Success::Changed)));
        let (steps, _) = b.on.core.job_steps(&b.on.admin().await?, Selector::Id(id)).await?;
        ensure!(steps.iter().all(|step| step.state == StepState::Succeeded && step.finished_at.is_some()));
        ensure!(steps[1].decision.is_some() && steps[0].decision.is_none());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_rejected_flow_has_ended_and_lets_others_pass() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let id = b.flow(workspace, APPROVED).await?;
        let next = b.flow(workspace, AT_ONCE).await?;
        let at = b.claims(id).await?;
        b.done(at, 1).await?;
        ensure!(b.reject(id, 2).await? == State::Canceled(Canceled::Rejected));
        b.claims(next).await?;
        b.nothing_forgotten().await
    })
    .await;
}

#[tokio::test]
async fn a_plan_without_changes_is_the_end() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        for steps in [APPROVED, AT_ONCE] {
            let id = b.flow(workspace, steps).await?;
            let at = b.claims(id).await?;
            b.stage(at, Stage::Executing).await?;
            ensure!(b.done_with(at, 1, Success::Unchanged).await? == Order::Gone);
            ensure!(b.state(id).await? == State::Succeeded(Some(Success::Unchanged)));
            let (steps, _) = b.on.core.job_steps(&b.on.admin().await?, Selector::Id(id)).await?;
            ensure!(steps[1].state == StepState::NotReached);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_saved_plan_keeps_nobody_waiting() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let saved = b.content(TemplateSpec::Flow(flow(APPROVED, true)), Some(workspace)).await?;
        let next = b.flow(workspace, APPROVED).await?;
        let at = b.claims(saved).await?;
        b.stage(at, Stage::Executing).await?;
        b.done(at, 1).await?;
        ensure!(b.state(saved).await? == State::Waiting(WaitingFor::Approval) && b.keys(saved).await?.is_empty());
        let deadlines = look::timers(b.on.core.db()).await?;
        ensure!(deadlines.iter().all(|timer| timer.row_id != saved.get()), "it waits as long as it wants");

        let at = b.claims(next).await?;
        b.approve(saved, 2).await?;
        ensure!(b.hold(saved).await? == Some(Hold::Blocked), "its new turn is behind the other's");
        b.done(at, 1).await?;
        b.idle().await?;
        b.reject(next, 2).await?;
        let at = b.claims(saved).await?;
        let deadlines = look::timers(b.on.core.db()).await?;
        ensure!(deadlines.iter().any(|timer| timer.row_id == saved.get() && timer.what == "deadline"));
        b.stage(at, Stage::Executing).await?;
        b.done(at, 2).await?;
        ensure!(b.state(saved).await? == State::Succeeded(Some(Success::Changed)));
        b.nothing_forgotten().await
    })
    .await;
}

#[tokio::test]
async fn a_flow_lives_six_hours() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let waits = b.flow(workspace, APPROVED).await?;
        let at = b.claims(waits).await?;
        b.done(at, 1).await?;
        let behind = b.flow(workspace, AT_ONCE).await?;
        let plan = b.flow(workspace, PLAN_ONLY).await?;
        let at = b.claims(plan).await?;
        b.stage(at, Stage::Executing).await?;
        b.pass(6 * 3600 - 1).await?;
        ensure!(!b.state(waits).await?.is_final());
        b.pass(2).await?;
        ensure!(b.state(waits).await? == State::Failed(Fault::Timeout));
        ensure!(b.state(behind).await? == State::Failed(Fault::Timeout));
        ensure!(b.state(plan).await?.stop_for().is_some());
        b.stopped(at).await?;
        ensure!(b.state(plan).await? == State::Failed(Fault::Timeout));
        ensure!(look::timers(b.on.core.db()).await?.is_empty() && look::keys(b.on.core.db()).await?.is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_step_gets_what_the_steps_before_it_left() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let id = b.flow(workspace, APPROVED).await?;
        let at = b.claims(id).await?;
        b.stage(at, Stage::Executing).await?;
        b.link.file(at, 1, "plan", b"first").await?;
        b.link.file(at, 1, "plan", b"plan \0 bytes").await?;
        b.link.file(at, 1, "plan_json", b"{}").await?;
        ensure!(look::orphans(b.on.core.db()).await? == 1, "what was replaced is orphaned");
        b.done(at, 1).await?;
        ensure!(b.link.file(at, 1, "plan", b"late").await? == Order::Gone);
        b.approve(id, 2).await?;
        let at = b.claims(id).await?;
        let materials = b.link.materials(at).await?.unwrap_or_default();
        let files: Vec<_> = materials.files.iter().map(|file| (file.step, &*file.name, &*file.bytes)).collect();
        ensure!(files == [(1, "plan", &b"plan \0 bytes"[..]), (1, "plan_json", &b"{}"[..])], "{files:?}");
        let cx = b.on.admin().await?;
        ensure!(b.on.core.job_file(&cx, Selector::Id(id), 1, "plan").await? == b"plan \0 bytes");
        b.cancel(id).await?;
        b.stopped(at).await?;
        b.delete(id).await?;
        ensure!(look::hanging(b.on.core.db(), id).await? == look::Hanging::default());
        ensure!(look::orphans(b.on.core.db()).await? == 3);
        Ok(())
    })
    .await;
}

/// The end of what it needs is not heard while it waits for a decision, so it is asked for afterwards.
#[tokio::test]
async fn an_approved_job_fails_if_what_it_needs_has_failed_meanwhile() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let model = b.flow(workspace, APPROVED).await?;
        let (mut steps, _) = b.on.core.job_steps(&b.on.admin().await?, Selector::Id(model)).await?;
        b.cancel(model).await?;
        steps[0].needs_decision = true;
        let needed = b.custom(&Custom::of(JobKind::Script)).await?.id;
        let along = Along { steps, ..Along::default() };
        let new = Custom { along, ..Custom::of(JobKind::TerraformFlow) }.needing(needed);
        let id = b.custom(&new).await?.id;
        ensure!(b.state(id).await? == State::Waiting(WaitingFor::Approval));
        b.cancel(needed).await?;
        ensure!(b.approve(id, 1).await? == State::Failed(Fault::Dependency));
        let free = b.custom(&Custom::of(JobKind::Script)).await?.id;
        b.link.report(b.claims(free).await?, DONE).await?;
        Ok(())
    })
    .await;
}
