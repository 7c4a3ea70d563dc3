//! Jobs under a real keeper: what arrives, what is refused, and that nothing is left running.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests stand outside of #[test]")]

mod ansible;
mod confinement;
mod endings;
mod job;
mod leftovers;
mod ordinary;
mod output;
mod recipes;
mod terraform;
mod worker;
