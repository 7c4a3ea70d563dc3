//! The life of one container: made, watched, ended, removed.
//!
//! Output comes from an attached stream that is opened before the start, so nothing is missed. What was kept is told
//! before the end is; the container itself stays until that has been handed in.

use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::WaitContainerOptions;
use chandler_model::environments::RunImage;
use chandler_model::jobs::Fault;
use chandler_runner::executor::guard::Guard;
use chandler_runner::executor::{Event, Order, Orders, Ran, Running, Teller, Work};
use chandler_runner::keep::{Boottime, Signal};
use futures_util::StreamExt;
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::kept::{Found as There, Keeping};
use crate::missing::missing;
use crate::pump::pump;
use crate::setup::Setup;
use crate::start::{Container, start};
use crate::{Inner, image, runtime, said};

/// Between the runtime and whoever reads.
const PIPE: usize = 64 * 1024;
/// Between two tries to ask a runtime that does not answer, and between two KILLs.
const RETRY: Duration = Duration::from_millis(500);
/// Between two KILLs of a container that has not answered any for long.
const SELDOM: Duration = Duration::from_secs(10);
/// Exit code of a process that KILL has ended, as shells say it.
const KILLED: i32 = 137;
/// A look at kept files while the job runs takes at most this long: orders wait for it.
const LOOK: Duration = Duration::from_secs(5);
/// The last look is worth more.
const LAST_LOOK: Duration = Duration::from_secs(120);

pub(crate) fn begin(inner: Arc<Inner>, work: Work, setup: Setup, image: RunImage) -> Running {
    let (out, stdout) = tokio::io::duplex(PIPE);
    let (err, stderr) = tokio::io::duplex(PIPE);
    Running::spawn(Box::new(stdout), Box::new(stderr), async move |tell, mut orders| {
        let job = Job { inner: &inner, work: &work, setup: &setup, image: &image, tell: &tell };
        let (last, life) = job.run(&mut orders, [out, err]).await;
        tell.event(last);
        drop(tell);
        // Until the end is reported, what it leaves is the job's.
        let removable = orders.ended().await;
        let Some(life) = life.filter(|life| life.ended && removable) else { return };
        if let Err(error) = runtime::remove(&life.docker, &life.id).await {
            // The guard tries too when it is let go, and the next start of the worker.
            tracing::warn!(job = %work.job, container = life.id, error = said::line(&error), "a container stays");
        }
    })
}

/// What is run.
struct Job<'a> {
    inner: &'a Inner,
    work: &'a Work,
    setup: &'a Setup,
    image: &'a RunImage,
    tell: &'a Teller,
}

impl Job<'_> {
    /// Everything from the image to the end; returns the last event, and the container if there is one.
    async fn run(&self, orders: &mut Orders, pipes: [DuplexStream; 2]) -> (Event, Option<Life>) {
        let platform = |reason| (Event::Refused { fault: Fault::Platform, reason }, None);
        let mut waiting = Waiting { renewed_at: self.work.claimed_at, signals: Vec::new() };
        // A pull may take minutes and can be given up at any time.
        let chosen = tokio::select! {
            chosen = async {
                let found = self.inner.find().await?;
                let login = self.work.registry.as_ref();
                let chosen = image::choose(&found.docker, self.image, login, self.tell).await?;
                Ok((found, chosen))
            } => chosen,
            () = waiting.until_stopped(orders) => return (Event::Gone, None),
        };
        let (found, chosen) = match chosen {
            Ok(chosen) => chosen,
            Err(reason) => return platform(reason),
        };
        let digest = chosen.digest.clone();
        // From here on a container may exist: what begins is brought to its end, and orders are heard afterwards.
        let claimed = Work { claimed_at: waiting.renewed_at, ..self.work.clone() };
        let started = {
            let mut start = std::pin::pin!(start(self.inner, &found, &claimed, self.setup, &chosen));
            tokio::select! {
                started = &mut start => started,
                () = waiting.forever(orders) => start.await,
            }
        };
        let Container { docker, id, frames, guard } = match started {
            Ok(container) => container,
            Err(not_run) => return (not_run, None),
        };
        guard.renew(waiting.renewed_at);
        self.tell.event(Event::Started { ran: Some(Ran { image: self.image.reference.clone(), digest }) });
        let (exited, pump_exited) = watch::channel(false);
        let pump = pump(frames, pipes, pump_exited, self.tell.clone());
        let keeping = Keeping::new(docker.clone(), id.clone(), self.work.program.keep().to_vec());
        let mut life =
            Life { docker, id, guard, keeping, exited, kill: None, again: None, wanted: false, ended: false };
        for signal in waiting.signals {
            life.signal(signal).await;
        }
        let last = match life.accompany(self.work, self.tell, orders, pump).await {
            Some(code) => self.ended(&life, code).await,
            None => Event::Lost { reason: "its container does not end".to_owned() },
        };
        (last, Some(life))
    }

    /// Tells how it ended; returns the last event.
    async fn ended(&self, life: &Life, code: i32) -> Event {
        if code != 0 && !life.wanted {
            let image = &self.image.reference;
            let missing = missing(&life.docker, &life.id, &self.work.program, self.setup, image, Some(code)).await;
            if let Some((fault, reason)) = missing {
                return Event::Refused { fault, reason };
            }
        }
        // Not every runtime knows why.
        if let Some(memory) = self.inner.settings.limits.memory.filter(|_| code == KILLED && !life.wanted) {
            self.tell
                .say(format!("Killed, perhaps because it wanted more than the {memory} bytes of memory it may have."));
        }
        self.tell.event(Event::Exited { code: Some(code), signal: None });
        life.hand_back(self.tell).await;
        Event::Gone
    }
}

