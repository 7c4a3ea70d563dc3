//! Who may claim what: tags, kinds, organizations, priorities.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use chandler_core::jobs::Along;
use chandler_core::jobs::link::{Hello, WorkerLink};
use chandler_core::organizations::OrganizationInput;
use chandler_model::Id;
use chandler_model::jobs::{Job, JobKind, JobKinds};
use chandler_model::tags::Tags;
use chandler_model::workers::Worker;

use crate::bench::{Bench, Custom, on_both};
use crate::support::hello;

fn tags(pairs: &[(&str, &str)], owner: &str) -> Tags {
    let map: BTreeMap<String, String> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Tags::merged([&map], owner)
}

async fn job(b: &Bench, tags: Tags) -> Result<Id<Job>> {
    let along = Along { tags, ..Along::default() };
    Ok(b.custom(&Custom { along, ..Custom::of(JobKind::Script) }).await?.id)
}

/// Whether such a worker gets anything; what it gets ends at once.
async fn gets(b: &Bench, row: &Worker) -> Result<Vec<Id<Job>>> {
    Ok(b.link.claim(row, 9).await?.into_iter().map(|mine| mine.job).collect())
}

/// The table of the Coder contract 7.2, by real claims.
#[tokio::test]
async fn a_worker_claims_what_its_tags_fit() {
    type Pairs = &'static [(&'static str, &'static str)];
    on_both(async |b| {
        let table: [(Pairs, Pairs, bool); 8] = [
            (&[], &[], true),
            (&[("region", "n"), ("dc", "1")], &[("region", "n")], true),
            (&[("region", "n")], &[("region", "n"), ("dc", "1")], false),
            (&[("region", "n")], &[("region", "m")], false),
            (&[("region", "n")], &[], false),
            (&[], &[("region", "n")], false),
            (&[("scope", "user"), ("region", "n")], &[("scope", "user")], true),
            (&[("scope", "user")], &[], false),
        ];
        for (n, (of_worker, of_job, fits)) in table.into_iter().enumerate() {
            let row = b.link.hello(&Hello { tags: tags(of_worker, "A"), ..hello(&format!("w{n}")) }).await?;
            // The set of the job may be younger than the worker.
            let id = job(&b, tags(of_job, "A")).await?;
            ensure!(gets(&b, &row).await? == if fits { vec![id] } else { vec![] }, "{of_worker:?} {of_job:?}");
            if !fits {
                b.cancel(id).await?;
            }
        }
        let row = b.link.hello(&Hello { tags: tags(&[("scope", "user")], "B"), ..hello("b") }).await?;
        let others = job(&b, tags(&[("scope", "user")], "A")).await?;
        let own = job(&b, tags(&[("scope", "user")], "B")).await?;
        ensure!(gets(&b, &row).await? == [own]);
        b.cancel(others).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn sets_that_are_made_at_the_same_time_are_all_seen() {
    on_both(async |b| {
        let mine = tags(&[("n", "0")], "");
        let row = b.link.hello(&Hello { tags: mine.clone(), ..hello("n") }).await?;
        for round in 1..=3 {
            let made: Vec<Custom> = (0..8)
                .map(|n| {
                    let along = Along { tags: tags(&[("n", &format!("{round}.{n}"))], ""), ..Along::default() };
                    Custom { along, ..Custom::of(JobKind::Script) }
                })
                .collect();
            let (a, c, d, e, _) = tokio::join!(
                b.custom(&made[0]),
                b.custom(&made[1]),
                b.custom(&made[2]),
                b.custom(&made[3]),
                // Reads the new sets meanwhile.
                b.link.claim(&row, 1)
            );
            for (n, job) in [a?, c?, d?, e?].into_iter().enumerate() {
                let fitting = Hello { tags: made[n].along.tags.clone(), ..hello(&format!("{round}.{n}")) };
                let row = b.link.hello(&fitting).await?;
                ensure!(gets(&b, &row).await? == [job.id]);
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_lowest_number_goes_first_then_the_oldest() {
    on_both(async |b| {
        let mut ids = Vec::new();
        for priority in [0, 5, -3, 0] {
            ids.push(b.custom(&Custom { priority, ..Custom::of(JobKind::Script) }).await?.id);
        }
        // Another kind comes in between.
        ids.push(b.custom(&Custom { priority: 1, ..Custom::of(JobKind::Container) }).await?.id);
        for n in [2, 0, 3, 4, 1] {
            b.claims(ids[n]).await?;
        }
        b.idle().await
    })
    .await;
}

#[tokio::test]
async fn a_worker_claims_only_its_kinds_and_its_organization() {
    on_both(async |b| {
        let script = b.custom(&Custom::of(JobKind::Script)).await?.id;
        let container = b.custom(&Custom::of(JobKind::Container)).await?.id;
        let row = b.link.hello(&Hello { kinds: JobKinds::of(&[JobKind::Container]), ..hello("k") }).await?;
        ensure!(gets(&b, &row).await? == [container]);

        let cx = b.on.admin().await?;
        let input = OrganizationInput { name: "Other".to_owned(), ..OrganizationInput::default() };
        let other = b.on.core.create_organization(&cx, input).await?.id;
        // What its key says; nobody makes such keys yet.
        let theirs = Worker { organization_id: Some(other), ..b.row.clone() };
        let ours = Worker { organization_id: Some(b.on.organization().await?.id), ..b.row.clone() };
        ensure!(gets(&b, &theirs).await?.is_empty());
        ensure!(gets(&b, &ours).await? == [script]);
        Ok(())
    })
    .await;
}
