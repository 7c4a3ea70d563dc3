//! Files that a job is to hand back, out of its container: by the runtime, as an archive. The job may have put anything
//! in their place; only regular files are taken, none through a link, and no more than allowed.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{ContainerArchiveInfoOptions, DownloadFromContainerOptions};
use chandler_runner::recipe::{Kept, stays_within};
use futures_util::StreamExt;

use crate::archive::DIR;
use crate::said;

/// What an archive of one file has beside the file.
const AROUND: usize = 64 << 10;
/// The bits of a Go file mode that say what kind of file it is. All unset: a regular one.
const KIND: u32 = 1 << 31 | 1 << 27 | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19;
const FOLDER: u32 = 1 << 31;

/// What is there under a path.
pub(crate) enum Found {
    Nothing,
    File(Vec<u8>),
    /// Something that is not handed back, and why, for the job's log.
    Unfit(String),
}

/// The kept files of one container.
pub(crate) struct Keeping {
    docker: Docker,
    id: String,
    keep: Vec<Kept>,
    /// Size, time and content at the last look.
    seen: HashMap<String, (Stamp, u64)>,
}

type Stamp = (i64, Option<String>);

impl Keeping {
    pub(crate) fn new(docker: Docker, id: String, keep: Vec<Kept>) -> Self {
        Self { docker, id, keep, seen: HashMap::new() }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.keep.iter().any(|kept| kept.live)
    }

    /// The live files whose content is another than at the last look.
    pub(crate) async fn changed(&mut self) -> Vec<(String, Vec<u8>)> {
        let mut changed = Vec::new();
        for kept in self.keep.iter().filter(|kept| kept.live) {
            let Ok(Ok(Some(before))) = self.regular(&kept.path).await else { continue };
            if self.seen.get(&kept.path).is_some_and(|(stamp, _)| *stamp == before) {
                continue;
            }
            let Ok(Found::File(bytes)) = self.read(kept).await else { continue };
            // Caught while it was written: the next look finds it whole.
            if !matches!(self.regular(&kept.path).await, Ok(Ok(Some(after))) if after == before) {
                continue;
            }
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            let content = hasher.finish();
            if self.seen.insert(kept.path.clone(), (before, content)).is_none_or(|(_, old)| old != content) {
                changed.push((kept.path.clone(), bytes));
            }
        }
        changed
    }

    /// Every file, with its path.
    pub(crate) async fn all(&self) -> Vec<(String, Found)> {
        let mut all = Vec::new();
        for kept in &self.keep {
            let found = match self.look(kept).await {
                Ok(found) => found,
                Err(error) => unfit(kept, &said::line(&error)),
            };
            all.push((kept.path.clone(), found));
        }
        all
    }

    async fn look(&self, kept: &Kept) -> Result<Found, Error> {
        match self.regular(&kept.path).await? {
            Ok(Some((size, _))) if usize::try_from(size).is_ok_and(|size| size > kept.max) => Ok(too_long(kept)),
            Ok(Some(_)) => self.read(kept).await,
            Ok(None) => Ok(Found::Nothing),
            Err(reason) => Ok(unfit(kept, reason)),
        }
    }

    /// Size and time of what lies there, if it is a regular file below folders that are no links.
    async fn regular(&self, path: &str) -> Result<Result<Option<Stamp>, &'static str>, Error> {
        if !stays_within(path) {
            return Ok(Err("its path leaves the job's directory"));
        }
        let ends = path.match_indices('/').map(|(end, _)| end);
        for folder in ends.map(|end| &path[..end]) {
            match self.info(folder).await? {
                Some((_, mode)) if mode & KIND == FOLDER => {}
                Some(_) => return Ok(Err("its path leads over something that is no folder")),
                None => return Ok(Ok(None)),
            }
        }
        Ok(match self.info(path).await? {
            Some((stamp, mode)) if mode & KIND == 0 => Ok(Some(stamp)),
            Some(_) => Err("it is no regular file"),
            None => Ok(None),
        })
    }

    async fn info(&self, path: &str) -> Result<Option<(Stamp, u32)>, Error> {
        let options = ContainerArchiveInfoOptions { path: format!("{DIR}/{path}") };
        match self.docker.get_container_archive_info(&self.id, Some(options)).await {
            Ok(found) => Ok(Some(((found.size, found.modification_time), found.file_mode))),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, kept: &Kept) -> Result<Found, Error> {
        let options = DownloadFromContainerOptions { path: format!("{DIR}/{}", kept.path) };
        let mut stream = std::pin::pin!(self.docker.download_from_container(&self.id, Some(options)));
        let mut archive = Vec::new();
        while let Some(piece) = stream.next().await {
            archive.extend_from_slice(&piece?);
            if archive.len() > kept.max.saturating_add(AROUND) {
                return Ok(too_long(kept));
            }
        }
        Ok(first_file(&archive, kept)?)
    }
}

fn first_file(archive: &[u8], kept: &Kept) -> std::io::Result<Found> {
    let mut archive = tar::Archive::new(archive);
    let Some(entry) = archive.entries()?.next() else { return Ok(Found::Nothing) };
    let mut entry = entry?;
    if entry.header().entry_type() != tar::EntryType::Regular {
        return Ok(unfit(kept, "it is no regular file"));
    }
    if usize::try_from(entry.size()).is_ok_and(|size| size > kept.max) {
        return Ok(too_long(kept));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    Ok(Found::File(bytes))
}

fn unfit(kept: &Kept, reason: &str) -> Found {
    Found::Unfit(format!("The file {} is not handed back: {reason}.", kept.path))
}

fn too_long(kept: &Kept) -> Found {
    unfit(kept, &format!("it is longer than {} bytes", kept.max))
}
