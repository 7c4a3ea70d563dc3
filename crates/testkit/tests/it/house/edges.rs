//! Arrows between crates point one way, and a library that stands for a layer is used in that layer only.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

use super::{nothing_wrong, tree};

/// Crate, and which crates of this workspace its code may use. A name may end in `*`.
const ALLOWED: &[(&str, &[&str])] = &[
    ("chandler-model", &[]),
    ("chandler-store", &["chandler-model"]),
    ("chandler-core", &["chandler-model", "chandler-store"]),
    ("chandler-wire", &["chandler-model", "chandler-core"]),
    ("chandler-api", &["chandler-model", "chandler-core", "chandler-wire"]),
    ("chandler-console", &["chandler-model", "chandler-core", "chandler-wire"]),
    ("chandler-dialect-*", &["chandler-model", "chandler-core", "chandler-wire"]),
    ("chandler-runner", &["chandler-model", "chandler-core"]),
    ("chandler-runner-*", &["chandler-model", "chandler-core", "chandler-runner"]),
    // A client like any other: it talks HTTP and borrows names only.
    ("chandler-cli", &["chandler-model"]),
    (
        "chandler-server",
        &[
            "chandler-model",
            "chandler-store",
            "chandler-core",
            "chandler-wire",
            "chandler-api",
            "chandler-console",
            "chandler-dialect-*",
            "chandler-runner",
            "chandler-runner-*",
            "chandler-cli",
        ],
    ),
    (
        "chandler-testkit",
        &[
            "chandler-model",
            "chandler-store",
            "chandler-core",
            "chandler-wire",
            "chandler-api",
            "chandler-runner",
            "chandler-server",
        ],
    ),
    // Drives processes, and for the queue alone the engine itself: eight workers cannot be told apart from outside.
    ("chandler-bench", &["chandler-model", "chandler-store", "chandler-core"]),
];

/// Tests of any crate may use the test kit.
const FOR_TESTS: &str = "chandler-testkit";

const HTTP: &[&str] =
    &["chandler-wire", "chandler-api", "chandler-dialect-*", "chandler-console", "chandler-server", "chandler-bench"];
const SANDBOX: &[&str] = &["chandler-runner", "chandler-runner-*"];

/// Library, and the crates that may name it for any purpose.
const OWNED: &[(&str, &[&str])] = &[
    ("rusqlite", &["chandler-store"]),
    // The test kit makes and drops databases, which the store never does; the bench claims by hand to compare.
    ("tokio-postgres", &["chandler-store", "chandler-testkit", "chandler-bench"]),
    ("deadpool-postgres", &["chandler-store"]),
    ("sea-query", &["chandler-store"]),
    ("axum", HTTP),
    ("http", HTTP),
    ("tower", HTTP),
    ("tower-http", HTTP),
    ("landlock", SANDBOX),
    ("rustix", SANDBOX),
    ("bollard", &["chandler-runner-containers"]),
    ("kube", &["chandler-runner-kube"]),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Purpose {
    Code,
    Tests,
}

/// Crate → the packages it names.
type Graph = BTreeMap<String, BTreeSet<(Purpose, String)>>;

fn workspace() -> Graph {
    let metadata = MetadataCommand::new()
        .manifest_path(tree::root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap();
    let purpose = |kind| if kind == DependencyKind::Development { Purpose::Tests } else { Purpose::Code };
    metadata
        .packages
        .iter()
        .map(|package| {
            let named = package.dependencies.iter().map(|needed| (purpose(needed.kind), needed.name.clone()));
            (package.name.to_string(), named.collect())
        })
        .collect()
}

fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

fn wrong_arrows(graph: &Graph) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, needs) in graph {
        let Some((_, allowed)) = ALLOWED.iter().find(|(pattern, _)| fits(pattern, name)) else {
            wrong.push(format!("{name} stands in no row of the table of allowed edges"));
            continue;
        };
        for (purpose, needed) in needs.iter().filter(|(_, needed)| needed.starts_with("chandler-")) {
            let for_tests = *purpose == Purpose::Tests && needed == FOR_TESTS;
            if !for_tests && !allowed.iter().any(|pattern| fits(pattern, needed)) {
                wrong.push(format!("{name} must not use {needed}"));
            }
        }
    }
    wrong
}

fn strayed_libraries(graph: &Graph) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, needs) in graph {
        for (_, needed) in needs {
            if let Some((_, owners)) = OWNED.iter().find(|(library, _)| library == needed)
                && !owners.iter().any(|pattern| fits(pattern, name))
            {
                wrong.push(format!("{name} must not name {needed}: it belongs to {}", owners.join(", ")));
            }
        }
    }
    wrong
}

#[test]
fn arrows_point_one_way() {
    nothing_wrong(wrong_arrows(&workspace()));
}

#[test]
fn libraries_stay_in_their_layer() {
    nothing_wrong(strayed_libraries(&workspace()));
}

#[test]
fn wrong_arrows_are_seen() {
    let sample = Graph::from([
        ("chandler-model".to_owned(), BTreeSet::from([(Purpose::Code, "chandler-store".to_owned())])),
        (
            "chandler-dialect-awx".to_owned(),
            BTreeSet::from([
                (Purpose::Code, "chandler-wire".to_owned()),
                (Purpose::Code, "chandler-dialect-coder".to_owned()),
                (Purpose::Tests, "chandler-testkit".to_owned()),
            ]),
        ),
        ("chandler-core".to_owned(), BTreeSet::from([(Purpose::Code, "chandler-testkit".to_owned())])),
        ("chandler-surprise".to_owned(), BTreeSet::new()),
    ]);
    assert_eq!(
        wrong_arrows(&sample),
        [
            "chandler-core must not use chandler-testkit",
            "chandler-dialect-awx must not use chandler-dialect-coder",
            "chandler-model must not use chandler-store",
            "chandler-surprise stands in no row of the table of allowed edges",
        ]
    );
}

#[test]
fn strayed_libraries_are_seen() {
    let sample = Graph::from([
        ("chandler-core".to_owned(), BTreeSet::from([(Purpose::Tests, "rusqlite".to_owned())])),
        ("chandler-store".to_owned(), BTreeSet::from([(Purpose::Code, "rusqlite".to_owned())])),
        ("chandler-dialect-awx".to_owned(), BTreeSet::from([(Purpose::Code, "axum".to_owned())])),
        ("chandler-runner".to_owned(), BTreeSet::from([(Purpose::Code, "http".to_owned())])),
    ]);
    let seen = strayed_libraries(&sample);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[0].starts_with("chandler-core must not name rusqlite"));
    assert!(seen[1].starts_with("chandler-runner must not name http"));
}
