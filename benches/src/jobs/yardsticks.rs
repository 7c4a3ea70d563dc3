//! What the machine does without the product: one durable commit, one process, bytes through sockets.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use chandler_store::Db;
use chandler_store::seam::{DbConfig, Sql, args};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

static WRITE: Sql<()> = Sql::new("INSERT INTO bench_floor (note) VALUES ($1)");

/// A table of nothing, on the same disk and with the same durability as the product's.
#[derive(Debug)]
pub(super) struct Floor {
    db: Db,
}

impl Floor {
    pub(super) async fn open(database: &DbConfig) -> Result<Self> {
        let db = Db::open(database).await?;
        db.script("CREATE TABLE IF NOT EXISTS bench_floor (note text)").await?;
        Ok(Self { db })
    }

    /// One row, in a transaction of its own, on the disk.
    pub(super) async fn commit(&self) -> Result<Duration> {
        let begin = Instant::now();
        self.db.write(async |tx| tx.exec(&WRITE, args!["a row"]).await).await?;
        Ok(begin.elapsed())
    }
}

/// A shell that does nothing, from its start to its end.
pub(super) async fn process() -> Result<Duration> {
    let begin = Instant::now();
    let status = Command::new("sh").args(["-c", "true"]).stdin(Stdio::null()).status().await.context("sh")?;
    ensure!(status.success(), "`sh -c true` failed: {status}");
    Ok(begin.elapsed())
}

/// What is read from a program's output at once.
const PIECE: usize = 32 * 1024;

/// Lines per second from the script to readers behind sockets, with nothing in between but a copy.
pub(super) async fn pipe(script: &str, lines: u32, readers: usize) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (mut writers, mut counts) = (Vec::new(), JoinSet::new());
    for _ in 0..readers {
        let reader = TcpStream::connect(address).await?;
        let (writer, _) = listener.accept().await?;
        writers.push(writer);
        counts.spawn(count(reader));
    }
    let begin = Instant::now();
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context("sh")?;
    let mut output = child.stdout.take().context("the output is not piped")?;
    let mut piece = vec![0; PIECE];
    loop {
        let read = output.read(&mut piece).await?;
        if read == 0 {
            break;
        }
        for writer in &mut writers {
            writer.write_all(&piece[..read]).await?;
        }
    }
    drop(writers);
    while let Some(counted) = counts.join_next().await {
        let counted = counted??;
        ensure!(counted == u64::from(lines), "{counted} of {lines} lines came through a bare socket");
    }
    Ok(f64::from(lines) / begin.elapsed().as_secs_f64())
}

async fn count(mut reader: TcpStream) -> Result<u64> {
    let (mut piece, mut lines) = (vec![0; PIECE], 0);
    loop {
        match reader.read(&mut piece).await? {
            0 => return Ok(lines),
            read => lines += piece[..read].iter().filter(|byte| **byte == b'\n').count() as u64,
        }
    }
}
