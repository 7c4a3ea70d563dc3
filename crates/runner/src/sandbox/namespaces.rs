//! The job's view of the machine: a user and mount namespace in which covered folders are empty, everything is
//! read-only but the job's own places, and no path leads back out; and a process namespace, because Landlock does not
//! keep a process from lowering the limits or the priority of another one of the same user, the server's.
//!
//! Order: clone what must stay reachable, cover, make the mount points inside the covers, make everything read-only,
//! put the clones back. A clone is held by a descriptor, so it can lie under a cover and still return to its own path.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::CWD,
    mount::{
        MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_change, move_mount, open_tree,
    },
    process::{getgid, getuid},
};

use crate::keep::complain::complain;

use super::{
    rules::SHARED_MEMORY,
    sys::{self, MountAttributes},
};

/// A folder or file that stays reachable at its own path.
pub(super) struct Kept<'a> {
    pub(super) path: &'a Path,
    pub(super) writable: bool,
}

/// Puts this process into the job's view (its process namespace begins with its next child). An error names the step and leaves the process unfit for anything but
/// saying so.
pub(super) fn enter(covered: &[PathBuf], mut kept: Vec<Kept<'_>>) -> Result<(), String> {
    let (user, group) = (getuid().as_raw(), getgid().as_raw());
    step("namespaces", sys::unshare())?;
    step("namespaces: groups", fs::write("/proc/self/setgroups", "deny"))?;
    step("namespaces: user", fs::write("/proc/self/uid_map", format!("{user} {user} 1")))?;
    step("namespaces: group", fs::write("/proc/self/gid_map", format!("{group} {group} 1")))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    step("namespaces: private mounts", mount_change("/", private).map_err(io::Error::from))?;
    // No namespaces inside this one: there the job would have all capabilities again. A kernel without this setting
    // still has Landlock, which forbids every mount.
    if let Err(error) = fs::write("/proc/sys/user/max_user_namespaces", "0") {
        complain(format_args!("jobs may make namespaces: {error}"));
    }

    // Outer places first, so that an inner one is put on top of it.
    kept.sort_by(|a, b| a.path.cmp(b.path));
    let mut clones = Vec::new();
    for place in &kept {
        clones.push((place, named("keep", place.path, clone(place.path))?));
    }
    for folder in covered {
        named("cover", folder, empty(folder, c"mode=0755,size=1m,nr_inodes=4k"))?;
    }
    for place in &kept {
        let under_cover = covered.iter().any(|folder| place.path.starts_with(folder));
        if under_cover {
            named("make a place for", place.path, make_place(place.path, &clones))?;
        }
    }
    step("read-only", sys::add_mount_attributes(CWD, c"/", MountAttributes::READ_ONLY))?;
    if Path::new(SHARED_MEMORY).is_dir() {
        named("cover", Path::new(SHARED_MEMORY), empty(Path::new(SHARED_MEMORY), c"mode=1777,size=64m"))?;
    }
    for (place, clone) in &clones {
        named("put back", place.path, put_back(place, clone))?;
    }
    Ok(())
}

/// For the first process of the namespace: `/proc` with the processes of the job and no others.
///
/// # Errors
/// The kernel refuses where parts of `/proc` are covered, as in containers. The job then sees the machine's processes,
/// which it can do nothing to.
pub(crate) fn own_processes_only() -> Result<(), String> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // In mounts of its own: the keeper needs the other `/proc`, that of the machine.
    let mounted = sys::unshare_mounts().and_then(|()| Ok(mount("proc", "/proc", "proc", flags, None)?));
    step("the job sees all processes of the machine", mounted)
}

fn clone(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(CWD, path, flags)?)
}

fn empty(folder: &Path, options: &std::ffi::CStr) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(mount("tmpfs", folder, "tmpfs", flags, options)?)
}

/// An empty folder or file to mount on.
fn make_place(path: &Path, clones: &[(&Kept<'_>, OwnedFd)]) -> io::Result<()> {
    let clone = clones.iter().find(|(place, _)| place.path == path).map(|(_, clone)| clone);
    let is_folder = match clone {
        Some(clone) => rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(clone)?.st_mode).is_dir(),
        None => true,
    };
    let folder = if is_folder { Some(path) } else { path.parent() };
    if let Some(folder) = folder {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    if !is_folder {
        fs::File::create(path)?;
    }
    Ok(())
}

fn put_back(place: &Kept<'_>, clone: &OwnedFd) -> io::Result<()> {
    let mut attributes = MountAttributes::NO_SET_UID.and(MountAttributes::NO_DEVICES);
    if !place.writable {
        attributes = attributes.and(MountAttributes::READ_ONLY);
    }
    sys::add_mount_attributes(clone, c"", attributes)?;
    Ok(move_mount(clone, c"", CWD, place.path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

fn step<T>(what: &str, done: io::Result<T>) -> Result<T, String> {
    done.map_err(|error| format!("{what}: {error}"))
}

fn named<T>(what: &str, path: &Path, done: io::Result<T>) -> Result<T, String> {
    done.map_err(|error| format!("{what} {}: {error}", path.display()))
}
