//! The real program, filled with rows through its own API.

use std::env;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use chandler_store::seam::DbConfig;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::sleep;

use crate::child::Server;
use crate::client::Client;

pub(crate) const SQLITE: &str = "SQLite";
pub(crate) const POSTGRES: &str = "PostgreSQL";
pub(crate) const ORGANIZATIONS: &str = "/api/v1/organizations";
pub(crate) const PAGE: &str = "/api/v1/organizations?limit=50";
const ROWS: usize = 1000;
const PAGE_ROWS: usize = 50;
const START_WITHIN: Duration = Duration::from_secs(60);

/// How one instance is started again and again on the same data.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) binary: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) postgres: Option<String>,
    pub(crate) password: String,
}

/// A running instance with a token for it.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) name: &'static str,
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) point: String,
    /// A database that costs what the product's costs.
    pub(crate) floor: DbConfig,
    /// From the start of the process to its first answer about a row.
    pub(crate) first_answer: Duration,
}

impl Setup {
    /// Starts on the empty database, makes a token and the rows, and stops: the token and the path of one row.
    pub(crate) async fn fill(&self) -> Result<(String, String)> {
        let (mut server, address) = self.start()?;
        let admin = Client::basic(address, "admin", &self.password);
        wait_for(&mut server, &admin, "/healthz").await?;
        let (_, token) = admin.create("/api/v1/tokens", &json!({"name": "bench"})).await?;
        let token = token["token"].as_str().context("the answer holds no token")?.to_owned();
        let client = Client { address, authorization: format!("Bearer {token}") };
        let mut point = String::new();
        for number in 0..ROWS {
            let (_, row) = client.create(ORGANIZATIONS, &json!({"name": format!("seed-{number:04}")})).await?;
            if number == ROWS / 2 {
                point = format!("{ORGANIZATIONS}/{}", id(&row)?);
            }
        }
        check_page(&client.get(PAGE).await?.body)?;
        server.stop().await?;
        Ok((client.authorization, point))
    }

    /// Starts on the filled database.
    pub(crate) async fn run(&self, authorization: &str, point: &str) -> Result<Product> {
        let begin = Instant::now();
        let (mut server, address) = self.start()?;
        let client = Client { address, authorization: authorization.to_owned() };
        wait_for(&mut server, &client, point).await?;
        let first_answer = begin.elapsed();
        Ok(Product { name: self.name, server, client, point: point.to_owned(), floor: self.floor(), first_answer })
    }

    /// Where a row costs what a row of the product costs; on SQLite another file beside the product's.
    fn floor(&self) -> DbConfig {
        match &self.postgres {
            Some(url) => DbConfig::postgres(url),
            None => DbConfig::sqlite(self.folder.join("floor.db")),
        }
    }

    fn start(&self) -> Result<(Server, SocketAddr)> {
        let address = free_address()?;
        let mut command = Command::new(&self.binary);
        command.arg("serve").current_dir(&self.folder);
        // Only what is written here: a developer's own settings would change what is measured.
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("CHANDLER_") {
                command.env_remove(name);
            }
        }
        command.env("CHANDLER_DATA", self.folder.join("data"));
        command.env("CHANDLER_ADMIN_PASSWORD", &self.password);
        command.env("CHANDLER_LISTEN_CONSOLE", address.to_string());
        // Only where the kernel has no sandbox.
        command.env("CHANDLER_WORKER_UNSANDBOXED", "true");
        if let Some(url) = &self.postgres {
            command.env("CHANDLER_DATABASE_URL", url);
        }
        let server = Server::start(&mut command, &self.folder.join("server.log"), false)?;
        Ok((server, address))
    }
}

/// Nobody listens there now, and the system does not give it to the next who asks for any.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

async fn wait_for(server: &mut Server, client: &Client, path: &str) -> Result<()> {
    let begin = Instant::now();
    loop {
        server.check()?;
        let outcome = client.get(path).await;
        match outcome {
            Ok(answer) if answer.status == 200 => return Ok(()),
            outcome if begin.elapsed() > START_WITHIN => {
                bail!("no good answer at {path} within {START_WITHIN:?}: {outcome:?}\n{}", server.last_words())
            }
            _ => sleep(Duration::from_millis(1)).await,
        }
    }
}

fn id(row: &Value) -> Result<String> {
    match row.get("id").or_else(|| row.get("uid")) {
        Some(Value::Number(id)) => Ok(id.to_string()),
        Some(Value::String(id)) => Ok(id.clone()),
        _ => bail!("a row without id: {row}"),
    }
}

/// A page that is short would be measured as a fast one.
fn check_page(body: &str) -> Result<()> {
    let page: Value = serde_json::from_str(body)?;
    let lists = std::iter::once(&page).chain(page.as_object().into_iter().flat_map(|page| page.values()));
    let longest = lists.filter_map(Value::as_array).map(Vec::len).max();
    ensure!(longest == Some(PAGE_ROWS), "a page of {PAGE_ROWS} rows holds {longest:?}");
    Ok(())
}

/// The release build beside this program.
pub(crate) async fn build() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--locked", "-p", "chandler-server"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .status()
        .await?;
    ensure!(status.success(), "the product does not build");
    Ok(env::current_exe()?.with_file_name("chandler"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_rows_are_checked() {
        let rows = |count: usize| json!(vec![json!({"id": 1}); count]);
        assert!(check_page(&json!({"items": rows(50), "next": null}).to_string()).is_ok());
        assert!(check_page(&rows(50).to_string()).is_ok());
        assert!(check_page(&json!({"items": rows(20)}).to_string()).is_err());
        assert!(check_page("{}").is_err());
        assert_eq!(id(&json!({"id": 7})).unwrap(), "7");
        assert_eq!(id(&json!({"uid": "u"})).unwrap(), "u");
        assert!(id(&json!({})).is_err());
    }
}
