//! Every package of the built tree has a licence that `deny.toml` allows, so nobody needs the tool to know.

use std::process::Command;

use cargo_metadata::MetadataCommand;
use toml::{Table, Value};

use super::{nothing_wrong, tree};

fn allowed_licences(deny: &str) -> Vec<String> {
    let table: Table = deny.parse().unwrap();
    let allow = table["licenses"]["allow"].as_array().unwrap();
    allow.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be met with `allowed`. `/` is the older way to write OR; an exception (`WITH`) is not
/// allowed unless it is listed as a whole.
fn met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any_of(&words, &mut at, allowed) && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all_of(words, at, allowed);
    }
    met
}

fn all_of(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = any_of(words, at, allowed);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return met && closed;
    }
    let mut licence = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        licence = format!("{licence} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    allowed.contains(&licence)
}

/// The platform of this machine: packages for others are not downloaded here.
fn platform() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

#[test]
fn every_licence_is_allowed() {
    let allowed = allowed_licences(&tree::read("deny.toml"));
    let metadata = MetadataCommand::new()
        .manifest_path(tree::root().join("Cargo.toml"))
        .other_options(["--offline".to_owned(), "--filter-platform".to_owned(), platform()])
        .exec()
        .unwrap();
    let foreign: Vec<_> = metadata.packages.iter().filter(|package| package.source.is_some()).collect();
    assert!(foreign.len() > 50, "only {} packages seen", foreign.len());
    let licence =
        |package: &cargo_metadata::Package| package.license.clone().unwrap_or_else(|| "no licence".to_owned());
    nothing_wrong(
        foreign
            .iter()
            .filter(|package| !met(&licence(package), &allowed))
            .map(|package| format!("{} {}: {}", package.name, package.version, licence(package)))
            .collect(),
    );
}

#[test]
fn licences_are_weighed_as_written() {
    let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned);
    for fine in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0", "A WITH B OR MIT"] {
        assert!(met(fine, &allowed), "{fine}");
    }
    for wrong in ["GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0 WITH LLVM-exception", "(GPL-3.0 OR X) AND MIT", "", "(MIT"]
    {
        assert!(!met(wrong, &allowed), "{wrong}");
    }
}
