//! The schema as the migration files write it, read far enough for two rules about unique columns, and for `traps` to
//! know which columns may be null.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::nothing_wrong;
use super::tree::{self, File};

/// Table and unique columns where a null is meant to be free, and why.
const MEANT: &[(&str, &str, &str)] = &[
    ("credentials", "unit, type_id, name", "unit is computed, and the CHECK of the scope leaves it no null"),
    ("environments", "unit, name", "unit is computed, and the CHECK of the scope leaves it no null"),
    ("template_revisions", "template_id, name", "a revision that belongs to no template yet has a free name"),
    ("tokens", "user_id, dialect, kind, name", "names are a person's; tokens of jobs and groups have none"),
];

#[derive(Default)]
pub(super) struct Schema {
    tables: BTreeMap<String, Table>,
}

#[derive(Default)]
struct Table {
    /// Column → whether it may be null.
    columns: BTreeMap<String, bool>,
    primary_key: Vec<String>,
    /// Column lists that are unique, as written, with the predicate of a partial index.
    uniques: Vec<(Vec<String>, String)>,
}

static CREATE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?is)^CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)\s*(\(.*)$").unwrap());
static ADD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?is)^ALTER\s+TABLE\s+(\w+)\s+ADD\s+(?:COLUMN\s+)?(.*)$").unwrap());
static UNIQUE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?is)^CREATE\s+UNIQUE\s+INDEX\s+\w+\s+ON\s+(\w+)\s*(\(.*)$").unwrap());
static KEY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?is)^(?:CONSTRAINT\s+\w+\s+)?(PRIMARY\s+KEY|UNIQUE)\s*(\(.*)$").unwrap());
static CONSTRAINT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)^(CONSTRAINT|PRIMARY|UNIQUE|CHECK|FOREIGN|EXCLUDE)\b").unwrap());

impl Schema {
    /// Reads the statements of all migrations in order, without comments.
    pub(super) fn read(sql: &str) -> Self {
        let mut schema = Self::default();
        for statement in split(sql, ';') {
            if let Some(found) = CREATE.captures(&statement) {
                let table = schema.tables.entry(found[1].to_owned()).or_default();
                split(inside(&found[2]).0, ',').iter().for_each(|item| table.add(item));
            } else if let Some(found) = ADD.captures(&statement) {
                schema.tables.entry(found[1].to_owned()).or_default().add(&found[2]);
            } else if let Some(found) = UNIQUE.captures(&statement) {
                let (columns, rest) = inside(&found[2]);
                let unique = (split(columns, ','), rest.trim().to_owned());
                schema.tables.entry(found[1].to_owned()).or_default().uniques.push(unique);
            }
        }
        schema
    }

    /// Whether a column of this name may be null in at least one table.
    pub(super) fn some_column_may_be_null(&self, column: &str) -> bool {
        self.tables.values().any(|table| table.columns.get(column).copied().unwrap_or(false))
    }
}

impl Table {
    fn add(&mut self, item: &str) {
        if let Some(found) = KEY.captures(item) {
            let columns = split(inside(&found[2]).0, ',');
            if found[1].to_ascii_uppercase().starts_with("PRIMARY") {
                for column in &columns {
                    self.columns.insert(column.clone(), false);
                }
                self.primary_key = columns;
            } else {
                self.uniques.push((columns, String::new()));
            }
        } else if !CONSTRAINT.is_match(item)
            && let Some((name, definition)) = item.split_once(char::is_whitespace)
        {
            let definition = definition.to_ascii_uppercase();
            let key = definition.contains("PRIMARY KEY") || definition.contains("{PK}");
            self.columns.insert(name.to_owned(), !key && !definition.contains("NOT NULL"));
            if key {
                self.primary_key = vec![name.to_owned()];
            } else if definition.contains(" UNIQUE") {
                self.uniques.push((vec![name.to_owned()], String::new()));
            }
        }
    }

