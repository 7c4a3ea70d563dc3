//! The files of the repository as the rules see them: path from the root with forward slashes, and text.

use std::fs;
use std::path::{Path, PathBuf};

pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub(super) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below one of `folders` whose name ends in `.extension`, sorted by path. A folder may be absent.
pub(super) fn files(folders: &[&str], extension: &str) -> Vec<File> {
    let root = root();
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).filter(|path| path.is_dir()).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                let text = fs::read_to_string(&path).unwrap();
                found.push(File { path: path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Everything written in Rust here.
pub(super) fn sources() -> Vec<File> {
    files(&["crates", "benches", "tests", "fuzz", "examples"], "rs")
}

/// What a run of the program leaves, if somebody forgot to give it a folder: a key among it.
fn litter(folders: &[PathBuf]) -> Vec<String> {
    folders
        .iter()
        .filter(|folder| folder.join("master.key").exists() || folder.ends_with("chandler-data"))
        .map(|folder| format!("{}: data of a run, with its key, lies between the sources", folder.display()))
        .collect()
}

#[test]
fn no_run_leaves_its_data_between_the_sources() {
    let mut folders = vec![root().join("crates"), root().join("benches"), root().join("tests"), root().join("docs")];
    let mut next = 0;
    while let Some(folder) = folders.get(next) {
        let inner = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        folders.extend(inner.collect::<Vec<_>>());
        next += 1;
    }
    super::nothing_wrong(litter(&folders));
}

#[test]
fn data_of_a_run_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(litter(&[folder.path().to_path_buf()]), [""; 0]);
    fs::write(folder.path().join("master.key"), "").unwrap();
    assert_eq!(litter(&[folder.path().to_path_buf(), PathBuf::from("crates/server/chandler-data")]).len(), 2);
}

#[test]
fn the_tree_is_found() {
    assert!(sources().iter().any(|file| file.path == "crates/testkit/tests/it/house/tree.rs"));
    assert!(read("Cargo.toml").contains("[workspace]"));
}
