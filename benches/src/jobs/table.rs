//! The table of the job engine: a value, what the machine does without the product, and the bar if one is set.

use std::fmt::Write;

use crate::report::median;

/// A bar of the design.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// Which of many samples is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    Median,
    P99,
}

/// The same without the product.
#[derive(Clone, Debug)]
pub(crate) struct Bare {
    pub(crate) what: &'static str,
    pub(crate) samples: Vec<f64>,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) server: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) take: Take,
    pub(crate) samples: Vec<f64>,
    pub(crate) bare: Option<Bare>,
    pub(crate) limit: Option<Limit>,
}

impl Take {
    pub(crate) fn of(self, samples: &[f64]) -> f64 {
        match self {
            Self::Median => median(samples),
            Self::P99 => p99(samples),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::P99 => "p99",
        }
    }
}

/// The smallest sample that at most one in a hundred exceeds; of few samples that is the largest.
fn p99(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let beyond = sorted.len() / 100;
    sorted.len().checked_sub(beyond + 1).map_or(f64::NAN, |index| sorted[index])
}

impl Limit {
    fn held(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "≤ {limit}"),
            Self::AtLeast(limit) => write!(f, "≥ {limit}"),
        }
    }
}

/// The table in Markdown, and whether every bar is held.
pub(crate) fn render(lines: &[Line]) -> (String, bool) {
    let (mut text, mut held) = (String::new(), true);
    text.push_str("| What | Server | | Value | Bare | Value ÷ bare | Bar |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    for line in lines {
        let value = line.take.of(&line.samples);
        let (bare, ratio) = line.bare.as_ref().map_or_else(
            || ("–".to_owned(), "–".to_owned()),
            |bare| {
                let floor = line.take.of(&bare.samples);
                (format!("{} {} ({})", number(floor), line.unit, bare.what), format!("{:.2}", value / floor))
            },
        );
        let bar = line.limit.map_or_else(
            || "–".to_owned(),
            |limit| {
                held &= limit.held(value);
                format!("{} ({limit} {})", if limit.held(value) { "held" } else { "**missed**" }, line.unit)
            },
        );
        let Line { what, server, unit, take, .. } = line;
        let _ = writeln!(
            text,
            "| {what} | {server} | {} | {} {unit} | {bare} | {ratio} | {bar} |",
            take.word(),
            number(value)
        );
    }
    (text, held)
}

/// Rates need no tenths.
fn number(value: f64) -> String {
    if value.abs() < 1000.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(take: Take, limit: Option<Limit>, bare: Option<Bare>) -> Line {
        let samples = (1..=200).map(f64::from).collect();
        Line { what: "work".to_owned(), server: "SQLite", unit: "ms", take, samples, bare, limit }
    }

    #[test]
    fn a_hundredth_may_be_worse_than_the_p99() {
        let samples: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(p99(&samples), 198.0);
        assert_eq!(p99(&samples[..99]), 200.0);
        assert_eq!(p99(&[7.0]), 7.0);
        assert!(p99(&[]).is_nan());
    }

    #[test]
    fn a_value_stands_beside_the_bare_one_of_its_kind() {
        let bare = Bare { what: "nothing", samples: vec![10.0, 20.0] };
        let (text, held) = render(&[line(Take::Median, None, Some(bare.clone())), line(Take::P99, None, Some(bare))]);
        assert!(text.contains("| work | SQLite | median | 100.5 ms | 15.0 ms (nothing) | 6.70 | – |\n"), "{text}");
        assert!(text.contains("| work | SQLite | p99 | 198.0 ms | 20.0 ms (nothing) | 9.90 | – |\n"), "{text}");
        assert!(held);
    }

    #[test]
    fn bars_hold_in_their_direction() {
        for (limit, wanted) in [
            (Limit::AtMost(198.0), "held (≤ 198 ms)"),
            (Limit::AtMost(197.9), "**missed** (≤ 197.9 ms)"),
            (Limit::AtLeast(198.0), "held (≥ 198 ms)"),
            (Limit::AtLeast(3000.0), "**missed** (≥ 3000 ms)"),
        ] {
            let (text, held) = render(&[line(Take::P99, Some(limit), None)]);
            assert!(text.contains(wanted) && held == wanted.starts_with("held"), "{text}");
        }
    }
}
