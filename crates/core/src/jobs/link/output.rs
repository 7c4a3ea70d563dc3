//! What a job writes, appended behind what it has written (`docs/core/jobs.md` 8).

use chandler_model::jobs::JobKind;
use chandler_model::logs::{Entry, Level, NewChunk, Stream};
use chandler_model::task_events::NewTaskEvent;
use chandler_model::{RawJson, logs::CHUNK_MAX};
use chandler_store::logs::{self, Tail};
use chandler_store::{Tx, task_events};
use uuid::Uuid;

use super::Attempt;
use crate::error::Result;

/// Marks where a log was cut.
const TRUNCATED: &str = "[the log ends here: it has reached the limit of this installation]";

/// Appends a batch within the limit of the job's log. The caller holds the job's queue row.
pub(super) async fn append(tx: &mut Tx, kind: JobKind, attempt: Attempt, entries: &[Entry], limit: i64) -> Result<()> {
    if kind.has_task_events() {
        events(tx, attempt, entries, limit).await
    } else {
        chunks(tx, attempt, entries, limit).await
    }
}

async fn chunks(tx: &mut Tx, attempt: Attempt, entries: &[Entry], limit: i64) -> Result<()> {
    let mut tail = logs::tail(tx, attempt.job).await?;
    for entry in entries {
        if tail.bytes > limit {
            break;
        }
        match entry {
            Entry::Chunk(chunk) => tail = append_within(tx, attempt, tail, chunk, limit).await?,
            // Only Ansible's kinds have events; of another job its text is what counts.
            Entry::Event(event) => tail = append_within(tx, attempt, tail, &text_of(event), limit).await?,
        }
    }
    Ok(())
}

/// Appends a chunk; the one that crosses the limit is cut and marked.
async fn append_within(tx: &mut Tx, attempt: Attempt, mut tail: Tail, chunk: &NewChunk, limit: i64) -> Result<Tail> {
    let room = usize::try_from(limit - tail.bytes).unwrap_or(0);
    let kept = &chunk.bytes[..chunk.bytes.len().min(room)];
    for piece in kept.chunks(CHUNK_MAX) {
        let piece = NewChunk { bytes: piece.to_vec(), ..chunk.clone() };
        tail = logs::append(tx, attempt.job, attempt.number, tail, &piece).await?;
    }
    if kept.len() == chunk.bytes.len() {
        return Ok(tail);
    }
    let bytes = format!("\n{TRUNCATED}\n").into_bytes();
    let mark = NewChunk { stream: Stream::System, level: Level::Warn, bytes, ..chunk.clone() };
    Ok(logs::append(tx, attempt.job, attempt.number, tail, &mark).await?)
}

fn text_of(event: &NewTaskEvent) -> NewChunk {
    let bytes = if event.stdout.is_empty() { Vec::new() } else { format!("{}\n", event.stdout).into_bytes() };
    NewChunk { at: event.at, step: None, stream: Stream::Stdout, level: Level::Info, bytes }
}

/// Every line of an Ansible job belongs to an event. Beyond the limit events are kept without their text.
async fn events(tx: &mut Tx, attempt: Attempt, entries: &[Entry], limit: i64) -> Result<()> {
    let mut tail = task_events::tail(tx, attempt.job).await?;
    for entry in entries {
        let event = match entry {
            Entry::Event(event) => event.clone(),
            Entry::Chunk(chunk) => event_of(chunk),
        };
        let was_within = tail.bytes <= limit;
        tail = task_events::append(tx, attempt.job, attempt.number, tail, &event, was_within).await?;
        if was_within && tail.bytes > limit {
            let mark = NewTaskEvent { stdout: TRUNCATED.to_owned(), ..plain("warning", event.at) };
            tail = task_events::append(tx, attempt.job, attempt.number, tail, &mark, true).await?;
        }
    }
    Ok(())
}

/// Text that no callback wrote.
fn event_of(chunk: &NewChunk) -> NewTaskEvent {
    let stdout = String::from_utf8_lossy(&chunk.bytes).replace('\0', "\u{fffd}");
    let word = if chunk.stream == Stream::Stderr { "error" } else { "verbose" };
    NewTaskEvent { stdout: stdout.trim_end_matches('\n').to_owned(), ..plain(word, chunk.at) }
}

fn plain(event: &str, at: jiff::Timestamp) -> NewTaskEvent {
    NewTaskEvent {
        at,
        uuid: Uuid::now_v7(),
        parent_uuid: None,
        event: event.to_owned(),
        host_name: None,
        play: None,
        task: None,
        role: None,
        failed: false,
        changed: false,
        data: RawJson("{}".to_owned()),
        stdout: String::new(),
    }
}
