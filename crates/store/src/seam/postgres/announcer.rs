//! Tells other processes what this one's transactions left, after their commits and on a connection of its own.
//!
//! A transaction that notifies holds a lock of the whole server until its commit is on the disk, so such commits would
//! go one after the other. Nothing is lost by telling later: who must not miss a notice looks for itself now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_postgres::{Client, Config, NoTls};

use crate::seam::engine::{ANNOUNCE, UNHURRIED};
use crate::seam::error::{Error, Result};
use crate::seam::notices::Notice;

/// Notices that wait while the server is away. What is beyond is dropped: its receivers look for themselves then.
const BACKLOG: usize = 4096;
/// Notices told at once.
const AT_ONCE: usize = 256;
/// Between two tries to reach the server.
const WAIT: Duration = Duration::from_millis(100);

/// Where notices are left. Cheap to clone; the task ends with the last clone.
#[derive(Clone)]
pub(super) struct Announcer {
    queue: mpsc::Sender<Notice>,
    backend: Backend,
}

/// The server's number of the connection that tells; what comes from it is known here already.
#[derive(Clone, Default)]
pub(super) struct Backend(Arc<AtomicI32>);

impl Backend {
    /// Whether a notification of this number is one of our own.
    pub(super) fn is(&self, number: i32) -> bool {
        self.0.load(Ordering::Acquire) == number
    }
}

impl Announcer {
    pub(super) fn start(server: Config) -> Self {
        let (queue, received) = mpsc::channel(BACKLOG);
        let backend = Backend::default();
        tokio::spawn(announce(server, received, backend.clone()));
        Self { queue, backend }
    }

    pub(super) fn backend(&self) -> Backend {
        self.backend.clone()
    }

    pub(super) fn announce(&self, notices: &[Notice]) {
        for notice in notices {
            if self.queue.try_send(notice.clone()).is_err() {
                tracing::debug!(channel = notice.channel, "a notice is not told: too many wait");
            }
        }
    }
}

async fn announce(server: Config, mut received: mpsc::Receiver<Notice>, backend: Backend) {
    let mut batch = Vec::new();
    let mut line: Option<Client> = None;
    while received.recv_many(&mut batch, AT_ONCE).await > 0 {
        let texts: Vec<String> =
            batch.drain(..).map(|Notice { channel, payload }| format!("{channel}\n{payload}")).collect();
        if let Err(error) = tell(&server, &mut line, &backend, &texts).await {
            tracing::warn!(%error, notices = texts.len(), "other processes are not told what has happened");
            line = None;
            tokio::time::sleep(WAIT).await;
        }
    }
}

async fn tell(server: &Config, line: &mut Option<Client>, backend: &Backend, texts: &[String]) -> Result<()> {
    let client = match line.take().filter(|client| !client.is_closed()) {
        Some(client) => line.insert(client),
        None => line.insert(connect(server, backend).await?),
    };
    client.execute(ANNOUNCE, &[&texts]).await?;
    Ok(())
}

async fn connect(server: &Config, backend: &Backend) -> Result<Client> {
    let (client, connection) = server.connect(NoTls).await.map_err(|error| Error::unavailable(&error))?;
    // Its end is seen by the next statement.
    tokio::spawn(async move { drop(connection.await) });
    let number: i32 = client.query_one(UNHURRIED, &[]).await?.get(0);
    backend.0.store(number, Ordering::Release);
    Ok(client)
}
