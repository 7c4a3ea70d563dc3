//! One run of wrk against one server: 32 connections from one thread, as in every number of the design.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

use crate::child::Server;

/// What one run showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) rate: f64,
    /// CPU of the server process per request, in microseconds.
    pub(crate) cpu: f64,
    /// In milliseconds.
    pub(crate) p99: f64,
}

/// A request and how to repeat it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) authorization: String,
    /// A script that makes every request another one.
    pub(crate) script: Option<PathBuf>,
    /// Given to the script, so that no two runs repeat each other.
    pub(crate) prefix: String,
}

pub(crate) async fn run(target: &Target, server: &Server, seconds: u32) -> Result<Sample> {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-c32", "--latency", &format!("-d{seconds}s")]);
    wrk.args(["-H", &format!("Authorization: {}", target.authorization), "-H", "Content-Type: application/json"]);
    if let Some(script) = &target.script {
        wrk.arg("-s").arg(script);
    }
    wrk.arg(format!("http://{}{}", target.address, target.path));
    if target.script.is_some() {
        wrk.args(["--", &target.prefix]);
    }
    let before = server.cpu()?;
    let output = wrk.kill_on_drop(true).output().await.context("wrk (apt-get install wrk)")?;
    let used = server.cpu()? - before;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    let seen = parse(&text).with_context(|| format!("{} {}", target.path, server.last_words()))?;
    Ok(Sample { rate: seen.rate, cpu: used * 1e6 / seen.requests, p99: seen.p99 })
}

#[derive(Debug, PartialEq)]
struct Seen {
    requests: f64,
    rate: f64,
    p99: f64,
}

/// Reads the report of wrk. Anything but good answers makes the run worthless.
fn parse(text: &str) -> Result<Seen> {
    let (mut requests, mut rate, mut p99) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if line.starts_with("Socket errors:") || line.starts_with("Non-2xx or 3xx responses:") {
            bail!("wrk saw failures: {line}");
        } else if let Some(value) = line.strip_prefix("Requests/sec:") {
            rate = value.trim().parse().ok();
        } else if let Some(value) = line.strip_prefix("99%") {
            p99 = milliseconds(value.trim());
        } else if let Some((count, _)) = line.split_once(" requests in ") {
            requests = count.parse().ok().filter(|count| *count > 0.0);
        }
    }
    match (requests, rate, p99) {
        (Some(requests), Some(rate), Some(p99)) => Ok(Seen { requests, rate, p99 }),
        _ => bail!("the report of wrk has another form: {text}"),
    }
}

fn milliseconds(text: &str) -> Option<f64> {
    for (unit, factor) in [("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)] {
        if let Some(Ok(number)) = text.strip_suffix(unit).map(str::parse::<f64>) {
            return Some(number * factor);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\n  Thread Stats   Avg\n  \
        Latency Distribution\n     50%  215.00us\n     99%    2.41ms\n  45000 requests in 1.00s, 9.1MB read\n\
        Requests/sec:  44812.50\nTransfer/sec:      9.0MB\n";

    #[test]
    fn a_report_is_read() {
        assert_eq!(parse(REPORT).unwrap(), Seen { requests: 45000.0, rate: 44812.5, p99: 2.41 });
        for (text, wanted) in [("215.00us", Some(0.215)), ("2.5ms", Some(2.5)), ("1.20s", Some(1200.0)), ("x", None)] {
            assert_eq!(milliseconds(text), wanted);
        }
    }

    #[test]
    fn a_run_with_failures_counts_for_nothing() {
        for line in ["  Non-2xx or 3xx responses: 3", "  Socket errors: connect 0, read 1, write 0, timeout 0"] {
            assert!(parse(&format!("{REPORT}{line}\n")).is_err());
        }
        assert!(parse("").is_err());
        assert!(parse(&REPORT.replace("45000 requests", "0 requests")).is_err());
    }
}
