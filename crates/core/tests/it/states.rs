//! The states of workspaces: what becomes current, what is only kept, and that nothing is lost.

use anyhow::{Result, ensure};
use chandler_core::jobs::Reaper;
use chandler_core::jobs::link::{Attempt, Order, WorkerLink};
use chandler_model::Id;
use chandler_model::ids::Selector;
use chandler_model::jobs::{Fault, Stage, State};
use chandler_model::paging::PageRequest;
use chandler_model::workspaces::{Origin, StateVersion, Workspace};
use chandler_store::jobs::look;
use std::time::Duration;
use tokio::time::Instant;

use crate::bench::{AT_ONCE, Bench, PLAN_ONLY, on_both};

fn content(serial: i64) -> Vec<u8> {
    format!(r#"{{"version":4,"serial":{serial},"lineage":"one"}}"#).into_bytes()
}

/// All versions, oldest first.
async fn versions(b: &Bench, workspace: Id<Workspace>) -> Result<Vec<StateVersion>> {
    let page = PageRequest { after: None, limit: 100 };
    let mut rows = b.on.core.list_states(&b.on.admin().await?, Selector::Id(workspace), page).await?.rows;
    rows.reverse();
    Ok(rows)
}

/// Serial and origin of all versions, oldest first.
async fn kept(b: &Bench, workspace: Id<Workspace>) -> Result<Vec<(i64, Origin)>> {
    Ok(versions(b, workspace).await?.iter().map(|row| (row.serial.unwrap_or(0), row.origin)).collect())
}

/// What the attempt starts from.
async fn start(b: &Bench, at: Attempt) -> Result<Option<Vec<u8>>> {
    b.stage(at, Stage::Preparing).await?;
    Ok(b.link.materials(at).await?.unwrap_or_default().state)
}

/// The worker is not heard of for long enough.
async fn lose(b: &Bench) -> Result<()> {
    let (mut reaper, start) = (Reaper::default(), Instant::now());
    for second in (0..=50).step_by(5) {
        reaper.look(&b.on.core, || start + Duration::from_secs(second)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn later_versions_of_an_attempt_replace_its_earlier_ones() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let first = b.flow(workspace, AT_ONCE).await?;
        let second = b.flow(workspace, AT_ONCE).await?;
        let at = b.claims(first).await?;
        ensure!(start(&b, at).await?.is_none(), "there is none yet");
        ensure!(b.link.state(at, 3, &content(1)).await? == Order::Continue);
        b.link.state(at, 5, &content(2)).await?;
        b.link.state(at, 4, &content(9)).await?;
        b.link.state(at, 5, &content(9)).await?;
        ensure!(kept(&b, workspace).await? == [(2, Origin::Job)], "an older beat and a repeated one are dropped");
        ensure!(look::orphans(b.on.core.db()).await? == 1);
        b.done(at, 1).await?;
        b.fails(at).await?;
        // It failed, and its state counts all the same.
        let at = b.claims(second).await?;
        ensure!(start(&b, at).await? == Some(content(2)));
        b.link.state(at, 1, &content(3)).await?;
        ensure!(kept(&b, workspace).await? == [(2, Origin::Job), (3, Origin::Job)]);
        let last = versions(&b, workspace).await?.pop().map(|row| row.id);
        ensure!(b.job(second).await?.base_state_id.is_some() && b.job(second).await?.base_state_id != last);
        let Some(last) = last else { anyhow::bail!("there are two") };
        let cx = b.on.admin().await?;
        ensure!(b.on.core.state_content(&cx, Selector::Id(workspace), last).await? == content(3));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_a_zombie_hands_in_is_kept_and_never_current() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let first = b.flow(workspace, AT_ONCE).await?;
        let second = b.flow(workspace, AT_ONCE).await?;
        let zombie = b.claims(first).await?;
        start(&b, zombie).await?;
        b.link.state(zombie, 1, &content(1)).await?;
        b.done(zombie, 1).await?;
        lose(&b).await?;
        ensure!(b.state(first).await? == State::Failed(Fault::Lost));
        // Nobody has started from it yet: its own later word still counts.
        ensure!(b.link.state(zombie, 2, &content(2)).await? == Order::Gone);
        ensure!(kept(&b, workspace).await? == [(2, Origin::Job)]);

        let at = b.claims(second).await?;
        ensure!(start(&b, at).await? == Some(content(2)));
        b.link.state(zombie, 4, &content(7)).await?;
        b.link.state(zombie, 3, &content(6)).await?;
        b.link.state(zombie, 5, &content(8)).await?;
        b.link.state(at, 1, &content(3)).await?;
        b.link.state(zombie, 6, &content(9)).await?;
        ensure!(
            kept(&b, workspace).await? == [(2, Origin::Job), (9, Origin::Recovered), (3, Origin::Job)],
            "{:?}",
            kept(&b, workspace).await?
        );
        b.done(at, 1).await?;
        b.done(at, 2).await?;
        let third = b.flow(workspace, AT_ONCE).await?;
        let at = b.claims(third).await?;
        ensure!(start(&b, at).await? == Some(content(3)));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_second_attempt_overtakes_the_first() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let id = b.flow(workspace, AT_ONCE).await?;
        let first = b.claims(id).await?;
        start(&b, first).await?;
        b.link.state(first, 1, &content(1)).await?;
        // A plan may be repeated when its worker is shut down.
        b.link.report(first, chandler_core::jobs::link::Report::Drain).await?;
        b.stopped(first).await?;
        let second = b.claims(id).await?;
        ensure!(second.number == 2);
        b.link.state(first, 2, &content(2)).await?;
        ensure!(kept(&b, workspace).await? == [(1, Origin::Job), (2, Origin::Recovered)]);
        ensure!(start(&b, second).await? == Some(content(1)));
        b.link.state(second, 1, &content(3)).await?;
        b.link.state(first, 3, &content(4)).await?;
        ensure!(kept(&b, workspace).await? == [(1, Origin::Job), (4, Origin::Recovered), (3, Origin::Job)]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_plan_beside_an_apply_takes_nothing_from_it() {
    on_both(async |b| {
        let workspace = b.workspace("w").await?;
        let flow = b.flow(workspace, AT_ONCE).await?;
        let plan = b.flow(workspace, PLAN_ONLY).await?;
        let (at, beside) = (b.claims(flow).await?, b.claims(plan).await?);
        start(&b, at).await?;
        start(&b, beside).await?;
        b.link.state(beside, 1, &content(5)).await?;
        b.link.state(at, 1, &content(1)).await?;
        ensure!(kept(&b, workspace).await? == [(5, Origin::Recovered), (1, Origin::Job)]);
        Ok(())
    })
    .await;
}