    /// Unique lists of several columns into which a null lets duplicates. A list with the primary key cannot have any.
    fn leaky(&self) -> impl Iterator<Item = &(Vec<String>, String)> {
        self.uniques.iter().filter(|(columns, predicate)| {
            let may_be_null = |column: &&String| {
                let word = Regex::new(&format!(r"(?i)\b{}\s+IS\s+NOT\s+NULL", regex::escape(column))).unwrap();
                self.columns.get(*column).copied().unwrap_or(false) && !word.is_match(predicate)
            };
            let whole_key = !self.primary_key.is_empty() && self.primary_key.iter().all(|key| columns.contains(key));
            columns.len() > 1 && !whole_key && columns.iter().any(|column| may_be_null(&column))
        })
    }
}

/// Splits at `separator` outside parentheses and quotes; parts are trimmed, empty ones left out.
fn split(text: &str, separator: char) -> Vec<String> {
    let (mut depth, mut quoted) = (0, false);
    let mut parts = vec![String::new()];
    for letter in text.chars() {
        match letter {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if letter == separator && depth == 0 && !quoted {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// What stands in the parentheses with which `text` starts, and what follows them.
fn inside(text: &str) -> (&str, &str) {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (&text[1.min(at)..at], &text[at + 1..]);
        }
    }
    (text.trim_start_matches('('), "")
}

pub(super) fn without_comments(sql: &str) -> String {
    sql.lines().map(|line| line.split_once("--").map_or(line, |(code, _)| code)).collect::<Vec<_>>().join("\n")
}

pub(super) fn files() -> Vec<File> {
    tree::files(&["migrations"], "sql")
}

pub(super) fn schema() -> Schema {
    Schema::read(&files().iter().map(|file| without_comments(&file.text)).collect::<Vec<_>>().join("\n"))
}

fn wrong_uniques(schema: &Schema) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, table) in &schema.tables {
        for (columns, _) in table.leaky() {
            let list = columns.join(", ");
            if MEANT.iter().any(|(table, columns, _)| table == name && *columns == list) {
                continue;
            }
            wrong.push(format!(
                "{name}: UNIQUE ({list}) lets duplicates in where a column is null: coalesce(column, 0)"
            ));
        }
        let mut lists: Vec<String> = table.uniques.iter().map(|(columns, _)| columns.join(", ")).collect();
        lists.push(table.primary_key.join(", "));
        lists.sort_unstable();
        for pair in lists.windows(2).filter(|pair| pair[0] == pair[1]) {
            wrong.push(format!(
                "{name}: two unique indexes on ({}): SQLite's errors name columns, not indexes",
                pair[0]
            ));
        }
    }
    wrong
}

#[test]
fn unique_columns_are_unique() {
    nothing_wrong(wrong_uniques(&schema()));
}

#[test]
fn the_schema_is_read() {
    let sql = "-- CREATE TABLE no (x {text});\nCREATE TABLE jobs (\n  id {pk},\n  kind {text} NOT NULL CHECK (kind IN ('a', 'b')), -- why\n\
        parent_id bigint REFERENCES jobs (id),\n  CHECK (kind <> ';'),\n  PRIMARY KEY (id)\n);\nALTER TABLE jobs ADD COLUMN late {time};";
    let schema = Schema::read(&without_comments(sql));
    let columns: Vec<_> = schema.tables["jobs"].columns.iter().map(|(name, null)| (&**name, *null)).collect();
    assert_eq!(columns, [("id", false), ("kind", false), ("late", true), ("parent_id", true)]);
    assert!(schema.some_column_may_be_null("late") && !schema.some_column_may_be_null("kind"));
}

#[test]
fn leaky_and_double_unique_lists_are_seen() {
    let table = "CREATE TABLE t (id {pk}, a bigint, b bigint NOT NULL, UNIQUE (id, a), UNIQUE (b));";
    let seen = |index: &str| wrong_uniques(&Schema::read(&format!("{table} {index};")));
    assert_eq!(seen("CREATE INDEX x ON t (a, b)"), [""; 0]);
    assert_eq!(seen("CREATE UNIQUE INDEX x ON t (a, b) WHERE a IS NOT NULL"), [""; 0]);
    assert_eq!(seen("CREATE UNIQUE INDEX x ON t (coalesce(a, 0), b)"), [""; 0]);
    assert!(seen("CREATE UNIQUE INDEX x ON t (a, b)")[0].contains("UNIQUE (a, b) lets duplicates in"));
    assert!(seen("CREATE UNIQUE INDEX x ON t (b) WHERE a = 1")[0].contains("two unique indexes on (b)"));
}
