//! What an earlier life of the worker left running: a note per attempt, and killing by it.
//!
//! A keeper whose worker has died kills its job by itself; this is for the keeper that was killed too, and for
//! waiting until either has happened. Blocking; a worker calls it before it starts anything. Files of a job are
//! removed only when asked: they may hold state that has to be handed in first.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, getpid};
use serde::{Deserialize, Serialize};

use super::process::{self, Identity, Stat};

/// How long one look at the processes lasts before the next.
const ROUND: Duration = Duration::from_millis(50);
const SUFFIX: &str = "json";

/// Where one attempt is noted, and which directory is its own.
#[derive(Debug, Clone)]
pub struct Note {
    path: PathBuf,
    dir: PathBuf,
    memo: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    /// Process ids and start times mean nothing after a restart of the machine.
    boot: String,
    keeper: Identity,
    job: Option<Identity>,
    dir: PathBuf,
    #[serde(default)]
    memo: String,
}

/// An attempt that an earlier life has noted.
#[derive(Debug)]
pub struct Leftover {
    pub job: String,
    pub attempt: u32,
    /// The attempt's directory, still there.
    pub dir: PathBuf,
    /// False: some process does not die. Look again with [`Leftover::kill`].
    pub gone: bool,
    /// What was to be remembered of it.
    pub memo: String,
    note: PathBuf,
}

impl Note {
    /// The note of an attempt in the folder of notes. `dir` is the directory of its [`super::Spec`].
    #[must_use]
    pub fn new(notes: &Path, job: &str, attempt: u32, dir: &Path) -> Self {
        let path = notes.join(format!("{job}-{attempt}.{SUFFIX}"));
        Self { path, dir: dir.to_owned(), memo: String::new() }
    }

    /// Also remembers this.
    #[must_use]
    pub fn with_memo(self, memo: String) -> Self {
        Self { memo, ..self }
    }

    /// Kills what is left of the attempt; for a keeper that was lost. True if nothing is.
    ///
    /// # Errors
    /// The note or the process table cannot be read.
    pub fn kill(&self, patience: Duration) -> io::Result<bool> {
        read(&self.path)?.map_or(Ok(true), |content| kill(&content, patience))
    }

    pub(super) fn write(&self, keeper: Identity, job: Option<Identity>) -> io::Result<()> {
        // Without links: so it stands among the mounts.
        let content =
            Content { boot: boot()?, keeper, job, dir: fs::canonicalize(&self.dir)?, memo: self.memo.clone() };
        let folder = self.path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        fs::create_dir_all(folder)?;
        // Replaced as a whole: half a note would be none.
        let file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&file, &content)?;
        file.persist(&self.path)?;
        Ok(())
    }

    /// Removes the attempt's directory and then its note; for an attempt that is gone.
    ///
    /// # Errors
    /// A file resists; the note stays then.
    pub fn remove(&self) -> io::Result<()> {
        remove_tree(&self.dir)?;
        missing_is_fine(fs::remove_file(&self.path))
    }
}

/// Ends every attempt that is noted in this folder, waiting up to `patience` for each, and returns them all.
///
/// # Errors
/// The folder or the process table cannot be read. A folder that does not exist holds nothing.
pub fn sweep(notes: &Path, patience: Duration) -> io::Result<Vec<Leftover>> {
    let entries = match fs::read_dir(notes) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let note = entry?.path();
        let name = note.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".json"));
        let Some((job, attempt)) = name.and_then(|name| name.rsplit_once('-')) else { continue };
        let (job, Ok(attempt)) = (job.to_owned(), attempt.parse()) else { continue };
        let Some(content) = read(&note)? else { continue };
        let gone = kill(&content, patience)?;
        found.push(Leftover { job, attempt, dir: content.dir, gone, memo: content.memo, note });
    }
    Ok(found)
}

impl Leftover {
    /// Tries again to end it.
    ///
    /// # Errors
    /// As for [`sweep`].
    pub fn kill(&mut self, patience: Duration) -> io::Result<bool> {
        self.gone = read(&self.note)?.map_or(Ok(true), |content| kill(&content, patience))?;
        Ok(self.gone)
    }

