//! A migrated database of its own for every test: SQLite 0.5 ms, PostgreSQL 50 ms.
//!
//! Migrations run once per checksum into a template, whatever the number of test processes; a test gets a copy. How a
//! database is migrated is the caller's business: this module knows no table.

use std::env;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// The address of a PostgreSQL server where tests may make and drop databases. `test.sh` sets it.
pub const POSTGRES_VARIABLE: &str = "CHANDLER_TEST_POSTGRES";

/// Any number, as long as nobody else locks it: one maker of templates at a time.
const TEMPLATE_LOCK: i64 = 0x6368_616e_646c_6572;

const KEEP_TEMPLATES: Duration = Duration::from_secs(24 * 60 * 60);

/// Removes the database when dropped. Keep it for as long as the database is used.
#[derive(Debug)]
#[must_use = "the database is removed when its guard is dropped"]
pub struct Guard(Kept);

#[derive(Debug)]
enum Kept {
    Postgres { server: String, database: String },
    Sqlite { _folder: TempDir },
}

/// The address of a new PostgreSQL database, a copy of the template of that checksum. `migrate` gets the address of an
/// empty one, at most once per checksum and server.
///
/// # Errors
/// Without a server there is no test: a missing [`POSTGRES_VARIABLE`] is an error, not a reason to skip.
pub async fn postgres_database(
    checksum: &str,
    migrate: impl AsyncFnOnce(String) -> Result<()>,
) -> Result<(String, Guard)> {
    let server = env::var(POSTGRES_VARIABLE).with_context(|| {
        format!("{POSTGRES_VARIABLE} is not set: run ./test.sh, or `tests/postgres.sh start DIR` and export its answer")
    })?;
    let template = format!("chandler_template_{}", name_part(checksum)?);
    let client = connect(&server).await?;
    if !exists(&client, &template).await? {
        make_template(&client, &server, &template, migrate).await?;
    }
    let database = format!("chandler_test_{}_{:016x}", std::process::id(), rand::random::<u64>());
    client.batch_execute(&format!("CREATE DATABASE {database} TEMPLATE {template}")).await?;
    let url = with_database(&server, &database)?;
    Ok((url, Guard(Kept::Postgres { server, database })))
}

/// The path of a new SQLite database, a copy of the template of that checksum. `migrate` gets the path of a file that
/// does not exist yet and must close it, so that the file alone is the whole database.
///
/// # Errors
/// If the template cannot be made or copied.
pub async fn sqlite_database(
    checksum: &str,
    migrate: impl AsyncFnOnce(PathBuf) -> Result<()>,
) -> Result<(PathBuf, Guard)> {
    let home = scratch()?;
    let template = home.join(format!("template-{}.db", name_part(checksum)?));
    if !template.exists() {
        remove_old_templates(&home)?;
        make_template_file(&template, migrate).await?;
    }
    let folder = tempfile::Builder::new().prefix("db-").tempdir_in(&home)?;
    let path = folder.path().join("chandler.db");
    fs::copy(&template, &path)?;
    Ok((path, Guard(Kept::Sqlite { _folder: folder })))
}

async fn connect(url: &str) -> Result<Client> {
    // The host and database only: an address may carry a password.
    let shown = url.rsplit('@').next().unwrap_or_default();
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.with_context(|| format!("PostgreSQL at {shown}"))?;
    // Ends by itself when the client is dropped; errors reach the client as well.
    tokio::spawn(connection);
    Ok(client)
}

async fn exists(client: &Client, database: &str) -> Result<bool> {
    let found = client.query_opt("SELECT FROM pg_database WHERE datname = $1", &[&database]).await?;
    Ok(found.is_some())
}

/// Under a lock of the server, and under another name until it is complete: a test process may die at any point.
async fn make_template(
    client: &Client,
    server: &str,
    template: &str,
    migrate: impl AsyncFnOnce(String) -> Result<()>,
) -> Result<()> {
    client.execute("SELECT pg_advisory_lock($1)", &[&TEMPLATE_LOCK]).await?;
    let made = async {
        if exists(client, template).await? {
            return Ok(());
        }
        let unfinished = format!("{template}_unfinished");
        client.batch_execute(&format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)")).await?;
        client.batch_execute(&format!("CREATE DATABASE {unfinished}")).await?;
        migrate(with_database(server, &unfinished)?).await.context("migrating the template database")?;
        // A pool that the migration left open would forbid the new name.
        client.batch_execute(&format!("ALTER DATABASE {unfinished} ALLOW_CONNECTIONS false")).await?;
        let end = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = $1";
        client.query(end, &[&unfinished]).await?;
        client.batch_execute(&format!("ALTER DATABASE {unfinished} RENAME TO {template}")).await?;
        Ok(())
    }
    .await;
    client.execute("SELECT pg_advisory_unlock($1)", &[&TEMPLATE_LOCK]).await?;
    made
}

