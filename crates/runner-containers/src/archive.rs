//! A recipe's way into its container: uploaded as an archive, so that neither the user that the runtime maps to nor
//! where files of the host lie matters, and nothing of the host is mounted.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use chandler_runner::recipe::{File, stays_within};
use tar::EntryType;

/// The job's own directory in its container: where it starts, with its home and its temporary folder in it.
pub(crate) const DIR: &str = "/chandler";
/// A directory that everybody may write to and nobody may empty: the image decides which user runs.
const SHARED: u32 = 0o1777;

/// Whose the files are. Some programs refuse a key that others may read, so where the image's user is known by his
/// number the files are his alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    User {
        uid: u64,
        gid: u64,
    },
    /// He has only a name; everybody in the container may read and write.
    Unknown,
}

impl Owner {
    /// Of an image's `User`: nobody said is root.
    pub(crate) fn of(user: Option<&str>) -> Self {
        let user = user.map(str::trim).unwrap_or_default();
        let (user, group) = user.split_once(':').unwrap_or((user, "0"));
        match (if user.is_empty() { "0" } else { user }.parse(), group.parse()) {
            (Ok(uid), Ok(gid)) => Self::User { uid, gid },
            (Ok(uid), Err(_)) => Self::User { uid, gid: 0 },
            (Err(_), _) => Self::Unknown,
        }
    }

    fn modes(self) -> (u32, u32) {
        match self {
            Self::User { .. } => (0o700, 0o600),
            Self::Unknown => (0o555, 0o666),
        }
    }
}

/// The job's directory with the files in it, to be unpacked at `/`.
///
/// # Errors
/// A path leaves the directory.
pub(crate) fn archive(files: &[File], owner: Owner) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut folders = BTreeSet::new();
    for file in files {
        if !stays_within(&file.path) {
            return Err(io::Error::other(format!("{} is no path within the job's directory", file.path)));
        }
        folders.extend(Path::new(&file.path).ancestors().skip(1).filter(|folder| folder.parent().is_some()));
    }
    let top = [("", 0o777), ("home", SHARED), ("tmp", SHARED)].map(|(name, mode)| (Path::new(name), mode));
    let further = folders.into_iter().map(|folder| (folder, 0o777));
    let dir = Path::new(&DIR[1..]);
    for (folder, mode) in top.into_iter().chain(further.filter(|(folder, _)| !is_top(folder))) {
        let mut header = header(EntryType::Directory, mode, 0, owner);
        archive.append_data(&mut header, dir.join(folder).join(""), io::empty())?;
    }
    let (program, other) = owner.modes();
    for file in files {
        let mode = if file.executable { program } else { other };
        let mut header = header(EntryType::Regular, mode, file.bytes.len() as u64, owner);
        archive.append_data(&mut header, dir.join(&file.path), file.bytes.as_slice())?;
    }
    archive.into_inner()
}

fn is_top(folder: &Path) -> bool {
    folder == Path::new("home") || folder == Path::new("tmp")
}

fn header(kind: EntryType, mode: u32, size: u64, owner: Owner) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    if let Owner::User { uid, gid } = owner {
        header.set_uid(uid);
        header.set_gid(gid);
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_what_is_in_them_and_each_once() {
        let files = [File::program("script", "x"), File::new("home/.ssh/key", "k"), File::new("a/b/c", "c")];
        let archive = archive(&files, Owner::User { uid: 7, gid: 8 }).unwrap();
        let mut read = tar::Archive::new(archive.as_slice());
        let mut found = Vec::new();
        for entry in read.entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (7, 8));
            found.push((entry.path().unwrap().to_string_lossy().into_owned(), header.mode().unwrap()));
        }
        let expected = [
            ("chandler/", 0o777),
            ("chandler/home/", SHARED),
            ("chandler/tmp/", SHARED),
            ("chandler/a/", 0o777),
            ("chandler/a/b/", 0o777),
            ("chandler/home/.ssh/", 0o777),
            ("chandler/script", 0o700),
            ("chandler/home/.ssh/key", 0o600),
            ("chandler/a/b/c", 0o600),
        ];
        assert_eq!(found, expected.map(|(path, mode)| (path.to_owned(), mode)));
        assert!(super::archive(&[File::new("../x", "")], Owner::Unknown).is_err());
    }

    #[test]
    fn the_images_user_owns_the_files_if_he_has_a_number() {
        for (user, owner) in [
            (None, Owner::User { uid: 0, gid: 0 }),
            (Some(""), Owner::User { uid: 0, gid: 0 }),
            (Some("1000"), Owner::User { uid: 1000, gid: 0 }),
            (Some("1000:50"), Owner::User { uid: 1000, gid: 50 }),
            (Some("1000:staff"), Owner::User { uid: 1000, gid: 0 }),
            (Some("runner"), Owner::Unknown),
        ] {
            assert_eq!(Owner::of(user), owner, "{user:?}");
        }
    }
}
