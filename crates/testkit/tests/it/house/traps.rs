//! Traps of two engines under one SQL text that were hit once (`docs/core/model.md` 7). Only those that text shows; the
//! rest is for the test that prepares every statement on both engines and for review.

use std::sync::LazyLock;

use regex::Regex;

use super::migrations::{self, Schema};
use super::tree::{self, File};
use super::{nothing_wrong, tokens};

/// Where the one compiler of client-made filters lives: the only place that may write `LIKE`.
const FILTER_COMPILER: &[&str] = &["crates/store/src/filter", "crates/store/src/seam/filter"];
/// Where the tokens of the seam are expanded into what one engine understands.
const ENGINE_FILE: &str = "crates/store/src/seam/engine";

struct Trap {
    /// Matches the trap. With a group, `unless` is asked about what it caught.
    pattern: Regex,
    unless: fn(&Found) -> bool,
    why: &'static str,
}

struct Found<'a> {
    path: &'a str,
    whole: &'a str,
    groups: Vec<&'a str>,
}

fn never(_: &Found) -> bool {
    false
}

fn trap(pattern: &str, unless: fn(&Found) -> bool, why: &'static str) -> Trap {
    Trap { pattern: Regex::new(pattern).unwrap(), unless, why }
}

static TRAPS: LazyLock<Vec<Trap>> = LazyLock::new(|| {
    vec![
        trap(
            r"(?i)\b(now\s*\(|current_timestamp\b|current_date\b|current_time\b|clock_timestamp\b|localtimestamp\b)|'now'",
            never,
            "time enters as a value, SQL never asks for it",
        ),
        trap(
            r"(?i)\bI?LIKE\s+(\$|'|\{|\()|\bI?LIKE\b.*\bESCAPE\b|\bILIKE\b",
            |found| FILTER_COMPILER.iter().any(|home| found.path.starts_with(home)),
            "LIKE compares differently on the engines: only the filter compiler writes it; a prefix is a range",
        ),
        trap(r"(?i)\$\d+\s+IS\s+NULL\s+OR\b", never, "`$n IS NULL OR` hides the index: write two statements"),
        trap(
            r"(?i)\b(\w+)\s*=\s*\$\d+\s+OR\s+(?:\w+\.)?(\w+)\s+IN\s*\(",
            |found| found.groups[0] != found.groups[1],
            "`id = $1 OR id IN (…)` scans: use `IN (SELECT $1 UNION ALL …)`",
        ),
        trap(
            r"(?i)\b(\w+)\s*[<>]\s*\$\d+\s+OR\s*\(\s*(?:\w+\.)?(\w+)\s*=",
            |found| found.groups[0] != found.groups[1],
            "keyset paging compares row values: `(a, id) > ($1, $2)`",
        ),
        trap(
            r"(?is)\bUPDATE\b.*\bIN\s*\(\s*SELECT\b.*(?:SKIP\s+LOCKED|\{skip_locked\})",
            |found| found.whole.to_ascii_uppercase().contains("MATERIALIZED"),
            "an UPDATE over a locking subselect claims too many rows: `WITH c AS MATERIALIZED (…)`",
        ),
        trap(
            r"(?i)\bFOR\s+(UPDATE|(NO\s+)?KEY|SHARE)\b|\bSKIP\s+LOCKED\b",
            |found| found.path.starts_with(ENGINE_FILE),
            "write {for_update}, {for_key_share}, {skip_locked}: the engine file expands them",
        ),
        trap(
            r"(?i)\bANY\s*\(\s*\$|\s!?~\*?\s*\$|->>?\s*'",
            |found| found.path.starts_with(ENGINE_FILE),
            "arrays, regex and JSON operators belong to one engine",
        ),
        trap(
            r"(?i)(.{0,24})\bsum\s*\(",
            |found| {
                let before: String = found.groups[0].to_ascii_lowercase().split_whitespace().collect();
                before.ends_with("cast(") || before.ends_with("cast(coalesce(") || before.ends_with("_")
            },
            "sum(bigint) is numeric on PostgreSQL: `CAST(sum(…) AS bigint)`",
        ),
        trap(
            r"(?is)\bINSERT\s+INTO\s+\w+\s*(?:\([^)]*\)\s*)?SELECT\b(.*)\bON\s+CONFLICT\b",
            |found| found.groups[0].to_ascii_uppercase().contains("WHERE"),
            "INSERT … SELECT … ON CONFLICT needs `WHERE true` on SQLite",
        ),
        trap(r"(?i)\bunit\s+IN\s*\(\s*SELECT\b", never, "units are a list of values, never a subselect"),
    ]
});

static NULLS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)([\w)]+)\s+(?:(?:ASC|DESC)\s+)?NULLS\s+(?:FIRST|LAST)").unwrap());

/// The traps in one piece of SQL text.
fn trapped(path: &str, sql: &str, schema: &Schema) -> Vec<&'static str> {
    let mut wrong: Vec<&'static str> = TRAPS
        .iter()
        .filter(|trap| {
            trap.pattern.captures_iter(sql).any(|caught| {
                let groups = caught.iter().skip(1).flatten().map(|group| group.as_str()).collect();
                !(trap.unless)(&Found { path, whole: sql, groups })
            })
        })
        .map(|trap| trap.why)
        .collect();
    // `{nulls}`-like holes are filled by the filter compiler, which knows its columns.
    if NULLS.captures_iter(sql).any(|caught| !schema.some_column_may_be_null(&caught[1])) {
        wrong.push("NULLS FIRST/LAST only on a column that may be null: elsewhere PostgreSQL loses the index");
    }
    wrong
}

