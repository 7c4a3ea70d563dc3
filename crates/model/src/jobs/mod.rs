//! Jobs: what was asked for (`Job`), what the runner is told (`Intent`), and where it stands (`State`, `JobStep`).

mod kind;
mod row;
mod state;
mod step;

pub use kind::{JobFamily, JobKind, JobKinds, Repeat};
pub use row::{AnsibleIntent, ContainerIntent, Intent, Job, LaunchType, ScriptIntent, Snapshot, TerraformIntent};
pub use state::{Canceled, Canceler, Fault, Hold, KeyMode, Stage, State, StateColumns, StopFor, Success, WaitingFor};
pub use step::{Decision, JobStep, StepKind, StepState, Verdict};
