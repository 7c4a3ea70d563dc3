//! The image of a job: pulled or not, as its environment says, and which one it really is.

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{CreateImageInfo, ImageInspect};
use bollard::query_parameters::CreateImageOptions;
use chandler_core::jobs::link::RegistryLogin;
use chandler_model::environments::{Pull, RunImage};
use chandler_model::registries::Registry;
use chandler_runner::executor::Teller;
use futures_util::StreamExt;

use crate::{registry, said};

/// An image that is on this machine and may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// What the container is made of: the runtime's own id, which no pull can move.
    pub(crate) id: String,
    pub(crate) digest: String,
    /// Who runs in it, as the image names him.
    pub(crate) user: Option<String>,
}

/// Gets the image and checks the pin. Progress of a pull goes to the job's log. The credential is shown to its own
/// registry only.
///
/// # Errors
/// One line, for the job. What the runtime said in full is in the log.
pub(crate) async fn choose(
    docker: &Docker,
    wanted: &RunImage,
    login: Option<&RegistryLogin>,
    tell: &Teller,
) -> Result<Chosen, String> {
    let name = &wanted.reference;
    let unknown = |error: &Error| format!("The runtime cannot look for the image {name}: {}.", said::line(error));
    let mut found = match wanted.pull {
        Pull::Always => None,
        Pull::Missing | Pull::Never => local(docker, name).await.map_err(|error| unknown(&error))?,
    };
    if found.is_none() {
        if wanted.pull == Pull::Never {
            return Err(format!("The image {name} is not on this worker, and its environment says never to pull it."));
        }
        pull(docker, name, login, tell).await?;
        found = local(docker, name).await.map_err(|error| unknown(&error))?;
    }
    let found = found.ok_or_else(|| format!("The image {name} was pulled and is not there."))?;
    let id = found.id.clone().unwrap_or_else(|| name.clone());
    let digests = digests(&found, name);
    let digest = match &wanted.pin {
        Some(pin) if digests.contains(pin) => pin.clone(),
        Some(pin) => {
            let here = digests.first().unwrap_or(&id);
            return Err(format!("The image {name} is {here} by now, and its environment is pinned to {pin}."));
        }
        None => digests.into_iter().next().unwrap_or_else(|| id.clone()),
    };
    let user = found.config.and_then(|config| config.user);
    Ok(Chosen { id, digest, user })
}

/// The image of this name on this machine.
pub(crate) async fn local(docker: &Docker, name: &str) -> Result<Option<ImageInspect>, Error> {
    match docker.inspect_image(name).await {
        Ok(found) => Ok(Some(found)),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn pull(docker: &Docker, name: &str, login: Option<&RegistryLogin>, tell: &Teller) -> Result<(), String> {
    tell.say(format!("Pulling the image {name}."));
    let credentials = registry::credentials(login, name);
    if let Some(login) = login.filter(|_| credentials.is_none()) {
        let (of, host) = (&login.host, Registry::of(name).host);
        tell.say(format!("The credential is for the registry {of}; {host} is asked without one."));
    }
    let options = CreateImageOptions { from_image: Some(with_tag(name)), ..CreateImageOptions::default() };
    let mut progress = std::pin::pin!(docker.create_image(Some(options), None, credentials));
    let mut last = String::new();
    while let Some(step) = progress.next().await {
        match step {
            Ok(step) => {
                if let Some(line) = progress_line(&step).filter(|line| *line != last) {
                    tell.say(line.clone());
                    last = line;
                }
            }
            Err(error) => {
                let reason = said::line(&error);
                tell.say(reason.clone());
                return Err(format!("The image {name} cannot be pulled: {reason}."));
            }
        }
    }
    Ok(())
}

/// What is worth a line: what begins and what is done, not every piece in between.
fn progress_line(step: &CreateImageInfo) -> Option<String> {
    if step.progress_detail.as_ref().is_some_and(|detail| detail.current.is_some()) {
        return None;
    }
    let status = step.status.as_deref().map(str::trim).filter(|status| !status.is_empty())?;
    Some(match step.id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => format!("{id}: {status}"),
        None => status.to_owned(),
    })
}

/// A name with neither tag nor digest would mean every tag to Docker.
fn with_tag(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains([':', '@']) { name.to_owned() } else { format!("{name}:latest") }
}

/// Everything that this image may be called by, the digest that its registry knows first. An image that was never in a
/// registry has none of those; its id is its digest then.
fn digests(image: &ImageInspect, name: &str) -> Vec<String> {
    let repository = repository(name);
    let known = image.repo_digests.iter().flatten().filter_map(|known| known.split_once('@'));
    let (mut own, others): (Vec<_>, Vec<_>) =
        known.partition(|(of, _)| *of == repository || of.ends_with(&format!("/{repository}")));
    own.extend(others);
    let mut digests: Vec<String> = own.into_iter().map(|(_, digest)| digest.to_owned()).collect();
    digests.extend(image.id.clone());
    digests
}

/// A reference without its tag and its digest.
fn repository(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_its_own_repository_comes_first() {
        let image = ImageInspect {
            id: Some("sha256:0".to_owned()),
            repo_digests: Some(vec![
                "quay.io/other@sha256:1".to_owned(),
                "docker.io/library/busybox@sha256:2".to_owned(),
            ]),
            ..ImageInspect::default()
        };
        assert_eq!(digests(&image, "busybox:1.36"), ["sha256:2", "sha256:1", "sha256:0"]);
        assert_eq!(digests(&ImageInspect { repo_digests: None, ..image }, "busybox"), ["sha256:0"]);
    }

    #[test]
    fn references_are_taken_apart() {
        assert_eq!(repository("host:5000/a/b:1@sha256:0"), "host:5000/a/b");
        assert_eq!(repository("host:5000/a/b"), "host:5000/a/b");
        assert_eq!(with_tag("host:5000/a/b"), "host:5000/a/b:latest");
        assert_eq!(with_tag("a@sha256:0"), "a@sha256:0");
    }
}
