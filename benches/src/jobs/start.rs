//! From the answer to a launch until the job runs, on a worker that has nothing else to do. Jobs come one after the
//! other; between them the yardsticks are taken, so that both see the same machine.

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::table::{Bare, Limit, Line, Take};
use super::yardsticks::{self, Floor};
use super::{ended, launch, milliseconds, path_of, text, until};
use crate::client::Connection;
use crate::product::{Product, SQLITE};

/// Launches that only warm caches and statements.
const WARMING: usize = 3;

/// In milliseconds, one entry per job.
#[derive(Default)]
struct Seen {
    /// Between the times that the product itself notes: of the launch, and of its worker's claim.
    claimed: Vec<f64>,
    /// From the answer to the launch until a reader is answered that the job runs. A look takes a request and up to 2 ms
    /// between two of them.
    running: Vec<f64>,
    /// Between the launch and the process that stands there, as the job's history has it.
    executing: Vec<f64>,
    /// From the answer to the launch until a reader is answered that the job has succeeded.
    ended: Vec<f64>,
    commit: Vec<f64>,
    process: Vec<f64>,
}

pub(super) async fn measure(product: &Product, floor: &Floor, launches: usize) -> Result<Vec<Line>> {
    eprintln!("{}: {launches} jobs, one after the other", product.name);
    let mut connection = product.client.connect().await?;
    for _ in 0..WARMING {
        one(&mut connection, product, floor, &mut Seen::default()).await?;
    }
    let mut seen = Seen::default();
    for _ in 0..launches {
        one(&mut connection, product, floor, &mut seen).await?;
    }
    Ok(lines(product.name, &seen))
}

async fn one(connection: &mut Connection, product: &Product, floor: &Floor, seen: &mut Seen) -> Result<()> {
    seen.commit.push(milliseconds(floor.commit().await?));
    seen.process.push(milliseconds(yardsticks::process().await?));
    let path = path_of(&launch(connection, product, "true").await?)?;
    let answered = Instant::now();
    until(connection, &path, |status| status != "pending").await?;
    seen.running.push(milliseconds(answered.elapsed()));
    let job = ended(connection, &path).await?;
    seen.ended.push(milliseconds(answered.elapsed()));
    let created = time(&job, "created_at")?;
    seen.claimed.push(between(created, time(&job, "started_at")?));
    let history: Value = serde_json::from_str(&connection.get(&format!("{path}/history")).await?.body)?;
    let mut steps = history["transitions"].as_array().context("a history without transitions")?.iter();
    let executing = steps.find(|step| step["stage"] == "executing").context("the job never executed")?;
    seen.executing.push(between(created, time(executing, "at")?));
    Ok(())
}

fn lines(server: &'static str, seen: &Seen) -> Vec<Line> {
    let bar = Limit::AtMost(if server == SQLITE { 50.0 } else { 100.0 });
    let commit = Bare { what: "one durable commit", samples: seen.commit.clone() };
    let process = Bare { what: "`sh -c true`", samples: seen.process.clone() };
    let line = |what: &str, take, samples: &Vec<f64>, bare: &Bare, limit| Line {
        what: what.to_owned(),
        server,
        unit: "ms",
        take,
        samples: samples.clone(),
        bare: Some(bare.clone()),
        limit,
    };
    let mut lines = Vec::new();
    for take in [Take::Median, Take::P99] {
        let limit = (take == Take::P99).then_some(bar);
        lines.push(line("launch noted → claim noted", take, &seen.claimed, &commit, None));
        lines.push(line("launch answered → seen running", take, &seen.running, &commit, limit));
        lines.push(line("launch noted → process noted", take, &seen.executing, &process, None));
        lines.push(line("launch answered → seen succeeded", take, &seen.ended, &process, None));
    }
    lines
}

fn time(row: &Value, field: &str) -> Result<Timestamp> {
    text(row, field)?.parse().with_context(|| format!("{field} is no time"))
}

fn between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() * 1000.0
}
