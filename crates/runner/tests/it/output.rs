//! What a job says and how it ends reaches the worker unchanged.

use chandler_runner::keep::{Cause, Event, Spec};

use crate::job::Job;

#[tokio::test]
async fn output_and_exit_code_arrive() {
    let ended = Job::script("echo out; echo err >&2; exit 3").run().await;
    assert!(matches!(ended.events[0], Event::Started { sandboxed: true, .. }), "{ended:?}");
    assert_eq!(ended.events[1..], [Event::Exited { code: Some(3), signal: None }, Event::Gone]);
    assert_eq!((ended.out().as_str(), ended.err().as_str()), ("out\n", "err\n"));
}

#[tokio::test]
async fn an_end_by_signal_is_told_as_one() {
    let ended = Job::script("kill -SEGV $$").run().await;
    assert_eq!(ended.exit(), (None, Some(11)));
}

#[tokio::test]
async fn the_environment_is_what_was_given_and_nothing_else() {
    let mut job = Job::script("exec /usr/bin/env -0");
    job.spec.set_env("ANSWER", "42");
    let ended = job.run().await;
    let out = ended.out();
    let mut names: Vec<&str> =
        out.split('\0').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    // PWD and SHLVL are bash's own.
    assert_eq!(names, ["ANSWER", "HOME", "LANG", "PATH", "PWD", "SHLVL", "TMPDIR"], "{out}");
}

#[tokio::test]
async fn home_and_temp_folder_lie_in_the_job_directory_and_can_be_written() {
    let job = Job::script("echo x > $HOME/a && echo y > $(mktemp) && pwd && echo $HOME $TMPDIR");
    let dir = job.dir().display().to_string();
    job.run().await.assert_said(&format!("{dir}\n{dir}/home {dir}/tmp"));
}

#[tokio::test]
async fn a_job_may_start_in_a_folder_of_its_directory_but_not_outside() {
    let mut job = Job::script("");
    std::fs::create_dir(job.dir().join("sub")).unwrap();
    job.spec = Spec { args: vec!["-c".into(), "pwd".into()], cwd: "sub".into(), ..job.spec };
    let expected = job.dir().join("sub").display().to_string();
    job.run().await.assert_said(&expected);

    job.spec.cwd = "../outside".into();
    let ended = job.run().await;
    assert!(matches!(ended.events[..], [Event::Refused { cause: Cause::Program, .. }]), "{ended:?}");
}

#[tokio::test]
async fn binary_output_arrives_whole() {
    let job = Job::script("cat data; printf '\\0\\377\\n\\0' >&2");
    let data: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(job.dir().join("data"), &data).unwrap();
    let ended = job.run().await;
    assert!(ended.stdout == data);
    assert_eq!(ended.stderr, b"\0\xff\n\0");
}

#[tokio::test]
async fn fifty_megabytes_arrive_whole() {
    let ended = Job::script("head -c 50000000 /dev/zero | tr '\\0' x; echo; echo end >&2").run().await;
    assert_eq!(ended.stdout.len(), 50_000_001);
    assert!(ended.stdout[..50_000_000].iter().all(|byte| *byte == b'x'));
    assert_eq!(ended.err(), "end\n");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_refused_as_such() {
    let mut job = Job::script("");
    for program in ["/usr/bin/no-such-program", "no-such-program", "./script"] {
        job.spec.program = program.into();
        let ended = job.run().await;
        assert!(matches!(ended.events[..], [Event::Refused { cause: Cause::Program, .. }]), "{program}: {ended:?}");
    }
}

#[tokio::test]
async fn a_script_of_the_job_runs_by_its_interpreter_line() {
    use std::os::unix::fs::PermissionsExt;
    let mut job = Job::script("#!/usr/bin/env bash\necho here");
    std::fs::set_permissions(job.dir().join("script"), PermissionsExt::from_mode(0o700)).unwrap();
    job.spec.program = "./script".into();
    job.spec.args.clear();
    job.run().await.assert_said("here");
}

#[tokio::test]
async fn standard_input_is_empty_and_the_streams_can_be_opened_by_name() {
    Job::script("cat; echo named > /dev/stdout; ls /proc/self/fd | wc -w").run().await.assert_said("named\n4");
}

#[tokio::test]
async fn limits_hold() {
    let mut job = Job::script("ulimit -n; ulimit -c; ulimit -Hn");
    job.spec.limits.open_files = Some(123);
    job.run().await.assert_said("123\n0\n123");
}
