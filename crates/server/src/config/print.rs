//! Prints the configuration: the effective one as TOML, and the reference page made from the table.
//!
//! What is hidden is printed as a comment, so that the output read back as a file never sets a password
//! to the word "hidden".

use std::fmt::Write as _;

use config::ValueKind;

use super::table::{Preset, SETTINGS, Setting};
use super::{Config, Source};

/// A value as TOML.
pub(super) fn literal(value: &ValueKind) -> String {
    match value {
        ValueKind::Nil => "nothing".into(),
        ValueKind::String(text) => quoted(text),
        ValueKind::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| literal(&item.kind)).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Table(_) => "a table".into(),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                // Writing into a String does not fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn section(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(section, _)| section)
}

pub(super) fn effective(config: &Config) -> String {
    let mut out = format!("# The effective configuration of Chandler {}.\n", env!("CARGO_PKG_VERSION"));
    let mut current = "";
    for setting in SETTINGS {
        let name = setting.name.rsplit('.').next().unwrap_or(setting.name);
        if section(setting.name) != current {
            current = section(setting.name);
            out.push_str(&format!("\n[{current}]\n"));
        }
        out.push_str(&line(config, setting, name));
    }
    out
}

fn line(config: &Config, setting: &Setting, name: &str) -> String {
    let Some(shown) = config.shown.get(setting.name) else { return String::new() };
    match (&shown.literal, setting.default) {
        (Some(literal), _) => {
            let comment = if shown.hidden { "# " } else { "" };
            let assignment = format!("{comment}{name} = {literal}");
            format!("{assignment:<44} # {}\n", shown.source)
        }
        (None, Preset::Unset(meaning)) => format!("{:<44} # {}: {meaning}\n", format!("# {name} ="), Source::Default),
        (None, _) => String::new(),
    }
}

/// The reference page of all settings, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(HEAD);
    let mut current = None;
    for setting in SETTINGS {
        if current != Some(section(setting.name)) {
            current = Some(section(setting.name));
            let title = match section(setting.name) {
                "" => "General".to_owned(),
                section => format!("`[{section}]`"),
            };
            out.push_str(&format!("\n## {title}\n\n"));
            out.push_str(
                "| Setting | Environment, flag | Form | Default | Meaning |\n| --- | --- | --- | --- | --- |\n",
            );
        }
        let default = match setting.default {
            Preset::Is("") => "none".to_owned(),
            Preset::Is(value) => format!("`{value}`"),
            Preset::Cores => "number of processor cores".to_owned(),
            Preset::Unset(meaning) => format!("unset: {meaning}"),
        };
        let flag = setting.flag.map(|flag| format!(", `--{flag}`")).unwrap_or_default();
        let (name, env, meaning) = (setting.name, setting.env(), setting.meaning);
        let form = setting.kind.expected();
        out.push_str(&format!("| `{name}` | `{env}`{flag} | {form} | {default} | {meaning} |\n"));
    }
    out
}

const HEAD: &str = "\
# Configuration

<!-- Made by `chandler config --reference`; a test compares it with the program. -->

Every setting has a default. A value is taken from the last of these that has one:

1. the default below;
2. a TOML file named by `--config FILE` (or `CHANDLER_CONFIG`);
3. the environment: `CHANDLER_`, then the setting's name in capitals with `_` for each dot. An empty variable counts
   as unset; variables that start with `CHANDLER_TEST_` belong to the test suite and are ignored;
4. the flag, for settings that have one. Secrets have none, because other users of a machine see flags.

`chandler config` prints the effective values with their sources, secrets hidden. An unknown name, in the file or
in the environment, is an error. Relative paths start at the working directory.

```toml
# chandler.toml
data = \"/var/lib/chandler\"
database_url = \"postgres://chandler@db.example.org/chandler\"

[listen]
console = \"0.0.0.0:7080\"
coder = \"off\"
```
";
