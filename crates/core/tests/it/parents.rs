//! Jobs that wait for their children.

use anyhow::{Result, ensure};
use chandler_core::jobs::link::{Attempt, Order, WorkerLink};
use chandler_core::jobs::{Along, Keyring};
use chandler_model::Id;
use chandler_model::jobs::{Canceled, Fault, Hold, Job, JobKind, KeyMode, State, StopFor, WaitingFor};
use chandler_model::kinds::{Kind, Unit};
use chandler_store::jobs::keys::Key;
use chandler_store::tallies;

use crate::bench::{Bench, Custom, on_both};
use crate::support::DONE;

/// A child that nothing keeps from running.
fn child(parent: Id<Job>) -> Custom {
    Custom { parent: Some(parent), ..Custom::of(JobKind::HostScript) }
}

/// A child that runs alone among those of its number.
fn keyed(parent: Id<Job>, number: u32) -> Custom {
    let key = Key { key: format!("invocation:{parent}:{number}"), mode: KeyMode::Hold };
    let along = Along { keys: Some(Keyring { lane: "hosts".to_owned(), keys: vec![key] }), ..Along::default() };
    Custom { along, ..child(parent) }
}

async fn insert(b: &Bench, at: Attempt, children: &[Custom]) -> Result<Order> {
    let mut rows = Vec::new();
    for child in children {
        rows.push((child.row(&b.on).await?, child.along.clone()));
    }
    Ok(b.on.core.insert_children(at, &rows, b.on.core.now()).await?)
}

/// A parent that waits for that many children.
async fn family(b: &Bench, size: usize) -> Result<(Id<Job>, Vec<Attempt>)> {
    let parent = b.custom(&Custom::of(JobKind::Invocation)).await?.id;
    let at = b.claims(parent).await?;
    let children: Vec<Custom> = (0..size).map(|_| child(parent)).collect();
    ensure!(insert(b, at, &children).await? == Order::Gone);
    ensure!(insert(b, at, &children).await? == Order::Gone, "said again, it makes no more");
    let claimed = b.link.claim(&b.row, 99).await?;
    ensure!(claimed.len() == size, "{} children", claimed.len());
    Ok((parent, claimed.iter().map(crate::support::attempt).collect()))
}

#[tokio::test]
async fn a_parent_ends_as_its_children_did() {
    on_both(async |b| {
        let (parent, children) = family(&b, 3).await?;
        let counted = tallies::get(b.on.core.db(), Kind::ScriptJob, Unit::ALL).await?;
        ensure!(counted == 4, "the parent and its children are counted: {counted}");
        ensure!(b.state(parent).await? == State::Waiting(WaitingFor::Children));
        ensure!(b.hold(parent).await? == Some(Hold::Parent));
        for (n, at) in children.iter().enumerate() {
            ensure!(!b.state(parent).await?.is_final(), "{n} of 3 have ended");
            b.link.report(*at, DONE).await?;
        }
        ensure!(b.state(parent).await? == State::Succeeded(None));

        let (parent, children) = family(&b, 3).await?;
        b.fails(children[0]).await?;
        b.cancel(children[1].job).await?;
        b.stopped(children[1]).await?;
        b.link.report(children[2], DONE).await?;
        let ended = b.job(parent).await?;
        ensure!(ended.state == State::Failed(Fault::Work) && ended.error.as_deref() == Some("1 of 3 jobs failed."));

        let (parent, children) = family(&b, 2).await?;
        b.link.report(children[0], DONE).await?;
        b.cancel(children[1].job).await?;
        b.stopped(children[1]).await?;
        ensure!(b.state(parent).await? == State::Canceled(Canceled::Request));

        let (parent, _) = family(&b, 0).await?;
        ensure!(b.state(parent).await? == State::Succeeded(None) && b.hold(parent).await?.is_none());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_cancel_of_a_parent_stops_all_its_children_at_once() {
    on_both(async |b| {
        let parent = b.custom(&Custom::of(JobKind::Invocation)).await?.id;
        let at = b.claims(parent).await?;
        let children = [keyed(parent, 0), keyed(parent, 0), keyed(parent, 1), child(parent)];
        insert(&b, at, &children).await?;
        let running = b.link.claim(&b.row, 99).await?;
        ensure!(running.len() == 3, "one waits for another");
        ensure!(b.cancel(parent).await? == State::Stopping { stage: None, why: StopFor::Cancel });
        for mine in &running {
            ensure!(b.state(mine.job).await?.stop_for() == Some(StopFor::Cancel));
        }
        b.idle().await?;
        for (n, mine) in running.iter().enumerate() {
            ensure!(!b.state(parent).await?.is_final(), "{n} of 3 have ended");
            b.stopped(crate::support::attempt(mine)).await?;
        }
        ensure!(b.state(parent).await? == State::Canceled(Canceled::Request));

        // None of them had begun: all of it in one go.
        let parent = b.custom(&Custom::of(JobKind::Invocation)).await?.id;
        let at = b.claims(parent).await?;
        insert(&b, at, &[keyed(parent, 0), child(parent)]).await?;
        ensure!(b.cancel(parent).await? == State::Canceled(Canceled::Request));
        b.idle().await?;
        b.nothing_forgotten().await
    })
    .await;
}

#[tokio::test]
async fn the_end_of_the_last_child_and_the_cancel_of_its_parent_come_in_either_order() {
    on_both(async |b| {
        let (parent, children) = family(&b, 1).await?;
        b.link.report(children[0], DONE).await?;
        ensure!(b.cancel(parent).await.is_err(), "it has ended");
        ensure!(b.state(parent).await? == State::Succeeded(None));

        let (parent, children) = family(&b, 1).await?;
        b.cancel(parent).await?;
        b.link.report(children[0], DONE).await?;
        ensure!(b.state(children[0].job).await? == State::Canceled(Canceled::Request));
        ensure!(b.state(parent).await? == State::Canceled(Canceled::Request));

        // At the same time: either order is right, and both end.
        let (parent, children) = family(&b, 2).await?;
        b.link.report(children[0], DONE).await?;
        let (cancelled, reported) = tokio::join!(b.cancel(parent), b.link.report(children[1], DONE));
        reported?;
        let wanted = if cancelled.is_ok() { State::Canceled(Canceled::Request) } else { State::Succeeded(None) };
        ensure!(b.state(parent).await? == wanted);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_parent_that_is_cancelled_before_it_has_children_gets_none() {
    on_both(async |b| {
        let parent = b.custom(&Custom::of(JobKind::Invocation)).await?.id;
        let at = b.claims(parent).await?;
        ensure!(b.suspend(parent).await.is_err(), "an invocation is not suspended");
        b.cancel(parent).await?;
        ensure!(insert(&b, at, &[child(parent)]).await.is_err());
        b.idle().await?;
        b.stopped(at).await?;
        ensure!(b.state(parent).await? == State::Canceled(Canceled::Request));
        Ok(())
    })
    .await;
}
