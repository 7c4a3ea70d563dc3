//! Signals become a token: the first SIGTERM or SIGINT asks everything to stop, the second ends at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Starts to listen for signals. The token fires at the first one; a second one ends the process without
/// waiting for anybody, which is safe because whatever was acknowledged is already durable.
pub fn on_signals() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let first = either(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = first.name, "stopping; a second signal ends at once");
        token.cancel();
        let second = either(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = second.name, "ending at once");
        end(second.exit_code);
    });
    Ok(stop)
}

struct Received {
    name: &'static str,
    exit_code: i32,
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> Received {
    tokio::select! {
        _ = terminate.recv() => Received { name: "SIGTERM", exit_code: 128 + 15 },
        _ = interrupt.recv() => Received { name: "SIGINT", exit_code: 128 + 2 },
    }
}

#[allow(clippy::disallowed_methods, reason = "skipping destructors is what the second signal asks for")]
fn end(code: i32) -> ! {
    std::process::exit(code)
}
