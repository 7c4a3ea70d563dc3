//! Rules of this repository that a program can check (`CONTRIBUTING.md` has the reasons). Every rule is a function from
//! text to complaints, run once over the tree and once over a bad sample: a rule that cannot fail is none.

mod documents;
mod edges;
mod licences;
mod manifests;
mod migrations;
mod modules;
mod sql;
mod tokens;
mod traps;
mod tree;

/// Fails with every complaint at once: repairing them one by one costs a build each.
#[track_caller]
fn nothing_wrong(complaints: Vec<String>) {
    let text: String = complaints.into_iter().map(|complaint| complaint + "\n").collect();
    assert!(text.is_empty(), "against the house rules:\n{text}");
}
