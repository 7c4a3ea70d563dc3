//! The program `chandler`: takes the command line apart, starts the runtime and calls what was asked for.
//!
//! Exit status: 0 done, 1 failed, 2 wrong usage (also a bad value of a flag).

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use chandler_server::cli::{Admin, Cli, Command};
use chandler_server::config::{self, Config};
use chandler_server::{admin, demo, problem, serve, telemetry};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // First of all: a keeper has to be a process with one thread, and is started for every job.
    if let Some(code) = chandler_runner::keep::dispatch() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output, mistakes to standard error; a closed pipe is no further mistake.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            let _ = problem::print(&error, &mut io::stderr().lock());
            let usage = error.downcast_ref::<config::Error>().is_some_and(config::Error::is_usage);
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Command::Config { reference: true } = cli.command {
        print(&config::reference())?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = Config::load(&cli.settings.inputs(std::env::vars_os()))?;
    if let Command::Config { .. } = cli.command {
        print(&config.effective())?;
        return Ok(ExitCode::SUCCESS);
    }
    telemetry::start(&config)?;
    let runtime = runtime()?;
    match cli.command {
        Command::Config { .. } => {}
        Command::Serve => runtime.block_on(serve::serve(config))?,
        Command::Demo(demo) => return runtime.block_on(demo::demo(config, demo)),
        Command::Migrate => print(&runtime.block_on(admin::migrate(&config))?)?,
        Command::Admin(Admin::Password { login }) => {
            print(&runtime.block_on(admin::password(&config, login.as_deref()))?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")
}

/// Writes a result to standard output. Whoever closed the pipe has read enough.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("standard output"),
        _ => Ok(()),
    }
}
