//! The sandbox of local jobs: what a job may see and do on this machine, and putting that into force.
//!
//! A [`Plan`] is made from the spec before anything changes; the keeper then enters namespaces of its own with it
//! (`namespaces`), and the second stage gives up privileges (`privileges`) and applies the Landlock rules (`rules`).
//! Namespaces take away what Landlock cannot forbid: pathname sockets, and changing the mode or owner of files.
//! Nothing here knows the worker, the socket or signals. All `unsafe` of the crate is in `sys`.

mod namespaces;
mod open_files;
mod plan;
pub(crate) mod privileges;
mod rules;
mod support;
pub(crate) mod sys;
mod tool;

pub(crate) use namespaces::own_processes_only;
pub use open_files::open_files;
pub(crate) use plan::Plan;
pub(crate) use rules::Rules;
pub(crate) use support::main as probe_main;
pub use support::{Support, support};
