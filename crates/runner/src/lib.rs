//! Running jobs: the keeper that holds a job's processes, and the sandbox they run in.
//!
//! This crate knows processes, folders and the kernel; it knows no database, no HTTP and no dialect. What a job is
//! and when it has ended is decided elsewhere, from the events told here.

pub mod executor;
pub mod keep;
pub mod mask;
pub mod recipe;
pub mod sandbox;
pub mod tools;
pub mod worker;
