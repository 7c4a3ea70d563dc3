//! Versions stand once, in the root manifest; and what must never come into the program does not stand in the lock file.

use toml::{Table, Value};

use super::{nothing_wrong, tree};

/// One TLS provider (aws-lc-rs) and one way to SQL.
const NEVER: &[&str] = &["ring", "openssl", "openssl-sys", "native-tls", "sqlx"];

/// Complaints about dependencies that carry a version, path or source of their own.
fn own_versions(path: &str, manifest: &str) -> Vec<String> {
    let table: Table = match manifest.parse() {
        Ok(table) => table,
        Err(error) => return vec![format!("{path}: {error}")],
    };
    let per_target = table.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let sections = std::iter::once(&table).chain(per_target.filter_map(Value::as_table)).flat_map(|table| {
        ["dependencies", "dev-dependencies", "build-dependencies"].map(|name| table.get(name).and_then(Value::as_table))
    });
    sections
        .flatten()
        .flat_map(Table::iter)
        .filter(|(_, wanted)| wanted.get("workspace").and_then(Value::as_bool) != Some(true))
        .map(|(name, _)| format!("{path}: {name} must be `workspace = true`"))
        .collect()
}

fn locked(lock: &str) -> Vec<Table> {
    let table: Table = lock.parse().unwrap();
    let packages = table.get("package").and_then(Value::as_array).cloned().unwrap_or_default();
    packages.into_iter().filter_map(|package| package.as_table().cloned()).collect()
}

fn unwanted(lock: &str) -> Vec<String> {
    let packages = locked(lock);
    let word = |package: &Table, key: &str| package.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut wrong = Vec::new();
    for package in &packages {
        let (name, source) = (word(package, "name"), word(package, "source"));
        if NEVER.contains(&&*name) {
            wrong.push(format!("{name} is in the lock file: find who asks with `cargo tree -i {name}`"));
        }
        // Without a source: a member of this workspace.
        if !source.is_empty() && !source.starts_with("registry+") {
            wrong.push(format!("{name} comes from {source}: only the registry is allowed"));
        }
    }
    wrong
}

#[test]
fn versions_stand_once() {
    let manifests = tree::files(&["crates", "benches", "fuzz"], "toml");
    let manifests = manifests.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    nothing_wrong(manifests.flat_map(|file| own_versions(&file.path, &file.text)).collect());
}

#[test]
fn the_lock_file_holds_nothing_unwanted() {
    nothing_wrong(unwanted(&tree::read("Cargo.lock")));
}

#[test]
fn a_version_of_its_own_is_seen() {
    let bad = "[dependencies]\na = \"1\"\nb.workspace = true\nc = { workspace = true, features = [\"x\"] }\n\
        [dev-dependencies.d]\npath = \"../d\"\n[target.'cfg(unix)'.build-dependencies]\ne = { version = \"2\" }\n";
    let seen = own_versions("x", bad);
    assert_eq!(seen, ["x: a", "x: d", "x: e"].map(|start| format!("{start} must be `workspace = true`")));
    assert_eq!(own_versions("x", "[dependencies").len(), 1);
}

#[test]
fn unwanted_packages_are_seen() {
    let package = |name: &str, source: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n{source}\n");
    let lock = [
        package("ring", "source = \"registry+x\""),
        package("fine", "source = \"registry+x\""),
        package("chandler-model", ""),
        package("forked", "source = \"git+x\""),
    ];
    let seen = unwanted(&lock.concat());
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[0].starts_with("ring ") && seen[1].starts_with("forked "));
}
