//! Reads what the driver of a Terraform job writes: its own marks, Terraform's messages, and text.

use chandler_model::jobs::{Fault, StepKind, Success};
use chandler_model::logs::{CHUNK_MAX, Entry, Level, NewChunk, Stream};
use jiff::Timestamp;

use super::complaint::Complaint;
use super::lines::{Line, Lines};
use super::message::Message;
use crate::tools::{Exit, Reader, Verdict};

/// Begins a mark of the driver; it ends its line.
const MARK: u8 = 0x1e;
/// Ends a piece of a line that is too long.
const GOES_ON: &[u8] = b" [the line goes on]\n";

/// How far the driver has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    #[default]
    Start,
    /// The tool was found.
    Found,
    Init,
    Plan,
    Show,
    Apply,
    Destroy,
}

#[derive(Debug)]
pub(super) struct TerraformReader {
    kind: StepKind,
    /// The tool that does it, once the driver has found one.
    tool: &'static str,
    phase: Phase,
    stdout: Lines,
    stderr: Lines,
    /// Of messages.
    first_error: Option<String>,
    /// Of text.
    complaint: Complaint,
    /// Whether an apply that went well changed anything.
    changed: Option<bool>,
}

impl TerraformReader {
    pub(super) fn new(kind: StepKind) -> Self {
        Self {
            kind,
            tool: "terraform",
            phase: Phase::Start,
            stdout: Lines::default(),
            stderr: Lines::default(),
            first_error: None,
            complaint: Complaint::default(),
            changed: None,
        }
    }

    fn lines(&mut self, stream: Stream) -> &mut Lines {
        if stream == Stream::Stderr { &mut self.stderr } else { &mut self.stdout }
    }

    fn line(&mut self, line: Line, log: &mut Log) {
        match line {
            Line::Whole(bytes) => {
                let bytes = self.take_mark(&bytes);
                match bytes.and_then(Message::parse) {
                    Some(message) => self.message(&message, log),
                    None => bytes.into_iter().for_each(|text| self.text(text, log)),
                }
            }
            Line::Piece(mut bytes) => {
                bytes.extend_from_slice(GOES_ON);
                log.add(Level::Info, &bytes);
            }
            Line::Rest(mut bytes) => {
                bytes.push(b'\n');
                log.add(Level::Info, &bytes);
            }
        }
    }

    /// What is left of a line without its mark; none if the mark is all of it.
    fn take_mark<'a>(&mut self, line: &'a [u8]) -> Option<&'a [u8]> {
        let Some(at) = line.iter().rposition(|byte| *byte == MARK) else { return Some(line) };
        let phase = match &line[at + 1..] {
            b"terraform" => {
                self.tool = "terraform";
                Phase::Found
            }
            b"tofu" => {
                self.tool = "tofu";
                Phase::Found
            }
            b"init" => Phase::Init,
            b"plan" => Phase::Plan,
            b"show" => Phase::Show,
            b"apply" => Phase::Apply,
            b"destroy" => Phase::Destroy,
            _ => return Some(line),
        };
        // Each mark comes on both outputs, and these are read apart.
        self.phase = self.phase.max(phase);
        (at > 0).then(|| &line[..at])
    }

    fn message(&mut self, message: &Message, log: &mut Log) {
        if self.first_error.is_none() {
            let error = message.diagnostic().filter(|diagnostic| diagnostic.is_error());
            self.first_error = error.map(|error| error.line());
        }
        self.changed = message.done().map(|changes| changes.any()).or(self.changed);
        log.add(message.level(), message.text().as_bytes());
    }

    fn text(&mut self, text: &[u8], log: &mut Log) {
        if log.stream == Stream::Stderr {
            self.complaint.hear(&String::from_utf8_lossy(text));
        }
        log.add(Level::Info, &[text, b"\n"].concat());
    }

    /// Success, where it says more than that it went well.
    fn success(&self, code: i32) -> Option<Verdict> {
        let changed = match (self.kind.is_plan(), self.phase, code) {
            (true, Phase::Show, 0) => Some(false),
            (true, Phase::Show, 2) => Some(true),
            (false, Phase::Apply | Phase::Destroy, 0) => self.changed,
            _ => return None,
        };
        Some(Verdict::Done(changed.map(|changed| if changed { Success::Changed } else { Success::Unchanged })))
    }
}

