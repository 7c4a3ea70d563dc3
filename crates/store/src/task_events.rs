//! Statements on task events: append-only, numbered at insert, and read as a log too.

use chandler_model::Id;
use chandler_model::jobs::Job;
use chandler_model::logs::{Chunk, Level, Stream};
use chandler_model::task_events::{NewTaskEvent, TaskEvent};
use jiff::Timestamp;

use crate::logs::Tail;
use crate::seam::{Catalogued, Db, Result, Sql, Tx, record};

record!(TaskEvent {
    counter,
    at,
    uuid,
    parent_uuid,
    event,
    host_name,
    play,
    task,
    role,
    failed,
    changed,
    data,
    stdout,
    start_line,
    end_line,
});

/// The text of an event as a piece of the log.
struct Text {
    counter: i64,
    attempt: i64,
    at: Timestamp,
    start_line: i64,
    end_line: i64,
    first_byte: i64,
    stdout: String,
}

record!(Text { counter, attempt, at, start_line, end_line, first_byte, stdout });

static TAIL: Sql<Tail> = Sql::new(
    "SELECT counter AS seq, end_line AS lines, first_byte + bytes AS bytes FROM task_events \
     WHERE job_id = $1 ORDER BY counter DESC LIMIT 1",
);
static INSERT: Sql<()> = Sql::new(
    "INSERT INTO task_events (job_id, counter, attempt, at, uuid, parent_uuid, event, host_name, play, task, role, \
     failed, changed, data, stdout, start_line, end_line, first_byte, bytes) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
);
static AFTER: Sql<TaskEvent> =
    Sql::new("SELECT {columns} FROM task_events WHERE job_id = $1 AND counter > $2 ORDER BY counter LIMIT $3");
static TEXTS_AFTER: Sql<Text> = Sql::new(
    "SELECT {columns} FROM task_events WHERE job_id = $1 AND counter > $2 AND stdout <> '' ORDER BY counter LIMIT $3",
);

static DELETE: Sql<()> = Sql::new("DELETE FROM task_events WHERE job_id = $1");

pub(crate) static STATEMENTS: &[&dyn Catalogued] = &[&TAIL, &INSERT, &AFTER, &TEXTS_AFTER, &DELETE];

/// Where the events of a job end. The caller holds the job's queue row.
pub async fn tail(tx: &mut Tx, job: Id<Job>) -> Result<Tail> {
    Ok(tx.optional(&TAIL, &[job.into()]).await?.unwrap_or_default())
}

/// Appends one event behind `tail` and returns where the events end then. `with_text` is false for a job whose log has
/// reached its limit: its events are kept, their texts are not.
pub async fn append(
    tx: &mut Tx,
    job: Id<Job>,
    attempt: i64,
    tail: Tail,
    event: &NewTaskEvent,
    with_text: bool,
) -> Result<Tail> {
    let (text, lines) = if with_text { (event.stdout.as_str(), event.lines()) } else { ("", 0) };
    // The line end that the event does not keep is a byte of the log.
    let bytes = if text.is_empty() { 0 } else { text.len() as i64 + 1 };
    let args = [
        job.into(),
        (tail.seq + 1).into(),
        attempt.into(),
        event.at.into(),
        event.uuid.into(),
        event.parent_uuid.into(),
        event.event.as_str().into(),
        event.host_name.as_deref().into(),
        event.play.as_deref().into(),
        event.task.as_deref().into(),
        event.role.as_deref().into(),
        event.failed.into(),
        event.changed.into(),
        event.data.clone().into(),
        text.into(),
        tail.lines.into(),
        (tail.lines + lines).into(),
        tail.bytes.into(),
        bytes.into(),
    ];
    tx.exec(&INSERT, &args).await?;
    Ok(Tail { seq: tail.seq + 1, lines: tail.lines + lines, bytes: tail.bytes + bytes })
}

/// Up to `limit` events after a known one, in order.
pub async fn after(db: &Db, job: Id<Job>, counter: i64, limit: i64) -> Result<Vec<TaskEvent>> {
    db.query(&AFTER, &[job.into(), counter.into(), limit.into()]).await
}

/// The same as pieces of the job's log. Events without text are passed over, so numbers may have gaps.
pub async fn as_chunks(db: &Db, job: Id<Job>, counter: i64, limit: i64) -> Result<Vec<Chunk>> {
    let texts = db.query(&TEXTS_AFTER, &[job.into(), counter.into(), limit.into()]).await?;
    Ok(texts
        .into_iter()
        .map(|text| Chunk {
            seq: text.counter,
            attempt: text.attempt,
            step: None,
            level: Level::Info,
            at: text.at,
            stream: Stream::Stdout,
            first_line: text.start_line + 1,
            lines: text.end_line - text.start_line,
            first_byte: text.first_byte,
            bytes: [text.stdout.as_bytes(), b"\n"].concat(),
        })
        .collect())
}

/// Removes the events of a job that goes.
pub async fn delete(tx: &mut Tx, job: Id<Job>) -> Result<()> {
    tx.exec(&DELETE, &[job.into()]).await.map(drop)
}
