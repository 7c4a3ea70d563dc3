//! Merges the layers of the configuration and checks every value against the table.
//!
//! The crate `config` reads TOML, merges and fills the typed fields; what is ours is that each wrong value
//! and each unknown name becomes one line that says what, where from and what was expected.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use config::builder::DefaultState;
use config::{ConfigBuilder, File, FileFormat, Map, Source as _, Value, ValueKind};

use super::print::literal;
use super::table::{ENV_CONFIG, ENV_PREFIX, ENV_TESTS, Preset, SETTINGS, Setting};
use super::{Config, DatabaseUrl, Listen, Listener, Shown, Source};

/// What the configuration is made of besides the defaults.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The TOML file to read.
    pub file: Option<PathBuf>,
    /// The environment. Variables of other programs are ignored; empty ones count as unset.
    pub environment: Vec<(OsString, OsString)>,
    /// The flags that were given, by setting name.
    pub flags: Vec<(&'static str, String)>,
}

/// Why there is no configuration: one line for each thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    lines: Vec<String>,
    flag: bool,
}

impl Error {
    /// Whether a flag is wrong, so that it is an error of usage.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        self.flag
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lines.as_slice() {
            [line] => f.write_str(line),
            lines => {
                write!(f, "{} things are wrong in the configuration:", lines.len())?;
                lines.iter().try_for_each(|line| write!(f, "\n  {line}"))
            }
        }
    }
}

impl std::error::Error for Error {}

pub(super) fn load(inputs: &Inputs) -> Result<Config, Error> {
    let mut merge = Merge {
        builder: config::Config::builder(),
        shown: BTreeMap::new(),
        wrong: Error { lines: Vec::new(), flag: false },
    };
    merge.defaults();
    if let Some(path) = &inputs.file {
        merge.file(path);
    }
    merge.environment(&inputs.environment);
    for (name, text) in &inputs.flags {
        let flag = Setting::find(name).and_then(|setting| setting.flag).unwrap_or(name);
        merge.put(name, Source::Flag(flag.to_owned()), &Value::from(text.as_str()));
    }
    merge.finish()
}

struct Merge {
    builder: ConfigBuilder<DefaultState>,
    shown: BTreeMap<&'static str, Shown>,
    wrong: Error,
}

impl Merge {
    fn defaults(&mut self) {
        for setting in SETTINGS {
            let text = match setting.default {
                Preset::Is(text) => text.to_owned(),
                Preset::Cores => std::thread::available_parallelism().map_or(1, usize::from).to_string(),
                Preset::Unset(_) => {
                    let shown = Shown { literal: None, hidden: false, source: Source::Default };
                    self.shown.insert(setting.name, shown);
                    continue;
                }
            };
            self.put(setting.name, Source::Default, &Value::from(text));
        }
    }

