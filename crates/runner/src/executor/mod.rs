//! What an attempt needs of whatever runs it: bytes, events, orders. A local process and a container look alike here.
//!
//! An executor owns the life and death of what it started. Each start is a task of its own, which ends the work when
//! its orders end, whatever happened to the attempt, and cleans up behind it. It knows nothing of the engine: no
//! states, no beats, only the lease that somebody else renews.

pub mod guard;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use chandler_core::jobs::link::RegistryLogin;
use chandler_model::Id;
use chandler_model::environments::RunImage;
use chandler_model::jobs::{Fault, Job};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::keep::{Boottime, Signal, Timing};
use crate::recipe::{Kept, Program};
use crate::tools::Target;

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// What a job writes, by bytes, until nothing of it can write any more.
pub type Output = Box<dyn AsyncRead + Send + Unpin>;

/// Runs attempts.
pub trait Executor: fmt::Debug + Send + Sync + 'static {
    /// Ends what an earlier life of this worker left. Called once, before anything is started.
    ///
    /// What it returns stays where it is until it is discarded: a worker that cannot hand it in finds it again when it
    /// starts the next time.
    ///
    /// # Errors
    /// Something that was left does not end. Then nothing may be claimed.
    fn sweep(&self) -> BoxFuture<'_, io::Result<Vec<Left>>>;

    /// Removes what `sweep` has returned, after it was handed in.
    ///
    /// # Errors
    /// Something of it resists; it is found again at the next start.
    fn discard(&self, left: Left) -> BoxFuture<'_, io::Result<()>>;

    /// Begins the work. Preparations that take long go on afterwards; whatever goes wrong is an event.
    fn start(&self, work: Work) -> BoxFuture<'_, Running>;
}

/// One attempt at a job, as an executor sees it.
#[derive(Clone, Debug)]
pub struct Work {
    pub job: Id<Job>,
    pub attempt: i64,
    /// Number of the step; 1 for a job without steps.
    pub step: i64,
    pub program: Program,
    /// What becomes of kept files, by path. The executor only remembers it.
    pub targets: Vec<(String, Target)>,
    /// None = a local process.
    pub image: Option<RunImage>,
    /// For the registry of the image.
    pub registry: Option<RegistryLogin>,
    /// When the claim that allowed this attempt was sent: the first renewal of the lease.
    pub claimed_at: Boottime,
    pub timing: Timing,
}

/// What an executor remembers beside an attempt, so that a later life of the worker knows what it has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memo {
    pub step: i64,
    pub keep: Vec<Kept>,
    pub targets: Vec<(String, Target)>,
}

impl Work {
    #[must_use]
    pub fn memo(&self) -> Memo {
        Memo { step: self.step, keep: self.program.keep().to_vec(), targets: self.targets.clone() }
    }
}

/// What an earlier life of the worker left of an attempt: files that were to be kept, by path.
#[derive(Clone, Debug)]
pub struct Left {
    pub job: Id<Job>,
    pub attempt: i64,
    pub memo: Memo,
    pub files: Vec<(String, Vec<u8>)>,
}

/// What happens to the work: first some `Said`, then `Started` or a last event; after `Started` one `Exited`, then `Gone`.
/// `File` comes while it runs, and between `Exited` and `Gone`.
/// `Gone`, `Refused` and `Lost` are last, and may come at any time. `KillUnanswered` comes at most once, and `Gone` after
/// it if it dies in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A line for the job's log that the job did not write.
    Said(String),
    /// A kept file stands like this now.
    File { path: String, bytes: Vec<u8> },
    /// It runs; in a container, of this image.
    Started { ran: Option<Ran> },
    /// Its main process has ended. What else belongs to it is being ended.
    Exited { code: Option<i32>, signal: Option<i32> },
    /// Nothing of it is left. Without `Exited` before: it was stopped before it had begun.
    Gone,
    /// Something of it does not die. It is watched on; the kept files have come.
    KillUnanswered,
    /// Nothing of the job has run, and this is why.
    Refused { fault: Fault, reason: String },
    /// What ran it has failed; nothing of it is left as far as can be known.
    Lost { reason: String },
}