fn trapped_sources(files: &[File], schema: &Schema) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files {
        match tokens::strings(&file.text) {
            Ok(texts) => wrong.extend(texts.iter().flat_map(|text| {
                let complain = |why| format!("{}:{}: {why}", file.path, text.line);
                trapped(&file.path, &text.text, schema).into_iter().map(complain).collect::<Vec<_>>()
            })),
            Err(error) => wrong.push(format!("{}: {error}", file.path)),
        }
    }
    wrong
}

#[test]
fn statements_avoid_the_known_traps() {
    let schema = migrations::schema();
    nothing_wrong(trapped_sources(&tree::files(&["crates/store/src"], "rs"), &schema));
    nothing_wrong(
        migrations::files()
            .iter()
            .flat_map(|file| {
                let sql = migrations::without_comments(&file.text);
                trapped(&file.path, &sql, &schema)
                    .into_iter()
                    .map(|why| format!("{}: {why}", file.path))
                    .collect::<Vec<_>>()
            })
            .collect(),
    );
}

#[test]
fn every_trap_is_seen() {
    let schema = Schema::read("CREATE TABLE jobs (id {pk}, name {text} NOT NULL, ended_at {time});");
    for (sql, word) in [
        ("SELECT now()", "time enters"),
        ("UPDATE jobs SET ended_at = CURRENT_TIMESTAMP", "time enters"),
        ("SELECT datetime('now')", "time enters"),
        ("SELECT id FROM jobs WHERE name LIKE 'x%'", "LIKE"),
        ("SELECT id FROM jobs WHERE name ilike $1", "LIKE"),
        ("WHERE ($1 IS NULL OR name = $1)", "IS NULL OR"),
        ("WHERE id = $1 OR id IN (SELECT 2)", "id = $1 OR"),
        ("WHERE j.id = $1 OR j.id IN (SELECT 2)", "id = $1 OR"),
        ("WHERE name > $1 OR (name = $1 AND id > $2)", "keyset"),
        (
            "UPDATE jobs SET name = $1 WHERE id IN (SELECT id FROM jobs LIMIT 1 {for_update} {skip_locked})",
            "claims too many",
        ),
        ("SELECT id FROM jobs FOR UPDATE", "{for_update}"),
        ("SELECT id FROM jobs WHERE id = ANY($1)", "arrays"),
        ("SELECT id FROM jobs WHERE name ~ $1", "arrays"),
        ("SELECT coalesce(sum(n), 0) FROM tallies", "sum(bigint)"),
        ("INSERT INTO a (b) SELECT b FROM c ON CONFLICT (b) DO NOTHING", "WHERE true"),
        ("WHERE unit IN (SELECT unit FROM grants)", "units"),
        ("ORDER BY name DESC NULLS LAST", "NULLS"),
        ("ORDER BY lower(name) NULLS LAST", "NULLS"),
    ] {
        let seen = trapped("crates/store/src/jobs.rs", sql, &schema);
        assert!(seen.len() == 1 && seen[0].contains(word), "{sql}: {seen:?}");
    }
}

#[test]
fn the_ways_out_of_the_traps_are_free() {
    let schema = Schema::read("CREATE TABLE jobs (id {pk}, name {text} NOT NULL, ended_at {time});");
    for sql in [
        "SELECT id, known FROM jobs WHERE ended_at < $1 ORDER BY ended_at DESC NULLS LAST, j.ended_at NULLS FIRST",
        "WITH c AS MATERIALIZED (SELECT id FROM q LIMIT $1 {for_update} {skip_locked}) UPDATE q SET w = $2 WHERE id IN (SELECT id FROM c)",
        "SELECT CAST(coalesce(sum(n), 0) AS bigint), CAST(sum(n) AS bigint) FROM tallies",
        "INSERT INTO a (b) SELECT b FROM c WHERE true ON CONFLICT (b) DO NOTHING",
        "INSERT INTO a (b) VALUES ((SELECT 1)) ON CONFLICT (b) DO NOTHING",
        "WHERE (created_at, id) > ($1, $2) AND (parent = $3 OR owner IN (SELECT 1))",
        "WHERE unit IN ($1, $2) AND checksum = $3",
        "something like this",
    ] {
        assert_eq!(trapped("crates/store/src/jobs.rs", sql, &schema), [""; 0], "{sql}");
    }
    assert_eq!(trapped("crates/store/src/filter.rs", "name LIKE $1", &schema), [""; 0]);
    assert_eq!(trapped("crates/store/src/seam/engine.rs", "FOR UPDATE", &schema), [""; 0]);
    let sample =
        [File { path: "crates/store/src/a.rs".to_owned(), text: "\n/// now()\nconst A: &str = \"now()\";".to_owned() }];
    assert_eq!(
        trapped_sources(&sample, &schema),
        ["crates/store/src/a.rs:3: time enters as a value, SQL never asks for it"]
    );
}
