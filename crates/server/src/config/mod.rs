//! The configuration: one typed value, merged from defaults < file < environment < flags.
//!
//! [`table`] says which settings exist; this file gives each a typed field. Nothing else in the program
//! reads the environment. Whoever gets a [`Config`] may rely on every value having been checked.

mod kinds;
mod load;
mod print;
pub mod table;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

pub use kinds::Kind;
pub use load::{Error, Inputs};
pub use print::reference;
pub use values::{DatabaseUrl, Listen, Secret, Size, Span};

/// The effective configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The data directory. It need not exist yet.
    pub data: PathBuf,
    database_url: Option<DatabaseUrl>,
    /// The file with the master key, if one was named.
    pub master_key_file: Option<PathBuf>,
    /// The master key itself, if it was given; never together with `master_key_file`.
    pub master_key: Option<Secret>,
    /// What is logged.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
    /// The addresses of the listeners.
    pub listen: Listeners,
    /// The administrator of the first start.
    pub admin: Admin,
    /// Limits of HTTP.
    pub limits: Limits,
    /// Running jobs in this process.
    pub worker: Worker,
    /// Environments that the first start makes.
    pub environments: Environments,
    /// The text and source of each setting, by name, for printing.
    #[serde(skip)]
    shown: BTreeMap<&'static str, Shown>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The address of each listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listeners {
    console: Listen,
    awx: Listen,
    runai: Listen,
    foreman: Listen,
    coder: Listen,
    terrakube: Listen,
}

/// The administrator of the first start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Login.
    pub login: String,
    /// E-mail address.
    pub email: String,
    /// Password; a random one is made and printed if there is none.
    pub password: Option<Secret>,
}

/// Limits of HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Largest request body.
    pub body: Size,
    /// Longest time until an answer starts.
    pub timeout: Span,
    /// Requests worked on at a time.
    pub in_flight: usize,
    /// Open connections per listener.
    pub connections: usize,
    /// Longest time for the head of a request.
    pub header_timeout: Span,
    /// Time that running requests get when the server stops.
    pub drain: Span,
}

/// Running jobs in this process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Whether this process runs jobs.
    pub enabled: bool,
    /// How many at a time.
    pub slots: u32,
    /// Time between TERM and KILL.
    pub grace: Span,
    /// Whether jobs run without a sandbox where the kernel has none.
    pub unsandboxed: bool,
    /// What else the sandbox lets through.
    pub sandbox: Sandbox,
    /// Socket of the container runtime, or `off`; looked for if unset.
    pub container_socket: Option<String>,
    /// Memory of one container.
    pub container_memory: Option<Size>,
    /// Processes of one container.
    pub container_pids: Option<u32>,
}

/// What the sandbox of local jobs lets through besides its own rules.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sandbox {
    /// Readable paths.
    pub read: Vec<PathBuf>,
    /// Readable and writable paths.
    pub write: Vec<PathBuf>,
}

/// Environments that the first start makes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environments {
    /// Image of the managed one.
    pub control_plane_image: String,
    /// Image of the default one, if there is to be one.
    pub default_image: Option<String>,
}

/// The listeners, each with its own origin because the paths of the dialects overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Listener {
    /// Console, native API, metrics.
    Console,
    /// AWX.
    Awx,
    /// Run:ai.
    Runai,
    /// Foreman.
    Foreman,
    /// Coder.
    Coder,
    /// Terrakube.
    Terrakube,
}

/// Where a setting's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The file with this path.
    File(String),
    /// The environment variable with this name.
    Environment(String),
    /// The flag with this name.
    Flag(String),
}

#[derive(Clone, Debug)]
struct Shown {
    /// As TOML; `None` if unset. Never holds a secret.
    literal: Option<String>,
    /// Whether `literal` leaves something out and must not be read back.
    hidden: bool,
    source: Source,
}

impl Config {
    /// Merges and checks the layers. The error names every wrong setting at once, one line each.
    pub fn load(inputs: &Inputs) -> Result<Self, Error> {
        load::load(inputs)
    }

    /// The database to open: the configured one, else a SQLite file in the data directory.
    #[must_use]
    pub fn database(&self) -> DatabaseUrl {
        self.database_url.clone().unwrap_or_else(|| DatabaseUrl::Sqlite(self.data.join("chandler.db")))
    }

    /// Where the value of a setting comes from.
    #[must_use]
    pub fn source(&self, setting: &str) -> &Source {
        self.shown.get(setting).map_or(&Source::Default, |shown| &shown.source)
    }

    /// The effective configuration as TOML, each value with its source, secrets left out.
    #[must_use]
    pub fn effective(&self) -> String {
        print::effective(self)
    }
}

impl Listeners {
    /// The address of a listener.
    #[must_use]
    pub fn get(&self, listener: Listener) -> &Listen {
        match listener {
            Listener::Console => &self.console,
            Listener::Awx => &self.awx,
            Listener::Runai => &self.runai,
            Listener::Foreman => &self.foreman,
            Listener::Coder => &self.coder,
            Listener::Terrakube => &self.terrakube,
        }
    }
}

impl Listener {
    /// All of them, in the order of their default ports.
    pub const ALL: [Self; 6] = [Self::Console, Self::Awx, Self::Runai, Self::Foreman, Self::Coder, Self::Terrakube];

    /// Its short name, as in metrics and in the names of its setting and flag.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Awx => "awx",
            Self::Runai => "runai",
            Self::Foreman => "foreman",
            Self::Coder => "coder",
            Self::Terrakube => "terrakube",
        }
    }

    /// Its name as people write it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Awx => "AWX",
            Self::Runai => "Run:ai",
            Self::Foreman => "Foreman",
            Self::Coder => "Coder",
            Self::Terrakube => "Terrakube",
        }
    }

    /// The name of the setting that holds its address.
    #[must_use]
    pub fn setting(self) -> String {
        format!("listen.{}", self.name())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}