    /// Removes the attempt's directory and then its note.
    ///
    /// # Errors
    /// It is not gone yet, or a file resists; the note stays then.
    pub fn remove(self) -> io::Result<()> {
        if !self.gone {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        remove_tree(&self.dir)?;
        missing_is_fine(fs::remove_file(&self.note))
    }
}

/// Removes a job's directory, also when the job has taken away its own rights on parts of it.
///
/// # Errors
/// Something in it cannot be removed.
pub fn remove_tree(dir: &Path) -> io::Result<()> {
    match missing_is_fine(fs::remove_dir_all(dir)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(dir)?;
            missing_is_fine(fs::remove_dir_all(dir))
        }
        other => other,
    }
}

fn open_up(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// A note that cannot be understood is an error: to pass over it would be to leave its processes.
fn read(note: &Path) -> io::Result<Option<Content>> {
    match fs::read(note) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
    }
}

fn kill(content: &Content, patience: Duration) -> io::Result<bool> {
    if content.boot != boot()? {
        return Ok(true);
    }
    let start = Instant::now();
    // A keeper that lives does it better: it is the parent of whatever is left. Wake it if it was stopped.
    if content.keeper.is_alive() {
        process::signal(content.keeper, Signal::CONT)?;
    }
    while content.keeper.is_alive() && start.elapsed() < patience / 2 {
        let handle = process::open(content.keeper);
        process::wait_readable(handle.as_slice(), ROUND)?;
    }
    loop {
        let left = belonging(content)?;
        let mut targets: Vec<Stat> = left.iter().filter(|process| process.runs()).copied().collect();
        if targets.is_empty() && content.keeper.is_alive() {
            targets.extend(process::stat(content.keeper.pid));
        }
        if targets.is_empty() {
            return Ok(true);
        }
        if start.elapsed() >= patience {
            return Ok(false);
        }
        if let Err(error) = process::kill_and_wait(&targets, ROUND) {
            tracing::warn!(%error, "a process of an earlier attempt cannot be killed");
        }
    }
}

/// The job's processes: below the keeper, below the job's process, in the keeper's session, or in a mount namespace
/// in which the job's directory is mounted on its own path (so sandboxed jobs are found wherever they went).
fn belonging(content: &Content) -> io::Result<Vec<Stat>> {
    let all = process::all()?;
    let find = |identity: Identity| all.iter().find(|process| process.identity() == identity);
    let mut found = Vec::new();
    if find(content.keeper).is_some() {
        found.extend(process::descendants(&all, content.keeper.pid));
    }
    if let Some(job) = content.job.filter(|job| find(*job).is_some()) {
        found.extend(process::descendants(&all, job.pid));
        found.extend(find(job));
    }
    // A session keeps the number of its leader, the keeper, from being given away; a stranger with that number means
    // that the session is gone.
    let Identity { pid: session, start_time } = content.keeper;
    if all.iter().all(|process| process.pid != session || process.start_time == start_time) {
        found.extend(all.iter().filter(|process| process.session == session && process.pid != session));
    }
    let own = mount_namespace(getpid());
    found.extend(all.iter().filter(|process| {
        process.start_time >= content.keeper.start_time
            && process.identity() != content.keeper
            && Pid::from_raw(process.pid).is_some_and(|pid| is_mounted_in(pid, own.as_deref(), &content.dir))
    }));
    found.sort_by_key(|process| process.pid);
    found.dedup_by_key(|process| process.pid);
    Ok(found)
}

fn mount_namespace(pid: Pid) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{}/ns/mnt", pid.as_raw_nonzero())).ok()
}

fn is_mounted_in(pid: Pid, own: Option<&Path>, dir: &Path) -> bool {
    let theirs = mount_namespace(pid);
    if theirs.is_none() || theirs.as_deref() == own {
        return false;
    }
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", pid.as_raw_nonzero())).unwrap_or_default();
    let wanted = escaped(dir);
    mounts.lines().filter_map(|line| line.split(' ').nth(4)).any(|point| point == wanted)
}

/// As the kernel writes a path in `mountinfo`.
fn escaped(path: &Path) -> String {
    let mut text = String::new();
    for letter in path.to_string_lossy().chars() {
        match letter {
            ' ' => text.push_str("\\040"),
            '\t' => text.push_str("\\011"),
            '\n' => text.push_str("\\012"),
            '\\' => text.push_str("\\134"),
            other => text.push(other),
        }
    }
    text
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn missing_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
