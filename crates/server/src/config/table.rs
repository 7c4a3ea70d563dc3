//! The one table of settings: name, form, flag, default and meaning of each.
//!
//! Everything else follows from it: which environment variable sets what, which flags exist, what a bad
//! value is told, what `chandler config` prints and hides, and `docs/reference/configuration.md`. A new
//! setting is a row here and a field of [`Config`](super::Config).

use super::kinds::Kind;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its dotted name, as written in the file.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// Its flag without the dashes, if it has one. Secrets have none: other users of a machine see flags.
    pub flag: Option<&'static str>,
    /// What holds if nobody sets it.
    pub default: Preset,
    /// What it does, as a sentence for the person who operates the server.
    pub meaning: &'static str,
}

/// What holds if nobody sets a setting.
#[derive(Clone, Copy, Debug)]
pub enum Preset {
    /// This value.
    Is(&'static str),
    /// As many as the process may use processor cores.
    Cores,
    /// It stays unset, and that means this.
    Unset(&'static str),
}

impl Setting {
    /// The environment variable of this setting: `CHANDLER_`, then the name in capitals with `_` for dots.
    #[must_use]
    pub fn env(&self) -> String {
        format!("{ENV_PREFIX}{}", self.name.replace('.', "_").to_uppercase())
    }

    /// The setting with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }
}

/// Every environment variable of Chandler starts with this.
pub const ENV_PREFIX: &str = "CHANDLER_";

/// Names the configuration file, like the flag `--config`; it is the one variable that is no setting.
pub const ENV_CONFIG: &str = "CHANDLER_CONFIG";

/// Variables that start with this belong to the test suite and are ignored.
pub const ENV_TESTS: &str = "CHANDLER_TEST_";

const fn row(name: &'static str, kind: Kind, flag: &'static str, default: Preset, meaning: &'static str) -> Setting {
    let flag = if flag.is_empty() { None } else { Some(flag) };
    Setting { name, kind, flag, default, meaning }
}

use Preset::{Cores, Is, Unset};

/// All settings, in the order in which they are printed: those without a section first, as TOML demands.
#[rustfmt::skip] // one setting stays one or two lines
pub static SETTINGS: &[Setting] = &[
    row("data", Kind::Path, "data", Is("./chandler-data"),
        "Directory of everything the server keeps in files; made on first start, for its own user only."),
    row("database_url", Kind::Database, "database", Unset("the SQLite file `chandler.db` in the data directory"),
        "Where rows are kept: `postgres://user:password@host/name` or `sqlite:PATH`."),
    row("master_key_file", Kind::Path, "master-key-file",
        Unset("`master.key` in the data directory, made on first start"),
        "File with the key that seals secrets in the database. Losing it loses every stored secret."),
    row("master_key", Kind::Secret, "", Unset("the key file is used"),
        "The same key itself, instead of a file."),
    row("log", Kind::Filter, "log", Is("info"),
        "What is logged to standard error: a level, or levels per part such as `info,chandler_store=debug`."),
    row("log_format", Kind::OneOf(&["text", "json"]), "log-format", Is("text"),
        "`text` for people, `json` for collectors (one object per line)."),
    row("listen.console", Kind::Listen, "listen-console", Is("127.0.0.1:7080"),
        "Address of the console, the native API and `/metrics`. `off` closes it; port 0 takes a free port."),
    row("listen.awx", Kind::Listen, "listen-awx", Is("127.0.0.1:7081"), "Address of the AWX dialect."),
    row("listen.runai", Kind::Listen, "listen-runai", Is("127.0.0.1:7082"), "Address of the Run:ai dialect."),
    row("listen.foreman", Kind::Listen, "listen-foreman", Is("127.0.0.1:7083"), "Address of the Foreman dialect."),
    row("listen.coder", Kind::Listen, "listen-coder", Is("127.0.0.1:7084"), "Address of the Coder dialect."),
    row("listen.terrakube", Kind::Listen, "listen-terrakube", Is("127.0.0.1:7085"),
        "Address of the Terrakube dialect."),
    row("admin.login", Kind::Word, "", Is("admin"), "Login of the administrator that the first start makes."),
    row("admin.email", Kind::Email, "", Is("admin@example.com"), "E-mail address of that administrator."),
    row("admin.password", Kind::Secret, "", Unset("random, printed once by the first start"),
        "Password of that administrator. It is read on first start only; `chandler admin password` changes it later."),
    row("limits.body", Kind::Size, "", Is("4 MiB"), "Largest request body, except on routes that take files."),
    row("limits.timeout", Kind::Span, "", Is("30s"), "Longest time until an answer starts."),
    row("limits.in_flight", Kind::Count { min: 1, max: 100_000 }, "", Is("512"),
        "Requests worked on at a time; more are refused as overloaded."),
    row("limits.connections", Kind::Count { min: 1, max: 100_000 }, "", Is("500"),
        "Open connections per listener; more wait. The limit of open files of the process has to allow them."),
    row("limits.header_timeout", Kind::Span, "", Is("15s"),
        "Longest time for the head of a request to arrive; also how long an idle connection stays open."),
    row("limits.drain", Kind::Span, "", Is("30s"),
        "Time that running requests get when the server stops; then they are cut."),
    row("worker.enabled", Kind::Switch, "", Is("true"), "Whether this process runs jobs itself."),
    row("worker.slots", Kind::Count { min: 1, max: 10_000 }, "", Cores, "Jobs that it runs at a time."),
    row("worker.grace", Kind::Span, "", Is("10s"),
        "Time between asking a job to stop (TERM) and ending it (KILL)."),
    row("worker.unsandboxed", Kind::Switch, "", Is("false"),
        "Runs local jobs without a sandbox where the kernel has none. Such a job can do whatever the server's user can."),
    row("worker.container_socket", Kind::Word, "",
        Unset("the first that answers of Podman's own of this user, `/run/podman/podman.sock`, `/var/run/docker.sock`"),
        "Socket of Podman or Docker, which runs the jobs whose environment names an image. `off`: such jobs fail."),
    row("worker.container_memory", Kind::Size, "", Unset("no limit of ours"),
        "Memory that the container of a job may use."),
    row("worker.container_pids", Kind::Count { min: 1, max: 1_000_000 }, "", Unset("no limit of ours"),
        "Processes and threads that the container of a job may have."),
    row("worker.sandbox.read", Kind::Paths, "", Is(""),
        "Further files and directories that local jobs may read."),
    row("worker.sandbox.write", Kind::Paths, "", Is(""),
        "Further files and directories that local jobs may change."),
    row("environments.control_plane_image", Kind::Word, "", Is("quay.io/ansible/awx-ee:24.6.1"),
        "Image of the managed environment `Control Plane Execution Environment` that the first start makes."),
    row("environments.default_image", Kind::Word, "", Unset("no such environment is made"),
        "Image of a second environment that the first start makes, for jobs that name none."),
];
