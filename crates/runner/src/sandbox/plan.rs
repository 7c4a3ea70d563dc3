//! Which folders a job gets, which it loses, and the few paths where the two meet: decided on the machine as it is,
//! before any namespace is entered.
//!
//! Nothing the job's author controls may widen it: programs in the job's directory bring no folders of their own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Rules, namespaces, open_files, tool};
use crate::keep::Spec;
use crate::keep::wire::Failure;

/// Empty for every job: the sockets of the machine's services live here.
const ALWAYS_COVERED: [&str; 3] = ["/run", "/var/run", "/tmp"];
/// Read and execute for every job.
const SYSTEM: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/libx32", "/lib64"];
/// Where distributions keep the certificates that `/etc/ssl` points to.
const CERTIFICATES: &str = "/var/lib/ca-certificates";
/// Often a link into `/run`; without it there are no names.
const RESOLVER: &str = "/etc/resolv.conf";

#[derive(Debug)]
pub(crate) struct Plan {
    /// Absolute.
    pub(crate) program: PathBuf,
    /// Without links.
    dir: PathBuf,
    /// As the job knows it.
    given_dir: PathBuf,
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    /// Sorted, none below another.
    covered: Vec<PathBuf>,
}

impl Plan {
    pub(crate) fn new(spec: &Spec) -> Result<Self, Failure> {
        let dir = real(&spec.dir, "the job's directory")?;
        let mut write = Vec::new();
        for folder in &spec.confinement.write {
            write.push(real(folder, "sandbox.write")?);
        }
        let mut read = Vec::new();
        for folder in &spec.confinement.read {
            read.push(real(folder, "sandbox.read")?);
        }
        let covered = covered(&spec.confinement.cover);
        if let Some(cover) = covered.iter().find(|cover| cover.starts_with(&dir) || cover.parent().is_none()) {
            return Err(Failure::platform(format!("{} cannot be hidden from this job", cover.display())));
        }

        let writable: Vec<&Path> = write.iter().chain([&dir]).map(PathBuf::as_path).collect();
        let tool = tool::find(&spec.program, &spec.dir.join(&spec.cwd), &writable)?;
        let too_wide = |folder: &Path| {
            folder.parent().is_none()
                || dir.starts_with(folder)
                || covered.iter().any(|cover| cover.starts_with(folder))
        };
        let mut places = tool.places;
        for further in &spec.confinement.tools {
            places.extend(tool::find(further, &spec.dir, &writable)?.places);
        }
        for place in places {
            // A tool that lies loose in a large folder brings itself, not that folder.
            if too_wide(&place.folder) { read.push(place.file) } else { read.push(place.folder) }
        }
        read.extend(SYSTEM.iter().chain([&CERTIFICATES]).filter_map(|folder| fs::canonicalize(folder).ok()));
        // Without a sandbox nobody asks.
        if !spec.confinement.unsandboxed {
            read.extend(spec.confinement.open.clone().unwrap_or_else(open_files));
        }
        read.extend(fs::canonicalize(RESOLVER));
        read.sort();
        read.dedup();
        Ok(Self { program: tool.program, dir, given_dir: spec.dir.clone(), read, write, covered })
    }

    /// What the second stage puts into force.
    pub(crate) fn rules(&self) -> Rules {
        let write = self.write.iter().chain([&self.dir]).cloned().collect();
        Rules { read: self.read.clone(), write }
    }

    /// Enters the namespaces; this process sees the machine as the job will from here on.
    pub(crate) fn enter(&self) -> Result<(), Failure> {
        let hidden = |path: &&PathBuf| self.covered.iter().any(|cover| path.starts_with(cover));
        let write = self.write.iter().chain([&self.dir]);
        let kept = self.read.iter().filter(hidden).map(|path| namespaces::Kept { path, writable: false });
        let kept = kept.chain(write.map(|path| namespaces::Kept { path, writable: true })).collect();
        namespaces::enter(&self.covered, kept).map_err(Failure::platform)?;
        match fs::canonicalize(&self.given_dir) {
            Ok(dir) if dir == self.dir => Ok(()),
            // A link that lay under a covered folder.
            _ => Err(Failure::platform(format!("{} cannot be reached by the job", self.given_dir.display()))),
        }
    }
}

fn real(path: &Path, what: &str) -> Result<PathBuf, Failure> {
    let failure = |error| Failure::platform(format!("{what}: {}: {error}", path.display()));
    let real = fs::canonicalize(path).map_err(failure)?;
    if real.parent().is_none() {
        return Err(Failure::platform(format!("{what}: not the root folder")));
    }
    Ok(real)
}

fn covered(further: &[PathBuf]) -> Vec<PathBuf> {
    let all = ALWAYS_COVERED.iter().map(Path::new).chain(further.iter().map(PathBuf::as_path));
    // A folder that does not exist has nothing to hide.
    let mut found: Vec<PathBuf> = all.filter_map(|folder| fs::canonicalize(folder).ok()).collect();
    found.sort();
    let mut outermost: Vec<PathBuf> = Vec::new();
    for folder in found {
        if !outermost.iter().any(|outer| folder.starts_with(outer)) {
            outermost.push(folder);
        }
    }
    outermost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_are_real_folders_and_outermost_only() {
        let base = tempfile::tempdir().unwrap();
        let inner = base.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let found = covered(&[inner, base.path().to_owned(), base.path().join("missing")]);
        let base = fs::canonicalize(base.path()).unwrap();
        assert!(found.iter().filter(|folder| folder.starts_with(&base)).count() <= 1, "{found:?}");
        assert!(found.contains(&fs::canonicalize("/tmp").unwrap()));
    }
}
