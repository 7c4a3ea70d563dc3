//! A server process under measurement: what it used, and its end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The kernel counts CPU in ticks of 10 ms for programs, whatever its own clock.
const TICKS_PER_SECOND: f64 = 100.0;
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pid: u32,
    log: PathBuf,
}

impl Server {
    /// Standard error goes to `log`; standard output too unless the caller has piped it.
    pub(crate) fn start(command: &mut Command, log: &Path, piped: bool) -> Result<Self> {
        let file = fs::OpenOptions::new().create(true).append(true).open(log)?;
        let output = if piped { Stdio::piped() } else { Stdio::from(file.try_clone()?) };
        let child = command.stdin(Stdio::null()).stdout(output).stderr(file).kill_on_drop(true).spawn();
        let child = child.with_context(|| format!("starting {:?}", command.as_std().get_program()))?;
        let pid = child.id().context("the process is gone")?;
        Ok(Self { child, pid, log: log.to_path_buf() })
    }

    pub(crate) fn stdout(&mut self) -> Result<tokio::process::ChildStdout> {
        self.child.stdout.take().context("the output is not piped")
    }

    /// User and system time of all its threads so far, in seconds.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).with_context(|| self.last_words())?;
        Ok(ticks(&stat).context("the process statistics have another form")? / TICKS_PER_SECOND)
    }

    /// Resident memory in MiB.
    pub(crate) fn memory(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).with_context(|| self.last_words())?;
        Ok(resident(&status).context("the process status has another form")? / 1024.0)
    }

    /// An error with the end of its log if it is gone.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the server ended ({status}): {}", self.last_words()),
            None => Ok(()),
        }
    }

    /// Asks it to stop and waits for that.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.check()?;
        Command::new("kill").arg("-TERM").arg(self.pid.to_string()).status().await.context("kill")?;
        match timeout(STOP_WITHIN, self.child.wait()).await {
            Ok(status) => drop(status?),
            Err(_) => bail!("the server did not stop within {STOP_WITHIN:?}: {}", self.last_words()),
        }
        Ok(())
    }

    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

/// Fields 14 and 15. The name in parentheses before them may hold anything.
fn ticks(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn resident(status: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_read() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 120 0 0 0 250 50 3 4 20 0 3 0 100 1 1";
        assert_eq!(ticks(stat), Some(300.0));
        assert_eq!(ticks("7 (a) S 1"), None);
        assert_eq!(resident("VmPeak:\t 1 kB\nVmRSS:\t    2048 kB\n"), Some(2048.0));
        assert_eq!(resident("VmPeak:\t 1 kB\n"), None);
    }
}
