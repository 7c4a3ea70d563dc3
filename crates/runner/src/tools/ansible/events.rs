//! Reads a playbook's output: the frames of Chandler's callback plugin become its events, and every other line becomes
//! an event of its own. Nothing is guessed from text.

use chandler_model::RawJson;
use chandler_model::logs::Stream;
use chandler_model::task_events::NewTaskEvent;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

/// Stands before a frame.
const RECORD: u8 = 0x1e;
/// Stands between the head of a frame and its data.
const UNIT: u8 = 0x1f;
/// Longest text of an event that is no frame; a longer line is cut.
pub(super) const LINE_MAX: usize = 1024 * 1024;
/// Longest frame. The plugin keeps well below.
const FRAME_MAX: usize = 8 * 1024 * 1024;
/// Stands where a line was cut.
pub(super) const MARK: &str = " [the line goes on]";

/// The head of a frame as the plugin writes it; short names, so that no secret is found in them.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "e")]
    event: String,
    #[serde(rename = "u")]
    uuid: String,
    #[serde(rename = "p")]
    parent: Option<String>,
    #[serde(rename = "t")]
    text: String,
    #[serde(rename = "h")]
    host: Option<String>,
    #[serde(rename = "y")]
    play: Option<String>,
    #[serde(rename = "k")]
    task: Option<String>,
    #[serde(rename = "r")]
    role: Option<String>,
    #[serde(rename = "f", default)]
    failed: u8,
    #[serde(rename = "c", default)]
    changed: u8,
}

/// Turns both outputs of a playbook into events, in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Lines {
    stdout: Held,
    stderr: Held,
}

/// What one stream has said and is no event yet.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// Bytes of it that hold no line end.
    looked: usize,
    /// Empty lines before it: they go with the text that follows, since an event without text has no line.
    empty: usize,
}

impl Lines {
    /// The events that are complete with this piece of output.
    pub(super) fn feed(&mut self, at: Timestamp, stream: Stream, bytes: &[u8]) -> Vec<NewTaskEvent> {
        let mut out = Vec::new();
        self.held(stream).feed(at, stream, bytes, &mut out);
        out
    }

    /// What was left without a line end.
    pub(super) fn end(&mut self, at: Timestamp) -> Vec<NewTaskEvent> {
        let mut out = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let held = self.held(stream);
            let rest = std::mem::take(&mut held.bytes);
            held.looked = 0;
            if !rest.is_empty() {
                held.line(at, stream, &rest, &mut out);
            }
            if let Some(more) = held.empty.checked_sub(1).filter(|more| *more > 0) {
                held.empty = 0;
                out.push(plain(at, stream, "\n".repeat(more)));
            }
        }
        out
    }

    fn held(&mut self, stream: Stream) -> &mut Held {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr | Stream::System => &mut self.stderr,
        }
    }
}

