//! What an earlier life of the worker left of its attempts is handed in before anything is claimed.

use chandler_core::jobs::link::{Attempt, Report, WorkerLink};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::RETRY;
use crate::executor::{Executor, Left};
use crate::tools::Target;

/// Above every number that the earlier life has given: what is found now is newer.
const LAST_BEAT: i64 = i64::MAX;

/// Hands in what was found of one attempt, says that nothing of it runs, and only then removes it. What cannot be
/// handed in stays for the next start.
pub(super) async fn hand_in<L: WorkerLink>(link: &L, executor: &dyn Executor, left: Left, drain: &CancellationToken) {
    let attempt = Attempt { job: left.job, number: left.attempt };
    let give_up = Instant::now() + link.timing().lost;
    while let Err(error) = say_all(link, attempt, &left).await {
        tracing::warn!(job = %attempt.job, %error, "what an earlier life of this worker left cannot be handed in");
        if Instant::now() >= give_up {
            return;
        }
        tokio::select! {
            () = drain.cancelled() => return,
            () = tokio::time::sleep(RETRY.min(link.timing().beat / 2)) => {}
        }
    }
    if let Err(error) = executor.discard(left).await {
        tracing::warn!(job = %attempt.job, %error, "what an earlier life of this worker left stays");
    }
}

async fn say_all<L: WorkerLink>(link: &L, attempt: Attempt, left: &Left) -> chandler_core::error::Result<()> {
    for (path, bytes) in &left.files {
        match left.memo.targets.iter().find(|(of, _)| of == path).map(|(_, target)| target) {
            Some(Target::State) if serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_err() => {
                tracing::warn!(job = %attempt.job, "a state that is not whole is not handed in");
            }
            Some(Target::State) => drop(link.state(attempt, LAST_BEAT, bytes).await?),
            Some(Target::File(name)) => drop(link.file(attempt, left.memo.step, name, bytes).await?),
            None => {}
        }
    }
    link.report(attempt, Report::ProcessGone).await?;
    Ok(())
}
