//! The system calls that no library offers as safe functions. The only `unsafe` of this crate.
//!
//! Each function is sound by itself, whatever its caller does.
#![allow(unsafe_code)]

use std::{
    ffi::{CStr, c_int, c_long, c_uint},
    fs, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use rustix::{
    io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd},
    process::Signal,
    thread::{UnshareFlags, unshare_unsafe},
};

unsafe extern "C" {
    fn signal(number: c_int, handler: extern "C" fn(c_int)) -> usize;
    fn syscall(number: c_long, ...) -> c_long;
}

/// Enters new user and mount namespaces, and a process namespace with the next child. Fails in a process with threads.
pub(crate) fn unshare() -> io::Result<()> {
    let flags = UnshareFlags::NEWUSER | UnshareFlags::NEWNS | UnshareFlags::NEWPID;
    // SAFETY: the descriptor table stays shared (no `FILES`), which is the one thing that could break other code.
    unsafe { unshare_unsafe(flags) }.map_err(io::Error::from)
}

/// A mount namespace of this process's own, as a copy of the one it is in.
pub(crate) fn unshare_mounts() -> io::Result<()> {
    // SAFETY: as above.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.map_err(io::Error::from)
}

/// Signals that are meant for the server or the terminal no longer end or stop this process. They are caught, not
/// ignored: what is ignored stays ignored in the job's program, what is caught does not. This also takes back what
/// the server itself was started with (`nohup`, a shell's background), and `CHLD`, without which nothing is reaped.
pub(crate) fn outlive_signals() -> io::Result<()> {
    extern "C" fn nothing(_: c_int) {}
    const FAILED: usize = usize::MAX;
    const CAUGHT: [Signal; 12] = [
        Signal::TERM,
        Signal::INT,
        Signal::HUP,
        Signal::QUIT,
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::CHILD,
        Signal::TSTP,
        Signal::TTIN,
        Signal::TTOU,
        Signal::XFSZ,
    ];
    for caught in CAUGHT {
        // SAFETY: the handler has the type that `signal` wants and does nothing, so it is safe at any moment.
        if unsafe { signal(caught.as_raw(), nothing) } == FAILED {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// No descriptor from `first` on, whoever left it open, reaches a program started from here.
pub(crate) fn close_on_exec_from(first: i32) -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if number < first {
            continue;
        }
        // SAFETY: borrowed for two calls that neither close it nor touch what it refers to; one that is closed by
        // now is answered with EBADF.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        match fcntl_getfd(fd).and_then(|flags| fcntl_setfd(fd, flags | FdFlags::CLOEXEC)) {
            Ok(()) | Err(Errno::BADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Attributes of mounts, as `mount_setattr` takes them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MountAttributes(u64);

impl MountAttributes {
    pub(crate) const READ_ONLY: Self = Self(1);
    pub(crate) const NO_SET_UID: Self = Self(2);
    pub(crate) const NO_DEVICES: Self = Self(4);

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Adds attributes to the mount at `path` below `dir` and to every mount on top of it.
pub(crate) fn add_mount_attributes(dir: impl AsFd, path: &CStr, attributes: MountAttributes) -> io::Result<()> {
    /// One number on every architecture that Rust has Linux for.
    const MOUNT_SETATTR: c_long = 442;
    const EMPTY_PATH: c_uint = 0x1000;
    const RECURSIVE: c_uint = 0x8000;
    #[repr(C)]
    struct Request {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let request = Request { set: attributes.0, clear: 0, propagation: 0, user_namespace: 0 };
    // SAFETY: the path is a C string, the request is a valid `struct mount_attr` of the size told; the kernel only
    // reads both, during the call.
    let answer = unsafe {
        syscall(
            MOUNT_SETATTR,
            dir.as_fd().as_raw_fd(),
            path.as_ptr(),
            EMPTY_PATH | RECURSIVE,
            &raw const request,
            size_of::<Request>(),
        )
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
