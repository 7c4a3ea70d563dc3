//! The keeper's own log: lines on standard error, which it shares with the server.
//!
//! Never `eprintln!` here: it panics when nobody reads any more and waits when somebody reads too slowly, and a keeper
//! that does either keeps nothing.

use std::{fmt, io, io::Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longer lines could fill the last page of a pipe and wait.
const LONGEST: usize = 1024;

/// Says it if somebody listens.
pub(crate) fn complain(what: fmt::Arguments<'_>) {
    let stderr = io::stderr();
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    if matches!(poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&at_once)), Ok(1)) {
        let mut line = format!("chandler keep: {what}").into_bytes();
        line.truncate(LONGEST);
        line.push(b'\n');
        let _ = stderr.lock().write_all(&line);
    }
}
