//! Jobs: what was asked for (`Job`), what the runner is told (`Intent`), and where it stands (`State`).

mod row;
mod state;

pub use row::{Intent, Job, LaunchType, ScriptIntent, Snapshot};
pub use state::{Canceled, Fault, Hold, JobFamily, JobKind, Stage, State, StateColumns, StopFor, Success, WaitingFor};
