//! Output that is taken as it comes.

use chandler_model::logs::{Entry, Level, NewChunk, Stream};
use jiff::Timestamp;

use super::{Exit, Reader, Verdict};

/// Reads nothing into what it reads.
#[derive(Debug)]
pub(super) struct Plain {
    /// What ends with an exit code, as a sentence begins: `The script`.
    pub(super) what: &'static str,
}

impl Reader for Plain {
    fn read(&mut self, at: Timestamp, stream: Stream, bytes: &[u8]) -> Vec<Entry> {
        let chunk = NewChunk { at, step: None, stream, level: Level::Info, bytes: bytes.to_vec() };
        vec![Entry::Chunk(chunk)]
    }

    fn end(&mut self, _: Timestamp) -> Vec<Entry> {
        Vec::new()
    }

    fn verdict(&mut self, exit: Exit) -> Verdict {
        exit.plainly(self.what)
    }
}