impl Reader for TerraformReader {
    fn read(&mut self, at: Timestamp, stream: Stream, bytes: &[u8]) -> Vec<Entry> {
        let mut log = Log::new(at, stream);
        for line in self.lines(stream).push(bytes) {
            self.line(line, &mut log);
        }
        log.entries
    }

    fn end(&mut self, at: Timestamp) -> Vec<Entry> {
        let mut entries = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let mut log = Log::new(at, stream);
            if let Some(line) = self.lines(stream).end() {
                self.line(line, &mut log);
            }
            entries.append(&mut log.entries);
        }
        entries
    }

    fn verdict(&mut self, exit: Exit) -> Verdict {
        if let Some(done) = exit.code.and_then(|code| self.success(code)) {
            return done;
        }
        let what = match self.phase {
            Phase::Start if exit.code == Some(127) => {
                let text = "Neither Terraform nor OpenTofu was found where the job ran, or not the one that its \
                            template names: install it there, or choose an environment whose image has it.";
                return Verdict::Failed(Fault::Platform, text.to_owned());
            }
            Phase::Start | Phase::Found => return platform(&exit.plainly("The start of Terraform")),
            Phase::Init => "init",
            Phase::Plan => "plan",
            Phase::Show => "show",
            Phase::Apply => "apply",
            Phase::Destroy => "apply -destroy",
        };
        exit.plainly(&format!("`{} {what}`", self.tool))
    }

    fn diagnostic(&self) -> Option<String> {
        self.first_error.clone().or_else(|| self.complaint.line())
    }
}

/// Nothing of the work has begun.
fn platform(verdict: &Verdict) -> Verdict {
    let reason = match verdict {
        Verdict::Failed(_, reason) => reason.clone(),
        Verdict::Done(_) => "The start of Terraform ended before its time.".to_owned(),
    };
    Verdict::Failed(Fault::Platform, reason)
}

/// Text of one output, cut into chunks.
struct Log {
    at: Timestamp,
    stream: Stream,
    entries: Vec<Entry>,
}

impl Log {
    fn new(at: Timestamp, stream: Stream) -> Self {
        Self { at, stream, entries: Vec::new() }
    }

