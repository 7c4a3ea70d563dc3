//! The connection that listens: it turns the notifications of other processes into notices of this one.
//!
//! While the connection is lost nothing arrives, so after each reconnection every receiver is told to look for itself
//! (`Notice::RESYNC`).

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Socket, tls::NoTlsStream};

use super::announcer::Backend;
use crate::seam::engine::LISTEN;
use crate::seam::error::{Error, Result};
use crate::seam::notices::{Notice, Notices};

/// Waits between attempts to reconnect: doubled from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(10);

/// Listens until the last clone is dropped.
#[derive(Clone)]
pub(super) struct Listener {
    _task: Arc<Stop>,
}

struct Stop(AbortHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Line {
    // Dropping it would close the connection.
    _client: Client,
    connection: Connection<Socket, NoTlsStream>,
}

impl Listener {
    /// Returns when notifications arrive, or fails if there is no server.
    pub(super) async fn start(server: Config, notices: Notices, own: Backend) -> Result<Self> {
        let mut line = connect(&server, &notices, &own).await?;
        let task = tokio::spawn(async move {
            loop {
                forward(&mut line, &notices, &own).await;
                line = reconnect(&server, &notices, &own).await;
                // An error only means that nobody listens now.
                let _ = notices.send(Notice { channel: Notice::RESYNC.to_owned(), payload: String::new() });
            }
        });
        Ok(Self { _task: Arc::new(Stop(task.abort_handle())) })
    }
}

async fn reconnect(server: &Config, notices: &Notices, own: &Backend) -> Line {
    let mut wait = FIRST_WAIT;
    loop {
        tokio::time::sleep(wait).await;
        match connect(server, notices, own).await {
            Ok(line) => return line,
            Err(error) => tracing::warn!("cannot listen for notifications: {error}"),
        }
        wait = (wait * 2).min(LAST_WAIT);
    }
}

async fn connect(server: &Config, notices: &Notices, own: &Backend) -> Result<Line> {
    let connecting = server.connect(NoTls).await.map_err(|error| Error::unavailable(&error));
    let (client, mut connection) = connecting?;
    {
        let mut listening = pin!(client.batch_execute(LISTEN));
        // The connection does nothing unless it is polled, and notifications may come before the answer.
        loop {
            tokio::select! {
                answer = &mut listening => { answer?; break }
                message = poll_fn(|context| connection.poll_message(context)) => match message {
                    Some(Ok(message)) => deliver(message, notices, own),
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(Error::Unavailable("the server closed the connection".to_owned())),
                }
            }
        }
    }
    Ok(Line { _client: client, connection })
}

/// Forwards notifications until the connection ends.
async fn forward(line: &mut Line, notices: &Notices, own: &Backend) {
    loop {
        match poll_fn(|context| line.connection.poll_message(context)).await {
            Some(Ok(message)) => deliver(message, notices, own),
            Some(Err(error)) => {
                tracing::warn!("the connection that listens is lost: {error}");
                return;
            }
            None => return,
        }
    }
}

fn deliver(message: AsyncMessage, notices: &Notices, own: &Backend) {
    match message {
        // Our own have gone to everybody here right after their commit.
        AsyncMessage::Notification(notification) if own.is(notification.process_id()) => {}
        AsyncMessage::Notification(notification) => {
            let Some((channel, payload)) = notification.payload().split_once('\n') else { return };
            let _ = notices.send(Notice { channel: channel.to_owned(), payload: payload.to_owned() });
        }
        AsyncMessage::Notice(notice) => tracing::debug!("PostgreSQL: {notice}"),
        _ => {}
    }
}
