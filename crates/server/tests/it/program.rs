//! Starts the program with an environment of its own and without leaving anything behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

/// The administrator of every program that is started here.
const PASSWORD: &str = "correct horse";
/// `admin:correct horse` as Basic authentication has it.
const BASIC: &str = "YWRtaW46Y29ycmVjdCBob3JzZQ==";

/// A running `chandler serve`. Killed when dropped.
pub(crate) struct Program {
    child: Child,
    log: BufReader<ChildStderr>,
    address: String,
    folder: Arc<TempDir>,
}

fn command(args: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chandler"));
    command.env_clear().envs(environment.iter().copied()).args(args).stdin(Stdio::null());
    command
}

/// Runs the program to its end: exit status, standard output, standard error.
pub(crate) fn finished(args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = command(args, environment).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A body that came in chunks.
fn joined(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, from)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body += &from[..size];
        rest = &from[(size + 2).min(from.len())..];
    }
    body
}

impl Program {
    /// Starts the server on a free port, in a folder of its own, and waits until it says that it is ready.
    pub(crate) fn serve(environment: &[(&str, &str)]) -> Self {
        Self::serve_in(&Arc::new(tempfile::tempdir().unwrap()), environment)
    }

    /// The same in a folder that another one may have used.
    pub(crate) fn serve_in(folder: &Arc<TempDir>, environment: &[(&str, &str)]) -> Self {
        let data = folder.path().join("data");
        let args = ["serve", "--listen-console", "127.0.0.1:0", "--data", data.to_str().unwrap()];
        let environment = [&[("CHANDLER_ADMIN_PASSWORD", PASSWORD)], environment].concat();
        let mut child = command(&args, &environment).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().split_once("http://").map(|(_, address)| address.to_owned()));
        let address = address.unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log, address, folder: Arc::clone(folder) }
    }

    /// A call of the native API as the administrator: status and body.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "{method} /api/v1{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Basic {BASIC}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { joined(body) } else { body.to_owned() };
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// A request that is in service: its handler waits for the two bytes of its body. A head alone would not do: whether
    /// a connection with half a head or a head nobody has taken yet counts as busy is a matter of moments.
    pub(crate) fn occupy(&self) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "POST /api/v1/jobs HTTP/1.1\r\nhost: x\r\nauthorization: Basic {BASIC}\r\ncontent-type: application/json\r\n\
             content-length: 2\r\nexpect: 100-continue\r\n\r\n"
        )
        .unwrap();
        // Said when the handler asks for the body.
        const WANTED: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        let mut told = [0; WANTED.len()];
        stream.read_exact(&mut told).unwrap();
        assert_eq!(told, WANTED, "{}", String::from_utf8_lossy(&told));
        stream
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The whole answer as text.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits until a line with that text is logged. What was logged up to then is not in [`Self::end`].
    pub(crate) fn logs(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "the program ended without logging {text:?}");
        }
    }

    /// Waits for the end: exit status and the log.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
