//! What a request costs, as a ratio to a bare axum server that answers the same bytes on the same machine in the same
//! minute, so that the speed of the machine cancels. Every server is a process of its own; wrk drives them in turns. What
//! the job engine does stands beside what the machine does without it.
//!
//! `cargo run --release -p chandler-bench` measures and prints a Markdown table; it writes nothing into the tree.

mod bare;
mod child;
mod client;
mod cluster;
mod jobs;
mod load;
mod product;
mod report;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

/// The allocator of the product: the difference to the bare server is to be the product's own work.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures `chandler serve`: the cost per request as ratios to a bare server, and the job engine.
#[derive(Debug, Parser)]
struct Args {
    /// One short round of everything: shows that the harness works, not what the product costs.
    #[arg(long)]
    quick: bool,
    /// Exit with status 1 if a bar is not held.
    #[arg(long)]
    bars: bool,
    /// The program to measure; without it the release build of this tree is made and used.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// An empty PostgreSQL database; without it a cluster is made for the run, with fsync on.
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Where databases and logs of the run are kept, if not below the target folder. A real disk, or durable writes mean
    /// nothing; for root a folder that the account of PostgreSQL can reach.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Only this part; both without it.
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Requests, as ratios to a bare server.
    Requests,
    /// The job engine.
    Jobs,
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

#[derive(Debug, Subcommand)]
enum Role {
    /// The bare server: what the harness starts to compare with.
    #[command(hide = true)]
    Bare { answers: PathBuf },
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    // The bare server gets the runtime that the product gets: a worker per core.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(Role::Bare { answers }) = &args.role {
        runtime.block_on(bare::serve(answers))?;
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(!cfg!(debug_assertions), "a debug build measures nothing: cargo run --release -p chandler-bench");
    runtime.block_on(async {
        let (mut stop, mut end) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        // Dropping the run stops everything that it started.
        tokio::select! {
            outcome = run::run(&args) => outcome,
            _ = stop.recv() => Ok(ExitCode::from(130)),
            _ = end.recv() => Ok(ExitCode::from(143)),
        }
    })
}
