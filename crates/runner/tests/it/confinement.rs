//! What a job must not be able to do, tried from inside.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use chandler_runner::{
    keep::{Cause, Event},
    sandbox,
};

use crate::job::{Job, keeper_program};

/// Both exit codes of `a || b` are wanted: prints `denied` if the command fails.
fn denied(command: &str) -> String {
    format!("if {command} 2>/dev/null; then echo ALLOWED; else echo denied; fi\n")
}

#[test]
fn this_machine_can_confine_jobs() {
    let support = sandbox::support(&keeper_program()).unwrap();
    assert_eq!(support.verdict(), Ok(()), "{support:?}");
    assert!(support.landlock_abi.unwrap() >= 6);
}

#[tokio::test]
async fn secrets_outside_cannot_be_read() {
    // Once where folders are covered, once where only the rules protect.
    for place in ["/tmp", "/var/tmp"] {
        let job = Job::script_in(
            Path::new(place),
            &["cat ../outside/master.key", "ls ../outside", "ls ..", "cat /etc/shadow", "ls /root", "ls /sys"]
                .map(denied)
                .concat(),
        );
        fs::write(job.outside.join("master.key"), "secret").unwrap();
        job.run().await.assert_said(["denied"; 6].join("\n").as_str());
    }
}

#[tokio::test]
async fn a_covered_data_folder_is_empty_and_the_job_directory_in_it_stays() {
    // Landlock lets a job ask whether a file exists; a cover does not.
    let script = "test -e ../outside/master.key && echo exists || echo absent; echo x > y && cat y && pwd";
    let mut job = Job::script_in(Path::new("/var/tmp"), script);
    fs::write(job.outside.join("master.key"), "secret").unwrap();
    let dir = job.dir().display().to_string();
    job.run().await.assert_said(&format!("exists\nx\n{dir}"));
    job.spec.confinement.cover.push(job.dir().parent().unwrap().to_owned());
    job.run().await.assert_said(&format!("absent\nx\n{dir}"));
    assert!(job.dir().join("y").exists());
}

#[tokio::test]
async fn nothing_outside_can_be_written_or_changed() {
    let job = Job::script_in(
        Path::new("/var/tmp"),
        &[
            "echo x > ../outside/new",
            "echo x >> ../outside/file",
            "truncate -s 0 ../outside/file",
            "rm ../outside/file",
            "mkdir ../outside/folder",
            "ln ../outside/file hard",
            "chmod 777 ../outside/file",
            "touch -d yesterday ../outside/file",
            "mv ../outside/file .",
            "touch /tmp/x",
            "touch /usr/x",
            "chmod 755 /usr",
            "mknod device c 1 3",
            "echo 0 > /proc/sys/kernel/panic",
        ]
        .map(denied)
        .concat(),
    );
    let file = job.outside.join("file");
    fs::write(&file, "kept").unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    job.run().await.assert_said(["denied"; 14].join("\n").as_str());
    assert_eq!(fs::read(&file).unwrap(), b"kept");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_link_out_of_the_directory_leads_nowhere() {
    let job = Job::script_in(Path::new("/var/tmp"), &denied("cat link"));
    fs::write(job.outside.join("master.key"), "secret").unwrap();
    std::os::unix::fs::symlink(job.outside.join("master.key"), job.dir().join("link")).unwrap();
    job.run().await.assert_said("denied");
}

#[tokio::test]
async fn the_server_cannot_be_signalled_limited_slowed_or_looked_into() {
    let server = std::process::id();
    let tries = [
        format!("kill -0 {server}"),
        format!("kill -TERM {server}"),
        // Limits and priorities of another process of the same user are no matter of Landlock.
        format!("prlimit --pid {server} --cpu=1"),
        format!("renice 19 {server}"),
        format!("taskset -cp 0 {server}"),
        format!("cat /proc/{server}/environ"),
        format!("ls /proc/{server}/root/"),
        format!("readlink /proc/{server}/fd/0"),
        "cat /proc/1/environ".to_owned(),
        "readlink /proc/1/fd/0".to_owned(),
        "ls /proc/1/root/".to_owned(),
    ];
    let script: String = tries.iter().map(|command| denied(command)).collect();
    // What is above the program cannot be killed from inside, and is all that is there to be seen.
    let script = script + "kill -KILL $PPID; kill -STOP $PPID; echo $PPID; cd /proc; echo [0-9]*";
    let expected = ["denied"; 11].join("\n") + "\n1\n1 2";
    let ended = Job::script(&script).run().await;
    assert!(ended.out().starts_with(&expected), "{ended:?}");
    assert_eq!(ended.code(), Some(0));
}

/// Connects to a socket and says how it went.
const CONNECT: &str = "import socket, sys
for name in sys.argv[1:]:
    try:
        socket.socket(socket.AF_UNIX).connect(name.replace('@', '\\0'))
        print('CONNECTED')
    except OSError as error:
        print(type(error).__name__)
";

#[tokio::test]
async fn sockets_of_the_machine_cannot_be_reached() {
    use std::os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    };
    let mut job = Job::script("");
    fs::write(job.dir().join("connect.py"), CONNECT).unwrap();
    // The second is where ordinary users may write.
    let own_run = tempfile::tempdir_in("/run").or_else(|_| tempfile::tempdir_in("/run/lock")).unwrap();
    let in_run = own_run.path().join("service.sock");
    let in_tmp = job.outside.join("service.sock");
    let name = format!("chandler-test-{}", std::process::id());
    let _listening = (
        UnixListener::bind(&in_run).unwrap(),
        UnixListener::bind(&in_tmp).unwrap(),
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
    );
    let args =
        ["connect.py".to_owned(), in_run.display().to_string(), in_tmp.display().to_string(), format!("@{name}")];
    job.spec.program = "/usr/bin/python3".into();
    job.spec.args = args.to_vec();
    job.run().await.assert_said("FileNotFoundError\nFileNotFoundError\nPermissionError");

    // The same program does reach them without a sandbox: it is the sandbox that keeps it off.
    job.spec.confinement.unsandboxed = true;
    let ended = job.run().await;
    assert!(matches!(ended.events[0], Event::Started { sandboxed: false, .. }));
    ended.assert_said("CONNECTED\nCONNECTED\nCONNECTED");
}

