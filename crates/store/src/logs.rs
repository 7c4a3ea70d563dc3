//! Statements on log chunks: append-only, numbered at insert (`docs/core/jobs.md` 8).

use chandler_model::Id;
use chandler_model::jobs::Job;
use chandler_model::logs::{Chunk, Level, NewChunk, Stream};
use jiff::Timestamp;

use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

/// A chunk as it is stored.
struct StoredChunk {
    seq: i64,
    attempt: i64,
    step: Option<i64>,
    at: Timestamp,
    stream: Stream,
    level: Level,
    first_line: i64,
    lines: i64,
    first_byte: i64,
    data: Vec<u8>,
}

record!(StoredChunk { seq, attempt, step, at, stream, level, first_line, lines, first_byte, data });

/// Where a job's log ends: what the next chunk is numbered from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Number of the last chunk; 0 without any.
    pub seq: i64,
    /// Lines that have ended.
    pub lines: i64,
    pub bytes: i64,
}

record!(Tail { seq, lines, bytes });

static TAIL: Sql<Tail> = Sql::new(
    "SELECT seq, first_line + lines - 1 AS lines, first_byte + bytes AS bytes FROM log_chunks \
     WHERE job_id = $1 ORDER BY seq DESC LIMIT 1",
);
static INSERT: Sql<()> = Sql::new(
    "INSERT INTO log_chunks (job_id, seq, attempt, step, at, stream, level, first_line, lines, first_byte, bytes, \
     data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
);
static AFTER: Sql<StoredChunk> =
    Sql::new("SELECT {columns} FROM log_chunks WHERE job_id = $1 AND seq > $2 ORDER BY seq LIMIT $3");

static DELETE: Sql<()> = Sql::new("DELETE FROM log_chunks WHERE job_id = $1");

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&TAIL, &INSERT, &AFTER, &DELETE];

/// Where the log of a job ends. The caller holds the job's queue row.
pub async fn tail(tx: &mut Tx, job: Id<Job>) -> Result<Tail> {
    Ok(tx.optional(&TAIL, &[job.into()]).await?.unwrap_or_default())
}

/// Appends one chunk behind `tail` and returns where the log ends then.
pub async fn append(tx: &mut Tx, job: Id<Job>, attempt: i64, tail: Tail, chunk: &NewChunk) -> Result<Tail> {
    let lines = chunk.bytes.iter().filter(|byte| **byte == b'\n').count() as i64;
    let bytes = chunk.bytes.len() as i64;
    let args = [
        job.into(),
        (tail.seq + 1).into(),
        attempt.into(),
        chunk.step.into(),
        chunk.at.into(),
        chunk.stream.into(),
        chunk.level.into(),
        (tail.lines + 1).into(),
        lines.into(),
        tail.bytes.into(),
        bytes.into(),
        chunk.bytes.as_slice().into(),
    ];
    tx.exec(&INSERT, &args).await?;
    Ok(Tail { seq: tail.seq + 1, lines: tail.lines + lines, bytes: tail.bytes + bytes })
}

/// Up to `limit` chunks after a known one, in order.
pub async fn after(db: &Db, job: Id<Job>, seq: i64, limit: i64) -> Result<Vec<Chunk>> {
    let stored = db.query(&AFTER, &[job.into(), seq.into(), limit.into()]).await?;
    Ok(stored
        .into_iter()
        .map(|c| Chunk {
            seq: c.seq,
            attempt: c.attempt,
            step: c.step,
            at: c.at,
            stream: c.stream,
            level: c.level,
            first_line: c.first_line,
            lines: c.lines,
            first_byte: c.first_byte,
            bytes: c.data,
        })
        .collect())
}

/// Removes the log of a job that goes.
pub async fn delete(tx: &mut Tx, job: Id<Job>) -> Result<()> {
    tx.exec(&DELETE, &[job.into()]).await.map(drop)
}
