//! What an attempt hands in while it runs: the state of its workspace, and what its steps leave.

use chandler_model::Id;
use chandler_model::jobs::Job;
use chandler_model::workspaces::{Origin, STATE_MAX, Workspace};
use chandler_store::blobs::Blob;
use chandler_store::jobs::{queue, rows, steps};
use chandler_store::states::{self, Held, New};
use chandler_store::{Tx, blobs};
use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::link::{Attempt, Order};
use super::sealed_blobs::{self, Prepared};
use super::{JOB_NOTICE, link};
use crate::Core;
use crate::error::Result;

/// Most bytes of one file of a step.
const FILE_MAX: usize = 64 * 1024 * 1024;

/// What a Terraform state says of itself.
#[derive(Debug, Default, Deserialize)]
struct Head {
    serial: Option<i64>,
    lineage: Option<String>,
}

/// Takes a state in. It becomes current only if current is still what the attempt started from, or the attempt's own,
/// and nobody has started from current since; otherwise it is kept as recovered, never merged, never dropped.
pub(super) async fn state(core: &Core, attempt: Attempt, beat: i64, clear: &[u8], now: Timestamp) -> Result<()> {
    if clear.len() > STATE_MAX {
        // Sent again it would be as long, so this is no error for the worker.
        tracing::error!(job = %attempt.job, bytes = clear.len(), "a state is too long to be kept");
        return Ok(());
    }
    // The file is written in place: one that is no JSON was caught half written, and a whole one follows.
    let Ok(head) = serde_json::from_slice::<Head>(clear) else { return Ok(()) };
    let prepared = sealed_blobs::prepare(core, clear)?;
    let digest = digest(clear);
    core.db()
        .write(async |tx| {
            let Some(workspace) = rows::workspace(tx, attempt.job).await? else { return Ok(()) };
            enter(tx, workspace).await?;
            // Its own words come one after the other.
            queue::lock(tx, attempt.job).await?;
            let current = states::current(tx, workspace).await?;
            let origin = origin(tx, attempt, workspace, current.as_ref()).await?;
            // Whatever became of it: an older one than it has handed in before is dropped.
            if states::last_beat(tx, attempt.job, attempt.number).await?.is_some_and(|known| known >= beat) {
                return Ok(());
            }
            let before = states::of_attempt(tx, attempt.job, attempt.number, origin).await?;
            // An apply that changed nothing is no new version.
            let latest = before.as_ref().or(current.as_ref().filter(|_| origin == Origin::Job));
            if latest.is_some_and(|latest| latest.sha256.as_deref() == Some(digest.as_str())) {
                return Ok(());
            }
            let blob = sealed_blobs::insert(tx, &prepared, now).await?;
            let new = New {
                by: None,
                workspace,
                serial: head.serial,
                lineage: head.lineage.as_deref(),
                sha256: &digest,
                size: prepared.size,
                blob,
                job: Some((attempt.job, attempt.number, beat)),
                origin,
            };
            match before {
                Some(before) => {
                    states::replace(tx, before.id, now, beat, &new).await?;
                    orphan(tx, before.blob_id, now).await?;
                }
                None => drop(states::insert(tx, core.uid(), now, &new).await?),
            }
            Ok(tx.notify(JOB_NOTICE, attempt.job.to_string())?)
        })
        .await
}

/// Whether what this attempt hands in is current now, or only kept.
async fn origin(tx: &mut Tx, attempt: Attempt, workspace: Id<Workspace>, current: Option<&Held>) -> Result<Origin> {
    let Some(base) = states::base(tx, attempt.job).await? else { return Ok(Origin::Recovered) };
    let own = current.is_some_and(|c| c.job_id == Some(attempt.job) && c.attempt == Some(attempt.number));
    let untouched = current.map(|c| c.id) == base.base_state_id;
    // A later attempt has taken its base; so has another job since.
    let overtaken = base.attempt != attempt.number
        || match base.base_turn {
            Some(turn) => states::taken_since(tx, workspace, turn, attempt.job).await?,
            None => true,
        };
    Ok(if (own || untouched) && !overtaken { Origin::Job } else { Origin::Recovered })
}

async fn orphan(tx: &mut Tx, blob: Option<Id<Blob>>, now: Timestamp) -> Result<()> {
    match blob {
        Some(blob) => Ok(blobs::orphan(tx, blob, now).await?),
        None => Ok(()),
    }
}

/// Takes the lock of a workspace's states.
pub(super) async fn enter(tx: &mut Tx, workspace: Id<Workspace>) -> Result<()> {
    Ok(tx.lock(&format!("state:{workspace}")).await?)
}

/// Takes in what a step leaves; only of the attempt that holds the job.
pub(super) async fn file(
    core: &Core,
    attempt: Attempt,
    step: i64,
    name: &str,
    clear: &[u8],
    now: Timestamp,
) -> Result<Order> {
    if clear.len() > FILE_MAX {
        tracing::error!(job = %attempt.job, name, bytes = clear.len(), "a file of a step is too long to be kept");
        return core.db().write(async |tx| link::order(tx, attempt).await).await;
    }
    let prepared: Prepared = sealed_blobs::prepare(core, clear)?;
    core.db()
        .write(async |tx| {
            let Some(job): Option<Job> = link::held(tx, attempt).await? else { return Ok(Order::Gone) };
            let before = steps::file(tx, job.id, step, name).await?;
            let blob = sealed_blobs::insert(tx, &prepared, now).await?;
            let file = steps::File { step, name: name.to_owned(), blob_id: blob, size: prepared.size };
            steps::put_file(tx, job.id, &file).await?;
            orphan(tx, before.map(|before| before.blob_id), now).await?;
            Ok(link::order_of(job.state))
        })
        .await
}

/// What tells two contents apart, as it is shown.
fn digest(clear: &[u8]) -> String {
    Sha256::digest(clear).iter().map(|byte| format!("{byte:02x}")).collect()
}
