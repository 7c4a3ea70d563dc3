//! Bytes of a log as text. What is no UTF-8 shows as U+FFFD, but a character that was only cut by the end of a chunk is
//! held back and comes whole with the next chunk of its stream.

use chandler_model::logs::Stream;

/// Turns the chunks of one log, in order, into text.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The beginning of a character, by stream.
    held: [Vec<u8>; 3],
}

const STREAMS: [Stream; 3] = [Stream::Stdout, Stream::Stderr, Stream::System];

impl Decoder {
    /// The text of the next chunk.
    pub(super) fn text(&mut self, stream: Stream, bytes: &[u8]) -> String {
        let held = self.held(stream);
        held.extend_from_slice(bytes);
        let whole = held.len() - cut_character(held);
        let text = String::from_utf8_lossy(held.get(..whole).unwrap_or_default()).into_owned();
        held.drain(..whole);
        text
    }

    /// What is held back when nothing more will come: characters that were never finished.
    pub(super) fn rest(&mut self) -> Vec<(Stream, String)> {
        let take = |stream| {
            let held = std::mem::take(self.held(stream));
            (!held.is_empty()).then(|| (stream, String::from_utf8_lossy(&held).into_owned()))
        };
        STREAMS.into_iter().filter_map(take).collect()
    }

    fn held(&mut self, stream: Stream) -> &mut Vec<u8> {
        let [stdout, stderr, system] = &mut self.held;
        match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
            Stream::System => system,
        }
    }
}

/// How many bytes at the end begin a character and do not finish it: none to three.
fn cut_character(bytes: &[u8]) -> usize {
    let begins = |length: &usize| {
        let end = bytes.get(bytes.len() - length..).unwrap_or_default();
        // No error length means that the end came too early.
        std::str::from_utf8(end).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (1..=bytes.len().min(3)).rev().find(begins).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a log whose chunks are these, the rest included.
    fn decoded(chunks: &[(Stream, &[u8])]) -> Vec<String> {
        let mut decoder = Decoder::default();
        let mut all: Vec<String> = chunks.iter().map(|(stream, bytes)| decoder.text(*stream, bytes)).collect();
        all.extend(decoder.rest().into_iter().map(|(_, text)| text));
        all
    }

    #[test]
    fn a_character_cut_anywhere_comes_whole() {
        for text in ["é", "€", "😀", "a😀b", "é€😀"] {
            for at in 0..=text.len() {
                let (head, tail) = text.as_bytes().split_at(at);
                assert_eq!(decoded(&[(Stream::Stdout, head), (Stream::Stdout, tail)]).concat(), text, "{text} at {at}");
            }
            let bytes: Vec<(Stream, &[u8])> = text.as_bytes().chunks(1).map(|byte| (Stream::Stderr, byte)).collect();
            assert_eq!(decoded(&bytes).concat(), text);
        }
    }

    #[test]
    fn another_stream_in_between_does_not_matter() {
        let chunks: [(Stream, &[u8]); 4] = [
            (Stream::Stdout, b"a\xe2\x82"),
            (Stream::Stderr, b"x\xf0\x9f"),
            (Stream::Stdout, b"\xac."),
            (Stream::Stderr, b"\x98\x80."),
        ];
        assert_eq!(decoded(&chunks), ["a", "x", "€.", "😀."]);
    }

    #[test]
    fn bytes_that_are_no_text_show_as_replacements_and_hold_nothing_back() {
        for (bytes, text) in [
            (&b"\xff"[..], "\u{fffd}"),
            (b"a\x80\x80\x80b", "a\u{fffd}\u{fffd}\u{fffd}b"),
            (b"\xc3(", "\u{fffd}("),
            (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(decoded(&[(Stream::Stdout, bytes)]), [text], "{bytes:?}");
        }
    }

    #[test]
    fn a_character_that_is_never_finished_shows_at_the_end() {
        assert_eq!(decoded(&[(Stream::Stdout, b"a\xe2\x82")]), ["a", "\u{fffd}"]);
    }
}
