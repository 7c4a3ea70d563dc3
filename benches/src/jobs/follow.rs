//! A job that prints, and clients that follow its log as server-sent events while it does.

use anyhow::{Context, Result, bail, ensure};
use chandler_core::{Clock, SystemClock};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::task::JoinSet;

use super::table::{Bare, Line, Take};
use super::{Pace, ended, launch, path_of, yardsticks};
use crate::client::Client;
use crate::product::Product;

/// How many follow at once.
const FOLLOWERS: [usize; 2] = [1, 20];
/// Longer than the worker holds a line back, so that every line is a chunk of its own.
const BETWEEN_LINES: &str = "0.13";

pub(super) async fn measure(product: &Product, pace: &Pace) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for followers in FOLLOWERS {
        eprintln!("{}: a log with {followers} followers", product.name);
        let script = format!("seq 1 {}", pace.lines);
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..pace.rounds {
            bare.push(yardsticks::pipe(&script, pace.lines, followers).await?);
            ours.push(rate(&follow(product, &script, pace.lines, followers).await?, pace.lines)?);
        }
        lines.push(Line {
            what: format!("lines of `seq` to {}", readers(followers)),
            server: product.name,
            unit: "lines/s",
            take: Take::Median,
            samples: ours,
            bare: Some(Bare { what: "pipe to sockets", samples: bare }),
            limit: None,
        });
        let script =
            format!("i=0; while [ $i -lt {} ]; do i=$((i+1)); echo $i; sleep {BETWEEN_LINES}; done", pace.spaced);
        let told = follow(product, &script, pace.spaced, followers).await?;
        let lags: Vec<f64> = told.iter().flat_map(|told| told.lags.iter().copied()).collect();
        lines.extend([Take::Median, Take::P99].map(|take| Line {
            what: format!("a line read by the worker → arrived, {}", readers(followers)),
            server: product.name,
            unit: "ms",
            take,
            samples: lags.clone(),
            bare: None,
            limit: None,
        }));
    }
    Ok(lines)
}

fn readers(followers: usize) -> String {
    if followers == 1 { "one follower".to_owned() } else { format!("{followers} followers") }
}

/// What one follower was told.
#[derive(Debug, Default)]
struct Told {
    lines: u64,
    /// When the worker read the first line, and when the last one arrived here.
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    /// Of each chunk, from the time when the worker read its first byte, in milliseconds.
    lags: Vec<f64>,
}

/// A piece of a log, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Piece<'a> {
    stream: &'a str,
    at: Timestamp,
}

/// Runs the script and returns what each follower was told, which has to be all of it.
async fn follow(product: &Product, script: &str, lines: u32, followers: usize) -> Result<Vec<Told>> {
    let path = path_of(&launch(&mut product.client.connect().await?, product, script).await?)?;
    let mut following = JoinSet::new();
    for _ in 0..followers {
        following.spawn(listen(product.client.clone(), format!("{path}/log")));
    }
    let mut told = Vec::new();
    while let Some(one) = following.join_next().await {
        let one = one??;
        ensure!(one.lines == u64::from(lines), "a follower was told {} of {lines} lines", one.lines);
        told.push(one);
    }
    // Another connection: the server closes one on which nothing is asked for so long.
    ended(&mut product.client.connect().await?, &path).await?;
    Ok(told)
}

/// Lines per second, until the slowest follower had the last one.
fn rate(told: &[Told], lines: u32) -> Result<f64> {
    let first = told.iter().filter_map(|told| told.first).min().context("nothing was followed")?;
    let last = told.iter().filter_map(|told| told.last).max().context("nothing was followed")?;
    Ok(f64::from(lines) / last.duration_since(first).as_secs_f64())
}

async fn listen(client: Client, path: String) -> Result<Told> {
    let mut events = client.events(&path).await?;
    let mut told = Told::default();
    loop {
        match events.next().await? {
            Some(event) => {
                if told.hear(&event, SystemClock.now())? {
                    return Ok(told);
                }
            }
            None => bail!("{path} broke off after {} lines", told.lines),
        }
    }
}

impl Told {
    /// Takes one event; `true` at the end of the log.
    fn hear(&mut self, event: &[u8], now: Timestamp) -> Result<bool> {
        let event = std::str::from_utf8(event)?;
        if event.lines().any(|line| line == "event: end") {
            return Ok(true);
        }
        let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) else { return Ok(false) };
        let piece: Piece<'_> = serde_json::from_str(data)?;
        if piece.stream == "stdout" {
            // Digits and line ends: every backslash stands for a line end.
            self.lines += data.bytes().filter(|byte| *byte == b'\\').count() as u64;
            self.first.get_or_insert(piece.at);
            self.last = Some(now);
            self.lags.push(now.duration_since(piece.at).as_secs_f64() * 1000.0);
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_timed() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let mut told = Told::default();
        let chunk = |stream: &str, second: u32, text: &str| {
            let at = format!("2026-01-01T00:00:0{second}Z");
            let data = serde_json::json!({"seq": 1, "stream": stream, "at": at, "text": text});
            format!("id: 1\nevent: chunk\ndata: {data}\n\n").into_bytes()
        };
        assert!(!told.hear(&chunk("system", 0, "hello\n"), at("2026-01-01T00:00:01Z")).unwrap());
        assert!(!told.hear(&chunk("stdout", 1, "1\n2\n"), at("2026-01-01T00:00:01.5Z")).unwrap());
        assert!(!told.hear(b":\n\n", at("2026-01-01T00:00:02Z")).unwrap());
        assert!(!told.hear(&chunk("stdout", 2, "3\n4\n"), at("2026-01-01T00:00:03Z")).unwrap());
        assert!(told.hear(b"event: end\ndata: {}\n\n", at("2026-01-01T00:00:09Z")).unwrap());
        assert_eq!((told.lines, told.lags.as_slice()), (4, [500.0, 1000.0].as_slice()));
        assert_eq!(rate(&[told], 4).unwrap(), 2.0);
    }
}