    fn add(&mut self, level: Level, bytes: &[u8]) {
        if let Some(Entry::Chunk(last)) = self.entries.last_mut()
            && last.level == level
            && last.bytes.len() + bytes.len() <= CHUNK_MAX
        {
            last.bytes.extend_from_slice(bytes);
            return;
        }
        let (at, stream) = (self.at, self.stream);
        let chunk = |bytes: &[u8]| Entry::Chunk(NewChunk { at, step: None, stream, level, bytes: bytes.to_vec() });
        self.entries.extend(bytes.chunks(CHUNK_MAX).map(chunk));
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::LINE_MAX;
    use super::*;

    const EXIT: Exit = Exit { code: Some(0), signal: None };

    fn read(reader: &mut TerraformReader, stream: Stream, bytes: &[u8]) -> Vec<NewChunk> {
        let chunk = |entry| match entry {
            Entry::Chunk(chunk) => chunk,
            Entry::Event(event) => panic!("{event:?}"),
        };
        reader.read(Timestamp::UNIX_EPOCH, stream, bytes).into_iter().map(chunk).collect()
    }

    fn code(code: i32) -> Exit {
        Exit { code: Some(code), ..EXIT }
    }

    #[test]
    fn marks_are_not_shown_and_text_is_whatever_it_is() {
        let mut reader = TerraformReader::new(StepKind::Plan);
        let chunks = read(&mut reader, Stream::Stdout, b"\x1etofu\nno end\x1einit\n\xff\x1e\n{\"a\":1}\n");
        assert_eq!(chunks.len(), 1);
        assert_eq!(chunks[0].bytes, b"no end\n\xff\x1e\n{\"a\":1}\n");
        assert_eq!((reader.tool, reader.phase), ("tofu", Phase::Init));
        let failed = Verdict::Failed(Fault::Work, "`tofu init` ended with exit code 1.".to_owned());
        assert_eq!(reader.verdict(code(1)), failed);
    }

    #[test]
    fn a_mark_that_comes_late_on_the_other_output_turns_nothing_back() {
        let mut reader = TerraformReader::new(StepKind::Plan);
        read(&mut reader, Stream::Stdout, b"\x1eterraform\n\x1einit\n\x1eplan\n\x1eshow\n");
        read(&mut reader, Stream::Stderr, b"\x1eterraform\n\x1einit\n");
        assert_eq!(reader.verdict(code(2)), Verdict::Done(Some(Success::Changed)));
        assert_eq!(reader.verdict(code(0)), Verdict::Done(Some(Success::Unchanged)));
        let Verdict::Failed(Fault::Work, reason) = reader.verdict(code(1)) else { panic!() };
        assert_eq!(reason, "`terraform show` ended with exit code 1.");
    }

    #[test]
    fn before_the_tool_is_found_nothing_is_the_works_fault() {
        let mut reader = TerraformReader::new(StepKind::Apply);
        for exit in [code(127), code(2), code(0), Exit { code: None, signal: Some(9) }] {
            let Verdict::Failed(Fault::Platform, reason) = reader.verdict(exit) else { panic!("{exit:?}") };
            assert!(reason.ends_with('.'), "{reason}");
        }
    }

    #[test]
    fn levels_make_chunks_and_chunks_have_a_length() {
        let mut reader = TerraformReader::new(StepKind::Apply);
        let message = |level: &str| format!("{{\"@level\":\"{level}\",\"@message\":\"m\",\"type\":\"log\"}}\n");
        let bytes = [message("info"), message("info"), message("warn"), "x".repeat(CHUNK_MAX) + "\n"].concat();
        let chunks = read(&mut reader, Stream::Stdout, bytes.as_bytes());
        let shape: Vec<(Level, usize)> = chunks.iter().map(|chunk| (chunk.level, chunk.bytes.len())).collect();
        assert_eq!(shape, [(Level::Info, 4), (Level::Warn, 2), (Level::Info, CHUNK_MAX), (Level::Info, 1)]);
    }

    #[test]
    fn a_line_without_bounds_is_shown_in_pieces() {
        let mut reader = TerraformReader::new(StepKind::Apply);
        let chunks = read(&mut reader, Stream::Stderr, &[vec![b'{'; LINE_MAX + 3], b"\n".to_vec()].concat());
        let text: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.bytes).collect();
        assert_eq!(text.len(), LINE_MAX + GOES_ON.len() + 4);
        assert!(text.ends_with(b"{ [the line goes on]\n{{{\n"));
    }

    #[test]
    fn what_has_no_line_end_is_shown_at_the_end() {
        let mut reader = TerraformReader::new(StepKind::Apply);
        assert_eq!(read(&mut reader, Stream::Stderr, b"\x1eapply\nlast words"), []);
        let entries = reader.end(Timestamp::UNIX_EPOCH);
        assert!(matches!(&entries[..], [Entry::Chunk(chunk)] if chunk.bytes == b"last words\n"), "{entries:?}");
        let ended = Verdict::Failed(Fault::Work, "`terraform apply` was ended by signal 9.".to_owned());
        assert_eq!(reader.verdict(Exit { code: None, signal: Some(9) }), ended);
    }
}
