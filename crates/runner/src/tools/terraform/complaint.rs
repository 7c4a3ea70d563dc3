//! The first error in what Terraform prints for people, where it has no other words: from `init` and `show`.

/// Longest complaint, in characters.
const MOST: usize = 1000;
/// Says only that another error follows.
const PREFACE: &str = "encountered problems during initiali";

/// Reads lines until it has heard one error: a paragraph that begins with `Error: `, and the next one that is no
/// excerpt of a file.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    summary: String,
    detail: String,
    at: At,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Before,
    Summary,
    Between,
    Detail,
    Done,
}

impl Complaint {
    pub(super) fn hear(&mut self, line: &str) {
        let line = line.trim_end();
        let summary = line.strip_prefix("Error: ");
        match (self.at, summary) {
            (At::Before, Some(summary)) => {
                add(&mut self.summary, summary);
                self.at = At::Summary;
            }
            (At::Before | At::Done, _) => {}
            (_, Some(_)) => self.at = At::Done,
            (At::Summary, None) if line.is_empty() => {
                let preface = self.summary.contains(PREFACE);
                self.at = if preface { At::Before } else { At::Between };
                if preface {
                    self.summary.clear();
                }
            }
            (At::Summary, None) => add(&mut self.summary, line),
            (At::Between, None) if line.is_empty() || line.starts_with(' ') => {}
            (At::Detail, None) if line.is_empty() => self.at = At::Done,
            (At::Between | At::Detail, None) => {
                add(&mut self.detail, line);
                self.at = At::Detail;
            }
        }
    }

    pub(super) fn line(&self) -> Option<String> {
        match (self.summary.as_str(), self.detail.as_str()) {
            ("", _) => None,
            (summary, "") => Some(summary.to_owned()),
            (summary, detail) => Some(format!("{summary}: {detail}")),
        }
    }
}

/// Lines are broken where the terminal ends, so a paragraph is one line.
fn add(paragraph: &mut String, line: &str) {
    if paragraph.len() < MOST {
        if !paragraph.is_empty() {
            paragraph.push(' ');
        }
        paragraph.extend(line.trim().chars().take(MOST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> Option<String> {
        let mut complaint = Complaint::default();
        text.lines().for_each(|line| complaint.hear(line));
        complaint.line()
    }

    #[test]
    fn the_first_error_is_one_line() {
        let text =
            "\nError: Unsupported\nversion\n\n  on main.tf line 2:\n   2: x\n\nThis is\nold.\n\nMore.\n\nError: B\n";
        assert_eq!(heard(text).as_deref(), Some("Unsupported version: This is old."));
        assert_eq!(heard("Warning: A\n\nB\n\nError: C\n\nError: D\n\ne\n").as_deref(), Some("C"));
        assert_eq!(heard("No error here.\n"), None);
    }

    #[test]
    fn the_preface_of_an_error_is_passed_over() {
        let text = "Error: Terraform encountered problems during initialisation, including problems\nwith the \
            configuration, described below.\n\nThe configuration must be valid.\n\n\nError: Unclosed block\n\n  on x \
            line 1:\n   1: {\n\nNo brace.\n";
        assert_eq!(heard(text).as_deref(), Some("Unclosed block: No brace."));
    }
}
