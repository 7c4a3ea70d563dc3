//! Task events: what an Ansible job did, and the text that it printed, once (`docs/core/jobs.md` 8).
//!
//! Every line of output belongs to exactly one event; the log of an Ansible job is the texts of its events in order.

use jiff::Timestamp;
use uuid::Uuid;

use crate::RawJson;

/// An event as the runner hands it in; the store numbers it and its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTaskEvent {
    pub at: Timestamp,
    pub uuid: Uuid,
    /// Task → play → playbook; results → task.
    pub parent_uuid: Option<Uuid>,
    /// Ansible's word: `playbook_on_task_start`, `runner_on_ok`, …; `verbose`, `warning`, `deprecated` or `error` for
    /// text that was printed outside of a callback.
    pub event: String,
    pub host_name: Option<String>,
    pub play: Option<String>,
    pub task: Option<String>,
    pub role: Option<String>,
    pub failed: bool,
    pub changed: bool,
    /// A JSON object: what the event is about, in Ansible's own names.
    pub data: RawJson,
    /// What was printed, without the last line end. Empty if nothing was.
    pub stdout: String,
}

impl NewTaskEvent {
    /// Lines that the text fills.
    #[must_use]
    pub fn lines(&self) -> i64 {
        if self.stdout.is_empty() { 0 } else { 1 + self.stdout.bytes().filter(|byte| *byte == b'\n').count() as i64 }
    }
}

/// A stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskEvent {
    /// Position in the job, from 1, without gaps; a repeated attempt goes on.
    pub counter: i64,
    pub at: Timestamp,
    pub uuid: Uuid,
    pub parent_uuid: Option<Uuid>,
    pub event: String,
    pub host_name: Option<String>,
    pub play: Option<String>,
    pub task: Option<String>,
    pub role: Option<String>,
    pub failed: bool,
    pub changed: bool,
    pub data: RawJson,
    pub stdout: String,
    /// First line of the text in the job's output, from 0; the next event begins at `end_line`.
    pub start_line: i64,
    pub end_line: i64,
}
