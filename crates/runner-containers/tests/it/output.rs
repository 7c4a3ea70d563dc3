//! What a job writes arrives as it was written, each stream apart.

use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::job::{Host, Job, Watched};
use chandler_runner::executor::{Event, Running};

#[tokio::test]
async fn a_script_runs_and_both_streams_are_kept_apart() {
    let host = Host::new();
    let mut job = Job::script(
        "echo out $1 $#; echo err >&2; echo $CHANDLER_JOB_ID; pwd; echo $HOME $TMPDIR; : >$HOME/a; : >$TMPDIR/b; : >c",
    );
    job.args = vec!["a b".to_owned(), "c".to_owned()];
    let seen = host.run(&job).await;
    assert_eq!(seen.exit_code(), Some(0), "{seen:?}");
    assert_eq!(seen.out(), "out a b 2\n7\n/chandler\n/chandler/home /chandler/tmp\n");
    assert_eq!(String::from_utf8_lossy(&seen.stderr), "err\n");
    assert_eq!(seen.events.last(), Some(&Event::Gone));
    assert_eq!(host.left(), 0);
}

#[tokio::test]
async fn bytes_that_are_no_text_and_a_line_without_an_end_come_through() {
    let seen = Host::new().run(&Job::script(r"printf '\000\377\376\r\n\001\002no end'")).await;
    assert_eq!(seen.stdout, b"\x00\xff\xfe\r\n\x01\x02no end");
    assert_eq!(seen.exit_code(), Some(0));
}

#[tokio::test]
async fn a_job_that_writes_nothing_ends() {
    let seen = Host::new().run(&Job::script("exec >&- 2>&-; exit 0")).await;
    assert_eq!((seen.exit_code(), seen.stdout.len() + seen.stderr.len()), (Some(0), 0), "{seen:?}");
}

#[tokio::test]
async fn twenty_megabytes_arrive_whole_however_slowly_they_are_read() {
    const LINES: usize = 20 * 1024;
    let host = Host::new();
    // A number at the head of each line of 1 KiB, so that what is lost or moved shows.
    let script = format!(
        "line=$(yes x | head -c 2030 | tr -d '\\n'); i=0; while [ $i -lt {LINES} ]; do \
         printf '%08d%s\\n' $i $line; i=$((i+1)); done"
    );
    let running = host.start(&Job::script(&script)).await;
    let Running { mut stdout, stderr, events, control } = running;
    // A reader that pauses: the job must be held back by it, and nothing may be dropped.
    let (slow, rest) = tokio::io::duplex(1024);
    let reader = tokio::spawn(async move {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = stdout.read(&mut buffer).await.unwrap();
            if read == 0 {
                return bytes;
            }
            bytes.extend_from_slice(&buffer[..read]);
            // What is being tested, not waited for.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    drop(slow);
    let watched = Watched::of(Running { stdout: Box::new(rest), stderr, events, control });
    let seen = watched.end().await;
    assert_eq!(seen.exit_code(), Some(0), "{seen:?}");
    let bytes = reader.await.unwrap();
    assert_eq!(bytes.len(), LINES * 1024);
    for (number, line) in bytes.chunks(1024).enumerate() {
        assert!(line.starts_with(format!("{number:08}").as_bytes()), "line {number}");
    }
}
