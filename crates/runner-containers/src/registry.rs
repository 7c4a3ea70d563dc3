//! Which credential may be shown to the registry of an image.

use bollard::auth::DockerCredentials;
use chandler_core::jobs::link::RegistryLogin;
use chandler_model::registries::{Registry, canonical_host};

/// The credential for a pull, if it belongs to the image's own registry.
pub(crate) fn credentials(login: Option<&RegistryLogin>, reference: &str) -> Option<DockerCredentials> {
    let login = login.filter(|login| canonical_host(&login.host) == Registry::of(reference).host)?;
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
    fn a_credential_goes_to_its_own_host_only() {
        let goes = |host: &str, reference: &str| credentials(Some(&login(host)), reference).is_some();
        assert!(goes("quay.io", "quay.io/a/b:1") && goes("index.docker.io", "busybox"));
        assert!(goes("host:5000", "host:5000/a") && goes("REG", "REG/a"));
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
