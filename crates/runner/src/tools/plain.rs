//! Output that is taken as it comes.

use chandler_model::logs::{Entry, Level, NewChunk, Stream};
use jiff::Timestamp;

use super::{Exit, Reader, Verdict};

/// A line that is longer is split, so that nobody who reads lines needs more memory than this for one.
const LINE_MAX: usize = 1 << 20;
/// Stands where a line was split.
const GOES_ON: &[u8] = b" [line goes on]\n";

/// Reads nothing into what it reads.
#[derive(Debug)]
pub(super) struct Plain {
    /// What ends with an exit code, as a sentence begins: `The script`.
    what: &'static str,
    /// Bytes since the last line end of either stream.
    stdout: usize,
    stderr: usize,
}

impl Plain {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, stdout: 0, stderr: 0 }
    }
}

impl Reader for Plain {
    fn read(&mut self, at: Timestamp, stream: Stream, bytes: &[u8]) -> Vec<Entry> {
        let line = if stream == Stream::Stderr { &mut self.stderr } else { &mut self.stdout };
        let chunk = NewChunk { at, step: None, stream, level: Level::Info, bytes: split(bytes, line) };
        vec![Entry::Chunk(chunk)]
    }

    fn end(&mut self, _: Timestamp) -> Vec<Entry> {
        Vec::new()
    }

    fn verdict(&mut self, exit: Exit) -> Verdict {
        exit.plainly(self.what)
    }
}

/// The bytes with a mark wherever a line has become too long. `line`: how long the present one is.
fn split(bytes: &[u8], line: &mut usize) -> Vec<u8> {
    let mut shown = Vec::with_capacity(bytes.len());
    for mut piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        let ended = piece.ends_with(b"\n");
        // The line end itself does not count.
        while *line + piece.len() - usize::from(ended) > LINE_MAX {
            let (fits, rest) = piece.split_at(LINE_MAX - *line);
            shown.extend_from_slice(fits);
            shown.extend_from_slice(GOES_ON);
            (*line, piece) = (0, rest);
        }
        shown.extend_from_slice(piece);
        *line = if ended { 0 } else { *line + piece.len() };
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_split_wherever_it_was_read_apart() {
        let text = [vec![b'a'; LINE_MAX], b"\n".to_vec(), vec![b'b'; LINE_MAX + 1], b"\nend".to_vec()].concat();
        let mark = String::from_utf8_lossy(GOES_ON);
        let expected = format!("{}\n{}{mark}b\nend", "a".repeat(LINE_MAX), "b".repeat(LINE_MAX));
        for size in [LINE_MAX * 4, 4096, 100_000] {
            let mut line = 0;
            let shown: Vec<u8> = text.chunks(size).flat_map(|piece| split(piece, &mut line)).collect();
            assert!(shown == expected.as_bytes(), "in pieces of {size}");
        }
    }

    #[test]
    fn each_stream_has_its_own_line() {
        let mut plain = Plain::new("The script");
        plain.read(Timestamp::UNIX_EPOCH, Stream::Stdout, &vec![b'a'; LINE_MAX]);
        let shown = plain.read(Timestamp::UNIX_EPOCH, Stream::Stderr, b"b");
        assert!(matches!(&shown[..], [Entry::Chunk(chunk)] if chunk.bytes == b"b"), "{shown:?}");
        let shown = plain.read(Timestamp::UNIX_EPOCH, Stream::Stdout, b"a");
        assert!(matches!(&shown[..], [Entry::Chunk(chunk)] if chunk.bytes == [GOES_ON, b"a"].concat()), "{shown:?}");
    }
}
