//! The catalogue check, and the functions that both engines have.

use chandler_store::migrate;
use chandler_store::seam::{Catalogued, Engine, Error, Sql, args, prepare_all, record};
use jiff::Timestamp;

use crate::databases::{Database, both};

struct Pair {
    id: i64,
    name: String,
}
record!(Pair { id, name });

static GOOD: Sql<Pair> = Sql::new("SELECT {columns:t} FROM t WHERE id = $1 {for_update:t} {skip_locked}");
static WRITE: Sql<()> = Sql::new("INSERT INTO t (name) VALUES ($1) ON CONFLICT (name) DO NOTHING");
static TUPLE: Sql<(String, Option<i64>)> = Sql::new("SELECT name, id FROM t");
static TOO_FEW: Sql<Pair> = Sql::new("SELECT id FROM t");
static RETURNS: Sql<()> = Sql::new("INSERT INTO t (name) VALUES ($1) RETURNING id");
static OTHER_NAMES: Sql<Pair> = Sql::new("SELECT id, name AS title FROM t");
static NO_TABLE: Sql<i64> = Sql::new("SELECT count(*) FROM missing");
static NUMERIC: Sql<Option<i64>> = Sql::new("SELECT sum(id) FROM t");

#[tokio::test]
async fn the_catalogue_check_finds_statements_that_do_not_fit_their_records() {
    let all: &[&dyn Catalogued] = &[&GOOD, &WRITE, &TUPLE, &TOO_FEW, &RETURNS, &OTHER_NAMES, &NO_TABLE, &NUMERIC];
    for Database { db, .. } in &both().await {
        let table = "CREATE TABLE t (id {pk}, name {text} NOT NULL UNIQUE)";
        let migration = migrate::Migration { name: "0001_t", sql: table, postgres_override: None };
        migrate::run_list(db, &[migration], Timestamp::UNIX_EPOCH).await.unwrap();
        let wrong: Vec<&str> = prepare_all(db, all).await.into_iter().map(|(text, _)| text).collect();
        let mut expected = vec![TOO_FEW.text(), RETURNS.text(), OTHER_NAMES.text(), NO_TABLE.text()];
        if db.engine() == Engine::Postgres {
            expected.push(NUMERIC.text());
        }
        assert_eq!(wrong, expected, "{db:?}");
    }
}

#[tokio::test]
async fn every_statement_of_the_store_fits_its_record_on_both_engines() {
    for Database { db, .. } in &both().await {
        migrate::run(db, Timestamp::UNIX_EPOCH).await.unwrap();
        let wrong = prepare_all(db, &chandler_store::catalogue::statements()).await;
        assert!(wrong.is_empty(), "{db:?}: {wrong:#?}");
    }
}

static FOLD: Sql<Option<String>> = Sql::new("SELECT fold(CAST($1 AS text))");
static RX: Sql<Option<bool>> = Sql::new("SELECT rx(CAST($1 AS text), CAST($2 AS text))");

async fn with_functions() -> [Database; 2] {
    let databases = both().await;
    for database in &databases {
        let nothing = migrate::Migration { name: "0001_nothing", sql: "SELECT 1", postgres_override: None };
        migrate::run_list(&database.db, &[nothing], Timestamp::UNIX_EPOCH).await.unwrap();
    }
    databases
}

#[tokio::test]
async fn fold_is_unicode_lower_case_on_both_engines() {
    let words = [
        "",
        "ABC",
        "Straße ẞ",
        "ÄÖÜ É",
        "ΣΊΣΥΦΟΣ ΟΔΟΣ Σ ΑΣ.",
        "İstanbul I ı",
        "ǅ Ǆ",
        "ДЖ Ё",
        "K Å",
        "Ꭰ ꭰ",
        "𐐀",
        "ﬁ Ⅷ Ⓐ",
    ];
    // Every letter of the alphabets with case, as a word of its own.
    let letters: String =
        (0x41..0x590).chain(0x10a0..0x1100).chain(0x1e00..0x2000).filter_map(char::from_u32).collect();
    let letters: Vec<String> = letters.chars().map(String::from).collect();
    for Database { db, .. } in &with_functions().await {
        for text in words.into_iter().chain([letters.join(" ").as_str()]) {
            assert_eq!(db.one(&FOLD, args![text]).await.unwrap().as_deref(), Some(&*text.to_lowercase()), "{db:?}");
        }
        assert_eq!(db.one(&FOLD, args![None::<String>]).await.unwrap(), None);
    }
}

#[tokio::test]
async fn rx_matches_alike_on_both_engines() {
    let table = [
        ("web-01", "^web-[0-9]+$", true),
        ("Web-01", "^web", false),
        ("Web-01", "(?i)^wEB", true),
        ("a.b", r"a\.b", true),
        ("axb", r"a\.b", false),
        ("höhle", r"^\w+$", true),
        ("ÄRGER", "(?i)ärger", true),
        ("12", r"^\d{2,3}$", true),
        ("a b", r"\s", true),
        ("abcabc", "^(abc)+$", true),
        ("", "^$", true),
        ("x", "", true),
        ("日本", "^.{2}$", true),
        ("ab", "^(?:a|b)c?", true),
    ];
    for Database { db, .. } in &with_functions().await {
        for (text, pattern, expected) in table {
            let found = db.one(&RX, args![text, pattern]).await.unwrap();
            assert_eq!(found, Some(expected), "{db:?}: {text:?} against {pattern:?}");
        }
        assert_eq!(db.one(&RX, args![None::<String>, "x"]).await.unwrap(), None);
        assert!(matches!(db.one(&RX, args!["x", "("]).await, Err(Error::Other(_))));
    }
}
