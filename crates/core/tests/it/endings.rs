//! Jobs that rest, that go, and what they leave: suspending, deleting, secrets, events.

use anyhow::{Context, ensure};
use chandler_core::jobs::link::{Order, Report, WorkerLink};
use chandler_core::jobs::{JobInput, LaunchSecrets, Mode, Settings, What};
use chandler_model::ids::Selector;
use chandler_model::jobs::{Canceled, Hold, JobKind, Stage, State, StopFor};
use chandler_model::logs::{Entry, Stream};
use chandler_model::task_events::NewTaskEvent;
use chandler_model::templates::{ScriptSpec, TemplateSpec};
use chandler_model::{Id, RawJson};
use chandler_store::jobs::look;

use crate::bench::{Custom, on_both, on_both_with};
use crate::support::{DONE, input, script, text};

#[tokio::test]
async fn a_suspended_job_goes_on_where_it_can() {
    on_both(async |b| {
        let id = b.custom(&Custom::of(JobKind::Container)).await?.id;
        ensure!(b.suspend(id).await? == State::Suspended && b.hold(id).await? == Some(Hold::Suspended));
        b.idle().await?;
        ensure!(b.suspend(id).await.is_err());
        ensure!(b.resume(id).await? == State::Pending { resuming: true });
        let at = b.claims(id).await?;
        ensure!(b.resume(id).await.is_err(), "it runs");
        b.stage(at, Stage::Executing).await?;
        ensure!(b.suspend(id).await? == State::Stopping { stage: Some(Stage::Executing), why: StopFor::Suspend });
        ensure!(b.link.beat(at, 1).await? == Order::Stop(StopFor::Suspend));
        ensure!(b.stopped(at).await? == Order::Gone);
        let rests = b.job(id).await?;
        ensure!(rests.state == State::Suspended && rests.worker_id.is_none());
        b.resume(id).await?;
        let at = b.claims(id).await?;
        ensure!(at.number == 2);
        // A cancel counts more than a suspension.
        b.suspend(id).await?;
        ensure!(b.cancel(id).await?.stop_for() == Some(StopFor::Cancel));
        ensure!(b.suspend(id).await.is_err());
        b.stopped(at).await?;
        ensure!(b.state(id).await? == State::Canceled(Canceled::Request));
        let suspended = b.custom(&Custom::of(JobKind::Container)).await?.id;
        b.suspend(suspended).await?;
        ensure!(b.cancel(suspended).await? == State::Canceled(Canceled::Request));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_deleted_container_job_is_marked_and_every_other_row_goes() {
    on_both(async |b| {
        let running = b.custom(&Custom::of(JobKind::Container)).await?.id;
        let at = b.claims(running).await?;
        b.delete(running).await?;
        let stopping = b.job(running).await?;
        ensure!(stopping.state.stop_for() == Some(StopFor::Cancel) && stopping.deleted_at.is_none());
        ensure!(stopping.delete_requested_at.is_some());
        b.stopped(at).await?;
        ensure!(b.job(running).await?.deleted_at.is_some());
        let ended = b.custom(&Custom::of(JobKind::Container)).await?.id;
        b.link.report(b.claims(ended).await?, DONE).await?;
        b.delete(ended).await?;
        b.delete(ended).await?;
        ensure!(b.job(ended).await?.deleted_at.is_some() && b.state(ended).await? == State::Succeeded(None));

        let id = b.custom(&Custom::of(JobKind::Script)).await?.id;
        ensure!(b.delete(id).await.is_err(), "it has not ended");
        let at = b.claims(id).await?;
        b.link.log(at, 1, &[text(Stream::Stdout, "one\n", &b.on)]).await?;
        b.link.file(at, 1, "report", b"x").await?;
        b.link.report(at, DONE).await?;
        b.delete(id).await?;
        ensure!(b.job(id).await.is_err());
        ensure!(look::hanging(b.on.core.db(), id).await? == look::Hanging::default());
        ensure!(look::orphans(b.on.core.db()).await? == 1);
        ensure!(b.link.report(at, DONE).await? == Order::Gone, "its worker may say it again");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn secrets_of_a_launch_reach_the_worker_and_go_with_the_end() {
    on_both(async |b| {
        let secrets = LaunchSecrets {
            env: [("TOKEN".to_owned(), "s3cret".to_owned())].into(),
            files: [("key".to_owned(), "pem".to_owned())].into(),
        };
        let spec = TemplateSpec::Script(ScriptSpec { may_repeat: true, retries: 1, ..script() });
        let input = JobInput { secrets, ..input(&b.on, spec).await? };
        let id = b.on.core.launch_job(&b.on.admin().await?, input).await?.id;
        let mut first = None;
        for number in 1..=2 {
            let at = b.claims(id).await?;
            ensure!(at.number == number);
            let materials = b.link.materials(at).await?.context("it holds the job")?;
            ensure!(materials.secrets.env["TOKEN"] == "s3cret" && materials.secrets.files["key"] == b"pem");
            ensure!(!format!("{materials:?}").contains("s3cret"));
            ensure!(look::is_sealed(b.on.core.db(), id).await?);
            b.fails(at).await?;
            b.pass(6).await?;
            first.get_or_insert(at);
        }
        ensure!(b.state(id).await?.is_final());
        ensure!(!look::is_sealed(b.on.core.db(), id).await?);
        let first = first.context("there were two")?;
        ensure!(b.link.materials(first).await?.is_none());
        Ok(())
    })
    .await;
}

fn event(word: &str, stdout: &str, at: jiff::Timestamp) -> Entry {
    Entry::Event(NewTaskEvent {
        at,
        uuid: uuid::Uuid::now_v7(),
        parent_uuid: None,
        event: word.to_owned(),
        host_name: Some("h".to_owned()),
        play: None,
        task: None,
        role: None,
        failed: false,
        changed: true,
        data: RawJson("{}".to_owned()),
        stdout: stdout.to_owned(),
    })
}

#[tokio::test]
async fn the_log_of_a_playbook_is_its_events() {
    on_both_with(Settings { log_max: 40, ..Settings::default() }, async |b| {
        let template = b.playbook("p", false).await?;
        let id = b.launch(What::Template(template), None).await?;
        let at = b.claims(id).await?;
        let now = b.on.core.now();
        let entries = [
            event("playbook_on_start", "", now),
            event("playbook_on_task_start", "TASK [one]\n****", now),
            text(Stream::Stderr, "a warning\n", &b.on),
            event("runner_on_ok", "this one crosses the limit", now),
            event("runner_on_ok", "and this one has no text any more", now),
        ];
        b.link.log(at, 1, &entries).await?;
        b.link.log(at, 1, &entries).await?;
        b.link.report(at, DONE).await?;
        let cx = b.on.admin().await?;
        let events = b.on.core.job_events(&cx, Selector::Id(id), 0, 99).await?;
        let words: Vec<_> = events.iter().map(|e| (e.counter, e.event.as_str(), e.start_line, e.end_line)).collect();
        ensure!(
            words
                == [
                    (1, "playbook_on_start", 0, 0),
                    (2, "playbook_on_task_start", 0, 2),
                    (3, "error", 2, 3),
                    (4, "runner_on_ok", 3, 4),
                    (5, "warning", 4, 5),
                    (6, "runner_on_ok", 5, 5),
                ],
            "{words:?}"
        );
        ensure!(events[5].stdout.is_empty() && events[5].changed);
        let ended = b.job(id).await?;
        let mut reader = b.on.core.job_log(&cx, Selector::Id(id), 0, Mode::Follow).await?;
        let (mut log, mut line) = (Vec::new(), 1);
        while let Some(chunks) = reader.next().await? {
            for chunk in chunks {
                ensure!((chunk.first_line, chunk.first_byte) == (line, i64::try_from(log.len())?));
                line += chunk.lines;
                log.extend(chunk.bytes);
            }
        }
        let log = String::from_utf8(log)?;
        ensure!(log.starts_with("TASK [one]\n****\na warning\nthis one crosses the limit\n[the log ends"), "{log}");
        ensure!((ended.log_bytes, ended.log_lines) == (i64::try_from(log.len())?, 5) && ended.log_truncated);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_not_there() {
    on_both(async |b| {
        let at = chandler_core::jobs::link::Attempt { job: Id::new(404), number: 1 };
        for report in [DONE, Report::ProcessGone, Report::KillUnanswered, Report::Drain] {
            ensure!(b.link.report(at, report).await? == Order::Gone);
        }
        ensure!(b.link.beat(at, 1).await? == Order::Gone && b.link.materials(at).await?.is_none());
        ensure!(b.link.state(at, 1, b"{}").await? == Order::Gone && b.link.file(at, 1, "x", b"").await? == Order::Gone);
        Ok(())
    })
    .await;
}
