//! Jobs that run what an image brings: every field of their specification is honoured or refused.

use chandler_model::jobs::Fault;
use chandler_model::run_spec::{EnvVar, RunSpec};

use crate::job::{Host, Job};

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn variable(name: &str, value: Option<&str>) -> EnvVar {
    EnvVar { name: name.to_owned(), value: value.map(str::to_owned), description: None }
}

#[tokio::test]
async fn what_is_not_set_is_the_images_own() {
    let host = Host::new();
    let seen = host.run(&Job::spec(RunSpec::default())).await;
    assert_eq!((seen.exit_code(), seen.out().as_str()), (Some(0), "from the image\n"), "{seen:?}");
    assert_eq!(host.left(), 0);
}

#[tokio::test]
async fn arguments_replace_those_of_the_image_and_a_command_its_program() {
    let host = Host::new();
    let args = RunSpec { args: text("/bin/echo 'one two' three"), ..RunSpec::default() };
    assert_eq!(host.run(&Job::spec(args)).await.out(), "one two three\n");
    let both = RunSpec { command: text("/bin/sh -c"), args: text(r#""echo \$0 'a  b'""#), ..RunSpec::default() };
    assert_eq!(host.run(&Job::spec(both)).await.out(), "/bin/sh a  b\n");
    let command = RunSpec { command: text("/bin/echo"), ..RunSpec::default() };
    assert_eq!(host.run(&Job::spec(command)).await.out(), "\n", "without the arguments of the image");
}

#[tokio::test]
async fn folder_and_variables_are_as_they_were_set() {
    let script = "sh -c 'pwd; echo $A-${B-unset}-$CHANDLER_JOB_ID-$GIVEN; exit 3'";
    let env = vec![variable("A", Some("a b")), variable("B", None), variable("GIVEN", Some("openly"))];
    let spec = RunSpec { command: text(script), working_dir: text("/tmp"), env, ..RunSpec::default() };
    let seen = Host::new().run(&Job::spec(spec)).await;
    assert_eq!((seen.exit_code(), seen.out().as_str()), (Some(3), "/tmp\na b-unset-7-secretly\n"), "{seen:?}");
}

#[tokio::test]
async fn standard_input_is_closed_unless_it_is_wanted_and_a_terminal_is_one() {
    let host = Host::new();
    let command = || text("sh -c 'ls -l /proc/self/fd/0; [ -t 0 ] && [ -t 1 ] && echo terminal'");
    let closed = host.run(&Job::spec(RunSpec { command: command(), ..RunSpec::default() })).await;
    assert!(closed.out().ends_with("-> /dev/null\n"), "{closed:?}");
    let open = host.run(&Job::spec(RunSpec { command: command(), stdin: Some(true), ..RunSpec::default() })).await;
    assert!(open.out().contains("-> pipe:["), "{open:?}");
    let tty = RunSpec { command: command(), stdin: Some(true), tty: Some(true), ..RunSpec::default() };
    let tty = host.run(&Job::spec(tty)).await;
    assert!(tty.out().ends_with("terminal\r\n"), "{tty:?}");
}

#[tokio::test]
async fn what_cannot_be_honoured_fails_the_job() {
    let host = Host::new();
    for (spec, reason) in [
        (
            RunSpec { create_home: Some(true), ..RunSpec::default() },
            "The field create_home cannot be honoured by this worker.",
        ),
        (
            RunSpec { tty: Some(true), ..RunSpec::default() },
            "The field tty cannot be honoured without stdin. Set stdin too.",
        ),
        (
            RunSpec { command: text("echo 'open"), ..RunSpec::default() },
            "The field command cannot be honoured: a quote in it is not closed.",
        ),
    ] {
        let seen = host.run(&Job::spec(spec)).await;
        assert_eq!(seen.refusal(), (Fault::Platform, reason));
        assert_eq!(host.left(), 0);
    }
}

#[tokio::test]
async fn a_program_that_the_image_does_not_have_is_named() {
    let host = Host::new();
    for program in ["/opt/nothing", "nothing-of-that-name"] {
        let seen = host.run(&Job::spec(RunSpec { command: text(program), ..RunSpec::default() })).await;
        let reason = format!("The program {program} is not in the image localhost/busybox:1.");
        assert_eq!(seen.refusal(), (Fault::Work, reason.as_str()));
    }
    let own = host.run(&Job::spec(RunSpec { command: text("sh -c 'exit 127'"), ..RunSpec::default() })).await;
    assert_eq!(own.exit_code(), Some(127), "its own exit code: {own:?}");
}
