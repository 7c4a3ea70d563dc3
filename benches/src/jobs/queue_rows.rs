//! A long queue, made at once and put back between the rounds, and the claim that somebody would write by hand.

use anyhow::{Context, Result, ensure};
use tokio_postgres::{Client, NoTls, Statement};

/// What `Tags` a job has that fits nobody here; the number of its set.
pub(super) type Set = i64;

/// A connection of its own.
pub(super) async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connecting to PostgreSQL")?;
    // Ends when the client is dropped; errors reach the client as well.
    tokio::spawn(connection);
    Ok(client)
}

/// The newest script that the product has run here: every row of the queue is like it.
pub(super) async fn model(client: &Client) -> Result<(i64, Set)> {
    let newest = "SELECT id, tag_set_id FROM jobs WHERE kind = 'script' ORDER BY id DESC LIMIT 1";
    let row = client.query_opt(newest, &[]).await?.context("the product has run no job on this database")?;
    Ok((row.get(0), row.get(1)))
}

/// As many ready jobs as wished, each a copy of the model before anything happened to it. Their history begins with
/// their claim.
pub(super) async fn fill(client: &Client, model: i64, ready: i64) -> Result<()> {
    let copy = "INSERT INTO jobs (uid, created_at, updated_at, family, kind, organization_id, initiator_id, dialect, \
        launch_type, name, intent, tag_set_id, priority, state, retries_left, state_at, snapshot) \
        SELECT gen_random_uuid(), created_at, created_at, family, kind, organization_id, initiator_id, dialect, \
        launch_type, name, intent, tag_set_id, priority, 'pending', retries_left, created_at, snapshot \
        FROM jobs, generate_series(1::bigint, $2) WHERE id = $1";
    let made = client.execute(copy, &[&model, &ready]).await?;
    ensure!(made == u64::try_from(ready)?, "{made} of {ready} jobs were made");
    let queue = "INSERT INTO job_queue (job_id, hold, priority, organization_id, family, kind, tag_set_id) \
        SELECT id, 'ready', priority, organization_id, family, kind, tag_set_id FROM jobs WHERE state = 'pending'";
    client.execute(queue, &[]).await?;
    tidy(client).await
}

/// Rows in front of all others that no worker here may take. Nobody reads their jobs, so they have none.
pub(super) async fn crowd(client: &Client, set: Set, strangers: i64) -> Result<()> {
    let before = "INSERT INTO job_queue (job_id, hold, priority, family, kind, tag_set_id) \
        SELECT -number, 'ready', -1, 'script_job', 'script', $1 FROM generate_series(1::bigint, $2) number";
    client.execute(before, &[&set, &strangers]).await?;
    tidy(client).await
}

/// Everything that was claimed is ready again, and how much that was.
pub(super) async fn put_back(client: &Client) -> Result<u64> {
    let jobs = "UPDATE jobs SET state = 'pending', stage = NULL, worker_id = NULL, started_at = NULL \
        WHERE id IN (SELECT job_id FROM job_queue WHERE hold = 'claimed') AND state = 'running'";
    client.execute(jobs, &[]).await?;
    let queue = "UPDATE job_queue SET hold = 'ready', worker_id = NULL, beat = 0 WHERE hold = 'claimed'";
    let claimed = client.execute(queue, &[]).await?;
    tidy(client).await?;
    Ok(claimed)
}

/// Every round finds the tables as the one before did.
async fn tidy(client: &Client) -> Result<()> {
    for table in ["jobs", "job_queue", "job_attempts", "job_transitions"] {
        client.batch_execute(&format!("VACUUM (ANALYZE) {table}")).await?;
    }
    Ok(())
}

/// One who claims by hand: the two statements of the textbook, in a transaction.
pub(super) struct ByHand {
    client: Client,
    pick: Statement,
    take: Statement,
    set: Set,
    worker: i64,
}

impl ByHand {
    pub(super) async fn new(url: &str, set: Set, worker: i64) -> Result<Self> {
        let client = connect(url).await?;
        let pick = "SELECT job_id FROM job_queue WHERE hold = 'ready' AND tag_set_id = $1 AND kind = 'script' \
            ORDER BY priority, job_id LIMIT $2 FOR UPDATE SKIP LOCKED";
        let take =
            "UPDATE job_queue SET hold = 'claimed', attempt = attempt + 1, worker_id = $2 WHERE job_id = ANY($1)";
        let (pick, take) = (client.prepare(pick).await?, client.prepare(take).await?);
        Ok(Self { client, pick, take, set, worker })
    }

    pub(super) async fn claim(&self, slots: i64) -> Result<usize> {
        self.client.batch_execute("BEGIN").await?;
        let rows = self.client.query(&self.pick, &[&self.set, &slots]).await?;
        let jobs: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        self.client.execute(&self.take, &[&jobs, &self.worker]).await?;
        self.client.batch_execute("COMMIT").await?;
        Ok(jobs.len())
    }
}
