//! What travels between worker and keeper, and between the keeper and its second stage.
//!
//! Worker to keeper: four bytes of length that carry the two output pipes as descriptors, the spec as JSON, then
//! orders as JSON lines. Keeper to worker, on the same socket: reports as JSON lines. Keeper to second stage: length
//! and JSON; back come [`Word`]s as JSON lines.

use std::{
    io::{self, IoSlice, IoSliceMut, Read},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::spec::{Boottime, Signal};

/// A spec is far below this; more is a broken peer.
const LONGEST: usize = 64 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    Renew(Boottime),
    Signal(Signal),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    Started { pid: i32, start_time: u64, sandboxed: bool },
    Exited { code: Option<i32>, signal: Option<i32> },
    Gone,
    KillUnanswered,
    Refused(Failure),
}

/// What the second stage tells its keeper. The one that becomes the program itself says nothing and closes the
/// socket by that; the other stays and tells the end too, which then is the program's and not its own.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    /// The program runs. What could not be had for it is only worth a line in the log.
    Running {
        warning: Option<String>,
    },
    Exited {
        code: Option<i32>,
        signal: Option<i32>,
    },
    Failed(Failure),
}

/// Why nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    pub(crate) reason: String,
}

/// Whose fault it is that nothing was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The machine cannot confine the job, or the keeper could not prepare it.
    Platform,
    /// The program is not there or cannot be executed.
    Program,
}

impl Failure {
    pub(crate) fn platform(reason: impl Into<String>) -> Self {
        Self { cause: Cause::Platform, reason: reason.into() }
    }

    pub(crate) fn program(reason: impl Into<String>) -> Self {
        Self { cause: Cause::Program, reason: reason.into() }
    }
}

/// One JSON value and a newline.
pub(crate) fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The four bytes before a body.
pub(crate) fn length_of(body: &[u8]) -> io::Result<[u8; 4]> {
    u32::try_from(body.len()).map(u32::to_be_bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

/// Sends the length of the spec together with the job's standard output and error.
pub(crate) fn send_head(socket: BorrowedFd<'_>, length: [u8; 4], pipes: [BorrowedFd<'_>; 2]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&pipes)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let sent = rustix::net::sendmsg(socket, &[IoSlice::new(&length)], &mut ancillary, SendFlags::NOSIGNAL)?;
    if sent == length.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// The other end of [`send_head`]. `None` if the worker has gone before it said anything.
pub(crate) fn receive_head(socket: BorrowedFd<'_>) -> io::Result<Option<([u8; 4], [OwnedFd; 2])>> {
    let mut length = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL;
    let message = loop {
        match rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut length)], &mut ancillary, flags) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    if message.bytes == 0 {
        return Ok(None);
    }
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    match (message.bytes, <[OwnedFd; 2]>::try_from(fds)) {
        (4, Ok(pipes)) => Ok(Some((length, pipes))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Reads a body of that length. The error says where the JSON is wrong but never what stands there: it may be a
/// secret.
pub(crate) fn read_body<T: DeserializeOwned>(from: &mut impl Read, length: [u8; 4]) -> io::Result<T> {
    let length = u32::from_be_bytes(length) as usize;
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    serde_json::from_slice(&body).map_err(|error| {
        let place = format!("unreadable at line {}, column {}", error.line(), error.column());
        io::Error::new(io::ErrorKind::InvalidData, place)
    })
}

/// Takes the whole lines out of `inbox` and reads them; what is no line of that kind is dropped.
pub(crate) fn take_lines<T: DeserializeOwned>(inbox: &mut Vec<u8>) -> Vec<T> {
    let Some(end) = inbox.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
    let whole: Vec<u8> = inbox.drain(..=end).collect();
    whole.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// Sends without waiting: reports and orders are small, and a peer that lets its buffer fill up is stuck.
pub(crate) fn send_now(socket: impl AsFd, bytes: &[u8]) -> io::Result<()> {
    let sent = rustix::net::send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}
