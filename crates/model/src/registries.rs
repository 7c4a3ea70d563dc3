//! Which registry the name of an image means. Whoever hands out a credential and whoever sends it mean the same by it
//! (`docs/core/jobs.md` 6).

/// The registry of images that name none.
const DOCKER_HUB: &str = "docker.io";
/// Its other names.
const DOCKER_HUB_TOO: [&str; 4] =
    ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com"];

/// The registry of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry<'a> {
    /// As it stands in the image's name; `docker.io` for none.
    pub authority: &'a str,
    /// The one name of that registry, with its port: what credentials are kept under.
    pub host: String,
}

impl<'a> Registry<'a> {
    /// As container tools read it: what stands before the first slash is a host if nothing else could be written so.
    #[must_use]
    pub fn of(image: &'a str) -> Self {
        let authority = image.split_once('/').map(|(first, _)| first).filter(|first| {
            first.contains(['.', ':']) || *first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase())
        });
        let authority = authority.unwrap_or(DOCKER_HUB);
        Self { authority, host: canonical_host(authority) }
    }
}

/// The one name of a registry.
#[must_use]
pub fn canonical_host(authority: &str) -> String {
    let lower = authority.to_ascii_lowercase();
    if DOCKER_HUB_TOO.contains(&lower.as_str()) { DOCKER_HUB.to_owned() } else { lower }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_names_its_registry_or_means_docker_hub() {
        for (image, authority, host) in [
            ("busybox", "docker.io", "docker.io"),
            ("busybox:1.36", "docker.io", "docker.io"),
            ("busybox@sha256:00", "docker.io", "docker.io"),
            ("library/busybox", "docker.io", "docker.io"),
            ("a/b/c:1", "docker.io", "docker.io"),
            ("docker.io/library/busybox", "docker.io", "docker.io"),
            ("index.docker.io/library/busybox", "index.docker.io", "docker.io"),
            ("Registry-1.Docker.IO/x", "Registry-1.Docker.IO", "docker.io"),
            ("quay.io/a/b:1@sha256:00", "quay.io", "quay.io"),
            ("Quay.IO/a", "Quay.IO", "quay.io"),
            ("localhost/a", "localhost", "localhost"),
            ("localhost:5000/a", "localhost:5000", "localhost:5000"),
            ("REG/a", "REG", "reg"),
            ("[::1]:5000/a", "[::1]:5000", "[::1]:5000"),
            ("127.0.0.1:20001/busybox:1", "127.0.0.1:20001", "127.0.0.1:20001"),
        ] {
            assert_eq!(Registry::of(image), Registry { authority, host: host.to_owned() }, "{image}");
        }
    }
}
