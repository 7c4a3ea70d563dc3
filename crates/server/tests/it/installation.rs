//! An installation from outside: first start, second process, wrong key, new password, the demonstration.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use crate::program::{Program, finished};

fn demo(data: &Path) -> (Option<i32>, String, String) {
    finished(&["demo", "--exit", "--data", data.to_str().unwrap(), "--listen-console", "127.0.0.1:0"], &[])
}

#[test]
fn the_demonstration_runs_its_example_and_ends_with_the_result_of_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (code, out, err) = demo(&data);
    assert_eq!(code, Some(0), "{out}{err}");
    for line in ["The administrator is `admin` with the password", "  | Hello from job 1.", "Job 1 succeeded after "] {
        assert!(out.contains(line), "{line}: {out}");
    }
    assert!(out.contains("The server's files are out of my reach."), "{out}");
    assert_eq!(std::fs::read_dir(data.join("work/jobs")).unwrap().count(), 0);

    // A second time it finds what it made, and says no password again.
    let (code, out, err) = demo(&data);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(!out.contains("password") && out.contains("Job 2 succeeded"), "{out}");
}

#[test]
fn the_master_key_is_made_once_and_another_one_is_refused() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let program = Program::serve_in(&folder, &[]);
    let key = program.data().join("master.key");
    let made = std::fs::read_to_string(&key).unwrap();
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    program.signal("TERM");
    assert_eq!(program.end().0, Some(0));

    let data = folder.path().join("data");
    let args = ["serve", "--data", data.to_str().unwrap(), "--listen-console", "127.0.0.1:0"];
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let (code, _, err) = finished(&args, &[("CHANDLER_MASTER_KEY", other)]);
    assert_eq!(code, Some(1));
    assert!(err.contains("error: this is not the master key of this installation\n  next: "), "{err}");
    assert!(!err.contains(other) && !err.contains(made.trim()));

    let again = Program::serve_in(&folder, &[("CHANDLER_MASTER_KEY_FILE", key.to_str().unwrap())]);
    assert_eq!(again.call("GET", "/me", None).0, 200);
    assert_eq!(std::fs::read_to_string(&key).unwrap(), made);
}

#[test]
fn a_second_process_on_one_directory_is_refused() {
    let program = Program::serve(&[]);
    let data = program.data();
    for command in [&["migrate"][..], &["admin", "password"], &["serve", "--listen-console", "127.0.0.1:0"]] {
        let (code, _, err) = finished(&[command, &["--data", data.to_str().unwrap()]].concat(), &[]);
        assert_eq!(code, Some(1), "{err}");
        assert!(err.starts_with("error: another chandler works in the data directory "), "{err}");
    }
    assert_eq!(program.call("GET", "/me", None).0, 200);
}

#[test]
fn an_operator_migrates_and_sets_a_password_without_a_server() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let data = folder.path().join("data");
    let at = ["--data", data.to_str().unwrap()];
    let (code, out, err) = finished(&[&["migrate"][..], &at].concat(), &[]);
    assert_eq!((code, out.as_str()), (Some(0), "applied 0001_foundation\n"), "{err}");
    let (code, out, _) = finished(&[&["migrate"][..], &at].concat(), &[]);
    assert_eq!((code, out.as_str()), (Some(0), "The database is up to date.\n"));

    let program = Program::serve_in(&folder, &[("CHANDLER_ADMIN_PASSWORD", "something else")]);
    assert_eq!(program.call("GET", "/me", None).0, 401);
    program.signal("TERM");
    assert_eq!(program.end().0, Some(0));
    let set = [("CHANDLER_ADMIN_PASSWORD", "correct horse")];
    let (code, out, err) = finished(&[&["admin", "password"][..], &at].concat(), &set);
    assert_eq!((code, out.as_str()), (Some(0), "The password of `admin` was changed.\n"), "{err}");
    let (code, _, err) = finished(&[&["admin", "password", "--login", "nobody"][..], &at].concat(), &set);
    assert!(code == Some(1) && err.starts_with("error: the password of `nobody` was not changed"), "{err}");
    let program = Program::serve_in(&folder, &[]);
    assert_eq!(program.call("GET", "/me", None).0, 200);
}
