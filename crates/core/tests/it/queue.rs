//! Who may run beside whom: keys, turns, locks, needs, and processes that do not die.

use anyhow::ensure;
use chandler_core::jobs::What;
use chandler_core::jobs::link::{Order, Report, WorkerLink};
use chandler_model::jobs::{Fault, Hold, JobKind, Stage, State, StopFor};

use crate::bench::{APPROVED, AT_ONCE, Custom, PLAN_ONLY, on_both};
use crate::support::{DONE, hello};

#[tokio::test]
async fn flows_of_a_workspace_run_one_after_the_other_in_the_order_of_their_turns() {
    on_both(async |b| {
        let (one, other) = (b.workspace("one").await?, b.workspace("other").await?);
        let mut waiting = Vec::new();
        for _ in 0..4 {
            waiting.push(b.flow(one, AT_ONCE).await?);
        }
        let apart = b.flow(other, AT_ONCE).await?;
        for id in waiting {
            let at = b.claims(id).await?;
            if b.hold(apart).await? == Some(Hold::Ready) {
                b.claims(apart).await?;
            }
            b.idle().await?;
            b.stage(at, Stage::Preparing).await?;
            ensure!(b.done(at, 1).await? == Order::Continue);
            b.idle().await?;
            ensure!(b.done(at, 2).await? == Order::Gone);
            ensure!(b.keys(id).await?.is_empty() && b.hold(id).await?.is_none());
        }
        b.nothing_forgotten().await
    })
    .await;
}

#[tokio::test]
async fn a_job_that_comes_back_keeps_its_place_before_those_that_wait_for_it() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let first = b.flow(workspace, APPROVED).await?;
        let second = b.flow(workspace, AT_ONCE).await?;
        let at = b.claims(first).await?;
        b.stage(at, Stage::Preparing).await?;
        b.done(at, 1).await?;
        b.idle().await?;
        ensure!(b.hold(second).await? == Some(Hold::Blocked), "it waits for the approval too");
        b.approve(first, 2).await?;
        let at = b.claims(first).await?;
        b.idle().await?;
        b.fails(at).await?;
        b.claims(second).await?;
        b.nothing_forgotten().await
    })
    .await;
}

#[tokio::test]
async fn a_plan_waits_for_an_apply_that_executes_but_for_no_other() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let apply = b.flow(workspace, AT_ONCE).await?;
        let beside = b.flow(workspace, PLAN_ONLY).await?;
        let at = b.claims(apply).await?;
        b.stage(at, Stage::Preparing).await?;
        let plan = b.claims(beside).await?;
        b.stage(plan, Stage::Executing).await?;
        let unclaimed = b.flow(workspace, PLAN_ONLY).await?;
        ensure!(b.hold(unclaimed).await? == Some(Hold::Ready), "the apply does not execute yet");

        b.done(at, 1).await?;
        ensure!(b.keys(apply).await? == [format!("apply:{workspace}"), format!("workspace:{workspace}")]);
        ensure!(b.hold(unclaimed).await? == Some(Hold::Blocked), "it had not begun");
        ensure!(b.beat_goes_on(plan).await?, "a plan that has begun goes on");
        let late = b.flow(workspace, PLAN_ONLY).await?;
        b.idle().await?;
        // The plan comes back while the apply executes: it waits like the others.
        b.link.report(plan, Report::Drain).await?;
        b.stopped(plan).await?;
        ensure!(b.state(beside).await? == State::Pending { resuming: false });
        b.idle().await?;

        b.done(at, 2).await?;
        for id in [beside, unclaimed, late] {
            let plan = b.claims(id).await?;
            ensure!(b.done(plan, 1).await? == Order::Gone);
        }
        b.nothing_forgotten().await
    })
    .await;
}

#[tokio::test]
async fn a_persons_lock_keeps_everybody_who_has_not_begun() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let begun = b.flow(workspace, AT_ONCE).await?;
        let at = b.claims(begun).await?;
        let ready = b.flow(workspace, PLAN_ONLY).await?;
        let next = b.flow(workspace, AT_ONCE).await?;
        ensure!(b.hold(ready).await? == Some(Hold::Ready));
        b.lock(workspace).await?;
        ensure!(b.lock(workspace).await.is_err(), "it is locked already");
        ensure!(b.hold(ready).await? == Some(Hold::Blocked));
        b.stage(at, Stage::Preparing).await?;
        b.done(at, 1).await?;
        ensure!(b.done(at, 2).await? == Order::Gone, "what runs goes on");
        b.idle().await?;
        let late = b.flow(workspace, PLAN_ONLY).await?;
        b.idle().await?;
        b.unlock(workspace).await?;
        ensure!(b.unlock(workspace).await.is_err());
        for id in [ready, next, late] {
            b.claims(id).await?;
        }
        b.nothing_forgotten().await
    })
    .await;
}

#[tokio::test]
async fn a_flow_that_returns_to_a_locked_workspace_waits() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let flow = b.flow(workspace, APPROVED).await?;
        let at = b.claims(flow).await?;
        b.lock(workspace).await?;
        b.done(at, 1).await?;
        b.approve(flow, 2).await?;
        ensure!(b.hold(flow).await? == Some(Hold::Blocked));
        b.unlock(workspace).await?;
        b.claims(flow).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn jobs_of_one_playbook_run_one_at_a_time_unless_it_says_otherwise() {
    on_both(async |b| {
        let (alone, together) = (b.playbook("alone", false).await?, b.playbook("together", true).await?);
        let first = b.launch(What::Template(alone), None).await?;
        let second = b.launch(What::Template(alone), None).await?;
        let third = b.launch(What::Template(alone), None).await?;
        let free = [b.launch(What::Template(together), None).await?, b.launch(What::Template(together), None).await?];
        let at = b.claims(first).await?;
        for id in free {
            b.claims(id).await?;
        }
        b.idle().await?;
        b.cancel(second).await?;
        b.idle().await?;
        b.link.report(at, DONE).await?;
        b.claims(third).await?;
        b.nothing_forgotten().await
    })
    .await;
}

