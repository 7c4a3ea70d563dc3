//! A PostgreSQL cluster for one run, through the script that the tests use, but with fsync on.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/postgres.sh");

/// Stopped and removed when dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: PathBuf,
    pub(crate) url: String,
}

impl Cluster {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let output = Command::new(SCRIPT)
            .args([Path::new("start"), folder])
            .env("PG_DURABLE", "1")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context(SCRIPT)?;
        let url = String::from_utf8(output.stdout)?.trim().to_owned();
        let cluster = Self { folder: folder.to_path_buf(), url };
        ensure!(output.status.success(), "no PostgreSQL cluster in {}", folder.display());
        Ok(cluster)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = Command::new(SCRIPT).args([Path::new("stop"), &self.folder]).stdin(Stdio::null()).status();
    }
}
