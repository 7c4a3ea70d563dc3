//! Statements on jobs: the wide rows, the hot queue rows, and attempts with their transitions.
//!
//! In every transaction the queue row of a job is locked before its job row is read or written: the other order
//! deadlocks (`docs/core/jobs.md` 4.1 and 5).

pub mod attempts;
pub mod keys;
pub mod look;
pub mod queue;
pub mod rows;
pub mod steps;

use crate::seam::{Sql, Value};

/// A statement that writes, with its arguments: for [`Tx::exec_all`](crate::seam::Tx::exec_all).
pub type Statement = (&'static Sql<()>, Vec<Value>);