    fn file(&mut self, path: &Path) {
        let shown = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.fail(format!("cannot read the configuration file {shown}: {error}")),
        };
        match File::from_str(&text, FileFormat::Toml).collect() {
            Ok(values) => self.table("", &values, &shown),
            Err(error) => self.fail(format!("{shown} is no valid TOML: {}", without_excerpt(&error.to_string()))),
        }
    }

    /// Walks the tables of the file down to the settings.
    fn table(&mut self, prefix: &str, values: &Map<String, Value>, file: &str) {
        let mut entries: Vec<_> = values.iter().collect();
        entries.sort_by_key(|(key, _)| *key);
        for (key, value) in entries {
            let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            let is_section = SETTINGS.iter().any(|setting| is_below(setting.name, &name));
            match (&value.kind, is_section, Setting::find(&name)) {
                (ValueKind::Table(inner), true, _) => self.table(&name, inner, file),
                (_, true, _) => self.fail(format!("`{name}` in {file} is a section: write `[{name}]` on its own line")),
                (_, false, Some(_)) => self.put(&name, Source::File(file.to_owned()), value),
                (ValueKind::Table(inner), false, None) if !inner.is_empty() => self.table(&name, inner, file),
                (_, false, None) => {
                    let near = nearest(&name, SETTINGS.iter().map(|setting| setting.name.to_owned()));
                    self.fail(unknown(&format!("setting `{name}` in {file}"), near));
                }
            }
        }
    }

    fn environment(&mut self, variables: &[(OsString, OsString)]) {
        let mut variables: Vec<_> = variables.iter().collect();
        variables.sort();
        for (name, value) in variables {
            let name = name.to_string_lossy();
            let ours = name.starts_with(ENV_PREFIX) && !name.starts_with(ENV_TESTS) && name != ENV_CONFIG;
            if !ours || value.is_empty() {
                continue;
            }
            let Some(setting) = SETTINGS.iter().find(|setting| setting.env() == name) else {
                let near = nearest(&name, SETTINGS.iter().map(Setting::env));
                self.fail(unknown(&format!("environment variable {name}"), near));
                continue;
            };
            match value.to_str() {
                Some(text) => self.put(setting.name, Source::Environment(name.into_owned()), &Value::from(text)),
                None => self.fail(format!("the environment variable {name} is not UTF-8 text")),
            }
        }
    }

    /// Lays a value over the layers below.
    fn put(&mut self, name: &str, source: Source, raw: &Value) {
        let Some(setting) = Setting::find(name) else {
            return self.fail(format!("there is no setting `{name}`"));
        };
        let Some(value) = setting.kind.read(raw) else {
            self.wrong.flag |= matches!(source, Source::Flag(_));
            let got = if setting.kind.is_hidden() { String::new() } else { format!(", not {}", literal(&raw.kind)) };
            return self.fail(format!("`{name}` ({source}): expected {}{got}", setting.kind.expected()));
        };
        let (text, hidden) = shown(setting, &value);
        let shown = Shown { literal: Some(text), hidden, source };
        match std::mem::take(&mut self.builder).set_override(setting.name, Value::new(None, value)) {
            Ok(builder) => self.builder = builder,
            Err(error) => self.fail(format!("`{name}`: {error}")),
        }
        self.shown.insert(setting.name, shown);
    }

    fn fail(&mut self, line: String) {
        self.wrong.lines.push(line);
    }

    fn finish(mut self) -> Result<Config, Error> {
        if self.wrong.lines.is_empty() {
            match self.builder.build().and_then(config::Config::try_deserialize::<Config>) {
                Ok(config) => {
                    let config = Config { shown: self.shown, ..config };
                    self.wrong.lines.extend(contradictions(&config));
                    if self.wrong.lines.is_empty() {
                        return Ok(config);
                    }
                }
                Err(error) => self.wrong.lines.push(error.to_string()),
            }
        }
        Err(self.wrong)
    }
}

/// What is wrong although each value by itself is right.
fn contradictions(config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    if config.master_key.is_some() && config.master_key_file.is_some() {
        let (key, file) = (config.source("master_key"), config.source("master_key_file"));
        lines.push(format!("both `master_key` ({key}) and `master_key_file` ({file}) are set: keep one"));
    }
    if Listener::ALL.iter().all(|listener| *config.listen.get(*listener) == Listen::Off) {
        lines.push(
            "every listener is `off`: give at least one an address, such as `--listen-console 127.0.0.1:7080`".into(),
        );
    }
    lines
}

/// The value as it may be shown, and whether something was left out.
fn shown(setting: &Setting, value: &ValueKind) -> (String, bool) {
    let whole = literal(value);
    let safe = match value {
        ValueKind::String(text) if setting.kind.is_hidden() => match text.parse::<DatabaseUrl>() {
            Ok(url) if setting.kind == super::Kind::Database => literal(&ValueKind::String(url.to_string())),
            _ => literal(&ValueKind::from("hidden")),
        },
        _ => whole.clone(),
    };
    let hidden = setting.kind == super::Kind::Secret || safe.contains("hidden") && safe != whole;
    (safe, hidden)
}

fn is_below(name: &str, section: &str) -> bool {
    name.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
}

fn unknown(what: &str, near: Option<String>) -> String {
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let stop = if near.is_empty() { ";" } else { "" };
    format!("unknown {what}{near}{stop} `chandler config --reference` lists all")
}

/// A parser's message without the lines that quote the file: the quoted line may hold a password.
fn without_excerpt(message: &str) -> String {
    let lines = message.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.contains('|')).collect::<Vec<_>>().join("; ")
}

/// The candidate that was most likely meant: one that goes on where `name` ends, else the one that differs in the
/// fewest letters, if those are few.
fn nearest(name: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let (unlike, distance, candidate) =
        candidates.map(|candidate| (!candidate.starts_with(name), distance(name, &candidate), candidate)).min()?;
    (!unlike || distance <= 2.max(name.len() / 4)).then_some(candidate)
}

/// Letters to insert, delete or replace to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let cost = (corner + usize::from(x != *y)).min(*cell + 1).min(left + 1);
            corner = std::mem::replace(cell, cost);
            left = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