/// Orders that came before there was a container.
struct Waiting {
    renewed_at: Boottime,
    signals: Vec<Signal>,
}

impl Waiting {
    /// Returns when the work is to end, by word or because the attempt has gone.
    async fn until_stopped(&mut self, orders: &mut Orders) {
        while let Some(Order::Renew(at)) = orders.next().await {
            self.renewed_at = self.renewed_at.max(at);
        }
    }

    /// Keeps what comes; returns when the attempt has gone.
    async fn forever(&mut self, orders: &mut Orders) {
        while let Some(order) = orders.next().await {
            match order {
                Order::Renew(at) => self.renewed_at = self.renewed_at.max(at),
                Order::Signal(signal) => self.signals.push(signal),
                Order::Leave => {}
            }
        }
    }
}

/// A running container and what has been asked of it.
struct Life {
    docker: Docker,
    id: String,
    guard: Guard,
    keeping: Keeping,
    /// Tells whoever reads the output that no more is written.
    exited: watch::Sender<bool>,
    /// Since when it is being killed, and when the next KILL is due.
    kill: Option<Instant>,
    again: Option<Instant>,
    /// Whether its end was asked for.
    wanted: bool,
    ended: bool,
}

impl Life {
    async fn signal(&mut self, signal: Signal) {
        self.wanted = true;
        match signal {
            Signal::Term => runtime::kill(&self.docker, &self.id, "TERM").await,
            Signal::Int => runtime::kill(&self.docker, &self.id, "INT").await,
            Signal::Kill => self.again = Some(Instant::now()),
        }
    }

    /// Until it has ended and its output is read; the exit code, or `None` if it does not die and nobody waits for it
    /// any more.
    async fn accompany(
        &mut self,
        work: &Work,
        tell: &Teller,
        orders: &mut Orders,
        pump: impl Future<Output = ()>,
    ) -> Option<i32> {
        let (docker, id) = (self.docker.clone(), self.id.clone());
        let (drained, told) = watch::channel(false);
        let mut exit = std::pin::pin!(exit_code(&docker, &id, told));
        let mut pump = std::pin::pin!(pump);
        let (mut reading, mut listening, mut unanswered) = (true, true, false);
        let mut looks = tokio::time::interval(work.timing.look().max(Duration::from_millis(1)));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let live = self.keeping.is_live();
        let mut code = None;
        loop {
            if code.is_some() && !reading {
                self.ended = true;
                return code;
            }
            if unanswered && !listening {
                return None;
            }
            tokio::select! {
                order = orders.next(), if listening => match order {
                    Some(Order::Renew(at)) => self.guard.renew(at),
                    Some(Order::Signal(signal)) => self.signal(signal).await,
                    // Nothing is handed in yet, so nothing can have failed to be.
                    Some(Order::Leave) => {}
                    None => {
                        listening = false;
                        self.signal(Signal::Kill).await;
                    }
                },
                ended = &mut exit, if code.is_none() => {
                    code = Some(ended);
                    self.exited.send_replace(true);
                }
                () = &mut pump, if reading => {
                    reading = false;
                    drained.send_replace(true);
                }
                _ = looks.tick(), if live && code.is_none() => self.look(tell).await,
                () = until(self.again), if self.again.is_some() && code.is_none() => {
                    let since = *self.kill.get_or_insert_with(Instant::now);
                    if since.elapsed() >= work.timing.unanswered && !std::mem::replace(&mut unanswered, true) {
                        self.hand_back(tell).await;
                        tell.event(Event::KillUnanswered);
                    }
                    runtime::kill(&docker, &id, "KILL").await;
                    self.again = Some(Instant::now() + if unanswered { SELDOM } else { RETRY });
                }
            }
        }
    }

    /// Tells the live files that have changed.
    async fn look(&mut self, tell: &Teller) {
        let Ok(changed) = tokio::time::timeout(LOOK, self.keeping.changed()).await else { return };
        changed.into_iter().for_each(|(path, bytes)| tell.event(Event::File { path, bytes }));
    }

    /// Tells every kept file as it is in the end.
    async fn hand_back(&self, tell: &Teller) {
        let Ok(all) = tokio::time::timeout(LAST_LOOK, self.keeping.all()).await else {
            return tell.say("The runtime does not answer: what the job left could not be fetched.");
        };
        for (path, found) in all {
            match found {
                There::File(bytes) => tell.event(Event::File { path, bytes }),
                There::Nothing => {}
                There::Unfit(reason) => tell.say(reason),
            }
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Waits for the end of a container, however often the runtime goes away meanwhile. One that has vanished was killed
/// and removed by somebody.
async fn exit_code(docker: &Docker, id: &str, mut drained: watch::Receiver<bool>) -> i32 {
    let code = |code: i64| i32::try_from(code).unwrap_or(-1);
    let mut looked = false;
    loop {
        let options = WaitContainerOptions { condition: "not-running".to_owned() };
        let mut over = std::pin::pin!(docker.wait_container(id, Some(options)));
        let answer = tokio::select! {
            answer = over.next() => answer,
            // Podman looks only four times a second whether what is waited for has happened, but at once when it is
            // asked; the end of the output says that it is worth asking again.
            _ = drained.wait_for(|drained| *drained), if !looked => {
                looked = true;
                continue;
            }
        };
        match answer {
            Some(Ok(answer)) => return code(answer.status_code),
            // An exit code other than 0 comes as an error.
            Some(Err(Error::DockerContainerWaitError { code: other, .. })) => return code(other),
            Some(Err(error)) if said::is_missing(&error) => return KILLED,
            Some(Err(error)) => tracing::debug!(container = id, error = said::line(&error), "waiting broke off"),
            None => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}
