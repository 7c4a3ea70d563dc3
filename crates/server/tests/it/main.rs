//! The program itself: started, asked over sockets, stopped by signals, told wrong things.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stand outside of #[test]")]

mod containers;
mod flows;
mod installation;
mod jobs;
mod playbooks;
mod program;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use program::{Program, finished};

#[test]
fn it_serves_on_a_free_port_until_it_is_told_to_stop() {
    let program = Program::serve(&[]);
    let health = program.get("/healthz");
    assert!(health.starts_with("HTTP/1.1 200 ") && health.ends_with("\r\n\r\nok"), "{health}");
    let unknown = program.get("/nowhere");
    assert!(unknown.starts_with("HTTP/1.1 404 ") && unknown.contains("\r\nx-request-id: "), "{unknown}");
    let metrics = program.get("/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 ") && metrics.contains("chandler_build_info{version="), "{metrics}");
    assert!(metrics.contains(r#"chandler_http_requests_total{listener="console""#), "{metrics}");

    let mode = std::fs::metadata(program.data()).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o700);

    program.signal("TERM");
    let (code, _) = program.end();
    assert_eq!(code, Some(0));
}

#[test]
fn a_second_signal_does_not_wait_for_anybody() {
    // Nothing but the signal ends that request while the test runs.
    let mut program = Program::serve(&[("CHANDLER_LIMITS_TIMEOUT", "1h"), ("CHANDLER_LIMITS_DRAIN", "1h")]);
    let _asking = program.occupy();
    program.signal("INT");
    program.logs("a second signal ends at once");
    program.signal("TERM");
    let (code, log) = program.end();
    assert_eq!(code, Some(143), "{log}");
}

#[test]
fn a_signal_ends_connections_that_wait_and_serves_those_that_ask() {
    // Only the signal closes the idle one before it would be cut.
    let mut program = Program::serve(&[("CHANDLER_LIMITS_HEADER_TIMEOUT", "1h")]);
    let mut idle = TcpStream::connect(program.address()).unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert!(idle.read(&mut [0; 1000]).unwrap() > 0);
    let mut asking = program.occupy();
    program.signal("TERM");
    program.logs("a second signal ends at once");
    asking.write_all(b"{}").unwrap();
    let mut answer = String::new();
    asking.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 4") && answer.contains("application/problem+json"), "{answer}");
    let (code, log) = program.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("connections are cut"), "{log}");
}

#[test]
fn a_dialect_that_does_not_exist_yet_is_warned_about_only_if_somebody_asked_for_it() {
    let warning = |program: Program| {
        program.signal("TERM");
        program.end().1
    };
    let quiet = warning(Program::serve(&[("CHANDLER_LISTEN_CODER", "off")]));
    assert!(!quiet.contains("not built yet"), "{quiet}");
    let asked = warning(Program::serve(&[("CHANDLER_LISTEN_AWX", "127.0.0.1:1"), ("CHANDLER_LOG_FORMAT", "json")]));
    assert!(asked.contains("the AWX dialect is not built yet; CHANDLER_LISTEN_AWX is ignored"), "{asked}");
    assert!(asked.lines().all(|line| line.starts_with("{\"") && line.ends_with('}')), "{asked}");
    assert_eq!(asked.matches("not built yet").count(), 1, "{asked}");
}

#[test]
fn a_taken_address_is_told_before_anything_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let address = taken.local_addr().unwrap().to_string();
    let (code, out, err) = finished(&["serve", "--data", data.to_str().unwrap(), "--listen-console", &address], &[]);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    let mut lines = err.lines();
    assert_eq!(lines.next().unwrap(), format!("error: the console listener cannot listen on {address}"));
    assert!(lines.next().unwrap().starts_with("  because: Address already in use"), "{err}");
    assert!(lines.next().unwrap().starts_with("  next: "), "{err}");
    assert!(!data.exists());
}

#[test]
fn a_data_directory_that_cannot_be_made_ends_the_program() {
    let (code, out, err) = finished(&["serve", "--data", "/proc/nothing", "--listen-console", "127.0.0.1:0"], &[]);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("error: the data directory /proc/nothing cannot be made\n  because: "), "{err}");
}

#[test]
fn a_server_that_would_listen_nowhere_does_not_start() {
    let (code, out, err) = finished(&["serve", "--listen-console", "off"], &[]);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("  next: give the console an address"), "{err}");
}

#[test]
fn what_is_wrong_in_the_configuration_and_what_in_the_command_are_told_apart() {
    let (code, _, err) = finished(&["serve"], &[("CHANDLER_LISTEN_AWS", "off")]);
    assert_eq!(code, Some(1));
    assert!(err.starts_with("error: unknown environment variable CHANDLER_LISTEN_AWS; did you mean"), "{err}");
    assert_eq!(finished(&["serve", "--listen-awx", "nowhere"], &[]).0, Some(2));
    assert_eq!(finished(&["serve", "--no-such-flag"], &[]).0, Some(2));
    assert_eq!(finished(&[], &[]).0, Some(2));
}

#[test]
fn help_and_configuration_go_to_standard_output() {
    let (code, help, err) = finished(&["--help"], &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for taught in ["Examples:", "chandler serve", "CHANDLER_DATA", "--listen-terrakube"] {
        assert!(help.contains(taught), "{help}");
    }
    let (code, config, _) = finished(&["config", "--log", "debug"], &[("CHANDLER_ADMIN_PASSWORD", "hunter2")]);
    assert_eq!(code, Some(0));
    assert!(config.contains("log = \"debug\"") && config.contains("# flag --log"), "{config}");
    assert!(!config.contains("hunter2"), "{config}");
    let (code, reference, _) = finished(&["config", "--reference"], &[("CHANDLER_WRONG", "1")]);
    assert_eq!(code, Some(0));
    assert!(reference.starts_with("# Configuration\n"));
}

#[test]
fn the_keeper_is_reached_before_settings_are_read() {
    let (code, out, _) = finished(&["keep", "--probe"], &[("CHANDLER_WRONG", "1")]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with('{'), "{out}");
    let (code, _, err) = finished(&["keep"], &[("CHANDLER_WRONG", "1")]);
    assert!(code == Some(1) && err.starts_with("chandler keep: "), "without a socket on standard input: {err}");
}
