//! The guard of containers alone, so that the tests of this crate need no product.

use std::process::ExitCode;

fn main() -> ExitCode {
    chandler_runner::keep::dispatch().unwrap_or(ExitCode::FAILURE)
}
