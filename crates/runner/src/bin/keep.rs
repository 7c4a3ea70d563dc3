//! The keeper as a program of its own, so that the tests of this crate can start one.

use std::process::ExitCode;

fn main() -> ExitCode {
    chandler_runner::keep::dispatch().unwrap_or_else(|| {
        eprintln!("usage: chandler-keep keep");
        ExitCode::from(2)
    })
}