#[tokio::test]
async fn a_job_waits_for_the_success_of_the_one_that_it_needs() {
    on_both(async |b| {
        let needed = b.custom(&Custom::of(JobKind::Script)).await?.id;
        let needing = b.custom(&Custom::of(JobKind::Script).needing(needed)).await?.id;
        ensure!(b.hold(needing).await? == Some(Hold::Blocked));
        let at = b.claims(needed).await?;
        b.idle().await?;
        b.link.report(at, DONE).await?;
        b.claims(needing).await?;
        let late = b.custom(&Custom::of(JobKind::Script).needing(needed)).await?.id;
        b.claims(late).await?;
        b.nothing_forgotten().await
    })
    .await;
}

#[tokio::test]
async fn a_job_fails_with_the_one_that_it_needs() {
    on_both(async |b| {
        let of = || Custom::of(JobKind::Script);
        let needed = b.custom(&of()).await?.id;
        let needing = b.custom(&of().needing(needed)).await?.id;
        let far = b.custom(&of().needing(needing)).await?.id;
        let suspended = b.custom(&of().needing(needed)).await?.id;
        b.suspend(suspended).await?;
        let at = b.claims(needed).await?;
        b.fails(at).await?;
        for id in [needing, far, suspended] {
            let failed = b.job(id).await?;
            ensure!(failed.state == State::Failed(Fault::Dependency) && failed.started_at.is_none());
            ensure!(failed.error.is_some() && failed.events_complete && b.hold(id).await?.is_none());
        }
        let late = b.custom(&of().needing(needed)).await?;
        ensure!(late.state == State::Failed(Fault::Dependency), "it had failed before");

        let needed = b.custom(&of()).await?.id;
        let needing = b.custom(&of().needing(needed)).await?.id;
        b.cancel(needed).await?;
        ensure!(b.state(needing).await? == State::Failed(Fault::Dependency));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_job_that_is_deleted_after_its_success_keeps_nobody_waiting() {
    on_both(async |b| {
        let needed = b.custom(&Custom::of(JobKind::Script)).await?.id;
        let needing = b.custom(&Custom::of(JobKind::Script).needing(needed)).await?.id;
        b.suspend(needing).await?;
        let at = b.claims(needed).await?;
        b.link.report(at, DONE).await?;
        b.delete(needed).await?;
        b.resume(needing).await?;
        b.claims(needing).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_process_that_does_not_die_keeps_what_its_job_held() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let stuck = b.flow(workspace, AT_ONCE).await?;
        let next = b.flow(workspace, AT_ONCE).await?;
        let at = b.claims(stuck).await?;
        b.stage(at, Stage::Preparing).await?;
        b.cancel(stuck).await?;
        ensure!(b.link.beat(at, 1).await? == Order::Stop(StopFor::Cancel));
        // Ten minutes after the cancel.
        b.pass(601).await?;
        let ended = b.job(stuck).await?;
        ensure!(ended.state == State::Failed(Fault::Lost) && ended.error.as_deref() == Some("Cancel timed out"));
        ensure!(b.hold(stuck).await?.is_none() && !b.keys(stuck).await?.is_empty());
        b.idle().await?;
        // Deleting the job does not make the process go.
        b.delete(stuck).await?;
        b.idle().await?;
        ensure!(b.link.report(at, Report::ProcessGone).await? == Order::Gone);
        ensure!(b.keys(stuck).await?.is_empty());
        b.claims(next).await?;
        b.nothing_forgotten().await
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_starts_anew_has_ended_what_did_not_die() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let stuck = b.flow(workspace, AT_ONCE).await?;
        let next = b.flow(workspace, AT_ONCE).await?;
        let at = b.claims(stuck).await?;
        b.stage(at, Stage::Executing).await?;
        b.cancel(stuck).await?;
        b.link.report(at, Report::KillUnanswered).await?;
        ensure!(b.state(stuck).await? == State::Failed(Fault::Lost));
        b.idle().await?;
        b.link.hello(&hello("another")).await?;
        b.idle().await?;
        b.link.hello(&hello("w")).await?;
        b.claims(next).await?;
        b.nothing_forgotten().await
    })
    .await;
}

#[tokio::test]
async fn a_job_is_not_begun_again_beside_its_own_process() {
    on_both(async |b| {
        let id = b.custom(&Custom::of(JobKind::Container)).await?.id;
        let at = b.claims(id).await?;
        b.stage(at, Stage::Executing).await?;
        b.suspend(id).await?;
        b.link.report(at, Report::KillUnanswered).await?;
        ensure!(b.state(id).await? == State::Suspended);
        b.resume(id).await?;
        ensure!(b.hold(id).await? == Some(Hold::Blocked));
        b.idle().await?;
        b.nothing_forgotten().await?;
        b.link.report(at, Report::ProcessGone).await?;
        ensure!(b.claims(id).await?.number == 2);
        Ok(())
    })
    .await;
}
