//! One Markdown table and notes, in words that stand by themselves where they are pasted.

use std::fmt::Write as _;
use std::time::Duration;

/// What is printed at the end.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<[String; 5]>,
    notes: Vec<String>,
}

impl Report {
    /// A rate beside the rates of somebody else, measured in turns; `wanted` is the ratio to be reached.
    pub(crate) fn compare(&mut self, what: &str, ours: &[f64], against: &str, theirs: &[f64], wanted: f64) {
        // In the same turn both had the same machine, so the ratio of each turn says more than that of the medians.
        let ratio = median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs.max(f64::EPSILON)));
        let against = format!("{against}: {}", whole(median(theirs.iter().copied())));
        self.rows.push([
            what.to_owned(),
            format!("{} ({})", whole(median(ours.iter().copied())), spread(ours)),
            format!("{against} ({})", spread(theirs)),
            format!("{ratio:.2}"),
            format!("at least {wanted}"),
        ]);
    }

    /// A number beside the limit it should stay below, as their ratio `ours / limit` shows.
    pub(crate) fn limit(&mut self, what: &str, ours: String, limit: &str, ratio: f64, wanted: &str) {
        self.rows.push([what.to_owned(), ours, limit.to_owned(), format!("{ratio:.2}"), wanted.to_owned()]);
    }

    /// A sentence below the table.
    pub(crate) fn note(&mut self, sentence: String) {
        self.notes.push(sentence);
    }

    /// The whole text.
    pub(crate) fn text(&self) -> String {
        let mut text =
            String::from("| what | relaywarden | against | ratio | wanted |\n|---|---|---|---|---|\n");
        for row in &self.rows {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        text.push('\n');
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }
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
