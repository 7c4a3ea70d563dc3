//! What the worker tells a keeper to run: the whole of it, in one value, sent once.
//!
//! Environment values are secrets here, so `Debug` never prints them; arguments may be, so it only counts them.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// `PATH` of a job that is given none, and where a program named without a slash is looked for.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One attempt of a local job.
#[derive(Clone, Serialize, Deserialize)]
pub struct Spec {
    /// A path, or a bare name that is looked up in the system folders (never in the job's own `PATH`, which its
    /// author may have written).
    pub program: PathBuf,
    pub args: Vec<String>,
    /// The whole environment: the job gets these and no others.
    pub env: Vec<(String, String)>,
    /// The job's own directory: absolute, existing, the only place it may write to, of one attempt only. A path
    /// through a link that lies under a covered folder is refused.
    pub dir: PathBuf,
    /// Where the program starts; relative to `dir`.
    pub cwd: PathBuf,
    /// What asks it to stop when the lease runs out.
    pub stop: Signal,
    pub confinement: Confinement,
    pub limits: Limits,
    pub timing: Timing,
    /// When the claim that allowed this attempt was sent: the first renewal.
    pub renewed_at: Boottime,
}

impl Spec {
    /// A sandboxed job in `dir` with a fresh environment: `HOME` and `TMPDIR` inside `dir` (made if missing), the
    /// system `PATH`, UTF-8.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        let within = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let env = [
            ("HOME", within("home")),
            ("TMPDIR", within("tmp")),
            ("PATH", SYSTEM_PATH.to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
        ];
        Self {
            program: program.into(),
            args: Vec::new(),
            env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            dir,
            cwd: PathBuf::new(),
            stop: Signal::Term,
            confinement: Confinement::default(),
            limits: Limits::default(),
            timing: Timing::default(),
            renewed_at: Boottime::now(),
        }
    }

    /// Sets one variable, replacing an earlier value.
    pub fn set_env(&mut self, name: &str, value: impl Into<String>) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.into()));
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Spec")
            .field("program", &self.program)
            .field("args", &self.args.len())
            .field("env", &names)
            .field("dir", &self.dir)
            .field("cwd", &self.cwd)
            .field("confinement", &self.confinement)
            .finish_non_exhaustive()
    }
}

/// The sandbox beyond what every job gets.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Confinement {
    /// Further folders to read and execute from (setting `sandbox.read`).
    pub read: Vec<PathBuf>,
    /// Further folders to write to (setting `sandbox.write`).
    pub write: Vec<PathBuf>,
    /// Folders that are empty for the job, beside `/run`, `/var/run` and `/tmp`: the data folders of the server.
    pub cover: Vec<PathBuf>,
    /// Further programs that the job starts, absolute paths: each brings its own folders, as the program itself does.
    #[serde(default)]
    pub tools: Vec<PathBuf>,
    /// What [`crate::sandbox::open_files`] found, kept by the worker over many jobs. `None`: the keeper looks itself,
    /// which is most of its start time.
    pub open: Option<Vec<PathBuf>>,
    /// No sandbox at all, by decision of the operator: process group and reaping only.
    pub unsandboxed: bool,
}

/// Resource limits; core dumps are always off.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Open files; never above the worker's own hard limit.
    pub open_files: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
}

/// The keeper's periods.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Timing {
    /// From the sending of the last answered renewal until the job is asked to stop.
    pub lease: Duration,
    /// From the same moment until it is killed.
    pub lease_kill: Duration,
    /// How long a KILL may stay without effect before the worker is told.
    pub unanswered: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            lease_kill: Duration::from_secs(40),
            unanswered: Duration::from_secs(10),
        }
    }
}

impl Timing {
    /// Between two looks at files that are handed back while the job runs: half a beat, and a lease is three beats.
    #[must_use]
    pub fn look(&self) -> Duration {
        self.lease / 6
    }
}

/// What can be sent to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    Term,
    Int,
    Kill,
}

/// A moment of `CLOCK_BOOTTIME`: it goes on while the machine sleeps and means the same in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Boottime(u64);

impl Boottime {
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
    }

    /// Zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved back, for tests of leases.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// `path` below `dir`, or nothing if it would leave it by an absolute path or `..`.
pub(crate) fn below(dir: &Path, path: &Path) -> Option<PathBuf> {
    use std::path::Component;
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)).then(|| dir.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_value_of_the_environment_and_no_argument() {
        let mut spec = Spec::new("true", "/srv/job");
        spec.set_env("TOKEN", "hunter2");
        spec.args.push("--password=hunter3".into());
        let shown = format!("{spec:?}");
        assert!(shown.contains("TOKEN") && !shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn a_start_folder_stays_below_the_directory() {
        let dir = Path::new("/srv/job");
        assert_eq!(below(dir, Path::new("a/b")), Some(PathBuf::from("/srv/job/a/b")));
        assert_eq!(below(dir, Path::new("")), Some(PathBuf::from("/srv/job/")));
        assert_eq!(below(dir, Path::new("../x")), None);
        assert_eq!(below(dir, Path::new("/etc")), None);
    }
}
