//! What the documents promise about the code: every dependency has its row with a reason.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{nothing_wrong, tree};

/// Names in the first column of the tables of a Markdown text, without heads and rules.
fn rows(markdown: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = markdown.lines().collect();
    lines
        .iter()
        .enumerate()
        .filter(|(at, line)| line.starts_with('|') && !lines.get(at + 1).is_some_and(|next| next.starts_with("| ---")))
        .filter_map(|(_, line)| line.trim_start_matches('|').split('|').next())
        .map(|cell| cell.trim().trim_matches('`').to_owned())
        .filter(|name| !name.starts_with("---"))
        .collect()
}

fn undocumented(manifest: &str, document: &str) -> Vec<String> {
    let table: Table = manifest.parse().unwrap();
    let named: BTreeSet<String> = table["workspace"]["dependencies"]
        .as_table()
        .into_iter()
        .flat_map(Table::iter)
        .filter(|(_, wanted)| wanted.get("path").and_then(Value::as_str).is_none())
        .map(|(name, _)| name.clone())
        .collect();
    let rows = rows(document);
    let missing = named.difference(&rows).map(|name| format!("{name} has no row in docs/dependencies.md"));
    let stale =
        rows.difference(&named).map(|name| format!("{name} has a row in docs/dependencies.md and is no dependency"));
    missing.chain(stale).collect()
}

#[test]
fn every_dependency_has_its_reason() {
    nothing_wrong(undocumented(&tree::read("Cargo.toml"), &tree::read("docs/dependencies.md")));
}

#[test]
fn missing_and_stale_rows_are_seen() {
    let manifest =
        "[workspace.dependencies]\nchandler-model = { path = \"x\" }\naxum = \"1\"\nserde = { version = \"1\" }\n";
    let document = "text\n\n| Crate | For |\n| --- | --- |\n| `axum` | routing, `serde` |\n| gone | nothing |\n";
    assert_eq!(
        undocumented(manifest, document),
        ["serde has no row in docs/dependencies.md", "gone has a row in docs/dependencies.md and is no dependency",]
    );
}
