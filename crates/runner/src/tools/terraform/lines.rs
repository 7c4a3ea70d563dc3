//! Cuts bytes that arrive in any pieces into lines. What a line means is not known here.

use std::mem;

/// Bytes after which a line is passed on in pieces.
pub(super) const LINE_MAX: usize = 1024 * 1024;

/// A line, or a piece of one that is too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its end.
    Whole(Vec<u8>),
    /// Exactly [`LINE_MAX`] bytes, and the line goes on.
    Piece(Vec<u8>),
    /// The last bytes of a line that came in pieces.
    Rest(Vec<u8>),
}

/// One output.
#[derive(Debug, Default)]
pub(super) struct Lines {
    held: Vec<u8>,
    /// The line that is being held began in a piece that was passed on.
    in_pieces: bool,
}

impl Lines {
    /// The lines that these bytes complete.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        while !bytes.is_empty() {
            let room = LINE_MAX - self.held.len();
            let end = bytes.iter().take(room + 1).position(|byte| *byte == b'\n');
            if let Some(end) = end {
                self.held.extend_from_slice(&bytes[..end]);
                lines.push(self.whole());
                bytes = &bytes[end + 1..];
            } else if bytes.len() > room {
                self.held.extend_from_slice(&bytes[..room]);
                lines.push(Line::Piece(mem::take(&mut self.held)));
                self.in_pieces = true;
                bytes = &bytes[room..];
            } else {
                self.held.extend_from_slice(bytes);
                break;
            }
        }
        lines
    }

    /// What has no end and will get none.
    pub(super) fn end(&mut self) -> Option<Line> {
        (self.in_pieces || !self.held.is_empty()).then(|| self.whole())
    }

    fn whole(&mut self) -> Line {
        let held = mem::take(&mut self.held);
        if mem::take(&mut self.in_pieces) { Line::Rest(held) } else { Line::Whole(held) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[test]
    fn pieces_make_the_same_lines_wherever_they_are_cut() {
        let text = b"one\n\ntwo\nthree";
        for size in 1..=text.len() {
            let mut lines = Lines::default();
            let mut found: Vec<Line> = text.chunks(size).flat_map(|piece| lines.push(piece)).collect();
            found.extend(lines.end());
            assert_eq!(found, [whole("one"), whole(""), whole("two"), whole("three")], "pieces of {size}");
            assert_eq!(lines.end(), None);
        }
    }

    #[test]
    fn a_line_of_the_longest_length_is_whole_and_a_longer_one_is_not() {
        let text = [vec![b'a'; LINE_MAX], b"\n".to_vec(), vec![b'b'; 2 * LINE_MAX + 1], b"\nc\n".to_vec()].concat();
        for size in [4096, LINE_MAX - 1, LINE_MAX, LINE_MAX + 1, text.len()] {
            let mut lines = Lines::default();
            let found: Vec<Line> = text.chunks(size).flat_map(|piece| lines.push(piece)).collect();
            let expected = [
                Line::Whole(vec![b'a'; LINE_MAX]),
                Line::Piece(vec![b'b'; LINE_MAX]),
                Line::Piece(vec![b'b'; LINE_MAX]),
                Line::Rest(b"b".to_vec()),
                whole("c"),
            ];
            assert!(found == expected, "pieces of {size}");
        }
    }
}
