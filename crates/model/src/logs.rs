//! Job logs: runs of lines of one stream, numbered by the server (`docs/core/jobs.md` 8).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::task_events::NewTaskEvent;

/// Bytes after which a new chunk starts.
pub const CHUNK_MAX: usize = 32 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Stream {
    Stdout,
    Stderr,
    /// What Chandler itself says about the job.
    System,
}

/// How much a line matters, where whoever wrote it says so.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Level {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

/// A stored chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Position in the job's log, from 1, without gaps.
    pub seq: i64,
    pub attempt: i64,
    /// Number of the step that wrote it; none for a job without steps.
    pub step: Option<i64>,
    pub at: Timestamp,
    pub stream: Stream,
    pub level: Level,
    /// Number of its first line, from 1. A line that goes on in the next chunk is counted where it began.
    pub first_line: i64,
    /// Line ends in it.
    pub lines: i64,
    /// Position of its first byte in the job's log, from 0.
    pub first_byte: i64,
    pub bytes: Vec<u8>,
}

/// A chunk as the runner hands it in; the store numbers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChunk {
    pub at: Timestamp,
    pub step: Option<i64>,
    pub stream: Stream,
    pub level: Level,
    pub bytes: Vec<u8>,
}

/// What the runner hands in of a job's output, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Chunk(NewChunk),
    /// Of an Ansible job: what happened, with its text.
    Event(NewTaskEvent),
}