impl Held {
    fn feed(&mut self, at: Timestamp, stream: Stream, bytes: &[u8], out: &mut Vec<NewTaskEvent>) {
        self.bytes.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.bytes);
        let (mut from, mut looked) = (0, self.looked);
        while let Some(end) = held[looked..].iter().position(|byte| *byte == b'\n').map(|at| looked + at) {
            self.line(at, stream, &held[from..end], out);
            from = end + 1;
            looked = from;
        }
        let mut rest = &held[from..];
        while rest.len() > self.most(stream, rest) {
            let end = boundary(rest, LINE_MAX);
            self.text(at, stream, &rest[..end], true, out);
            rest = &rest[end..];
        }
        self.bytes = rest.to_vec();
        self.looked = self.bytes.len();
    }

    /// How long an unfinished line may grow.
    fn most(&self, stream: Stream, line: &[u8]) -> usize {
        if stream == Stream::Stdout && line.first() == Some(&RECORD) { FRAME_MAX } else { LINE_MAX }
    }

    /// A whole line, without its end.
    fn line(&mut self, at: Timestamp, stream: Stream, line: &[u8], out: &mut Vec<NewTaskEvent>) {
        // Only the plugin writes the separator there, and what it could not know of may stand before it.
        let starts = line.iter().position(|byte| *byte == RECORD).filter(|_| stream == Stream::Stdout);
        let framed = starts.and_then(|start| Some((start, frame(&line[start + 1..], at)?)));
        let Some((start, mut event)) = framed else { return self.cut(at, stream, line, out) };
        if start > 0 {
            self.cut(at, stream, &line[..start], out);
        }
        if event.stdout.is_empty() {
            // Text outside of a callback that is an empty line, or an event that says nothing.
            if matches!(event.event.as_str(), "verbose" | "warning" | "deprecated" | "error") {
                self.empty += 1;
                return;
            }
        } else {
            event.stdout.insert_str(0, &"\n".repeat(std::mem::take(&mut self.empty)));
        }
        out.push(event);
    }

    fn cut(&mut self, at: Timestamp, stream: Stream, line: &[u8], out: &mut Vec<NewTaskEvent>) {
        let mut rest = line.strip_suffix(b"\r").unwrap_or(line);
        while rest.len() > LINE_MAX {
            let end = boundary(rest, LINE_MAX);
            self.text(at, stream, &rest[..end], true, out);
            rest = &rest[end..];
        }
        self.text(at, stream, rest, false, out);
    }

    /// Text that is no frame.
    fn text(&mut self, at: Timestamp, stream: Stream, text: &[u8], goes_on: bool, out: &mut Vec<NewTaskEvent>) {
        if text.is_empty() {
            self.empty += 1;
            return;
        }
        let mut stdout = "\n".repeat(std::mem::take(&mut self.empty));
        stdout.push_str(&printable(&String::from_utf8_lossy(text)));
        if goes_on {
            stdout.push_str(MARK);
        }
        out.push(plain(at, stream, stdout));
    }
}

/// Where to cut, at most there, so that no character is torn.
fn boundary(bytes: &[u8], most: usize) -> usize {
    let continues = |at: &usize| bytes[*at] & 0xc0 == 0x80;
    (most.saturating_sub(3)..=most).rev().find(|at| !continues(at)).unwrap_or(most)
}

/// A frame without its separator.
fn frame(bytes: &[u8], at: Timestamp) -> Option<NewTaskEvent> {
    // Names of files may be no UTF-8.
    let text = String::from_utf8_lossy(bytes);
    let (head, data) = text.split_once(char::from(UNIT))?;
    let head: Head = serde_json::from_str(head).ok()?;
    let stdout = head.text.strip_suffix('\n').unwrap_or(&head.text);
    Some(NewTaskEvent {
        at,
        uuid: head.uuid.parse().unwrap_or_else(|_| Uuid::now_v7()),
        parent_uuid: head.parent.and_then(|parent| parent.parse().ok()),
        event: head.event,
        host_name: head.host.as_deref().map(printable),
        play: head.play.as_deref().map(printable),
        task: head.task.as_deref().map(printable),
        role: head.role.as_deref().map(printable),
        failed: head.failed != 0,
        changed: head.changed != 0,
        data: data_of(data),
        stdout: printable(stdout),
    })
}

/// Data that was torn, by a secret hidden in it, is not worth the event.
fn data_of(json: &str) -> RawJson {
    match serde_json::from_str::<&RawValue>(json) {
        // PostgreSQL's jsonb holds no NUL, which is written as an escape here.
        Ok(data) if data.get().starts_with('{') => RawJson(data.get().replace("\\u0000", "\\ufffd")),
        _ => RawJson("{}".to_owned()),
    }
}

/// An event for text that was printed outside of every callback.
fn plain(at: Timestamp, stream: Stream, stdout: String) -> NewTaskEvent {
    NewTaskEvent {
        at,
        uuid: Uuid::now_v7(),
        parent_uuid: None,
        event: if stream == Stream::Stdout { "verbose" } else { "error" }.to_owned(),
        host_name: None,
        play: None,
        task: None,
        role: None,
        failed: false,
        changed: false,
        data: RawJson("{}".to_owned()),
        stdout,
    }
}

