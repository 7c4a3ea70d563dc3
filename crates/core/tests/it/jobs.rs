//! The job engine as a worker and a person meet it: claims, fences, orders, losses, limits.

use std::time::Duration;

use anyhow::{Context, ensure};
use chandler_core::ErrorKind;
use chandler_core::jobs::link::{Order, Report, WorkerLink};
use chandler_core::jobs::{Mode, Settings, run_reaper, run_timers};
use chandler_model::Kind;
use chandler_model::ids::Selector;
use chandler_model::jobs::{Canceled, Fault, Stage, State, StopFor};
use chandler_model::logs::Stream;
use chandler_model::templates::ScriptSpec;
use chandler_testkit::installation::{on_both_engines, on_both_engines_with, settings};
use tokio_util::sync::CancellationToken;

use crate::support::{DONE, PATIENCE, attempt, claim_one, job, launch, script, text, until, worker};

#[tokio::test]
async fn a_job_goes_from_launch_to_its_end() {
    on_both_engines(async |on| {
        let launched = launch(&on, script()).await?;
        ensure!(launched.state == State::Pending { resuming: false });
        let (link, row) = worker(&on.core, "w").await?;
        let mine = claim_one(&link, &row).await?;
        ensure!((mine.job, mine.attempt) == (launched.id, 1));
        ensure!(link.claim(&row, 4).await?.is_empty(), "a job is claimed once");

        let running = job(&on, mine.job).await?;
        ensure!(running.state == State::Running(Stage::Assigned) && running.started_at.is_some());
        ensure!(running.snapshot.worker.as_deref() == Some("w"));

        let at = attempt(&mine);
        ensure!(link.report(at, Report::Stage(Stage::Executing)).await? == Order::Continue);
        let chunks = [text(Stream::Stdout, "one\ntwo\n", &on), text(Stream::Stderr, "three", &on)];
        ensure!(link.log(at, 1, &chunks).await? == Order::Continue);
        ensure!(link.report(at, DONE).await? == Order::Gone);

        let ended = job(&on, mine.job).await?;
        ensure!(ended.state == State::Succeeded(None) && ended.exit_code == Some(0));
        ensure!(ended.events_complete && (ended.log_bytes, ended.log_lines) == (13, 2));
        let (attempts, transitions) = on.core.job_history(&on.admin().await?, Selector::Id(ended.id)).await?;
        ensure!(attempts.len() == 1 && attempts[0].state == "succeeded" && attempts[0].finished_at.is_some());
        let words: Vec<_> = transitions.iter().map(|t| t.what.as_str()).collect();
        ensure!(words == ["submit", "claim", "stage", "done"], "{words:?}");

        // The same end again, and anything else, changes nothing.
        for report in [DONE, Report::Stopped { exit_code: None }, Report::Stage(Stage::Finishing)] {
            ensure!(link.report(at, report).await? == Order::Gone);
        }
        ensure!(job(&on, mine.job).await? == ended);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_failure_says_why_and_may_be_tried_again_later() {
    on_both_engines(async |on| {
        let stop = CancellationToken::new();
        let _end = stop.clone().drop_guard();
        tokio::spawn(run_timers(on.core.clone(), stop));
        let spec = ScriptSpec { may_repeat: true, retries: 1, ..script() };
        let id = launch(&on, spec).await?.id;
        let (link, row) = worker(&on.core, "w").await?;
        let failure =
            Report::Error { fault: Fault::Work, message: "It broke.".to_owned(), exit_code: Some(3), diagnostic: None };

        let first = claim_one(&link, &row).await?;
        ensure!(link.report(attempt(&first), failure.clone()).await? == Order::Gone);
        let waiting = job(&on, id).await?;
        ensure!(waiting.state == State::Pending { resuming: false } && waiting.retries_left == 0);
        ensure!(waiting.started_at.is_none() && waiting.worker_id.is_none());

        // Not before the back-off has passed; then its timer makes it ready.
        let second = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(found) = link.claim(&row, 1).await?.pop() {
                    return anyhow::Ok(found);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await??;
        ensure!((second.job, second.attempt) == (id, 2));
        ensure!(link.report(attempt(&first), DONE).await? == Order::Gone, "the first attempt is fenced");
        ensure!(link.report(attempt(&second), failure).await? == Order::Gone);
        let ended = job(&on, id).await?;
        ensure!(ended.state == State::Failed(Fault::Work));
        ensure!((ended.error.as_deref(), ended.exit_code) == (Some("It broke."), Some(3)));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_cancel_is_told_to_the_worker_and_is_never_lost() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let (link, row) = worker(&on.core, "w").await?;

        let pending = launch(&on, script()).await?;
        let gone = on.core.cancel_job(&cx, Selector::Id(pending.id)).await?;
        ensure!(gone.state == State::Canceled(Canceled::Request) && gone.cancel_requested_at.is_some());
        ensure!(link.claim(&row, 1).await?.is_empty(), "what was cancelled is not claimed");

        let id = launch(&on, script()).await?.id;
        let at = attempt(&claim_one(&link, &row).await?);
        link.report(at, Report::Stage(Stage::Executing)).await?;
        let stopping = on.core.cancel_job(&cx, Selector::Id(id)).await?;
        ensure!(stopping.state == State::Stopping { stage: Some(Stage::Executing), why: StopFor::Cancel });
        ensure!(on.core.cancel_job(&cx, Selector::Id(id)).await?.state == stopping.state, "again: nothing changes");
        ensure!(link.beat(at, 1).await? == Order::Stop(StopFor::Cancel));
        ensure!(link.report(at, Report::Stage(Stage::Finishing)).await? == Order::Stop(StopFor::Cancel));
        // Done well by itself, but somebody had asked for its end.
        ensure!(link.report(at, DONE).await? == Order::Gone);
        ensure!(job(&on, id).await?.state == State::Canceled(Canceled::Request));

        let again = on.core.cancel_job(&cx, Selector::Id(id)).await.err().context("it has ended")?;
        ensure!(again.kind == ErrorKind::WrongState { resource: Kind::ScriptJob, state: "canceled" });
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_falls_silent_loses_its_job_and_is_fenced() {
    on_both_engines(async |on| {
        let stop = CancellationToken::new();
        let _end = stop.clone().drop_guard();
        tokio::spawn(run_reaper(on.core.clone(), stop));
        let (link, row) = worker(&on.core, "w").await?;

        // Nothing had been done yet: it goes back to the queue, whatever its kind.
        let returned = launch(&on, script()).await?.id;
        let first = claim_one(&link, &row).await?;
        until(&on, returned, |job| job.returns == 1).await?;
        let second = claim_one(&link, &row).await?;
        ensure!(second.attempt == 2);
        ensure!(link.beat(attempt(&first), 9).await? == Order::Gone, "the first attempt is fenced");

        // Begun, and it may not repeat: lost.
        link.report(attempt(&second), Report::Stage(Stage::Preparing)).await?;
        let lost = until(&on, returned, |job| job.state.is_final()).await?;
        ensure!(lost.state == State::Failed(Fault::Lost) && lost.error.is_some());
        ensure!(link.log(attempt(&second), 1, &[text(Stream::Stdout, "late\n", &on)]).await? == Order::Gone);
        ensure!(link.report(attempt(&second), DONE).await? == Order::Gone);
        ensure!(job(&on, returned).await? == lost);

        // A job whose beats go on is never lost.
        let alive = launch(&on, script()).await?.id;
        let mine = attempt(&claim_one(&link, &row).await?);
        link.report(mine, Report::Stage(Stage::Executing)).await?;
        let timing = on.core.job_settings().timing;
        let until = tokio::time::Instant::now() + timing.lost * 2;
        let mut beat = 0;
        while tokio::time::Instant::now() < until {
            beat += 1;
            ensure!(link.beat(mine, beat).await? == Order::Continue);
            tokio::time::sleep(timing.beat / 2).await;
        }
        ensure!(job(&on, alive).await?.state == State::Running(Stage::Executing));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_time_limit_stops_the_job() {
    on_both_engines(async |on| {
        let stop = CancellationToken::new();
        let _end = stop.clone().drop_guard();
        tokio::spawn(run_timers(on.core.clone(), stop));
        let id = launch(&on, ScriptSpec { timeout_s: Some(1), ..script() }).await?.id;
        let (link, row) = worker(&on.core, "w").await?;
        let at = attempt(&claim_one(&link, &row).await?);
        link.report(at, Report::Stage(Stage::Executing)).await?;
        until(&on, id, |job| job.state.stop_for() == Some(StopFor::Timeout)).await?;
        ensure!(link.beat(at, 1).await? == Order::Stop(StopFor::Timeout));
        link.report(at, Report::Stopped { exit_code: Some(143) }).await?;
        let ended = job(&on, id).await?;
        ensure!(ended.state == State::Failed(Fault::Timeout) && ended.exit_code == Some(143));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_log_is_cut_at_its_limit_with_a_mark_and_the_job_goes_on() {
    on_both_engines_with(Settings { log_max: 10, ..settings() }, async |on| {
        let id = launch(&on, script()).await?.id;
        let (link, row) = worker(&on.core, "w").await?;
        let at = attempt(&claim_one(&link, &row).await?);
        let batch = |text_: &str| [text(Stream::Stdout, text_, &on)];
        link.log(at, 1, &batch("12345678")).await?;
        link.log(at, 1, &batch("the same batch again is not stored")).await?;
        link.log(at, 2, &batch("90abcdef")).await?;
        link.log(at, 3, &batch("nothing more")).await?;
        ensure!(link.report(at, DONE).await? == Order::Gone);
        let ended = job(&on, id).await?;
        ensure!(ended.state == State::Succeeded(None) && ended.log_truncated);
        let mut reader = on.core.job_log(&on.admin().await?, Selector::Id(id), 0, Mode::Follow).await?;
        let mut log = String::new();
        while let Some(chunks) = reader.next().await? {
            chunks.iter().for_each(|chunk| log.push_str(&String::from_utf8_lossy(&chunk.bytes)));
        }
        ensure!(log.starts_with("1234567890\n[the log ends here"), "{log:?}");
        ensure!(ended.log_bytes == i64::try_from(log.len())?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_follower_reads_every_chunk_once_from_any_process() {
    on_both_engines(async |on| {
        let id = launch(&on, script()).await?.id;
        let (link, row) = worker(&on.core, "w").await?;
        let at = attempt(&claim_one(&link, &row).await?);
        let here = if on.core.db().engine() == chandler_store::seam::Engine::Postgres {
            on.replica().await?
        } else {
            on.core.clone()
        };
        let mut reader = here.job_log(&on.admin().await?, Selector::Id(id), 0, Mode::Follow).await?;
        let following = tokio::spawn(async move {
            let mut read = Vec::new();
            while let Some(chunks) = reader.next().await? {
                read.extend(chunks);
            }
            anyhow::Ok(read)
        });
        for beat in 1..=50 {
            link.log(at, beat, &[text(Stream::Stdout, &format!("line {beat}\n"), &on)]).await?;
        }
        link.report(at, DONE).await?;
        let read = tokio::time::timeout(PATIENCE, following).await???;
        ensure!(read.len() == 50);
        for (i, chunk) in read.iter().enumerate() {
            let n = i64::try_from(i)?;
            ensure!((chunk.seq, chunk.first_line, chunk.lines) == (n + 1, n + 1, 1), "{chunk:?}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn many_workers_never_claim_one_job_twice() {
    on_both_engines(async |on| {
        const JOBS: usize = 40;
        for _ in 0..JOBS {
            launch(&on, script()).await?;
        }
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..8 {
            let (link, row) = worker(&on.core, &format!("w{n}")).await?;
            tasks.spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let claimed = link.claim(&row, 3).await?;
                    if claimed.is_empty() {
                        return anyhow::Ok(mine);
                    }
                    for assignment in claimed {
                        link.report(attempt(&assignment), DONE).await?;
                        mine.push(assignment.job);
                    }
                }
            });
        }
        let mut all = Vec::new();
        while let Some(mine) = tasks.join_next().await {
            all.extend(mine??);
        }
        all.sort();
        let claimed = all.len();
        all.dedup();
        ensure!((claimed, all.len()) == (JOBS, JOBS));
        Ok(())
    })
    .await;
}
