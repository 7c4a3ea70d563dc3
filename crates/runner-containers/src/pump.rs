//! A container's output on its way to whoever reads it: every byte as it was written, each stream apart. Whoever reads
//! slowly holds the job back; nothing is kept in memory.

use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use chandler_runner::executor::Teller;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

use crate::said;

/// Output that does not come within this time after the end does not come at all.
const LAST_OUTPUT: Duration = Duration::from_secs(10);

pub(crate) type Frames = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

/// Copies what the container writes, each stream to its own reader, until both have ended.
pub(crate) async fn pump(
    mut frames: Frames,
    [mut out, mut err]: [DuplexStream; 2],
    mut exited: watch::Receiver<bool>,
    tell: Teller,
) {
    loop {
        let quiet = async {
            // The sender lives as long as this is read.
            let _ = exited.wait_for(|exited| *exited).await;
            tokio::time::sleep(LAST_OUTPUT).await;
        };
        let frame = tokio::select! {
            frame = frames.next() => frame,
            () = quiet => return tell.say("The runtime does not say that the output is over; some may be missing."),
        };
        let (pipe, bytes) = match frame {
            Some(Ok(LogOutput::StdErr { message })) => (&mut err, message),
            Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message })) => (&mut out, message),
            Some(Ok(LogOutput::StdIn { .. })) => continue,
            Some(Err(error)) => {
                let reason = said::line(&error);
                return tell.say(format!("The runtime's stream has broken, output is missing: {reason}."));
            }
            None => return,
        };
        // Nobody reads any more: the attempt has gone, and its end will end the container.
        if pipe.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
