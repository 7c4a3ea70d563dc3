//! SQL stands in `crates/store` and nowhere else.

use std::sync::LazyLock;

use regex::Regex;

use super::tree::{self, File};
use super::{nothing_wrong, tokens};

/// Folders that may hold SQL: the store, the samples of these rules, making, counting and searching test databases,
/// what the bench compares with.
const MAY: &[&str] = &[
    "crates/store/",
    "crates/testkit/tests/it/",
    "crates/testkit/src/db.rs",
    "crates/testkit/src/counts.rs",
    "crates/testkit/src/dump.rs",
    "benches/src/jobs/queue_rows.rs",
    "benches/src/jobs/yardsticks.rs",
];

/// Statements as they are written: keywords in capitals anywhere, or small ones in the shape of a statement.
static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?xs)
        \b SELECT \s .* \b FROM \s
        | ^\s* SELECT \s
        | \b (INSERT|insert) \s+ (INTO|into) \s+ \w+
        | \b UPDATE \s+ \w+ \s+ SET \s | ^\s* update \s+ \w+ \s+ set \s .* =
        | \b (DELETE|delete) \s+ (FROM|from) \s+ \w+ \s* (;|$|\b(WHERE|where)\b)
        | ^\s* select \s .* \s from \s+ \w+ \s* (;|$|where|join|order|limit|as\b)
        | ^\s* WITH \s+ (RECURSIVE \s+)? \w+ \s* (\([^)]*\) \s*)? AS \s+ (MATERIALIZED \s*)? \(
        ",
    )
    .unwrap()
});

fn strayed(files: &[File]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| !MAY.iter().any(|may| file.path.starts_with(may))) {
        match tokens::strings(&file.text) {
            Ok(texts) => wrong.extend(
                texts
                    .iter()
                    .filter(|text| STATEMENT.is_match(&text.text))
                    .map(|text| format!("{}:{}: SQL outside the store", file.path, text.line)),
            ),
            Err(error) => wrong.push(format!("{}: {error}", file.path)),
        }
    }
    wrong
}

#[test]
fn sql_stays_in_the_store() {
    nothing_wrong(strayed(&tree::sources()));
}

#[test]
fn strayed_sql_is_seen() {
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
    for sql in [
        "SELECT id FROM jobs",
        "SELECT 1",
        "INSERT INTO jobs (id) VALUES ($1)",
        "insert into jobs default values",
        "UPDATE jobs SET state = $1",
        "update jobs set state = 1",
        "DELETE FROM jobs",
        "delete from jobs where id = 1",
        "select id from jobs where id = 1",
        "WITH c AS (SELECT 1) x",
        "\\n    SELECT *\\n    FROM jobs",
    ] {
        let sample = [file("crates/core/src/jobs.rs", &format!("fn a() {{ b(\"{sql}\") }}"))];
        assert_eq!(strayed(&sample), ["crates/core/src/jobs.rs:1: SQL outside the store"], "{sql}");
    }
    for prose in
        ["select an environment from the list", "Update all set values", "deleted from disk", "with care as (usual)"]
    {
        let sample = [file("crates/core/src/jobs.rs", &format!("// SELECT 1 FROM x\nfn a() {{ b(\"{prose}\") }}"))];
        assert_eq!(strayed(&sample), [""; 0], "{prose}");
    }
    assert_eq!(strayed(&[file("crates/store/src/jobs.rs", "const A: &str = \"SELECT 1 FROM x\";")]), [""; 0]);
}
