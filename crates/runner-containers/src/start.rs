//! How a container comes to be: made, guarded, filled, attached, started.

use std::sync::atomic::{AtomicBool, Ordering};

use bollard::container::AttachContainerResults;
use bollard::errors::Error;
use bollard::query_parameters::{AttachContainerOptions, CreateContainerOptions, UploadToContainerOptions};
use bollard::{Docker, body_full};
use chandler_model::jobs::Fault;
use chandler_runner::executor::guard::{Guard, Manner};
use chandler_runner::executor::{Event, Work};
use chandler_runner::recipe::Program;

use crate::archive::{Owner, archive};
use crate::image::Chosen;
use crate::missing::missing;
use crate::pump::Frames;
use crate::setup::Setup;
use crate::{Found, Inner, create, runtime, said};

/// Set once a runtime has shown that it has no init process.
static NO_INIT: AtomicBool = AtomicBool::new(false);

/// Why nothing runs: an event to tell.
type NotRun = Event;

/// A container that runs.
pub(crate) struct Container {
    pub(crate) docker: Docker,
    pub(crate) id: String,
    pub(crate) frames: Frames,
    pub(crate) guard: Guard,
}

/// Makes the container, fills it, attaches and starts it. On failure nothing of it stays.
pub(crate) async fn start(
    inner: &Inner,
    found: &Found,
    work: &Work,
    setup: &Setup,
    chosen: &Chosen,
) -> Result<Container, NotRun> {
    let settings = &inner.settings;
    let name = work.image.as_ref().map_or("", |image| image.reference.as_str());
    loop {
        let init = !NO_INIT.load(Ordering::Relaxed);
        let body = create::body(work, &settings.worker, chosen.id.clone(), setup, settings.limits, init);
        let made = found.docker.create_container(None::<CreateContainerOptions>, body).await;
        let mut lacking = None;
        let error = match made {
            Ok(made) => match fill_and_start(inner, found, work, chosen, &made.id).await {
                Ok(container) => return Ok(container),
                Err(error) => {
                    if said::lacks_program(&error) {
                        lacking = missing(&found.docker, &made.id, &work.program, setup, name, None).await;
                    }
                    if let Err(error) = runtime::remove(&found.docker, &made.id).await {
                        tracing::warn!(container = made.id, error = said::line(&error), "a container stays");
                    }
                    error
                }
            },
            Err(error) => error,
        };
        if init && said::lacks_init(&error) {
            tracing::info!("the container runtime has no init process: jobs have to heed TERM themselves");
            NO_INIT.store(true, Ordering::Relaxed);
            continue;
        }
        let reason = said::line(&error);
        return Err(match lacking {
            Some((fault, reason)) => Event::Refused { fault, reason },
            None if said::lacks_program(&error) => {
                let reason = format!("What the job runs cannot be started in the image {name}: {reason}.");
                Event::Refused { fault: Fault::Work, reason }
            }
            None => {
                Event::Refused { fault: Fault::Platform, reason: format!("No container could be started: {reason}.") }
            }
        });
    }
}

async fn fill_and_start(
    inner: &Inner,
    found: &Found,
    work: &Work,
    chosen: &Chosen,
    id: &str,
) -> Result<Container, Error> {
    let docker = &found.docker;
    let manner = Manner { stop: work.program.stop(), leave: !work.program.keep().is_empty() };
    let keeper = &inner.settings.keeper;
    let guard = Guard::spawn(keeper, &found.socket, id, &work.timing, work.claimed_at, manner).await?;
    if let Program::Recipe(recipe) = &work.program {
        let upload = UploadToContainerOptions { path: "/".to_owned(), ..UploadToContainerOptions::default() };
        let files = archive(&recipe.files, Owner::of(chosen.user.as_deref()))?;
        docker.upload_to_container(id, Some(upload), body_full(files.into())).await?;
    }
    let options =
        AttachContainerOptions { stream: true, stdout: true, stderr: true, ..AttachContainerOptions::default() };
    let AttachContainerResults { output, .. } = docker.attach_container(id, Some(options)).await?;
    docker.start_container(id, None::<bollard::query_parameters::StartContainerOptions>).await?;
    Ok(Container { docker: docker.clone(), id: id.to_owned(), frames: output, guard })
}
