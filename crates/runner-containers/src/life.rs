//! The life of one container: made, filled, watched, ended, removed.
//!
//! Output comes from an attached stream that is opened before the start, so nothing is missed and every byte is as it
//! was written. Whoever reads slowly holds the job back; nothing is kept in memory.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bollard::query_parameters::{AttachContainerOptions, ContainerArchiveInfoOptions, UploadToContainerOptions};
use bollard::query_parameters::{CreateContainerOptions, WaitContainerOptions};
use bollard::{Docker, body_full};
use chandler_model::environments::RunImage;
use chandler_model::jobs::{Fault, Intent, ScriptIntent};
use chandler_runner::executor::guard::Guard;
use chandler_runner::executor::{Event, Order, Orders, Ran, Running, Teller, Work};
use chandler_runner::keep::{Boottime, Signal};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::image::{self, Chosen};
use crate::{Found, Inner, create, runtime, said, script};

/// Between the runtime and whoever reads.
const PIPE: usize = 64 * 1024;
/// Between two tries to ask a runtime that does not answer, and between two KILLs.
const RETRY: Duration = Duration::from_millis(500);
/// Exit code of a process that KILL has ended, as shells say it.
const KILLED: i32 = 137;
/// Output that does not come within this time after the end does not come at all.
const LAST_OUTPUT: Duration = Duration::from_secs(10);

/// Set once a runtime has shown that it has no init process.
static NO_INIT: AtomicBool = AtomicBool::new(false);

type Frames = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

/// Why nothing runs: an event to tell.
type NotRun = Event;

/// A container that runs.
struct Container {
    docker: Docker,
    id: String,
    frames: Frames,
    guard: Guard,
}

pub(crate) fn begin(inner: Arc<Inner>, work: Work, image: RunImage) -> Running {
    let (out, stdout) = tokio::io::duplex(PIPE);
    let (err, stderr) = tokio::io::duplex(PIPE);
    Running::spawn(Box::new(stdout), Box::new(stderr), async move |tell, mut orders| {
        let last = run(&inner, &work, &image, &tell, &mut orders, [out, err]).await;
        tell.event(last);
        drop(tell);
        orders.ended().await;
    })
}

/// Everything from the image to the removal; returns the last event.
async fn run(
    inner: &Inner,
    work: &Work,
    image: &RunImage,
    tell: &Teller,
    orders: &mut Orders,
    pipes: [DuplexStream; 2],
) -> Event {
    let Intent::Script(intent) = &work.intent;
    let platform = |reason| Event::Refused { fault: Fault::Platform, reason };
    let mut waiting = Waiting { renewed_at: work.claimed_at, signals: Vec::new() };
    // A pull may take minutes and can be given up at any time.
    let chosen = tokio::select! {
        chosen = async {
            let found = inner.find().await?;
            let chosen = image::choose(&found.docker, image, tell).await?;
            Ok((found, chosen))
        } => chosen,
        () = waiting.until_stopped(orders) => return Event::Gone,
    };
    let (found, chosen) = match chosen {
        Ok(chosen) => chosen,
        Err(reason) => return platform(reason),
    };
    let digest = chosen.digest.clone();
    // From here on a container may exist: what begins is brought to its end, and orders are heard afterwards.
    let claimed = Work { claimed_at: waiting.renewed_at, ..work.clone() };
    let started = {
        let mut start = std::pin::pin!(start(inner, &found, &claimed, intent, &chosen));
        tokio::select! {
            started = &mut start => started,
            () = waiting.forever(orders) => start.await,
        }
    };
    let container = match started {
        Ok(container) => container,
        Err(not_run) => return not_run,
    };
    container.guard.renew(waiting.renewed_at);
    tell.event(Event::Started { ran: Some(Ran { image: image.reference.clone(), digest }) });
    let Container { docker, id, frames, guard } = container;
    let (exited, pump_exited) = watch::channel(false);
    let pump = pump(frames, pipes, pump_exited, tell.clone());
    let mut life =
        Life { docker: docker.clone(), id: id.clone(), guard, exited, kill: None, again: None, wanted: false };
    for signal in waiting.signals {
        life.signal(signal).await;
    }
    let code = life.accompany(work, orders, pump).await;
    let last = match code {
        Some(code) => {
            // Init processes say it with codes of their own.
            let failed = code != 0 && !life.wanted;
            let missing = if failed { missing_interpreter(&docker, &id, intent).await } else { None };
            match missing {
                Some(program) => Event::Refused {
                    fault: Fault::Work,
                    reason: format!("The interpreter {program} of the script is not in the image {}.", image.reference),
                },
                _ => {
                    // Not every runtime knows why.
                    if let Some(memory) = inner.settings.limits.memory.filter(|_| code == KILLED && !life.wanted) {
                        tell.say(format!(
                            "Killed, perhaps because it wanted more than the {memory} bytes of memory it may have."
                        ));
                    }
                    tell.event(Event::Exited { code: Some(code), signal: None });
                    Event::Gone
                }
            }
        }
        None => return Event::KillUnanswered,
    };
    if let Err(error) = runtime::remove(&docker, &id).await {
        // The guard tries too when it is let go, and the next start of the worker.
        tracing::warn!(job = %work.job, container = id, error = said::line(&error), "a container stays");
    }
    last
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
            }
        }
    }
}

