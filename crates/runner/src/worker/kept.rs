//! Reads the files that a job is to hand back, while it runs and afterwards. The job may have put anything in their
//! place: no link is followed on the way, only regular files are opened, and no more is read than allowed.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::recipe::Kept;

/// What is there under a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    File(Vec<u8>),
    /// Something that is not handed back, and why, for the job's log.
    Unfit(String),
}

/// The kept files of one start.
#[derive(Debug)]
pub(super) struct Keeping {
    dir: PathBuf,
    keep: Vec<Kept>,
    seen: HashMap<String, Seen>,
}

/// What a file was like when it was last looked at.
#[derive(Debug, Default)]
struct Seen {
    stamp: Option<Stamp>,
    content: Option<u64>,
}

/// Changes whenever the file does: inode, size, and the times of content and inode.
type Stamp = (u64, u64, (i64, i64), (i64, i64));

impl Keeping {
    pub(super) fn new(dir: PathBuf, keep: Vec<Kept>) -> Self {
        Self { dir, keep, seen: HashMap::new() }
    }

    /// Whether anything is looked at while the job runs.
    pub(super) fn is_live(&self) -> bool {
        self.keep.iter().any(|kept| kept.live)
    }

    /// The live files whose content is another than at the last look. One that is being written at this moment waits
    /// for the next look.
    pub(super) fn changed(&mut self) -> Vec<(String, Vec<u8>)> {
        let mut changed = Vec::new();
        for kept in self.keep.iter().filter(|kept| kept.live) {
            let seen = self.seen.entry(kept.path.clone()).or_default();
            let Ok(Some(file)) = open(&self.dir, &kept.path) else { continue };
            let Ok(before) = stamp(&file) else { continue };
            if seen.stamp == Some(before) {
                continue;
            }
            let Ok(Found::File(bytes)) = read(&file, kept) else { continue };
            if stamp(&file).ok() != Some(before) {
                continue;
            }
            seen.stamp = Some(before);
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            if seen.content.replace(hasher.finish()) != Some(hasher.finish()) {
                changed.push((kept.path.clone(), bytes));
            }
        }
        changed
    }

    /// Every file, with its path.
    pub(super) fn all(&self) -> Vec<(String, Found)> {
        self.keep.iter().map(|kept| (kept.path.clone(), look(&self.dir, kept))).collect()
    }
}

/// What is there.
pub(super) fn look(dir: &Path, kept: &Kept) -> Found {
    let found = open(dir, &kept.path).and_then(|file| file.map_or(Ok(Found::Nothing), |file| read(&file, kept)));
    found.unwrap_or_else(|error| Found::Unfit(format!("The file {} is not handed back: {error}.", kept.path)))
}

fn read(file: &File, kept: &Kept) -> io::Result<Found> {
    if !file.metadata()?.is_file() {
        return Ok(Found::Unfit(format!("The file {} is not handed back: it is no regular file.", kept.path)));
    }
    let mut bytes = Vec::new();
    file.take(kept.max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > kept.max {
        let text = format!("The file {} is not handed back: it is longer than {} bytes.", kept.path, kept.max);
        return Ok(Found::Unfit(text));
    }
    Ok(Found::File(bytes))
}

/// Opens a file below `dir`, component by component and without following a link. `None` if it is not there.
fn open(dir: &Path, path: &str) -> io::Result<Option<File>> {
    let mut names: Vec<&OsStr> = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => names.push(name),
            _ => return Err(io::Error::other("its path leaves the job's directory")),
        }
    }
    let Some((file, folders)) = names.split_last() else {
        return Err(io::Error::other("its path is empty"));
    };
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Without waiting: a named pipe would keep whoever opens it.
    let content = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = openat(CWD, dir, folder, Mode::empty()).and_then(|top| {
        let inner = folders.iter().try_fold(top, |outer, name| openat(&outer, *name, folder, Mode::empty()))?;
        openat(&inner, *file, content, Mode::empty())
    });
    match opened.map_err(io::Error::from) {
        Ok(opened) => Ok(Some(into_file(opened))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            Err(io::Error::other("it is a link"))
        }
        Err(error) => Err(error),
    }
}

fn into_file(opened: OwnedFd) -> File {
    File::from(opened)
}

fn stamp(file: &File) -> io::Result<Stamp> {
    let found = file.metadata()?;
    let (changed, written) = ((found.ctime(), found.ctime_nsec()), (found.mtime(), found.mtime_nsec()));
    Ok((found.ino(), found.size(), written, changed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn kept(path: &str) -> Kept {
        Kept { path: path.to_owned(), max: 4, live: true }
    }

    #[test]
    fn only_short_regular_files_of_the_directory_are_read() {
        let base = tempfile::tempdir().unwrap();
        let (dir, outside) = (base.path().join("job"), base.path().join("outside"));
        fs::create_dir_all(dir.join("a")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("key"), "key").unwrap();
        fs::write(dir.join("a/file"), "good").unwrap();
        fs::write(dir.join("long"), "too long").unwrap();
        symlink(outside.join("key"), dir.join("link")).unwrap();
        symlink(&outside, dir.join("folder")).unwrap();
        rustix::fs::mknodat(CWD, dir.join("pipe"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();

        assert_eq!(look(&dir, &kept("a/file")), Found::File(b"good".to_vec()));
        assert_eq!(look(&dir, &kept("a/missing")), Found::Nothing);
        for unfit in ["long", "link", "folder/key", "pipe", "a", "../outside/key", "/etc/passwd", ""] {
            let found = look(&dir, &kept(unfit));
            assert!(matches!(found, Found::Unfit(_)), "{unfit}: {found:?}");
        }
    }

    #[test]
    fn a_file_counts_as_changed_when_its_content_has() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeping = Keeping::new(dir.path().to_owned(), vec![kept("file")]);
        assert_eq!(keeping.changed(), []);
        fs::write(dir.path().join("file"), "one").unwrap();
        assert_eq!(keeping.changed(), [("file".to_owned(), b"one".to_vec())]);
        fs::remove_file(dir.path().join("file")).unwrap();
        fs::write(dir.path().join("file"), "one").unwrap();
        assert_eq!(keeping.changed(), []);
        fs::write(dir.path().join("file"), "two").unwrap();
        assert_eq!(keeping.changed(), [("file".to_owned(), b"two".to_vec())]);
    }
}
