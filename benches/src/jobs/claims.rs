//! Eight workers on a long queue, as eight server processes would: a core, a pool and a link each. What they claim is
//! never run.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, ensure};
use chandler_core::jobs::Settings;
use chandler_core::jobs::link::{Embedded, Hello, WorkerLink};
use chandler_core::secrets::Sealer;
use chandler_core::{Core, Parts, SystemClock};
use chandler_model::jobs::{JobKind, JobKinds};
use chandler_model::tags::Tags;
use chandler_model::workers::Worker;
use chandler_store::seam::DbConfig;
use chandler_store::{Db, tags};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use super::Pace;
use super::queue_rows::{self, ByHand, Set};
use super::table::{Bare, Limit, Line, Take};
use crate::product::POSTGRES;

const WORKERS: i64 = 8;
const READY: i64 = 100_000;
/// Of the rows that fit nobody.
const STRANGERS: i64 = 94_000;
/// Free slots of a worker when it claims: one, as on a busy machine, or many.
const SLOTS: [i64; 2] = [1, 16];
/// Claims per second; the design sets it for claims of any size.
const BAR: f64 = 3000.0;

/// Who claims, and how.
#[derive(Clone)]
enum Claimant {
    Product { link: Embedded, row: Worker },
    Hand(Arc<ByHand>),
}

impl Claimant {
    async fn claim(&self, slots: i64) -> Result<usize> {
        match self {
            Self::Product { link, row } => Ok(link.claim(row, slots).await?.len()),
            Self::Hand(hand) => hand.claim(slots).await,
        }
    }
}

pub(super) async fn measure(url: &str, pace: &Pace) -> Result<Vec<Line>> {
    eprintln!("{POSTGRES}: {READY} ready jobs for {WORKERS} workers");
    let client = queue_rows::connect(url).await?;
    let (model, set) = queue_rows::model(&client).await?;
    queue_rows::fill(&client, model, READY).await?;
    let (mut workers, mut hands) = (Vec::new(), Vec::new());
    for number in 1..=WORKERS {
        let (link, row) = worker(url, number).await?;
        hands.push(Claimant::Hand(Arc::new(ByHand::new(url, set, row.id.get()).await?)));
        workers.push(Claimant::Product { link, row });
    }
    let mut lines = Vec::new();
    for crowded in [false, true] {
        if crowded {
            queue_rows::crowd(&client, strangers(url).await?, STRANGERS).await?;
        }
        for slots in SLOTS {
            let behind = if crowded { format!(" behind {STRANGERS} that fit nobody") } else { String::new() };
            let what = format!("claims by {WORKERS} workers, {slots} at a time, {READY} ready{behind}");
            eprintln!("{POSTGRES}: {what}");
            let (mut ours, mut bare) = (Vec::new(), Vec::new());
            for _ in 0..pace.rounds {
                for (claimants, rates) in [(&hands, &mut bare), (&workers, &mut ours)] {
                    let (claimed, rate) = round(claimants, slots, pace.claiming).await?;
                    let really = queue_rows::put_back(&client).await?;
                    ensure!(claimed == really, "{claimed} claims were answered, {really} rows are claimed");
                    rates.push(rate);
                }
            }
            lines.push(Line {
                what,
                server: POSTGRES,
                unit: "/s",
                take: Take::Median,
                samples: ours,
                bare: Some(Bare { what: "two statements by hand", samples: bare }),
                limit: Some(Limit::AtLeast(BAR)),
            });
        }
    }
    Ok(lines)
}

/// All claim until the time is up or nothing is left: how many claims there were, and how many in a second.
async fn round(claimants: &[Claimant], slots: i64, period: Duration) -> Result<(u64, f64)> {
    let begin = Instant::now();
    let mut claiming = JoinSet::new();
    for claimant in claimants {
        let claimant = claimant.clone();
        claiming.spawn(async move {
            let (mut claimed, mut last) = (0, begin);
            while begin.elapsed() < period {
                match claimant.claim(slots).await? {
                    0 => break,
                    jobs => (claimed, last) = (claimed + jobs as u64, Instant::now()),
                }
            }
            Ok::<_, anyhow::Error>((claimed, last))
        });
    }
    let (mut claimed, mut last) = (0, begin);
    while let Some(one) = claiming.join_next().await {
        let (jobs, at) = one??;
        (claimed, last) = (claimed + jobs, last.max(at));
    }
    Ok((claimed, claimed as f64 / last.duration_since(begin).as_secs_f64()))
}

/// Another process, as far as the database can tell.
async fn worker(url: &str, number: i64) -> Result<(Embedded, Worker)> {
    let db = Db::open(&DbConfig { pool_size: 2, ..DbConfig::postgres(url) }).await?;
    // Nothing sealed is opened by a claim.
    let sealer = Sealer::new([0; 32]);
    let link = Embedded::new(Core::new(Parts { db, clock: Arc::new(SystemClock), sealer, jobs: Settings::default() }));
    let hello = Hello {
        name: format!("bench-{number}"),
        tags: Tags::default(),
        // Those of the worker that lives in the server.
        kinds: JobKinds::of(&[JobKind::Script, JobKind::Ansible, JobKind::TerraformFlow, JobKind::Container]),
        slots: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let row = link.hello(&hello).await?;
    Ok((link, row))
}

/// A set of tags that no worker here has.
async fn strangers(url: &str) -> Result<Set> {
    let wanted = Tags::merged([&BTreeMap::from([("bench".to_owned(), "stranger".to_owned())])], "");
    let db = Db::open(&DbConfig { pool_size: 1, ..DbConfig::postgres(url) }).await?;
    let set = db.write(async |tx| tags::intern(tx, &wanted).await).await?;
    Ok(set.get())
}
