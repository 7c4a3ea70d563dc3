//! A job's log as a sequence of texts: what both forms of `/jobs/{id}/log` are made of.

use chandler_core::jobs::{LogReader, Mode};
use chandler_core::{Core, Cx, Error};
use chandler_model::ids::Selector;
use chandler_model::jobs::Job;
use chandler_model::logs::{Chunk, Level, Stream};
use jiff::Timestamp;
use serde::Serialize;

use super::text::Decoder;
use super::words::Status;

/// Chunks before the place of a resumed stream that are read again for the sake of a character that was cut there.
/// With more chunks of other streams in between it shows as U+FFFD.
const LOOK_BACK: i64 = 16;

/// Text of one chunk.
#[derive(Debug, Serialize)]
pub(super) struct Piece {
    pub(super) seq: i64,
    stream: Stream,
    level: Level,
    /// The step that wrote it.
    step: Option<i64>,
    first_line: i64,
    first_byte: i64,
    at: Timestamp,
    pub(super) text: String,
}

/// Reads the log of one job.
#[derive(Debug)]
pub(super) struct Log {
    core: Core,
    cx: Cx,
    job: Selector<Job>,
    reader: LogReader,
    decoder: Decoder,
    /// Nothing up to this chunk is given out.
    after: i64,
    /// The last chunk that was read.
    last: Option<Chunk>,
}

impl Log {
    /// Begins after a known chunk; 0 is the beginning.
    pub(super) async fn open(core: Core, cx: Cx, job: Selector<Job>, after: i64, mode: Mode) -> Result<Self, Error> {
        let from = after.saturating_sub(LOOK_BACK).max(0);
        let reader = core.job_log(&cx, job.clone(), from, mode).await?;
        Ok(Self { core, cx, job, reader, decoder: Decoder::default(), after, last: None })
    }

    /// What comes next; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Piece>>, Error> {
        let Some(chunks) = self.reader.next().await? else { return Ok(None) };
        let mut pieces = Vec::with_capacity(chunks.len());
        for mut chunk in chunks {
            let text = self.decoder.text(chunk.stream, &chunk.bytes);
            if chunk.seq > self.after {
                pieces.push(piece(&chunk, chunk.stream, text));
            }
            chunk.bytes = Vec::new();
            self.last = Some(chunk);
        }
        Ok(Some(pieces))
    }

    /// The id of the request that reads.
    pub(super) fn request(&self) -> &str {
        &self.cx.request_id
    }

    /// The job's present status, and what was held back of a log to which nothing will be added.
    pub(super) async fn end(&mut self) -> Result<(Status, Vec<Piece>), Error> {
        let job = self.core.get_job(&self.cx, self.job.clone()).await?;
        let rest = if job.events_complete { self.decoder.rest() } else { Vec::new() };
        let last = self.last.as_ref();
        let pieces = rest.into_iter().filter_map(|(stream, text)| Some(piece(last?, stream, text))).collect();
        Ok((Status::of(job.state), pieces))
    }
}

fn piece(chunk: &Chunk, stream: Stream, text: String) -> Piece {
    let Chunk { seq, level, step, first_line, first_byte, at, .. } = *chunk;
    Piece { seq, stream, level, step, first_line, first_byte, at, text }
}