/// Makes the container, fills it, attaches and starts it. On failure nothing of it stays.
async fn start(
    inner: &Inner,
    found: &Found,
    work: &Work,
    intent: &ScriptIntent,
    chosen: &Chosen,
) -> Result<Container, NotRun> {
    let settings = &inner.settings;
    loop {
        let init = !NO_INIT.load(Ordering::Relaxed);
        let command = script::command(intent);
        let body = create::body(work, &settings.worker, chosen.id.clone(), command, settings.limits, init);
        let made = found.docker.create_container(None::<CreateContainerOptions>, body).await;
        let error = match made {
            Ok(made) => match fill_and_start(inner, found, work, intent, &made.id).await {
                Ok(container) => return Ok(container),
                Err(error) => {
                    if let Err(error) = runtime::remove(&found.docker, &made.id).await {
                        tracing::warn!(container = made.id, error = said::line(&error), "a container stays");
                    }
                    error
                }
            },
            Err(error) => error,
        };
        if init && said::lacks_init(&error) {
            tracing::info!("the container runtime has no init process: scripts have to heed TERM themselves");
            NO_INIT.store(true, Ordering::Relaxed);
            continue;
        }
        let reason = said::line(&error);
        return Err(if said::lacks_program(&error) {
            let program = script::command(intent).into_iter().next().unwrap_or_default();
            let reason = format!("The interpreter {program} of the script cannot be started: {reason}.");
            Event::Refused { fault: Fault::Work, reason }
        } else {
            Event::Refused { fault: Fault::Platform, reason: format!("No container could be started: {reason}.") }
        });
    }
}

async fn fill_and_start(
    inner: &Inner,
    found: &Found,
    work: &Work,
    intent: &ScriptIntent,
    id: &str,
) -> Result<Container, Error> {
    let docker = &found.docker;
    let guard = Guard::spawn(&inner.settings.keeper, &found.socket, id, &work.timing, work.claimed_at).await?;
    let upload = UploadToContainerOptions { path: "/".to_owned(), ..UploadToContainerOptions::default() };
    docker.upload_to_container(id, Some(upload), body_full(script::archive(intent)?.into())).await?;
    let options =
        AttachContainerOptions { stream: true, stdout: true, stderr: true, ..AttachContainerOptions::default() };
    let AttachContainerResults { output, .. } = docker.attach_container(id, Some(options)).await?;
    docker.start_container(id, None::<bollard::query_parameters::StartContainerOptions>).await?;
    Ok(Container { docker: docker.clone(), id: id.to_owned(), frames: output, guard })
}

/// Copies what the container writes, each stream to its own reader, until both have ended.
async fn pump(
    mut frames: Frames,
    [mut out, mut err]: [DuplexStream; 2],
    mut exited: watch::Receiver<bool>,
    tell: Teller,
) {
    loop {
        let quiet = async {
            // The sender lives as long as this is read.
            let _ = exited.wait_for(|exited| *exited).await;
            tokio::time::sleep(LAST_OUTPUT).await;
        };
        let frame = tokio::select! {
            frame = frames.next() => frame,
            () = quiet => return tell.say("The runtime does not say that the output is over; some may be missing."),
        };
        let (pipe, bytes) = match frame {
            Some(Ok(LogOutput::StdErr { message })) => (&mut err, message),
            Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message })) => (&mut out, message),
            Some(Ok(LogOutput::StdIn { .. })) => continue,
            Some(Err(error)) => {
                let reason = said::line(&error);
                return tell.say(format!("The runtime's stream has broken, output is missing: {reason}."));
            }
            None => return,
        };
        // Nobody reads any more: the attempt has gone, and its end will end the container.
        if pipe.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// A running container and what has been asked of it.
struct Life {
    docker: Docker,
    id: String,
    guard: Guard,
    /// Tells whoever reads the output that no more is written.
    exited: watch::Sender<bool>,
    /// Since when it is being killed, and when the next KILL is due.
    kill: Option<Instant>,
    again: Option<Instant>,
    /// Whether its end was asked for.
    wanted: bool,
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

    /// Until it has ended and its output is read; the exit code, or `None` if it does not die.
    async fn accompany(&mut self, work: &Work, orders: &mut Orders, pump: impl Future<Output = ()>) -> Option<i32> {
        let (docker, id) = (self.docker.clone(), self.id.clone());
        let (drained, told) = watch::channel(false);
        let mut exit = std::pin::pin!(exit_code(&docker, &id, told));
        let mut pump = std::pin::pin!(pump);
        let (mut reading, mut listening) = (true, true);
        let mut code = None;
        loop {
            if code.is_some() && !reading {
                return code;
            }
            tokio::select! {
                order = orders.next(), if listening => match order {
                    Some(Order::Renew(at)) => self.guard.renew(at),
                    Some(Order::Signal(signal)) => self.signal(signal).await,
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
                () = until(self.again), if self.again.is_some() && code.is_none() => {
                    let since = *self.kill.get_or_insert_with(Instant::now);
                    if since.elapsed() >= work.timing.unanswered {
                        return None;
                    }
                    runtime::kill(&docker, &id, "KILL").await;
                    self.again = Some(Instant::now() + RETRY);
                }
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

/// The interpreter of the script, if the container has none of that name.
async fn missing_interpreter(docker: &Docker, id: &str, intent: &ScriptIntent) -> Option<String> {
    let program = script::command(intent).into_iter().next()?;
    let options = ContainerArchiveInfoOptions { path: program.clone() };
    let answer = docker.get_container_archive_info(id, Some(options)).await;
    matches!(answer, Err(Error::DockerResponseServerError { status_code: 404, .. })).then_some(program)
}
