//! A job's output on its way into the log: each stream through the hiding of secrets, then both through the reader of
//! the tool, which makes entries of it.

use chandler_model::logs::{Entry, NewChunk, Stream};
use jiff::Timestamp;

use super::hiding::{Hidden, Hiding};
use crate::tools::{Exit, Reader, Verdict};

/// The reader of one start, behind what hides.
pub(super) struct Reading {
    reader: Box<dyn Reader>,
    stdout: Hidden,
    stderr: Hidden,
    /// The step that the entries belong to; none for a job without steps.
    step: Option<i64>,
}

impl Reading {
    pub(super) fn new(reader: Box<dyn Reader>, hiding: &Hiding, step: Option<i64>) -> Self {
        Self { reader, stdout: hiding.stream(), stderr: hiding.stream(), step }
    }

    /// What these pieces of output add to the log.
    pub(super) fn read(&mut self, chunks: Vec<NewChunk>) -> Vec<Entry> {
        let mut entries = Vec::new();
        for NewChunk { at, stream, bytes, .. } in chunks {
            let hidden = if stream == Stream::Stderr { &mut self.stderr } else { &mut self.stdout };
            let shown = hidden.feed(bytes);
            self.pass(at, stream, &shown, &mut entries);
        }
        self.name_step(entries)
    }

    /// What was held back, when both streams have ended.
    pub(super) fn end(&mut self, at: Timestamp) -> Vec<Entry> {
        let mut entries = Vec::new();
        let (out, err) = (self.stdout.end(), self.stderr.end());
        self.pass(at, Stream::Stdout, &out, &mut entries);
        self.pass(at, Stream::Stderr, &err, &mut entries);
        entries.extend(self.reader.end(at));
        self.name_step(entries)
    }

    fn pass(&mut self, at: Timestamp, stream: Stream, shown: &[u8], entries: &mut Vec<Entry>) {
        if !shown.is_empty() {
            entries.extend(self.reader.read(at, stream, shown));
        }
    }

    fn name_step(&self, mut entries: Vec<Entry>) -> Vec<Entry> {
        for entry in &mut entries {
            if let Entry::Chunk(chunk) = entry {
                chunk.step = self.step;
            }
        }
        entries
    }

    pub(super) fn verdict(&mut self, exit: Exit) -> Verdict {
        self.reader.verdict(exit)
    }

    pub(super) fn diagnostic(&self) -> Option<String> {
        self.reader.diagnostic()
    }
}
