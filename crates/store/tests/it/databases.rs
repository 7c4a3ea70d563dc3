//! A fresh database of each engine.

use chandler_store::seam::{Db, DbConfig, Synchronous};
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// A database of one test; it is gone when this is dropped.
pub(crate) struct Database {
    pub(crate) db: Db,
    pub(crate) config: DbConfig,
    _place: Place,
}

enum Place {
    File { _directory: TempDir },
    Server { name: String },
}

/// One of each engine.
pub(crate) async fn both() -> [Database; 2] {
    [sqlite().await, postgres().await]
}

pub(crate) async fn sqlite() -> Database {
    let directory = tempfile::tempdir().unwrap();
    let mut config = DbConfig::sqlite(directory.path().join("test.db"));
    config.synchronous = Synchronous::Off;
    Database { db: Db::open(&config).await.unwrap(), config, _place: Place::File { _directory: directory } }
}

pub(crate) async fn postgres() -> Database {
    let name = format!("store_{}", uuid::Uuid::now_v7().simple());
    admin(&format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")).await;
    let url = server();
    let (address, _) = url.rsplit_once('/').expect("CHANDLER_TEST_POSTGRES ends with /database");
    let config = DbConfig::postgres(format!("{address}/{name}"));
    Database { db: Db::open(&config).await.unwrap(), config, _place: Place::Server { name } }
}

impl Database {
    pub(crate) async fn script(&self, text: &str) {
        self.db.script(text).await.unwrap();
    }
}

fn server() -> String {
    std::env::var("CHANDLER_TEST_POSTGRES")
        .expect("CHANDLER_TEST_POSTGRES is not set: run ./test.sh, which starts a PostgreSQL for the tests")
}

async fn admin(statement: &str) {
    let (client, connection) = tokio_postgres::connect(&server(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(statement).await.unwrap();
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self::Server { name } = self else { return };
        let statement = format!("DROP DATABASE {name} WITH (FORCE)");
        // A drop cannot wait, and the test's own runtime may be single-threaded.
        let dropping = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(admin(&statement));
        });
        let _ = dropping.join();
    }
}