#[tokio::test]
async fn there_are_no_privileges_and_none_to_be_had() {
    let ended = Job::script(
        "grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs' /proc/self/status | cut -f2 | tr '\\n' ' '
         if unshare -Ur true 2>/dev/null; then echo ALLOWED; else echo denied; fi
         if mount -t tmpfs none $HOME 2>/dev/null; then echo ALLOWED; else echo denied; fi
         if umount /tmp 2>/dev/null; then echo ALLOWED; else echo denied; fi",
    )
    .run()
    .await;
    let none = "0000000000000000 ".repeat(5);
    ended.assert_said(&format!("{none}1 denied\ndenied\ndenied"));
}

#[tokio::test]
async fn a_library_named_in_the_environment_is_loaded_in_the_sandbox_only() {
    // Were it handed to the second stage, the loader would complain once more, outside.
    let mut job = Job::script("");
    job.spec.program = "/bin/true".into();
    job.spec.args.clear();
    job.spec.set_env("LD_PRELOAD", "/nowhere.so");
    let ended = job.run().await;
    assert_eq!(ended.err().matches("cannot be preloaded").count(), 1, "{ended:?}");
}

#[tokio::test]
async fn settings_open_further_folders() {
    let mut job =
        Job::script_in(Path::new("/var/tmp"), "cat ../outside/file; echo new > ../writable/file; cat ../writable/file");
    let writable = job.dir().parent().unwrap().join("writable");
    fs::create_dir(&writable).unwrap();
    fs::write(job.outside.join("file"), "mirror\n").unwrap();
    job.spec.confinement.read.push(job.outside.clone());
    job.spec.confinement.write.push(writable.clone());
    // Also where they lie under a cover.
    let base = job.dir().parent().unwrap().to_owned();
    for cover in [vec![], vec![base]] {
        job.spec.confinement.cover = cover;
        job.run().await.assert_said("mirror\nnew");
        assert_eq!(fs::read_to_string(writable.join("file")).unwrap(), "new\n");
    }
    job.spec.confinement.read.push("/no/such/folder".into());
    let ended = job.run().await;
    assert!(matches!(ended.events[..], [Event::Refused { cause: Cause::Platform, .. }]), "{ended:?}");
}

#[tokio::test]
async fn what_tools_need_is_there() {
    Job::script(
        "set -e
         echo x > /dev/null; head -c 4 /dev/urandom | wc -c; head -c 2 /dev/zero | wc -c
         cat <<< here; python3 -c 'import ssl, multiprocessing; multiprocessing.Lock(); print(\"python\")'
         test -r /etc/passwd; test -r /proc/self/status; id -u > /dev/null; echo x | tee /dev/stderr > /dev/null
         mkdir a b; echo x > a/f; mv a/f b/f; ln b/f c; ln -s c d; mkfifo p; rm -r a b c d p; echo moved",
    )
    .run()
    .await
    .assert_said("4\n2\nhere\npython\nmoved");
}

#[tokio::test]
async fn a_tool_outside_the_system_folders_brings_its_folders() {
    let mut job = Job::script_in(Path::new("/var/tmp"), "");
    let bin = job.outside.join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("part"), "part\n").unwrap();
    fs::write(bin.join("tool"), "#!/bin/sh\ncat $(dirname $0)/part\n").unwrap();
    fs::set_permissions(bin.join("tool"), PermissionsExt::from_mode(0o755)).unwrap();
    job.spec.program = bin.join("tool");
    job.spec.args.clear();
    job.run().await.assert_said("part");
    // Also under a cover.
    job.spec.confinement.cover.push(job.dir().parent().unwrap().to_owned());
    job.run().await.assert_said("part");
}

#[tokio::test]
async fn what_the_worker_found_open_in_etc_is_taken_as_it_is() {
    let mut job = Job::script(&["cat /etc/hosts > /dev/null", "cat /etc/passwd"].map(denied).concat());
    job.spec.confinement.open = Some(vec!["/etc/hosts".into()]);
    job.run().await.assert_said("ALLOWED\ndenied");
    job.spec.confinement.open = Some(sandbox::open_files());
    let ended = job.run().await;
    assert!(ended.out().ends_with("ALLOWED\n") && !ended.out().contains("denied"), "{ended:?}");
}

#[tokio::test]
async fn a_tool_that_lies_loose_in_a_large_folder_brings_only_itself() {
    let mut job = Job::script_in(Path::new("/var/tmp"), "");
    let base = job.dir().parent().unwrap().to_owned();
    let tool = base.join("tool");
    fs::write(&tool, "#!/bin/bash\n[ -r $0 ] && [ -e $(dirname $0)/outside ] && echo both || echo alone\n").unwrap();
    fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    job.spec.program = tool;
    job.spec.args.clear();
    job.run().await.assert_said("both");
    job.spec.confinement.cover.push(base);
    job.run().await.assert_said("alone");
}
