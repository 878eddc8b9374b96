//! A Markdown table, notes and a picture, in words that stand by themselves where they are pasted.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::picture::{self, Bar};

/// A rate beside the rates of somebody else, measured in turns.
pub(crate) struct Rates<'a> {
    pub(crate) what: &'a str,
    pub(crate) ours: &'a [f64],
    /// Who it is.
    pub(crate) against: &'a str,
    /// What its answer means.
    pub(crate) promise: &'a str,
    pub(crate) theirs: &'a [f64],
    /// The ratio to be reached at least.
    pub(crate) wanted: Option<f64>,
}

/// A number beside the limit that it should stay below.
pub(crate) struct Limit {
    pub(crate) what: String,
    pub(crate) ours: String,
    pub(crate) against: String,
    pub(crate) ratio: f64,
    pub(crate) at_most: f64,
}

/// What is printed at the end.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<[String; 6]>,
    bars: Vec<Bar>,
    tables: Vec<String>,
    notes: Vec<String>,
    picture: Option<String>,
}

impl Report {
    /// One row, and one bar where a ratio is wanted.
    pub(crate) fn compare(&mut self, rates: &Rates<'_>) {
        // In the same turn both had the same machine, so the ratio of each turn says more than that of the medians.
        let turns = rates.ours.iter().zip(rates.theirs);
        let ratio = median(turns.map(|(ours, theirs)| ours / theirs.max(f64::EPSILON)));
        let told = |rates: &[f64]| format!("{} ({})", whole(median(rates.iter().copied())), spread(rates));
        self.rows.push([
            rates.what.to_owned(),
            told(rates.ours),
            format!("{}: {}", rates.against, told(rates.theirs)),
            rates.promise.to_owned(),
            format!("{ratio:.2}"),
            rates.wanted.map_or_else(|| "none".to_owned(), |wanted| format!("at least {wanted}")),
        ]);
        if let Some(wanted) = rates.wanted {
            self.bars.push(Bar {
                what: first_part(rates.what),
                against: format!("against {}", first_part(rates.against)),
                share: ratio / wanted,
                words: format!("{ratio:.2}, wanted at least {wanted}"),
            });
        }
    }

    /// One row and one bar.
    pub(crate) fn limit(&mut self, limit: Limit) {
        self.bars.push(Bar {
            what: first_part(&limit.what),
            against: format!("limit: {}", first_part(&limit.against)),
            share: limit.at_most / limit.ratio.max(f64::EPSILON),
            words: format!("{:.2}, wanted at most {}", limit.ratio, limit.at_most),
        });
        let (ratio, wanted) = (format!("{:.2}", limit.ratio), format!("at most {}", limit.at_most));
        self.rows.push([limit.what, limit.ours, limit.against, String::new(), ratio, wanted]);
    }

    /// A table of another kind.
    pub(crate) fn table(&mut self, table: String) {
        self.tables.push(table);
    }

    /// Another picture than the bars.
    pub(crate) fn draw(&mut self, picture: String) {
        self.picture = Some(picture);
    }

    /// A sentence below the tables.
    pub(crate) fn note(&mut self, sentence: String) {
        self.notes.push(sentence);
    }

    /// Prints it. With a directory, `NAME.md` and `NAME.svg` are written there as well.
    #[expect(clippy::print_stdout, reason = "a program that prints its findings")]
    pub(crate) fn publish(&self, name: &str, directory: Option<&Path>) -> io::Result<()> {
        let text = self.text();
        println!("{text}");
        let Some(directory) = directory else { return Ok(()) };
        fs::create_dir_all(directory)?;
        fs::write(directory.join(format!("{name}.md")), text)?;
        let bars = || picture::bars("How much of its target each ratio reaches", &self.bars);
        fs::write(directory.join(format!("{name}.svg")), self.picture.clone().unwrap_or_else(bars))
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if !self.rows.is_empty() {
            text.push_str("| what | relaywarden | against | its answer means | ratio | wanted |\n");
            text.push_str("|---|---|---|---|---|---|\n");
        }
        for row in &self.rows {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        for table in &self.tables {
            text.push_str(table);
        }
        text.push('\n');
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }
}

/// What stands before the first comma or colon: the rest is for readers of the table.
fn first_part(text: &str) -> String {
    let end = text.char_indices().find(|&(place, c)| {
        matches!(c, ',' | ':') && text.get(place + 1..).is_some_and(|rest| rest.starts_with(' '))
    });
    end.map_or(text, |(place, _)| text.get(..place).unwrap_or(text)).to_owned()
}

/// The middle one.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn spread(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    format!("{} to {}", whole(low), whole(high))
}

/// A rate as people read it.
pub(crate) fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Octets as people read them.
#[expect(clippy::cast_precision_loss, reason = "a size for people to read")]
pub(crate) fn mebibytes(octets: u64) -> String {
    format!("{:.1} MiB", octets as f64 / 1_048_576.0)
}

/// A time as people read it.
pub(crate) fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_its_thousands_apart_and_a_label_its_details_cut() {
        assert_eq!([whole(999.4), whole(1_234_567.0)], ["999", "1,234,567"]);
        assert_eq!(first_part("lookups/s, 8 connections"), "lookups/s");
        assert_eq!(first_part("PostgreSQL"), "PostgreSQL");
    }

    #[test]
    fn a_ratio_is_the_middle_one_of_the_turns() {
        let mut report = Report::default();
        let rates = |wanted| Rates {
            what: "acks/s",
            ours: &[10.0, 30.0, 20.0],
            against: "somebody",
            promise: "nothing",
            theirs: &[10.0, 10.0, 10.0],
            wanted,
        };
        report.compare(&rates(Some(4.0)));
        report.compare(&rates(None));
        assert_eq!(report.bars.len(), 1);
        assert!((report.bars[0].share - 0.5).abs() < 1e-9);
        assert!(report.text().contains("| 2.00 | at least 4 |"), "{}", report.text());
    }
}
