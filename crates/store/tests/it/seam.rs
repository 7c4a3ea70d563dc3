//! Values, errors and the rules of a transaction, alike on both engines.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use chandler_model::{Dialect, Id, Json, RawJson, Uid};
use chandler_store::seam::{Db, Engine, Error, Result, Sql, Transient, Tx, Work, args, record};
use jiff::Timestamp;
use uuid::Uuid;

use crate::databases::{Database, both};

#[derive(Debug, PartialEq)]
struct Everything {
    id: Id<Self>,
    uid: Uid,
    flag: bool,
    number: f64,
    r#type: String,
    bytes: Vec<u8>,
    at: Timestamp,
    json: Json<Vec<String>>,
    raw: RawJson,
    dialect: Dialect,
    parent: Option<Id<Self>>,
    note: Option<String>,
    seen: Option<Timestamp>,
    count: u32,
}
record!(Everything { id, uid, flag, number, r#type, bytes, at, json, raw, dialect, parent, note, seen, count });

static INSERT_EVERYTHING: Sql<Everything> = Sql::new(
    "INSERT INTO everything (uid, flag, number, type, bytes, at, json, raw, dialect, parent, note, seen, count)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING {columns}",
);
static GET_EVERYTHING: Sql<Everything> =
    Sql::new("SELECT {columns:e} FROM everything e WHERE e.id IN {list:$1} {for_update:e}");

/// Made with the types that the migrations use.
async fn tables(database: &Database) {
    let text = "
        CREATE TABLE everything (id {pk}, uid {uuid} NOT NULL, flag {bool} NOT NULL, number double precision NOT NULL,
            type {text} NOT NULL, bytes {bytes} NOT NULL, at {time} NOT NULL, json {json} NOT NULL, raw {json} NOT NULL,
            dialect {text} NOT NULL, parent {id}, note {text}, seen {time}, count {int} NOT NULL);
        CREATE TABLE parents (id {pk}, a {int} NOT NULL, b {int}, name {text} NOT NULL UNIQUE, parent_id {id}
            CONSTRAINT parents_parent REFERENCES parents (id), CONSTRAINT parents_a CHECK (a > 0));
        CREATE UNIQUE INDEX parents_a_b ON parents (a, b) WHERE a < 1000;
        CREATE UNIQUE INDEX parents_name_folded ON parents (coalesce(b, 0), lower(name));";
    let migration = chandler_store::migrate::Migration { name: "0001_test", sql: text, postgres_override: None };
    let now = Timestamp::UNIX_EPOCH;
    chandler_store::migrate::run_list(&database.db, &[migration], now).await.unwrap();
}

fn everything() -> Everything {
    Everything {
        id: Id::new(1),
        uid: Uid(Uuid::now_v7()),
        flag: true,
        number: 0.1,
        r#type: "Straße 'quoted' \"\\ 日本".to_owned(),
        bytes: vec![0, 1, 255],
        at: Timestamp::from_microsecond(1_700_000_000_123_457).unwrap(),
        json: Json(vec!["a".to_owned(), "ü".to_owned()]),
        raw: RawJson(r#"{"a": [1, null]}"#.to_owned()),
        dialect: Dialect::Runai,
        parent: None,
        note: Some(String::new()),
        seen: Some(Timestamp::from_microsecond(-1).unwrap()),
        count: u32::MAX,
    }
}

async fn insert(tx: &mut Tx, row: &Everything) -> Result<Everything> {
    let Everything { uid, flag, number, at, dialect, parent, seen, count, .. } = *row;
    let bytes = row.bytes.as_slice();
    let (name, json, raw, note) = (&row.r#type, &row.json, &row.raw, &row.note);
    let args = args![uid, flag, number, name, bytes, at, json, raw, dialect, parent, note, seen, count];
    tx.one(&INSERT_EVERYTHING, args).await
}

#[tokio::test]
async fn every_type_comes_back_as_it_went_in() {
    for database in both().await {
        tables(&database).await;
        let row = everything();
        let inserted = database.db.write(async |tx: &mut Tx| insert(tx, &row).await).await.unwrap();
        assert_eq!(inserted, row, "{:?}", database.db);
        let read: Vec<Everything> = database
            .db
            .write(async |tx: &mut Tx| {
                tx.query(&GET_EVERYTHING, args![chandler_store::seam::Value::list([7, 1, 9])]).await
            })
            .await
            .unwrap();
        assert_eq!(read, [row]);
    }
}

#[tokio::test]
async fn null_fits_only_an_option_and_text_takes_no_nul() {
    static NULL: Sql<String> = Sql::new("SELECT CAST(NULL AS text)");
    static OPTION: Sql<Option<String>> = Sql::new("SELECT CAST(NULL AS text)");
    static ECHO: Sql<String> = Sql::new("SELECT CAST($1 AS text)");
    for Database { db, .. } in &both().await {
        assert!(matches!(db.one(&NULL, &[]).await, Err(Error::Other(_))));
        assert_eq!(db.one(&OPTION, &[]).await.unwrap(), None);
        assert_eq!(db.one(&ECHO, args!["x"]).await.unwrap(), "x");
        let refused = db.one(&ECHO, args!["a\0b"]).await.unwrap_err();
        assert!(refused.to_string().contains("NUL"), "{db:?}: {refused}");
    }
}

#[tokio::test]
async fn dynamic_statements_bind_every_type_that_filters_need() {
    use sea_query::{Expr, ExprTrait, Order, Query};
    for database in both().await {
        tables(&database).await;
        let row = everything();
        database.db.write(async |tx: &mut Tx| insert(tx, &row).await).await.unwrap();
        let select = Query::select()
            .columns(["id", "type"])
            .from("everything")
            .and_where(Expr::col("uid").eq(row.uid.0))
            .and_where(Expr::col("at").lte(row.at))
            .and_where(Expr::col("flag").eq(true))
            .and_where(Expr::col("type").is_in([row.r#type.clone(), "other".to_owned()]))
            .order_by("id", Order::Asc)
            .limit(50)
            .offset(0)
            .take();
        let found: Vec<(i64, String)> = database.db.dynamic(select.clone()).await.unwrap();
        assert_eq!(found, [(1, row.r#type.clone())], "{:?}", database.db);
        let mut tx = database.db.begin().await.unwrap();
        assert_eq!(tx.dynamic::<(i64, String)>(select).await.unwrap(), found);
    }
}

static PARENT: Sql<()> = Sql::new("INSERT INTO parents (a, b, name, parent_id) VALUES ($1, $2, $3, $4)");
static PARENT_ID: Sql<()> = Sql::new("INSERT INTO parents (id, a, name) VALUES ($1, 5, 'given')");
static PARENTS: Sql<i64> = Sql::new("SELECT count(*) FROM parents");

async fn parent(db: &Db, a: i64, b: Option<i64>, name: Option<&str>, parent: Option<i64>) -> Result<u64> {
    db.write(async |tx: &mut Tx| tx.exec(&PARENT, args![a, b, name, parent]).await).await
}

#[tokio::test]
async fn violated_constraints_have_the_same_names_on_both_engines() {
    for database in both().await {
        tables(&database).await;
        let db = &database.db;
        parent(db, 1, Some(1), Some("x"), None).await.unwrap();

        let columns = parent(db, 1, Some(1), Some("y"), None).await.unwrap_err();
        assert!(columns.is_unique("parents_a_b"), "{columns}");
        let expression = parent(db, 2, Some(1), Some("X"), None).await.unwrap_err();
        assert!(expression.is_unique("parents_name_folded"), "{expression}");
        let inline = parent(db, 2, Some(2), Some("x"), None).await.unwrap_err();
        assert!(inline.is_unique("parents_name_key"), "{inline}");
        let key = db.write(async |tx: &mut Tx| tx.exec(&PARENT_ID, args![1_i64]).await).await.unwrap_err();
        assert!(key.is_unique("parents_pkey"), "{key}");

        let check = parent(db, 0, None, Some("z"), None).await.unwrap_err();
        assert!(matches!(check, Error::Check { .. }) && check.constraint() == Some("parents_a"), "{check}");
        let null = parent(db, 3, None, None, None).await.unwrap_err();
        assert!(matches!(&null, Error::NotNull { column, .. } if column == "parents.name"), "{null}");
        let foreign = parent(db, 3, None, Some("z"), Some(99)).await.unwrap_err();
        assert!(matches!(foreign, Error::ForeignKey { .. }), "{foreign}");
        let known = (db.engine() == Engine::Postgres).then_some("parents_parent");
        assert_eq!(foreign.constraint(), known, "SQLite does not say which");
        assert_eq!(db.one(&PARENTS, &[]).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_failed_statement_ends_the_transaction_on_both_engines() {
    for database in both().await {
        tables(&database).await;
        let db = &database.db;
        let mut tx = db.begin().await.unwrap();
        tx.exec(&PARENT, args![1_i64, 1_i64, "x", None::<i64>]).await.unwrap();
        tx.exec(&PARENT, args![1_i64, 1_i64, "y", None::<i64>]).await.unwrap_err();
        assert!(matches!(tx.one(&PARENTS, &[]).await, Err(Error::Other(_))));
        assert!(matches!(tx.commit().await, Err(Error::Other(_))));
        assert_eq!(db.one(&PARENTS, &[]).await.unwrap(), 0, "{db:?}");
    }
}

#[tokio::test]
async fn no_row_is_not_found_and_harms_nothing() {
    static MISSING: Sql<i64> = Sql::new("SELECT id FROM parents WHERE id = $1");
    for database in both().await {
        tables(&database).await;
        let db = &database.db;
        assert!(matches!(db.one(&MISSING, args![1_i64]).await, Err(Error::NotFound)));
        assert_eq!(db.optional(&MISSING, args![1_i64]).await.unwrap(), None);
        let written: Result<()> = db
            .write(async |tx: &mut Tx| {
                assert!(matches!(tx.one(&MISSING, args![1_i64]).await, Err(Error::NotFound)));
                tx.exec(&PARENT, args![1_i64, 1_i64, "x", None::<i64>]).await.map(drop)
            })
            .await;
        written.unwrap();
        assert_eq!(db.one(&PARENTS, &[]).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_dropped_transaction_is_rolled_back() {
    for database in both().await {
        tables(&database).await;
        let db = &database.db;
        let mut tx = db.begin().await.unwrap();
        tx.exec(&PARENT, args![1_i64, 1_i64, "x", None::<i64>]).await.unwrap();
        drop(tx);
        let failed: Result<()> = db
            .write(async |tx: &mut Tx| {
                tx.exec(&PARENT, args![1_i64, 1_i64, "x", None::<i64>]).await?;
                Err(Error::NotFound)
            })
            .await;
        assert!(matches!(failed, Err(Error::NotFound)));
        assert_eq!(db.one(&PARENTS, &[]).await.unwrap(), 0, "{db:?}");
        parent(db, 1, Some(1), Some("x"), None).await.unwrap();
    }
}

/// An error such as the core's: made from the seam's, with a kind of its own.
#[derive(Debug)]
enum CoreError {
    Seam(Error),
    Collided,
}

impl From<Error> for CoreError {
    fn from(error: Error) -> Self {
        Self::Seam(error)
    }
}

impl Transient for CoreError {
    fn transient(&self) -> bool {
        match self {
            Self::Seam(error) => error.transient(),
            Self::Collided => true,
        }
    }
}

#[tokio::test]
async fn a_collision_is_tried_three_times_in_all() {
    for database in both().await {
        tables(&database).await;
        let tries = AtomicU32::new(0);
        let failed: Result<(), CoreError> = database
            .db
            .write(async |tx: &mut Tx| {
                tries.fetch_add(1, SeqCst);
                tx.exec(&PARENT, args![1_i64, 1_i64, "x", None::<i64>]).await?;
                Err(CoreError::Collided)
            })
            .await;
        assert!(matches!(failed, Err(CoreError::Collided)));
        assert_eq!(tries.into_inner(), 3);
        assert_eq!(database.db.one(&PARENTS, &[]).await.unwrap(), 0);
    }
}

async fn helper(tx: &mut Tx, names: &[String]) -> Result<(), CoreError> {
    for (index, name) in names.iter().enumerate() {
        tx.exec(&PARENT, args![10 + index as i64, None::<i64>, name, None::<i64>]).await?;
    }
    Ok(())
}

/// A wrapper such as the core's: a transaction with something more.
struct Write<'a> {
    tx: &'a mut Tx,
    reported: u32,
}

async fn wrapped<T: Send, F>(db: &Db, run: F) -> Result<T, CoreError>
where
    F: Send
        + AsyncFn(&mut Write<'_>) -> Result<T, CoreError>
        + for<'w, 't> Work<&'w mut Write<'t>, Result<T, CoreError>>,
{
    db.write(async |tx| {
        let mut write = Write { tx, reported: 0 };
        let output = run.run(&mut write).await?;
        assert_eq!(write.reported, 1);
        Ok(output)
    })
    .await
}

/// What a handler does: a future that borrows its context, inside another.
async fn use_case(db: &Db, names: &[String]) -> Result<i64, CoreError> {
    let borrowed = &names;
    db.write(async |tx: &mut Tx| {
        helper(tx, borrowed).await?;
        tx.after_commit(|| {});
        Ok(tx.one(&PARENTS, &[]).await?)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_may_move_between_threads() {
    for database in both().await {
        tables(&database).await;
        let db = database.db.clone();
        let names = vec!["a".to_owned(), "b".to_owned()];
        let spawned = tokio::spawn(async move { use_case(&db, &names).await });
        assert_eq!(spawned.await.unwrap().unwrap(), 2);
        let db = database.db.clone();
        let spawned = tokio::spawn(async move {
            let name = "d".to_owned();
            wrapped(&db, async |write| {
                helper(write.tx, std::slice::from_ref(&name)).await?;
                write.reported += 1;
                Ok(name.len())
            })
            .await
        });
        assert_eq!(spawned.await.unwrap().unwrap(), 1);
        let db = database.db.clone();
        let (text, uid) = ("c".to_owned(), Uuid::now_v7());
        let spawned = tokio::spawn(async move {
            db.write(async |tx| {
                let name = format!("{text}{uid}");
                tx.exec(&PARENT, args![1_i64, 1_i64, name, None::<i64>]).await?;
                tx.lock("a").await?;
                Ok::<_, Error>(())
            })
            .await
        });
        spawned.await.unwrap().unwrap();
    }
}