/// No text column holds NUL on either engine.
fn printable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::UNIX_EPOCH;
    const FRAME: &str = "\x1e{\"e\":\"runner_on_ok\",\"u\":\"0192f0c1-2a5b-7c3d-8e4f-0123456789ab\",\
        \"t\":\"ok: [h]\\n\",\"h\":\"h\",\"y\":\"p\",\"k\":\"t\",\"c\":1}\x1f{\"res\":{\"x\":\"a\\u0000b\"}}\n";

    fn shown(events: &[NewTaskEvent]) -> Vec<(&str, &str)> {
        events.iter().map(|event| (event.event.as_str(), event.stdout.as_str())).collect()
    }

    fn all(stream: Stream, bytes: &[u8]) -> Vec<NewTaskEvent> {
        let mut lines = Lines::default();
        let mut events = lines.feed(AT, stream, bytes);
        events.extend(lines.end(AT));
        events
    }

    #[test]
    fn a_frame_is_an_event_however_it_is_cut_and_other_lines_are_events_too() {
        for cut in 0..FRAME.len() {
            let mut lines = Lines::default();
            let mut events = lines.feed(AT, Stream::Stdout, b"before\n");
            events.extend(lines.feed(AT, Stream::Stdout, &FRAME.as_bytes()[..cut]));
            events.extend(lines.feed(AT, Stream::Stderr, b"aside\r\n"));
            events.extend(lines.feed(AT, Stream::Stdout, &FRAME.as_bytes()[cut..]));
            events.extend(lines.feed(AT, Stream::Stdout, b"no end"));
            events.extend(lines.end(AT));
            let expected =
                [("verbose", "before"), ("error", "aside"), ("runner_on_ok", "ok: [h]"), ("verbose", "no end")];
            assert_eq!(shown(&events), expected);
            assert!(events[2].changed && !events[2].failed);
            assert_eq!(events[2].data.0, "{\"res\":{\"x\":\"a\\ufffdb\"}}");
        }
    }

    #[test]
    fn what_only_looks_like_a_frame_is_text() {
        for text in ["\x1e{\"e\":1}\x1f{}", "\x1e{}", "a\x1eb", "\x1e"] {
            assert_eq!(shown(&all(Stream::Stdout, text.as_bytes())), [("verbose", text)]);
        }
        // Only standard output is trusted to hold frames.
        assert_eq!(all(Stream::Stderr, FRAME.as_bytes())[0].event, "error");
    }

    #[test]
    fn a_frame_behind_text_without_a_line_end_is_found() {
        let events = all(Stream::Stdout, format!("loose{FRAME}").as_bytes());
        assert_eq!(shown(&events), [("verbose", "loose"), ("runner_on_ok", "ok: [h]")]);
    }

    #[test]
    fn empty_lines_go_with_the_text_that_follows() {
        let events = all(Stream::Stdout, format!("a\n\n\n{FRAME}\n\nb\n\n\n").as_bytes());
        assert_eq!(
            shown(&events),
            [("verbose", "a"), ("runner_on_ok", "\n\nok: [h]"), ("verbose", "\n\nb"), ("verbose", "\n")]
        );
        assert_eq!(events.iter().map(NewTaskEvent::lines).sum::<i64>(), 9);
    }

    #[test]
    fn long_lines_are_cut_with_a_mark_and_no_character_is_torn() {
        let line = "ä".repeat(LINE_MAX);
        for pieces in [line.len(), 4099] {
            let mut lines = Lines::default();
            let mut events = Vec::new();
            for piece in line.as_bytes().chunks(pieces) {
                events.extend(lines.feed(AT, Stream::Stderr, piece));
            }
            events.extend(lines.feed(AT, Stream::Stderr, b"\n"));
            events.extend(lines.end(AT));
            assert!(events.len() >= 2);
            let (last, first) = events.split_last().unwrap();
            let whole: String = first.iter().map(|event| event.stdout.strip_suffix(MARK).unwrap()).collect();
            assert!(whole + &last.stdout == line);
            assert!(events.iter().all(|event| event.stdout.len() <= LINE_MAX + MARK.len()));
        }
    }

    #[test]
    fn a_torn_frame_is_text_and_torn_data_is_left_out() {
        let torn = FRAME.replace("\"t\":\"", "[hidden]");
        assert_eq!(all(Stream::Stdout, torn.as_bytes())[0].event, "verbose");
        let torn = FRAME.replace("{\"res\"", "{[hidden]");
        let events = all(Stream::Stdout, torn.as_bytes());
        assert_eq!((events[0].event.as_str(), events[0].data.0.as_str()), ("runner_on_ok", "{}"));
    }
}
