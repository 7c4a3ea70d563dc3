//! A registry that wants a credential: it gets its own, and nobody else does.

use chandler_core::jobs::link::RegistryLogin;
use chandler_model::environments::Pull;
use chandler_model::jobs::Fault;

use crate::job::{Host, Job, ask, socket};

fn address(registry: &str) -> String {
    std::fs::read_to_string(socket().with_file_name(registry)).unwrap().trim().to_owned()
}

fn login(host: &str, password: &str) -> Option<RegistryLogin> {
    Some(RegistryLogin { host: host.to_owned(), username: "reader".to_owned(), password: password.to_owned() })
}

/// The only test that removes the private registry's image from this machine.
#[tokio::test]
async fn a_credential_opens_its_own_registry_only() {
    let (private, public) = (address("private"), address("registry"));
    let image = format!("{private}/busybox:1");
    ask("DELETE", &format!("/images/{image}"), None);
    let host = Host::new();
    let mut job = Job::script("echo ran").image(&image, Pull::Always);
    for refused in [None, login(&private, "wrong"), login(&public, "open sesame"), login("", "open sesame")] {
        job.registry = refused;
        let seen = host.run(&job).await;
        let (fault, reason) = seen.refusal();
        assert_eq!(fault, Fault::Platform);
        assert!(reason.starts_with(&format!("The image {image} cannot be pulled: ")), "{reason}");
        assert!(!format!("{seen:?}").contains("open sesame"), "{seen:?}");
    }
    job.registry = login(&private, "open sesame");
    let seen = host.run(&job).await;
    assert_eq!((seen.exit_code(), seen.out().as_str()), (Some(0), "ran\n"), "{seen:?}");

    // The runtime keeps nothing of it for the next job.
    job.registry = None;
    assert_eq!(host.run(&job).await.refusal().0, Fault::Platform);

    let mut job = Job::script("echo ran").image(&format!("{public}/busybox:1"), Pull::Always);
    job.registry = login(&private, "open sesame");
    let seen = host.run(&job).await;
    assert_eq!(seen.exit_code(), Some(0), "{seen:?}");
    assert!(seen.said().contains(&format!("The credential is for the registry {private}")), "{seen:?}");
}
