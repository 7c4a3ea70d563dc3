//! Which registry a credential is for, and what a job's worker shows to the registry of its image
//! (`docs/core/jobs.md` 6).

use chandler_model::Id;
use chandler_model::credentials::{Input, Namespace};
use chandler_model::environments::Environment;
use chandler_model::kinds::Place;
use chandler_model::organizations::Organization;
use chandler_model::registries::{Registry, canonical_host};
use chandler_store::Tx;
use chandler_store::credentials::{self, Sealed};
use secrecy::ExposeSecret;

use super::inputs;
use crate::Core;
use crate::error::Result;
use crate::jobs::link::RegistryLogin;

/// Where a job lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobPlace {
    /// None = a job of the installation itself.
    pub organization: Option<Id<Organization>>,
}

/// The log-in with which the image of a job is fetched; none = anonymously.
///
/// Jobs use what their environment names; container jobs also those that lie at their organization, then the global
/// ones, by id. Nothing is ever sent to another host than the credential's own.
///
/// # Errors
/// The outer one is the database's. The inner one is the reason for which the job has to fail.
pub async fn registry_login(
    core: &Core,
    tx: &mut Tx,
    environment: Option<Id<Environment>>,
    image: &str,
    place: JobPlace,
    container_job: bool,
) -> Result<Result<Option<RegistryLogin>, String>> {
    let registry = Registry::of(image);
    let own = match environment {
        Some(id) => credentials::of_environment(tx, id).await?,
        None => None,
    };
    if let Some(own) = &own {
        match own_login(core, own, &registry, place) {
            Ok(None) if container_job => {}
            decided => return Ok(decided),
        }
    }
    if !container_job {
        return Ok(Ok(None));
    }
    for place in place.organization.map(Place::Organization).into_iter().chain([Place::Global]) {
        for row in credentials::of_host(tx, &registry.host, place.unit()).await? {
            // Nobody named these for this job: one that cannot be used is left out.
            if let Ok(login) = login(core, &row, &registry) {
                return Ok(Ok(Some(login)));
            }
        }
    }
    Ok(Ok(None))
}

/// The log-in of the credential that the job's environment names.
fn own_login(
    core: &Core,
    row: &Sealed,
    registry: &Registry<'_>,
    place: JobPlace,
) -> Result<Option<RegistryLogin>, String> {
    let name = &row.name;
    if row.namespace != Some(Namespace::Registry) {
        return Err(format!(
            "The credential `{name}` of the environment is not one for a registry. Name another one in the environment."
        ));
    }
    if row.organization_id.is_some() && row.organization_id != place.organization {
        return Err(format!(
            "The credential `{name}` of the environment belongs to another organization. Name one of the job's \
             organization, or a global one."
        ));
    }
    let found = login(core, row, registry)?;
    Ok((row.host.as_deref() == Some(registry.host.as_str())).then_some(found))
}

/// What a credential shows; the reason if it lacks something.
fn login(core: &Core, row: &Sealed, registry: &Registry<'_>) -> Result<RegistryLogin, String> {
    let name = &row.name;
    let lacks = |what: &str| {
        format!("The credential `{name}` of the environment has no {what}. Enter it, or take the credential away.")
    };
    if row.host.is_none() {
        return Err(lacks("host"));
    }
    let username = row.inputs.get("username").and_then(Input::text).ok_or_else(|| lacks("username"))?;
    let secrets = inputs::open(core.sealer(), row.uid, row.sealed.as_deref()).map_err(|error| {
        tracing::error!(credential = %row.id, %error, "a credential cannot be used");
        format!("The secrets of the credential `{name}` cannot be opened with this master key. Enter them again.")
    })?;
    let password = secrets.get("password").ok_or_else(|| lacks("password"))?;
    Ok(RegistryLogin {
        host: registry.authority.to_owned(),
        username: username.to_owned(),
        password: password.expose_secret().to_owned(),
    })
}

/// The host that an address means: the authority of a URL, or the text before its first slash. `None`: nowhere.
pub(super) fn host(address: &str) -> Option<String> {
    let address = address.trim();
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    is_authority(authority).then(|| canonical_host(authority))
}

/// Whether this is a host with or without a port and nothing else.
pub(super) fn is_authority(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let inside =
                !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
            let port = if rest.is_empty() { Some(None) } else { rest.strip_prefix(':').map(Some) };
            let Some(port) = port else { return false };
            (inside, port)
        }
        None => {
            let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
            let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
            (!name.is_empty() && letters, port)
        }
    };
    let digits = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    name && port.is_none_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_means_a_host_with_its_port_or_nothing() {
        for (address, wanted) in [
            ("quay.io", "quay.io"),
            ("https://Quay.io/v2/?x", "quay.io"),
            ("reg.example.com:5000", "reg.example.com:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
            (" docker.io ", "docker.io"),
            ("[fe80::1]:5000", "[fe80::1]:5000"),
        ] {
            assert_eq!(host(address).as_deref(), Some(wanted), "{address}");
        }
        for nothing in
            ["", "  ", "https://", "a b", "user@quay.io", "https://user:pw@quay.io", "a:", "a:b", "a:99999", "[::1]x"]
        {
            assert_eq!(host(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn one_host_is_not_another() {
        let image = |name: &str| Registry::of(name).host;
        for (address, other) in [
            ("quay.io", "quay.io:443/a"),
            ("quay.io:5000", "quay.io/a"),
            ("quay.io", "quay.io.evil.example/a"),
            ("quay.io", "evil.example/quay.io/a"),
            ("docker.io", "docker.io.example/a"),
        ] {
            assert_ne!(host(address), Some(image(other)), "{address} {other}");
        }
    }
}
