//! Processes as the kernel shows them under `/proc`: who is whose child, and signals that hit the right one.
//!
//! A process id alone names nothing for long. Here a process is its id *and* its start time, and signals go through a
//! pidfd that is opened first and checked afterwards, so a reused id is never hit.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, kill_process, pidfd_open, pidfd_send_signal},
};
use serde::{Deserialize, Serialize};

/// A process that cannot be confused with a later one of the same number (within one boot of the machine).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    pub pid: i32,
    /// Clock ticks since boot.
    pub start_time: u64,
}

impl Identity {
    /// The process that has this number now.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        stat(pid).map(|stat| stat.identity())
    }

    /// Whether it still runs; a zombie does not.
    #[must_use]
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|now| now.start_time == self.start_time && now.runs())
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) pid: i32,
    pub(crate) state: u8,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    pub(crate) start_time: u64,
}

impl Stat {
    pub(crate) fn identity(&self) -> Identity {
        Identity { pid: self.pid, start_time: self.start_time }
    }

    /// Not a zombie and not being buried.
    pub(crate) fn runs(&self) -> bool {
        !matches!(self.state, b'Z' | b'X')
    }
}

pub(crate) fn stat(pid: i32) -> Option<Stat> {
    parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The name of a program stands in brackets and may hold brackets and blanks itself: count from the last one.
fn parse(pid: i32, text: &[u8]) -> Option<Stat> {
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(close + 2..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(20).collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<i32>().ok());
    Some(Stat {
        pid,
        state: *fields.first()?.as_bytes().first()?,
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

/// Every process that is visible, zombies included.
pub(crate) fn all() -> io::Result<Vec<Stat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(stat) = name.to_str().and_then(|name| name.parse().ok()).and_then(stat) {
            found.push(stat);
        }
    }
    Ok(found)
}

/// Everything below `root` in `processes`, without `root`.
pub(crate) fn descendants(processes: &[Stat], root: i32) -> Vec<Stat> {
    let mut children: HashMap<i32, Vec<&Stat>> = HashMap::new();
    for process in processes {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut seen = HashSet::from([root]);
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            if seen.insert(child.pid) {
                found.push(**child);
                open.push(child.pid);
            }
        }
    }
    found
}

/// A handle on exactly this process, or `None` if it is gone. On kernels without pidfds always `None`.
pub(crate) fn open(identity: Identity) -> Option<OwnedFd> {
    let fd = pidfd_open(Pid::from_raw(identity.pid)?, PidfdFlags::empty()).ok()?;
    // Checked after the handle was taken: from here on the number cannot mean another process to this handle.
    stat(identity.pid).filter(|now| now.start_time == identity.start_time).map(|_| fd)
}

/// Signals exactly this process. Gone is fine; the handle is returned for waiting.
pub(crate) fn signal(identity: Identity, signal: rustix::process::Signal) -> io::Result<Option<OwnedFd>> {
    if let Some(fd) = open(identity) {
        return match pidfd_send_signal(&fd, signal) {
            Ok(()) => Ok(Some(fd)),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        };
    }
    match (stat(identity.pid), Pid::from_raw(identity.pid)) {
        (Some(now), Some(pid)) if now.start_time == identity.start_time => match kill_process(pid, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        },
        _ => Ok(None),
    }
}

/// KILLs each of them and waits until one has died, at most for `patience`.
pub(crate) fn kill_and_wait(targets: &[Stat], patience: Duration) -> io::Result<()> {
    let mut handles = Vec::new();
    let mut refused = None;
    for target in targets.iter().filter(|target| target.runs()) {
        match signal(target.identity(), rustix::process::Signal::KILL) {
            // Waiting for a few is enough: whoever calls looks again. All of them could be more than can be open.
            Ok(handle) if handles.len() < 64 => handles.extend(handle),
            Ok(_) => {}
            Err(error) => refused = Some(error),
        }
    }
    wait_readable(&handles, patience)?;
    refused.map_or(Ok(()), Err)
}

/// Waits until one of them is readable (a pidfd is when its process has died).
pub(crate) fn wait_readable<F: AsFd>(fds: &[F], patience: Duration) -> io::Result<()> {
    let mut polled: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    match poll(&mut polled, Some(&timespec(patience))) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_brackets_and_blanks_is_read_past() {
        let line = b"7 (a) b (c)) S 3 5 6 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2\n";
        let stat = parse(7, line).unwrap();
        assert_eq!((stat.state, stat.parent, stat.group, stat.session), (b'S', 3, 5, 6));
        assert_eq!(stat.start_time, 987_654);
    }

    #[test]
    fn this_process_is_alive_and_another_start_time_is_not() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let me = Identity::of(pid).unwrap();
        assert!(me.is_alive());
        assert!(!Identity { start_time: me.start_time + 1, ..me }.is_alive());
    }
}
