//! The job engine under measurement: how soon a job runs, how fast a queue is claimed, how well a log is followed. Each
//! number stands beside what the machine does without the product, measured in the same minutes.

mod claims;
mod follow;
mod queue_rows;
mod start;
pub(crate) mod table;
mod yardsticks;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::client::Connection;
use crate::product::Product;
use table::Line;
use yardsticks::Floor;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Jobs started one after the other.
    launches: usize,
    /// Lines printed at once.
    lines: u32,
    /// Lines printed one by one.
    spaced: u32,
    rounds: usize,
    /// Of claiming, at most.
    claiming: Duration,
}

pub(crate) const THOROUGH: Pace =
    Pace { launches: 200, lines: 2_000_000, spaced: 100, rounds: 3, claiming: Duration::from_secs(4) };
pub(crate) const QUICK: Pace =
    Pace { launches: 20, lines: 200_000, spaced: 10, rounds: 1, claiming: Duration::from_secs(1) };

impl std::fmt::Display for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { launches, lines, spaced, rounds, claiming } = self;
        write!(
            f,
            "Jobs: {launches} launches one after the other on an idle worker; {lines} lines at once, {spaced} one by one; \
             {rounds} round(s) of printing and of claiming for {claiming:?} at most."
        )
    }
}

const JOBS: &str = "/api/v1/jobs";
const ENDS_WITHIN: Duration = Duration::from_secs(120);
/// Between two looks at a job.
const LOOK: Duration = Duration::from_millis(1);

/// What can be seen of a running product from outside.
pub(crate) async fn outside(product: &Product, pace: &Pace) -> Result<Vec<Line>> {
    let floor = Floor::open(&product.floor).await?;
    let mut lines = start::measure(product, &floor, pace.launches).await?;
    lines.extend(follow::measure(product, pace).await?);
    Ok(lines)
}

/// Claims alone, on the PostgreSQL database of a product that has run jobs and is stopped.
pub(crate) async fn queue(url: &str, pace: &Pace) -> Result<Vec<Line>> {
    claims::measure(url, pace).await
}

/// Launches a script in the organization of the product's rows and returns the job.
async fn launch(connection: &mut Connection, product: &Product, script: &str) -> Result<Value> {
    let organization: i64 =
        product.point.rsplit('/').next().and_then(|id| id.parse().ok()).context("the organization has no number")?;
    let body = json!({
        "organization_id": organization,
        "name": "bench",
        "spec": {"kind": "script", "script": script},
    });
    let answer = connection.post(JOBS, &body).await?;
    ensure!(answer.status == 201, "POST {JOBS} answered {}: {}", answer.status, answer.body);
    Ok(serde_json::from_str(&answer.body)?)
}

/// Looks at a job until it stands as wished; the job then.
async fn until(connection: &mut Connection, path: &str, wish: impl Fn(&str) -> bool) -> Result<Value> {
    let begin = Instant::now();
    loop {
        let answer = connection.get(path).await?;
        ensure!(answer.status == 200, "GET {path} answered {}: {}", answer.status, answer.body);
        let job: Value = serde_json::from_str(&answer.body)?;
        if wish(text(&job, "status")?) {
            return Ok(job);
        }
        if begin.elapsed() > ENDS_WITHIN {
            bail!("{path} still stands like this after {ENDS_WITHIN:?}: {job}");
        }
        sleep(LOOK).await;
    }
}

/// Waits for the end of a job, which has to be a good one.
async fn ended(connection: &mut Connection, path: &str) -> Result<Value> {
    let job = until(connection, path, |status| ["succeeded", "failed", "canceled"].contains(&status)).await?;
    ensure!(job["status"] == "succeeded", "a job that measures something failed: {job}");
    Ok(job)
}

fn path_of(job: &Value) -> Result<String> {
    Ok(format!("{JOBS}/{}", job["id"].as_i64().context("the job has no number")?))
}

fn text<'a>(row: &'a Value, field: &str) -> Result<&'a str> {
    row[field].as_str().with_context(|| format!("no {field} in {row}"))
}

fn milliseconds(period: Duration) -> f64 {
    period.as_secs_f64() * 1000.0
}
