//! Logs: read back, followed while a job runs, and gone on with after a lost connection.

use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::Body;
use chandler_core::jobs::link::Attempt;
use chandler_model::logs::Stream::{Stderr, Stdout, System};
use chandler_testkit::users::Who::Admin;
use chandler_wire::Limits;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::support::{FakeWorker, PATIENCE, Server, get, limits, on_both};

const EVENTS: &str = "text/event-stream";

/// A body that is read as it comes.
struct Reading {
    body: Body,
    read: String,
}

impl Reading {
    async fn open(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> Result<Self> {
        let ask = headers.iter().fold(get(path), |ask, (name, value)| ask.header(name, value));
        let (status, _, body) = server.open(Admin, ask).await?;
        anyhow::ensure!(status == 200, "{status}");
        Ok(Self { body, read: String::new() })
    }

    /// The same on a server whose limit may be too short for a busy machine: opening is tried until it succeeds.
    async fn open_at_last(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> Result<Self> {
        let tried = async {
            loop {
                if let Ok(reading) = Self::open(server, path, headers).await {
                    return reading;
                }
            }
        };
        tokio::time::timeout(PATIENCE, tried).await.context("it is never opened")
    }

    /// Reads until the text has all of that; what is behind it stays for the next time.
    async fn until(&mut self, wanted: &str) -> Result<()> {
        let all = async {
            while !self.read.contains(wanted) {
                let frame = self.body.frame().await.with_context(|| format!("ended after {:?}", self.read))??;
                let data = frame.into_data().map_err(|_| anyhow::anyhow!("trailers"))?;
                self.read.push_str(std::str::from_utf8(&data)?);
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, all).await.context("too late")?
    }

    /// Reads to the end.
    async fn whole(mut self) -> Result<String> {
        let rest = tokio::time::timeout(PATIENCE, self.body.collect()).await.context("does not end")??;
        self.read.push_str(std::str::from_utf8(&rest.to_bytes())?);
        Ok(self.read)
    }
}

/// Name, id and data of each event; comments are skipped.
fn events(text: &str) -> Result<Vec<(String, Option<i64>, Value)>> {
    let mut all = Vec::new();
    for block in text.split("\n\n").filter(|block| !block.is_empty() && !block.starts_with(':')) {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let id = field("id:").map(str::parse).transpose()?;
        let data = serde_json::from_str(field("data:").context("data")?)?;
        all.push((field("event:").context("a name")?.to_owned(), id, data));
    }
    Ok(all)
}

async fn started(server: &Server) -> Result<(FakeWorker, Attempt, String)> {
    let job = server.launch("talker").await?;
    let worker = server.worker().await?;
    let attempt = worker.claim().await?;
    Ok((worker, attempt, format!("/jobs/{job}/log")))
}

#[tokio::test]
async fn all_streams_are_read_back_in_order() {
    on_both(async |server| {
        let (mut worker, attempt, path) = started(server).await?;
        assert_eq!(server.call(Admin, get(&path)).await?.text, "");
        worker.print(attempt, &[(Stdout, b"one\n"), (Stderr, b"two\n"), (System, b"three\n")]).await?;
        let answer = server.call(Admin, get(&path)).await?;
        assert_eq!(answer.text, "one\ntwo\nthree\n");
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn characters_cut_by_a_chunk_come_whole_and_bytes_that_are_none_are_replaced() {
    on_both(async |server| {
        let (mut worker, attempt, path) = started(server).await?;
        worker
            .print(attempt, &[(Stdout, b"10 \xe2\x82"), (Stderr, b"err\n"), (Stdout, b"\xac \xff\n\xf0\x9f")])
            .await?;
        assert_eq!(server.call(Admin, get(&path)).await?.text, "10 err\n€ \u{fffd}\n");
        worker.done(attempt, 1, None).await?;
        assert_eq!(server.call(Admin, get(&path)).await?.text, "10 err\n€ \u{fffd}\n\u{fffd}");
        let read = Reading::open(server, &path, &[("accept", EVENTS)]).await?.whole().await?;
        let texts: Vec<Value> = events(&read)?.into_iter().map(|(_, _, data)| data["text"].clone()).collect();
        assert_eq!(texts, [json!("10 "), json!("err\n"), json!("€ \u{fffd}\n"), json!("\u{fffd}"), Value::Null]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_follower_sees_each_chunk_as_it_comes_and_the_end() {
    on_both(async |server| {
        let (mut worker, attempt, path) = started(server).await?;
        worker.print(attempt, &[(Stdout, b"one\n")]).await?;
        let mut events_of = Reading::open(server, &path, &[("accept", "text/html, text/event-stream;q=0.9")]).await?;
        let mut text = Reading::open(server, &format!("{path}?follow=true"), &[]).await?;
        events_of.until("one").await?;
        text.until("one\n").await?;
        worker.print(attempt, &[(Stderr, b"two\r\nid: 9\n\n")]).await?;
        events_of.until("two").await?;
        text.until("two").await?;
        worker.done(attempt, 1, None).await?;
        assert_eq!(text.whole().await?, "one\ntwo\r\nid: 9\n\n");
        let at = "2030-01-02T03:04:05.000006Z";
        let chunk = |seq: i64, stream: &str, first_byte: i64, text: &str| {
            let data = json!({
                "seq": seq, "stream": stream, "level": "info", "step": null, "first_line": seq,
                "first_byte": first_byte, "at": at, "text": text
            });
            ("chunk".to_owned(), Some(seq), data)
        };
        let wanted = [
            chunk(1, "stdout", 0, "one\n"),
            chunk(2, "stderr", 4, "two\r\nid: 9\n\n"),
            ("end".to_owned(), None, json!({ "status": "succeeded" })),
        ];
        assert_eq!(events(&events_of.whole().await?)?, wanted);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_reader_who_was_cut_off_goes_on_where_it_was_and_loses_nothing() {
    on_both(async |server| {
        let (mut worker, attempt, path) = started(server).await?;
        // Characters of both streams are cut everywhere.
        let out = "αβγ€😀".repeat(12);
        let err = "ünïcödé ".repeat(9);
        let (mut left, mut right) = (out.as_bytes().chunks(5), err.as_bytes().chunks(3));
        loop {
            let batch: Vec<_> = [left.next().map(|bytes| (Stdout, bytes)), right.next().map(|bytes| (Stderr, bytes))]
                .into_iter()
                .flatten()
                .collect();
            if batch.is_empty() {
                break;
            }
            worker.print(attempt, &batch).await?;
        }
        worker.done(attempt, 1, None).await?;
        let whole = events(&Reading::open(server, &path, &[("accept", EVENTS)]).await?.whole().await?)?;
        let text = |events: &[(String, Option<i64>, Value)], stream: &str| -> String {
            let of = events.iter().filter(|(_, _, data)| data["stream"] == stream);
            of.filter_map(|(_, _, data)| data["text"].as_str()).collect()
        };
        assert_eq!((text(&whole, "stdout"), text(&whole, "stderr")), (out.clone(), err.clone()));
        for (n, (_, id, _)) in whole.iter().enumerate().filter(|(_, (name, ..))| name == "chunk") {
            let last = id.context("a chunk has an id")?.to_string();
            let headers = [("accept", EVENTS), ("last-event-id", last.as_str())];
            let rest = events(&Reading::open(server, &path, &headers).await?.whole().await?)?;
            assert_eq!(rest, whole[n + 1..], "after {last}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_lost_connection_in_the_middle_of_a_job() {
    on_both(async |server| {
        let (mut worker, attempt, path) = started(server).await?;
        let mut seen = Vec::new();
        for round in 0..5 {
            let last = round.to_string();
            let headers = [("accept", EVENTS), ("last-event-id", last.as_str())];
            let mut reading = Reading::open(server, &path, if round == 0 { &headers[..1] } else { &headers }).await?;
            worker.print(attempt, &[(Stdout, format!("line {round}\n").as_bytes())]).await?;
            reading.until("line").await?;
            // Dropped here: the connection is gone.
            seen.extend(events(&reading.read)?.into_iter().map(|(_, _, data)| data["text"].clone()));
        }
        assert_eq!(seen, ["line 0\n", "line 1\n", "line 2\n", "line 3\n", "line 4\n"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn events_without_following_end_with_the_present_status() {
    on_both(async |server| {
        let (mut worker, attempt, path) = started(server).await?;
        worker.print(attempt, &[(Stdout, b"so far\n")]).await?;
        let reading = Reading::open(server, &format!("{path}?follow=false"), &[("accept", EVENTS)]).await?;
        let all = events(&reading.whole().await?)?;
        assert_eq!(all.len(), 2);
        assert_eq!(all[1], ("end".to_owned(), None, json!({ "status": "running" })));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn streams_outlive_the_time_limit_of_requests_and_end_when_the_server_stops() {
    let short = Limits { timeout: Duration::from_millis(300), ..limits() };
    on_both(async |server| {
        let (mut worker, attempt, path) = started(server).await?;
        let hasty = server.limited(short);
        let mut events_of = Reading::open_at_last(&hasty, &path, &[("accept", EVENTS)]).await?;
        let mut text = Reading::open_at_last(&hasty, &format!("{path}?follow=true"), &[]).await?;
        tokio::time::sleep(short.timeout * 2).await;
        worker.print(attempt, &[(Stdout, b"late\n")]).await?;
        events_of.until("late").await?;
        text.until("late").await?;
        server.stop.cancel();
        assert_eq!(text.whole().await?, "late\n");
        let all = events(&events_of.whole().await?)?;
        assert_eq!(all.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["chunk"], "no end: it goes on");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_place_that_is_none_is_refused() {
    on_both(async |server| {
        let (_, _, path) = started(server).await?;
        for last in ["x", "-1", "1.5", "99999999999999999999"] {
            let ask = get(&path).header("accept", EVENTS).header("last-event-id", last);
            assert_eq!(server.call(Admin, ask).await?.status, 400, "{last}");
        }
        // Text has no places.
        let text = server.call(Admin, get(&path).header("last-event-id", "x")).await?;
        assert_eq!(text.status, 200);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_log_of_many_batches_is_read_whole() {
    on_both(async |server| {
        let (mut worker, attempt, path) = started(server).await?;
        let lines: Vec<String> = (0..300).map(|n| format!("line {n}\n")).collect();
        for batch in lines.chunks(50) {
            let chunks: Vec<_> = batch.iter().map(|line| (Stdout, line.as_bytes())).collect();
            worker.print(attempt, &chunks).await?;
        }
        assert_eq!(server.call(Admin, get(&path)).await?.text, lines.concat());
        Ok(())
    })
    .await;
}