async fn make_template_file(template: &Path, migrate: impl AsyncFnOnce(PathBuf) -> Result<()>) -> Result<()> {
    let lock = File::create(template.with_extension("lock"))?;
    // Waits on a thread: the holder may be another task of this very test.
    let _held = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    if template.exists() {
        return Ok(());
    }
    let unfinished = template.with_extension("unfinished");
    for suffix in ["", "-wal", "-shm"] {
        remove(&beside(&unfinished, suffix))?;
    }
    migrate(unfinished.clone()).await.context("migrating the template database")?;
    let wal = beside(&unfinished, "-wal");
    // A pool closes its connections a moment after it is dropped; on a busy machine that moment is long.
    for _ in 0..1200 {
        if fs::metadata(&wal).map_or(0, |file| file.len()) == 0 {
            fs::rename(&unfinished, template)?;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("the migration left {} open", unfinished.display())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| path.display().to_string()),
        _ => Ok(()),
    }
}

/// Templates of schemas that nobody has asked for since yesterday.
fn remove_old_templates(home: &Path) -> Result<()> {
    for entry in fs::read_dir(home)? {
        let entry = entry?;
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if age > KEEP_TEMPLATES && entry.file_name().to_string_lossy().starts_with("template-") {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// A folder below the target folder, which is where the running test program was built.
fn scratch() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program
        .ancestors()
        .find(|folder| folder.ends_with("deps"))
        .and_then(|deps| deps.ancestors().nth(2))
        .map_or_else(env::temp_dir, Path::to_path_buf);
    let home = target.join("tmp").join("chandler-databases");
    fs::create_dir_all(&home)?;
    Ok(home)
}

/// The checksum becomes part of a name that is written into statements: nothing but letters and digits.
fn name_part(checksum: &str) -> Result<String> {
    let plain = checksum.bytes().all(|byte| byte.is_ascii_alphanumeric());
    ensure!(plain && !checksum.is_empty(), "a checksum of letters and digits, not {checksum:?}");
    Ok(checksum.chars().take(32).collect::<String>().to_ascii_lowercase())
}

/// The same server, another database.
fn with_database(url: &str, database: &str) -> Result<String> {
    let (address, options) = url.split_once('?').map_or((url, None), |(address, options)| (address, Some(options)));
    let start = address.find("://").map(|at| at + 3).context("a PostgreSQL address starts with postgres://")?;
    let end = address[start..].find('/').map_or(address.len(), |at| start + at);
    let mut other = format!("{}/{database}", &address[..end]);
    if let Some(options) = options {
        other.push('?');
        other.push_str(options);
    }
    Ok(other)
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Kept::Postgres { server, database } = &self.0 else { return };
        let (server, database) = (server.clone(), database.clone());
        // On a thread, because the runtime of the test may be single and is busy dropping us. A failure leaves a stale
        // database on a server that is thrown away.
        let dropped = thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let client = connect(&server).await?;
                client.batch_execute(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")).await?;
                Ok(())
            })
        });
        let _ = dropped.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_everything_but_its_database() {
        for (url, wanted) in [
            ("postgres://postgres@127.0.0.1:5/postgres", "postgres://postgres@127.0.0.1:5/x"),
            ("postgres://a:b@h", "postgres://a:b@h/x"),
            ("postgresql://h/y?sslmode=disable", "postgresql://h/x?sslmode=disable"),
            ("postgres://h?a=/b", "postgres://h/x?a=/b"),
        ] {
            assert_eq!(with_database(url, "x").unwrap(), wanted);
        }
        assert!(with_database("host=localhost", "x").is_err());
    }

    #[test]
    fn a_checksum_cannot_carry_a_statement() {
        assert_eq!(name_part("ABCdef01").unwrap(), "abcdef01");
        assert_eq!(name_part(&"a".repeat(64)).unwrap().len(), 32);
        for wrong in ["", "a; DROP DATABASE b", "a\"", "a_b"] {
            assert!(name_part(wrong).is_err(), "{wrong}");
        }
    }
}
