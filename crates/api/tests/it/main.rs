//! The native API over real databases, every test on SQLite and on PostgreSQL: whole answers, as a client sees them.

#![allow(clippy::expect_used, reason = "helpers of tests stand outside of #[test]")]

mod access;
mod catalog;
mod credentials;
mod flows;
mod input;
mod jobs;
mod kinds;
mod login;
mod logs;
mod outer;
mod support;
mod tokens;
mod workloads;
mod workspaces;
