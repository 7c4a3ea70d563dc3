//! Reads what a job writes and cuts it into chunks: by bytes, in the order of arrival, never longer held back than the
//! flush period. Lines are counted where the chunks are stored.

use std::sync::Arc;
use std::time::Duration;

use chandler_core::Clock;
use chandler_model::logs::{CHUNK_MAX, Level, NewChunk, Stream};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

/// Both outputs of a job.
pub(super) struct Output<R> {
    stdout: Option<R>,
    stderr: Option<R>,
    chunks: Vec<NewChunk>,
    bytes: usize,
    /// When the first of the collected bytes came.
    since: Instant,
    flush: Duration,
    clock: Arc<dyn Clock>,
    /// One for each output; on the heap, because they would make every future that reads as large.
    buffers: [Vec<u8>; 2],
}

impl<R: AsyncRead + Unpin> Output<R> {
    pub(super) fn new(stdout: R, stderr: R, flush: Duration, clock: Arc<dyn Clock>) -> Self {
        let (stdout, stderr) = (Some(stdout), Some(stderr));
        let buffers = [vec![0; CHUNK_MAX], vec![0; CHUNK_MAX]];
        Self { stdout, stderr, chunks: Vec::new(), bytes: 0, since: Instant::now(), flush, clock, buffers }
    }

    /// The next chunks: at most 32 KiB together, at most the flush period after their first byte. `None` when both
    /// outputs have ended. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Vec<NewChunk>> {
        loop {
            let ended = self.stdout.is_none() && self.stderr.is_none();
            if self.bytes >= CHUNK_MAX || (ended && self.bytes > 0) {
                return Some(self.take());
            }
            if ended {
                return None;
            }
            let room = CHUNK_MAX - self.bytes;
            let [out, err] = &mut self.buffers;
            let (stream, read) = tokio::select! {
                () = tokio::time::sleep_until(self.since + self.flush), if self.bytes > 0 => return Some(self.take()),
                read = read(&mut self.stdout, &mut out[..room]), if self.stdout.is_some() => (Stream::Stdout, read),
                read = read(&mut self.stderr, &mut err[..room]), if self.stderr.is_some() => (Stream::Stderr, read),
            };
            match (stream, read) {
                (Stream::Stdout, 0) => self.stdout = None,
                (_, 0) => self.stderr = None,
                (_, n) => self.push(stream, n),
            }
        }
    }

    /// Collects the first `n` bytes of an output's buffer.
    fn push(&mut self, stream: Stream, n: usize) {
        let [out, err] = &self.buffers;
        let bytes = if stream == Stream::Stdout { &out[..n] } else { &err[..n] };
        if self.bytes == 0 {
            self.since = Instant::now();
        }
        self.bytes += bytes.len();
        match self.chunks.last_mut() {
            Some(last) if last.stream == stream => last.bytes.extend_from_slice(bytes),
            _ => self.chunks.push(NewChunk {
                at: self.clock.now(),
                step: None,
                stream,
                level: Level::Info,
                bytes: bytes.to_vec(),
            }),
        }
    }

    fn take(&mut self) -> Vec<NewChunk> {
        self.bytes = 0;
        std::mem::take(&mut self.chunks)
    }
}

/// Reads some bytes; 0 at the end. A pipe that cannot be read has ended for us.
async fn read<R: AsyncRead + Unpin>(source: &mut Option<R>, buffer: &mut [u8]) -> usize {
    match source {
        Some(source) => source.read(buffer).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    fn output(flush: Duration) -> (tokio::io::DuplexStream, tokio::io::DuplexStream, Output<tokio::io::DuplexStream>) {
        let (out, stdout) = tokio::io::duplex(1 << 20);
        let (err, stderr) = tokio::io::duplex(1 << 20);
        (out, err, Output::new(stdout, stderr, flush, Arc::new(chandler_core::SystemClock)))
    }

    #[tokio::test]
    async fn nothing_is_lost_or_changed_and_no_batch_is_too_long() {
        let (mut out, err, mut output) = output(Duration::from_millis(5));
        let sent: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).take(1_000_000).collect();
        let copy = sent.clone();
        let writer = tokio::spawn(async move {
            out.write_all(&copy).await.unwrap();
            drop((out, err));
        });
        let mut received = Vec::new();
        while let Some(chunks) = output.next().await {
            assert!(chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>() <= CHUNK_MAX);
            received.extend(chunks.into_iter().flat_map(|chunk| chunk.bytes));
        }
        writer.await.unwrap();
        assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_prompt_without_a_line_end_is_shown_after_the_flush_period() {
        let (mut out, mut err, mut output) = output(Duration::from_millis(100));
        let begun = Instant::now();
        out.write_all(b"password: ").await.unwrap();
        let chunks = output.next().await.unwrap();
        assert_eq!(chunks[0].bytes, b"password: ");
        assert_eq!(begun.elapsed(), Duration::from_millis(100));

        err.write_all(b"oops\n").await.unwrap();
        drop((out, err));
        let chunks = output.next().await.unwrap();
        assert_eq!((chunks[0].stream, chunks[0].bytes.as_slice()), (Stream::Stderr, b"oops\n".as_slice()));
        assert_eq!(output.next().await, None);
    }
}
