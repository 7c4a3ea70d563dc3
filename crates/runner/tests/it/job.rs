//! A job in a directory of its own, and waiting with a bound: no test sleeps to be in step with a process.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chandler_runner::keep::{Event, Keeper, Spec, leftovers::Note};
use tokio::{io::AsyncReadExt, net::unix::pipe, time::timeout};

/// Far more than anything here takes.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// Names another keeper than the one built with these tests.
pub(crate) const KEEPER: &str = "CHANDLER_TEST_KEEPER";

pub(crate) fn keeper_program() -> PathBuf {
    std::env::var_os(KEEPER).map_or_else(|| env!("CARGO_BIN_EXE_chandler-keep").into(), PathBuf::from)
}

pub(crate) struct Job {
    pub(crate) spec: Spec,
    /// Beside the job's directory: the job must not see it.
    pub(crate) outside: PathBuf,
    base: Arc<tempfile::TempDir>,
}

/// What came of a job that ran to its end.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) events: Vec<Event>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Job {
    /// A shell script as a job.
    pub(crate) fn script(text: &str) -> Self {
        Self::script_in(&std::env::temp_dir(), text)
    }

    pub(crate) fn script_in(place: &Path, text: &str) -> Self {
        let base = tempfile::Builder::new().prefix("keep-").tempdir_in(place).unwrap();
        let root = fs::canonicalize(base.path()).unwrap();
        let (dir, outside) = (root.join("job"), root.join("outside"));
        fs::create_dir(&dir).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(dir.join("script"), text).unwrap();
        let mut spec = Spec::new("/bin/bash", &dir);
        spec.args.push("script".into());
        Self { spec, outside, base: Arc::new(base) }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.spec.dir
    }

    pub(crate) async fn start(&self) -> Running {
        self.start_noted(None).await
    }

    pub(crate) async fn start_noted(&self, note: Option<Note>) -> Running {
        let keeper = timeout(BOUND, Keeper::spawn(&keeper_program(), &self.spec, note)).await.unwrap().unwrap();
        Running { keeper, base: Arc::clone(&self.base) }
    }

    pub(crate) async fn run(&self) -> Ended {
        self.start().await.finish().await
    }
}

pub(crate) struct Running {
    pub(crate) keeper: Keeper,
    /// The directory stays as long as the job runs.
    base: Arc<tempfile::TempDir>,
}

impl Running {
    pub(crate) async fn event(&mut self) -> Event {
        timeout(BOUND, self.keeper.next_event()).await.expect("an event in time")
    }

    /// The next line of standard output, read byte by byte.
    pub(crate) async fn line(&mut self) -> String {
        let read = async {
            let mut line = Vec::new();
            loop {
                match self.keeper.stdout.read_u8().await.unwrap() {
                    b'\n' => return String::from_utf8(line).unwrap(),
                    byte => line.push(byte),
                }
            }
        };
        timeout(BOUND, read).await.expect("a line in time")
    }

    /// Every process below the keeper, by the number it has outside of the job.
    pub(crate) fn family(&self) -> Vec<i32> {
        let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| {
                let pid: i32 = entry.unwrap().file_name().to_str()?.parse().ok()?;
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                Some((pid, stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?))
            })
            .collect();
        let mut family = vec![self.keeper.identity().pid];
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            next += 1;
        }
        family.split_off(1)
    }

    /// Lets a script go on that waits with `read < go`; it has made that pipe before it said anything.
    pub(crate) fn go(&self) {
        fs::write(self.base.path().join("job/go"), "\n").unwrap();
    }

    pub(crate) async fn finish(self) -> Ended {
        let Self { keeper, base } = self;
        let Keeper { stdout, stderr, control, mut events, .. } = keeper;
        let all_events = async {
            let mut all = Vec::new();
            loop {
                all.push(events.next().await);
                if matches!(all.last(), Some(Event::Gone | Event::Refused { .. } | Event::KeeperLost)) {
                    return all;
                }
            }
        };
        let all = async { tokio::join!(all_events, bytes(stdout), bytes(stderr)) };
        let (events, stdout, stderr) = timeout(BOUND, all).await.expect("an end in time");
        drop((control, base));
        Ended { events, stdout, stderr }
    }
}

async fn bytes(mut from: pipe::Receiver) -> Vec<u8> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).await.unwrap();
    all
}

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.exit().0
    }

    pub(crate) fn exit(&self) -> (Option<i32>, Option<i32>) {
        let exit = self.events.iter().find_map(|event| match event {
            Event::Exited { code, signal } => Some((*code, *signal)),
            _ => None,
        });
        exit.unwrap_or_else(|| panic!("no exit in {self:?}"))
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.events.last() == Some(&Event::Gone)
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// It ran, succeeded, said `expected`, and nothing is left of it.
    #[track_caller]
    pub(crate) fn assert_said(&self, expected: &str) {
        assert!(self.is_gone(), "{self:?}");
        assert_eq!((self.code(), self.out().trim()), (Some(0), expected), "stderr: {}", self.err());
    }
}

/// Waits until a process has gone. It is watched by its handle, not asked again and again.
#[track_caller]
pub(crate) fn assert_gone(pid: i32) {
    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        io::Errno,
        process::{Pid, PidfdFlags, pidfd_open},
    };
    let Ok(handle) = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()) else { return };
    let bound = Timespec { tv_sec: i64::try_from(BOUND.as_secs()).unwrap(), tv_nsec: 0 };
    let ready = loop {
        match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&bound)) {
            // Children of other tests end all the time.
            Err(Errno::INTR) => {}
            other => break other.unwrap(),
        }
    };
    assert_eq!(ready, 1, "process {pid} still runs");
}
