//! Size and head of source files: a file is read on one screen flight, and says first what lives in it.

use super::nothing_wrong;
use super::tree::{self, File};

/// The ceiling; the aim is 400. A file that outgrows it becomes a folder of the same name.
const MOST_LINES: usize = 600;
/// A router is a table of contents.
const MOST_ROUTER_LINES: usize = 200;

fn too_long(files: &[File]) -> Vec<String> {
    let mut sizes: Vec<(usize, &str)> = files.iter().map(|file| (file.text.lines().count(), &*file.path)).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    println!("longest files:");
    for (lines, path) in sizes.iter().take(10) {
        println!("{lines:6} {path}");
    }
    let limit = |path: &str| if path.ends_with("/router.rs") { MOST_ROUTER_LINES } else { MOST_LINES };
    sizes
        .into_iter()
        .filter(|(lines, path)| *lines > limit(path))
        .map(|(lines, path)| format!("{path}: {lines} lines, at most {}", limit(path)))
        .collect()
}

fn headless(files: &[File]) -> Vec<String> {
    let has_head =
        |text: &str| text.lines().any(|line| line.strip_prefix("//!").is_some_and(|head| !head.trim().is_empty()));
    files
        .iter()
        .filter(|file| file.path.contains("/src/") && !has_head(&file.text))
        .map(|file| format!("{}: no module head (`//!`: what lives here, what must not)", file.path))
        .collect()
}

#[test]
fn files_stay_short() {
    nothing_wrong(too_long(&tree::sources()));
}

#[test]
fn every_module_says_what_it_is() {
    nothing_wrong(headless(&tree::sources()));
}

#[test]
fn long_and_headless_files_are_seen() {
    let file = |path: &str, text: String| File { path: path.to_owned(), text };
    let long = file("crates/a/src/long.rs", "x\n".repeat(601));
    let router = file("crates/a/src/router.rs", "//! Routes.\n".repeat(201));
    let fine = file("crates/a/src/fine.rs", "//! Fine.\n".repeat(600));
    let blank = file("crates/a/src/blank.rs", "//! \n// not a head\n".to_owned());
    let sample = [long, router, fine, blank];
    let seen = too_long(&sample);
    assert_eq!(
        seen,
        ["crates/a/src/long.rs: 601 lines, at most 600", "crates/a/src/router.rs: 201 lines, at most 200"]
    );
    let seen = headless(&sample);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[1].starts_with("crates/a/src/blank.rs"));
}
