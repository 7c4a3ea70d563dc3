//! Containers by a real Podman: what a job may rely on, and that nothing of it stays.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests stand outside of #[test]")]

mod endings;
mod images;
mod job;
mod leftovers;
mod output;
mod private;
mod recipes;
mod safety;
mod specs;
