//! The store on both engines. Every test makes its own databases and leaves none behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod databases;
mod migrate;
mod seam;
mod seam_commits;
mod seam_contention;
mod seam_notices;
mod seam_statements;
