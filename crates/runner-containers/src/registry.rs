//! Which registry an image comes from, and which credential may be shown to it.

use bollard::auth::DockerCredentials;
use chandler_core::jobs::link::RegistryLogin;

/// Where images come from whose name says nothing.
const DOCKER_HUB: &str = "docker.io";
/// Its other names.
const DOCKER_HUB_NAMES: [&str; 5] =
    [DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com"];

/// The authority of the registry that a reference names, with its port; `docker.io` for none.
#[must_use]
pub fn registry_host(reference: &str) -> String {
    match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => canonical(first),
        _ => DOCKER_HUB.to_owned(),
    }
}

/// One name for each registry.
fn canonical(host: &str) -> String {
    let host = host.trim().to_ascii_lowercase();
    if DOCKER_HUB_NAMES.contains(&host.as_str()) { DOCKER_HUB.to_owned() } else { host }
}

/// The credential for a pull, if it belongs to the image's own registry.
pub(crate) fn credentials(login: Option<&RegistryLogin>, reference: &str) -> Option<DockerCredentials> {
    let login = login.filter(|login| canonical(&login.host) == registry_host(reference))?;
    Some(DockerCredentials {
        username: Some(login.username.clone()),
        password: Some(login.password.clone()),
        serveraddress: Some(login.host.clone()),
        ..DockerCredentials::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(host: &str) -> RegistryLogin {
        RegistryLogin { host: host.to_owned(), username: "u".to_owned(), password: "p".to_owned() }
    }

    #[test]
    fn the_host_is_the_first_part_if_it_looks_like_one() {
        for (reference, host) in [
            ("busybox", "docker.io"),
            ("library/busybox:1", "docker.io"),
            ("docker.io/library/busybox", "docker.io"),
            ("index.docker.io/library/busybox", "docker.io"),
            ("registry-1.docker.io/busybox", "docker.io"),
            ("localhost/busybox", "localhost"),
            ("localhost:5000/a/b@sha256:00", "localhost:5000"),
            ("Quay.io/a/b:1", "quay.io"),
            ("127.0.0.1:20001/busybox:1", "127.0.0.1:20001"),
            ("busybox:1.36", "docker.io"),
        ] {
            assert_eq!(registry_host(reference), host, "{reference}");
        }
    }

    #[test]
    fn a_credential_goes_to_its_own_host_only() {
        let goes = |host: &str, reference: &str| credentials(Some(&login(host)), reference).is_some();
        assert!(goes("quay.io", "quay.io/a/b:1") && goes("index.docker.io", "busybox"));
        assert!(goes("host:5000", "host:5000/a"));
        for (host, reference) in [
            ("host", "host:5000/a"),
            ("host:5001", "host:5000/a"),
            ("quay.io", "quay.io.example/a"),
            ("", "busybox"),
            ("", "quay.io/a"),
            ("quay.io", "busybox"),
        ] {
            assert!(!goes(host, reference), "{host:?} {reference}");
        }
        assert!(credentials(None, "busybox").is_none());
    }
}
