//! The one reader of job logs: replay by chunk number, then follow.
//!
//! A follower holds no buffer: it reads what is stored, sleeps until a notice or a short poll, and reads on, so a slow
//! one loses nothing and costs no memory.

use chandler_model::Id;
use chandler_model::jobs::{Job, JobKind};
use chandler_model::logs::Chunk;
use chandler_store::jobs::rows;
use chandler_store::seam::Notice;
use chandler_store::{logs, task_events};
use tokio::sync::broadcast;

use super::JOB_NOTICE;
use crate::Core;
use crate::error::Result;

/// Chunks read at once: at most 2 MiB.
const BATCH: i64 = 64;

/// How far a reader goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To the present end.
    Replay,
    /// Until the job has ended and its log is whole.
    Follow,
}

/// Reads the log of one job in order, each chunk once.
#[derive(Debug)]
pub struct LogReader {
    core: Core,
    job: Id<Job>,
    kind: JobKind,
    seq: i64,
    mode: Mode,
    notices: broadcast::Receiver<Notice>,
}

impl LogReader {
    pub(super) fn new(core: &Core, job: Id<Job>, kind: JobKind, after: i64, mode: Mode) -> Self {
        Self { core: core.clone(), job, kind, seq: after.max(0), mode, notices: core.db().notices() }
    }

    /// The next chunks; `None` at the end. Dropping the future in between loses nothing.
    pub async fn next(&mut self) -> Result<Option<Vec<Chunk>>> {
        loop {
            // First whether it is whole, then the chunks: the other order could miss the last ones.
            let whole = match self.mode {
                Mode::Replay => true,
                Mode::Follow => rows::events_complete(self.core.db(), self.job).await?.unwrap_or(true),
            };
            let chunks = if self.kind.has_task_events() {
                task_events::as_chunks(self.core.db(), self.job, self.seq, BATCH).await?
            } else {
                logs::after(self.core.db(), self.job, self.seq, BATCH).await?
            };
            if let Some(last) = chunks.last() {
                self.seq = last.seq;
                return Ok(Some(chunks));
            }
            if whole {
                return Ok(None);
            }
            self.wait().await;
        }
    }

    /// Until something about this job is noticed, or the poll period has passed.
    async fn wait(&mut self) {
        let me = self.job.to_string();
        let noticed = async {
            loop {
                match self.notices.recv().await {
                    Ok(notice) if notice.channel == JOB_NOTICE && notice.payload == me => return,
                    Ok(_) => {}
                    // Too many to hold: ours may have been among them.
                    Err(broadcast::error::RecvError::Lagged(_)) => return,
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        // A poll that ran out and a notice mean the same: look again.
        drop(tokio::time::timeout(self.core.job_settings().timing.poll, noticed).await);
    }
}
