//! Which image runs: pulled or not, pinned or not, with something to execute or not.

use chandler_model::environments::Pull;
use chandler_model::jobs::Fault;

use crate::job::{BUSYBOX, Host, Job, ask, socket};

#[tokio::test]
async fn an_unknown_image_is_not_pulled_where_that_is_forbidden() {
    let host = Host::new();
    let seen = host.run(&Job::script("true").image("localhost/nothing:1", Pull::Never)).await;
    let (fault, reason) = seen.refusal();
    assert_eq!(fault, Fault::Platform);
    assert_eq!(
        reason,
        "The image localhost/nothing:1 is not on this worker, and its environment says never to pull it."
    );
    assert_eq!(seen.said(), "");
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_says_what_the_runtime_says() {
    for (image, pull) in [("127.0.0.1:1/nothing:1", Pull::Missing), (BUSYBOX, Pull::Always)] {
        let seen = Host::new().run(&Job::script("true").image(image, pull)).await;
        let (fault, reason) = seen.refusal();
        assert_eq!(fault, Fault::Platform);
        assert!(reason.starts_with(&format!("The image {image} cannot be pulled: ")), "{reason}");
        assert!(reason.contains("connection refused") && !reason.contains('\n'), "{reason}");
        let said = seen.said();
        assert!(
            said.starts_with(&format!("Pulling the image {image}.\n")) && said.contains("connection refused"),
            "{said}"
        );
    }
}

/// The only test that removes the registry's image from this machine.
#[tokio::test]
async fn a_pull_is_told_in_the_log_and_asked_for_only_when_it_should_be() {
    let registry = std::fs::read_to_string(socket().with_file_name("registry")).unwrap();
    let image = format!("{}/busybox:1", registry.trim());
    let path = format!("/images/{image}");
    ask("DELETE", &path, None);
    let host = Host::new();
    let pulled = host.run(&Job::script("echo ran").image(&image, Pull::Missing)).await;
    assert_eq!((pulled.exit_code(), pulled.out().as_str()), (Some(0), "ran\n"), "{pulled:?}");
    let said = pulled.said();
    assert!(said.starts_with(&format!("Pulling the image {image}.\n")) && said.lines().count() > 1, "{said}");
    let ran = pulled.ran().unwrap();
    let known = ask("GET", &format!("{path}/json"), None);
    assert!(known.contains(&format!("{}/busybox@{}", registry.trim(), ran.digest)), "{} in {known}", ran.digest);

    let there = host.run(&Job::script("true").image(&image, Pull::Missing)).await;
    assert_eq!((there.exit_code(), there.said().as_str(), there.ran()), (Some(0), "", Some(ran)));
    let again = host.run(&Job::script("true").image(&image, Pull::Always)).await;
    assert_eq!((again.exit_code(), again.ran()), (Some(0), Some(ran)));
    assert!(again.said().starts_with("Pulling the image "), "{again:?}");

    let unknown = format!("{}/nothing:1", registry.trim());
    let seen = host.run(&Job::script("true").image(&unknown, Pull::Missing)).await;
    let (fault, reason) = seen.refusal();
    assert_eq!(fault, Fault::Platform);
    assert!(reason.contains("manifest unknown"), "{reason}");
}

#[tokio::test]
async fn an_image_without_the_interpreter_is_the_jobs_own_fault() {
    let host = Host::new();
    let cases =
        [("localhost/empty:1", "echo", "/bin/sh"), (BUSYBOX, "#!/usr/bin/python3\nprint()", "/usr/bin/python3")];
    for (image, script, program) in cases {
        let seen = host.run(&Job::script(script).image(image, Pull::Never)).await;
        let (fault, reason) = seen.refusal();
        assert_eq!(fault, Fault::Work);
        assert_eq!(reason, format!("The interpreter {program} of the script is not in the image {image}."));
        assert_eq!(host.left(), 0);
    }
    let seen = host.run(&Job::script("exit 127")).await;
    assert_eq!(seen.exit_code(), Some(127), "its own exit code: {seen:?}");
}

#[tokio::test]
async fn the_digest_that_ran_is_told_and_a_pin_is_held() {
    let host = Host::new();
    let seen = host.run(&Job::script("true")).await;
    let ran = seen.ran().unwrap().clone();
    assert_eq!(ran.image, BUSYBOX);
    let known = ask("GET", "/images/localhost/busybox:1/json", None);
    assert!(known.contains(&format!(r#""localhost/busybox@{}""#, ran.digest)), "{} in {known}", ran.digest);

    let mut pinned = Job::script("echo ran");
    pinned.image.pin = Some(ran.digest.clone());
    let seen = host.run(&pinned).await;
    assert_eq!((seen.exit_code(), seen.ran()), (Some(0), Some(&ran)));

    let other = format!("sha256:{}", "0".repeat(64));
    pinned.image.pin = Some(other.clone());
    let seen = host.run(&pinned).await;
    let (fault, reason) = seen.refusal();
    assert_eq!(fault, Fault::Platform);
    assert!(reason.contains(&other) && reason.contains(&ran.digest), "{reason}");
    assert!(seen.ran().is_none() && seen.stdout.is_empty());
}
