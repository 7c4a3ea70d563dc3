//! The part of `/etc` that everyone on the machine may read.
//!
//! A job has the user of the worker, so the ordinary rights on a file say too little: `/etc/shadow` belongs to root,
//! and the server's own settings belong to the server. Only what others may read is for jobs.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Deeper trees are left out rather than followed.
const DEPTH: usize = 16;

/// The parts of `/etc` that jobs may read, for [`crate::keep::Confinement::open`]. Looks at every file there: some
/// milliseconds, so a worker does it when it starts and now and then, not for every job.
#[must_use]
pub fn open_files() -> Vec<PathBuf> {
    under(Path::new("/etc"))
}

/// The largest folders and single files that are open as a whole.
fn under(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if matches!(collect(root, &mut found, DEPTH), Ok(true)) { vec![root.to_owned()] } else { found }
}

/// True if everything below `folder` is open; else the open parts are in `found`.
fn collect(folder: &Path, found: &mut Vec<PathBuf>, depth: usize) -> io::Result<bool> {
    let mut whole = depth > 0;
    let mut open = Vec::new();
    for entry in fs::read_dir(folder)?.take_while(|_| depth > 0) {
        let entry = entry?;
        let kind = entry.file_type()?;
        // A link gives nothing by itself: what it points to is judged where that lies.
        if kind.is_symlink() {
            continue;
        }
        let path = entry.path();
        let others = entry.metadata()?.permissions().mode() & 0o7;
        let is_open = if kind.is_dir() {
            others & 0o5 == 0o5 && collect(&path, found, depth - 1).unwrap_or(false)
        } else {
            kind.is_file() && others & 0o4 != 0
        };
        if is_open {
            open.push(path);
        }
        whole &= is_open;
    }
    if !whole {
        found.extend(open);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_not_read_is_left_out_and_its_neighbours_are_named_one_by_one() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let file = |name: &str, mode: u32| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        };
        file("passwd", 0o644);
        file("shadow", 0o640);
        file("ssl/certs/a.pem", 0o644);
        file("ssl/private/key", 0o644);
        fs::set_permissions(root.join("ssl/private"), PermissionsExt::from_mode(0o710)).unwrap();

        let mut found = under(root);
        found.sort();
        assert_eq!(found, [root.join("passwd"), root.join("ssl/certs")]);
    }

    #[test]
    fn a_wholly_open_folder_is_one_entry() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("hosts"), "x").unwrap();
        fs::set_permissions(root.path().join("hosts"), PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(under(root.path()), [root.path()]);
    }
}