impl Event {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        matches!(self, Self::Gone | Self::Refused { .. } | Self::Lost { .. })
    }
}

/// The image that a container was really made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// As the environment names it.
    pub image: String,
    /// `sha256:…` of what the runtime has under that name.
    pub digest: String,
}

/// What the work is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Sends a signal to it. `Kill` is repeated until nothing is left.
    Signal(Signal),
    /// Moves the lease on: this is when the renewal that has now been answered was sent.
    Renew(Boottime),
    /// What it leaves is not removed: it could not be handed in, and is found at the next start of the worker.
    Leave,
}

/// Work that has begun. Dropping `control` ends it by force.
pub struct Running {
    pub stdout: Output,
    pub stderr: Output,
    pub events: Events,
    pub control: Control,
}

/// The events, in order.
#[derive(Debug)]
pub struct Events(mpsc::UnboundedReceiver<Event>);

/// The orders.
#[derive(Debug)]
pub struct Control {
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

/// The executor's end of the events. Nobody hears them when the attempt has gone, and that is no error.
#[derive(Clone, Debug)]
pub struct Teller(mpsc::UnboundedSender<Event>);

/// The executor's end of the orders.
#[derive(Debug)]
pub struct Orders(mpsc::UnboundedReceiver<Order>);

impl Running {
    /// Starts the task that runs the work. It must end it when the orders end.
    pub fn spawn<F>(stdout: Output, stderr: Output, run: impl FnOnce(Teller, Orders) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (tell, events) = mpsc::unbounded_channel();
        let (orders, received) = mpsc::unbounded_channel();
        let task = tokio::spawn(run(Teller(tell), Orders(received)));
        Self { stdout, stderr, events: Events(events), control: Control { orders, task } }
    }

    /// Work that is not begun.
    #[must_use]
    pub fn refused(fault: Fault, reason: String) -> Self {
        let nothing = || Box::new(tokio::io::empty());
        Self::spawn(nothing(), nothing(), async move |tell, _| tell.event(Event::Refused { fault, reason }))
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("events", &self.events).field("control", &self.control).finish_non_exhaustive()
    }
}

impl Events {
    /// The next event; `Lost` if the executor ended without a last one. Cancel safe.
    pub async fn next(&mut self) -> Event {
        let lost = || Event::Lost { reason: "what ran the job has failed".to_owned() };
        self.0.recv().await.unwrap_or_else(lost)
    }
}

impl Control {
    pub fn signal(&self, signal: Signal) {
        self.send(Order::Signal(signal));
    }

    /// See [`Order::Renew`].
    pub fn renew(&self, sent_at: Boottime) {
        self.send(Order::Renew(sent_at));
    }

    /// See [`Order::Leave`].
    pub fn leave(&self) {
        self.send(Order::Leave);
    }

    /// Ends the orders and waits until everything has been cleaned up. What still runs is ended by force.
    pub async fn finished(self) {
        drop(self.orders);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "an executor has failed while it cleaned up");
        }
    }

    fn send(&self, order: Order) {
        // A task that has ended tells so by its events.
        let _ = self.orders.send(order);
    }
}

impl Teller {
    pub fn event(&self, event: Event) {
        drop(self.0.send(event));
    }

    pub fn say(&self, line: impl Into<String>) {
        self.event(Event::Said(line.into()));
    }
}

impl Orders {
    /// The next order; `None` when the attempt has gone or wants no more of it. Cancel safe.
    pub async fn next(&mut self) -> Option<Order> {
        self.0.recv().await
    }

    /// Waits until the attempt wants no more of it; whether what it leaves may be removed.
    pub async fn ended(&mut self) -> bool {
        let mut remove = true;
        while let Some(order) = self.next().await {
            remove &= order != Order::Leave;
        }
        remove
    }
}
