//! The command line of the server program: what can be asked of it, and the help that teaches it.
//!
//! The flags of settings are made from the configuration's table, so they cannot differ from it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{ArgAction, ValueParser};
use clap::error::Error;
use clap::{Arg, ArgMatches, Args, Command as ClapCommand, FromArgMatches, Parser, Subcommand};

use crate::config::Inputs;
use crate::config::table::{ENV_CONFIG, SETTINGS};

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "chandler",
    version,
    about = "One self-hosted server for organizations, environments and templates, and for the jobs that run in them.",
    after_help = AFTER_HELP,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// Settings given as flags, before or after the command.
    #[command(flatten)]
    pub settings: Settings,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  chandler demo
      A first look: runs the server in ./chandler-data, makes an organization, an environment and a
      template, runs a job with its log on the terminal, and stays up.
  chandler serve
      The native API on http://127.0.0.1:7080, everything kept in ./chandler-data.
  chandler serve --database postgres://chandler@db/chandler --listen-console 0.0.0.0:7080
      The same for a team: rows in PostgreSQL, reachable from other machines.

Environment:
  Every setting has a variable: CHANDLER_DATA, CHANDLER_DATABASE_URL, CHANDLER_LISTEN_AWX,
  CHANDLER_ADMIN_PASSWORD, CHANDLER_LOG … Flags win over them, they win over the file.
  `chandler config --reference` explains all, `chandler config` prints what holds now.";

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server until it is told to stop (SIGTERM or Ctrl-C; a second time stops at once)
    Serve,
    /// Run the server and show a job: make an organization, an environment and a template, run it, stay up
    Demo(Demo),
    /// Bring the database up to this version and end
    Migrate,
    /// Look after an installation at its machine, while no server runs on it
    #[command(subcommand)]
    Admin(Admin),
    /// Print the effective configuration with the source of each value, secrets hidden
    Config {
        /// Print the reference page of all settings instead
        #[arg(long)]
        reference: bool,
    },
}

/// What `chandler demo` can be told.
#[derive(Clone, Copy, Debug, Args)]
pub struct Demo {
    /// End with the job's result as exit status instead of staying up
    #[arg(long)]
    pub exit: bool,
}

/// What `chandler admin` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Admin {
    /// Give a user a new password (CHANDLER_ADMIN_PASSWORD, else a random one is printed) and end his tokens
    Password {
        /// Login of the user [default: the administrator of the first start]
        #[arg(long)]
        login: Option<String>,
    },
}

/// The flags of settings, as they were given.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    file: Option<PathBuf>,
    flags: Vec<(&'static str, String)>,
}

impl Settings {
    /// Everything the configuration is made of, with the given environment.
    #[must_use]
    pub fn inputs(self, environment: impl Iterator<Item = (OsString, OsString)>) -> Inputs {
        let environment: Vec<_> = environment.collect();
        let named = environment.iter().find(|(name, value)| name == ENV_CONFIG && !value.is_empty());
        let file = self.file.or_else(|| named.map(|(_, path)| PathBuf::from(path)));
        Inputs { file, environment, flags: self.flags }
    }
}

const HEADING: &str = "Settings";
const FILE: &str = "config-file";

impl Args for Settings {
    fn augment_args(command: ClapCommand) -> ClapCommand {
        let file = Arg::new(FILE)
            .long("config")
            .value_name("FILE")
            .value_parser(ValueParser::path_buf())
            .help("TOML file with settings (or CHANDLER_CONFIG)");
        let flags = SETTINGS.iter().filter_map(|setting| {
            let flag = setting.flag?;
            let help = setting.meaning.split_inclusive(['.', ';']).next().unwrap_or(setting.meaning);
            let help = help.trim_end_matches(['.', ';']);
            Some(Arg::new(setting.name).long(flag).value_name("VALUE").help(help))
        });
        std::iter::once(file)
            .chain(flags)
            .fold(command, |command, arg| command.arg(arg.global(true).action(ArgAction::Set).help_heading(HEADING)))
    }

    fn augment_args_for_update(command: ClapCommand) -> ClapCommand {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = SETTINGS.iter().filter(|setting| setting.flag.is_some());
        let flags = given.filter_map(|setting| {
            let value = matches.get_one::<String>(setting.name)?;
            Some((setting.name, value.clone()))
        });
        Ok(Self { file: matches.get_one::<PathBuf>(FILE).cloned(), flags: flags.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_sound_and_every_flag_of_the_table_exists() {
        let command = Cli::command();
        command.clone().debug_assert();
        let flags: Vec<_> = command.get_arguments().filter_map(Arg::get_long).collect();
        for setting in SETTINGS {
            assert!(setting.flag.is_none_or(|flag| flags.contains(&flag)), "{}", setting.name);
        }
    }

    #[test]
    fn settings_may_stand_before_and_after_the_command() {
        for line in ["chandler --data /d serve --config f.toml", "chandler serve --config f.toml --data /d"] {
            let inputs = parse(line).unwrap().settings.inputs(std::iter::empty());
            assert_eq!(inputs.flags, [("data", "/d".to_owned())], "{line}");
            assert_eq!(inputs.file, Some("f.toml".into()), "{line}");
        }
    }

    #[test]
    fn the_file_may_be_named_by_the_environment() {
        let inputs = |line, value: &str| {
            let environment = [(ENV_CONFIG.into(), value.into())];
            parse(line).unwrap().settings.inputs(environment.into_iter()).file
        };
        assert_eq!(inputs("chandler serve", "e.toml"), Some("e.toml".into()));
        assert_eq!(inputs("chandler serve --config f.toml", "e.toml"), Some("f.toml".into()));
        assert_eq!(inputs("chandler serve", ""), None);
    }

    #[test]
    fn mistakes_are_usage_errors() {
        for line in ["chandler", "chandler nothing", "chandler serve --nothing", "chandler serve --data"] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse("chandler --help").unwrap_err().exit_code(), 0);
    }
}
