//! From samples to the table that people read. Ratios are taken round by round, between runs of the same minute.

use std::fmt::Write;

use crate::load::Sample;

/// What is asked of the product, as ratios to the bare server; p99 in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    pub(crate) cpu: f64,
    pub(crate) rate: f64,
    pub(crate) p99: f64,
}

/// One kind of request on one server, with the bare server's runs of the same rounds.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) request: &'static str,
    pub(crate) server: &'static str,
    pub(crate) samples: Vec<Sample>,
    pub(crate) bare: Vec<Sample>,
    pub(crate) bar: Option<Bar>,
}

/// A single value with its limit.
#[derive(Debug)]
pub(crate) struct Value {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) samples: Vec<f64>,
    pub(crate) limit: Option<f64>,
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

impl Row {
    fn of(&self, field: fn(&Sample) -> f64) -> f64 {
        median(&self.samples.iter().map(field).collect::<Vec<_>>())
    }

    fn ratio(&self, field: fn(&Sample) -> f64) -> f64 {
        let rounds = self.samples.iter().zip(&self.bare);
        median(&rounds.map(|(ours, bare)| field(ours) / field(bare)).collect::<Vec<_>>())
    }

    /// The bars that are missed, as text; empty if all are held.
    fn missed(&self) -> Vec<&'static str> {
        let Some(bar) = self.bar else { return Vec::new() };
        let checks = [
            ("CPU", self.ratio(|sample| sample.cpu) <= bar.cpu),
            ("rate", self.ratio(|sample| sample.rate) >= bar.rate),
            ("p99", self.of(|sample| sample.p99) <= bar.p99),
        ];
        checks.into_iter().filter(|(_, held)| !held).map(|(name, _)| name).collect()
    }
}

/// The tables in Markdown, and whether every bar is held.
pub(crate) fn render(rows: &[Row], values: &[Value]) -> (String, bool) {
    let (mut text, mut held) = (String::new(), true);
    if !rows.is_empty() {
        text.push_str("| Request | Server | per second | CPU µs | CPU × bare | rate ÷ bare | p99 ms | Bar |\n");
        text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    }
    for row in rows {
        let missed = row.missed();
        held &= missed.is_empty();
        let bar = row.bar.map_or_else(
            || "–".to_owned(),
            |bar| {
                let verdict =
                    if missed.is_empty() { "held".to_owned() } else { format!("**missed: {}**", missed.join(", ")) };
                format!("{verdict} (≤ {}×, ≥ {:.0} %, ≤ {} ms)", bar.cpu, bar.rate * 100.0, bar.p99)
            },
        );
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {:.1} | {:.1} | {:.0} % | {:.1} | {bar} |",
            row.request,
            row.server,
            row.of(|sample| sample.rate),
            row.of(|sample| sample.cpu),
            row.ratio(|sample| sample.cpu),
            row.ratio(|sample| sample.rate) * 100.0,
            row.of(|sample| sample.p99),
        );
    }
    text.push_str(if rows.is_empty() { "" } else { "\n" });
    text.push_str("| What | Value | Bar |\n| --- | --- | --- |\n");
    for value in values {
        let middle = median(&value.samples);
        let bar = value.limit.map_or_else(
            || "–".to_owned(),
            |limit| {
                held &= middle <= limit;
                format!("{} (≤ {limit} {})", if middle <= limit { "held" } else { "**missed**" }, value.unit)
            },
        );
        let _ = writeln!(text, "| {} | {middle:.1} {} | {bar} |", value.what, value.unit);
    }
    (text, held)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rate: f64, cpu: f64, p99: f64) -> Sample {
        Sample { rate, cpu, p99 }
    }

    fn row(bar: Bar) -> Row {
        Row {
            request: "point",
            server: "SQLite",
            // The machine slowed down in the second round; the ratio did not.
            samples: vec![sample(40.0, 20.0, 3.0), sample(20.0, 40.0, 5.0)],
            bare: vec![sample(100.0, 5.0, 1.0), sample(50.0, 10.0, 1.0)],
            bar: Some(bar),
        }
    }

    #[test]
    fn the_speed_of_the_machine_cancels() {
        let (text, held) = render(&[row(Bar { cpu: 4.0, rate: 0.4, p99: 4.0 })], &[]);
        let line = "| point | SQLite | 30 | 30.0 | 4.0 | 40 % | 4.0 | held (≤ 4×, ≥ 40 %, ≤ 4 ms) |";
        assert!(text.contains(line), "{text}");
        assert!(held);
    }

    #[test]
    fn a_missed_bar_is_named() {
        let (text, held) = render(&[row(Bar { cpu: 3.9, rate: 0.41, p99: 3.9 })], &[]);
        assert!(text.contains("**missed: CPU, rate, p99**") && !held, "{text}");
        let value = |limit| Value { what: "memory".to_owned(), unit: "MiB", samples: vec![50.0, 60.0, 70.0], limit };
        let (text, held) = render(&[], &[value(Some(59.0)), value(None)]);
        assert!(text.contains("| memory | 60.0 MiB | **missed** (≤ 59 MiB) |") && !held, "{text}");
        assert!(render(&[], &[value(Some(60.0))]).1);
    }
}
