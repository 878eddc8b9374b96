//! What each piece takes, now and before: how it is kept, compared and shown.
//!
//! Knows: the file of kept counts, and how far a count may stray. Must not know: how anything is counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use serde::Deserialize;

use super::callgrind::Spent;

/// A count that strays further is no chance: in hundredths. What is optimized across crates is inlined here or there as something else
/// changes, which moves a piece by up to eight.
const INSTRUCTIONS_STRAY: f64 = 10.0;
/// Allocations stray less: where and when a table of hashes grows is all the chance there is.
const ALLOCATIONS_STRAY: f64 = 2.0;
/// What is next to nothing may stray by this all the same.
const ALLOCATIONS_LEAST: f64 = 0.02;
/// Far below any difference between two counts, and above what fractions lose when they are added up in binary.
const ROUNDING: f64 = 1e-6;

/// What doing a piece once takes.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Count {
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
}

/// All pieces in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counts {
    /// What compiled them.
    pub(crate) compiler: String,
    pub(crate) pieces: Vec<(String, Count)>,
}

/// The same as a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    compiler: String,
    pieces: BTreeMap<String, Count>,
}

impl Count {
    /// Of so many turns.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    pub(crate) fn of(spent: Spent, turns: usize) -> Count {
        let each = |sum: u64| sum as f64 / turns as f64;
        let allocations = (each(spent.allocations) * 100.0).round() / 100.0;
        Count { instructions: each(spent.instructions).round(), allocations }
    }

    /// Whether it takes more than another, beyond chance.
    fn exceeds(self, before: Count) -> bool {
        let strays = |now: f64, before: f64, hundredths: f64, least: f64| {
            now - before > (before * hundredths / 100.0).max(least) + ROUNDING
        };
        strays(self.instructions, before.instructions, INSTRUCTIONS_STRAY, 0.0)
            || strays(self.allocations, before.allocations, ALLOCATIONS_STRAY, ALLOCATIONS_LEAST)
    }
}

impl Counts {
    /// What was kept.
    pub(crate) fn read(text: &str) -> Result<Counts, toml::de::Error> {
        let Kept { compiler, pieces } = toml::from_str(text)?;
        Ok(Counts { compiler, pieces: pieces.into_iter().collect() })
    }

    /// As a file, a line for each piece.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "# What each piece of the hot path takes; docs/performance.md says how it is counted. Written by\n\
             #   cargo run --release --example instructions -- --renew\n\
             compiler = \"{}\"\n\n[pieces]\n",
            self.compiler
        );
        for (name, count) in &self.pieces {
            let Count { instructions, allocations } = count;
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "\"{name}\" = {{ instructions = {instructions:.0}, allocations = {allocations:.2} }}"
            );
        }
        text
    }

    /// The pieces that take more than before, that were not there before, or are no longer there.
    pub(crate) fn exceeding(&self, before: &Counts) -> Vec<String> {
        let exceeds =
            |(name, now): &&(String, Count)| before.of(name).is_none_or(|before| now.exceeds(before));
        let gone = before.pieces.iter().filter(|(name, _)| self.of(name).is_none());
        self.pieces.iter().filter(exceeds).chain(gone).map(|(name, _)| name.clone()).collect()
    }

    /// Those that take less: a gain is not held against anybody, and what is kept lets it be lost again until it is renewed.
    pub(crate) fn gained(&self, before: &Counts) -> Vec<String> {
        let gains =
            |(name, now): &&(String, Count)| before.of(name).is_some_and(|before| before.exceeds(*now));
        self.pieces.iter().filter(gains).map(|(name, _)| name.clone()).collect()
    }

    /// Each piece now and before.
    pub(crate) fn table(&self, before: &Counts) -> String {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(["piece", "instructions before", "now", "difference", "allocations before", "now"]);
        for (name, now) in &self.pieces {
            let then = before.of(name);
            let told = |told: fn(Count) -> String| then.map_or_else(|| "none".to_owned(), told);
            table.add_row([
                name.clone(),
                told(|count| format!("{:.0}", count.instructions)),
                format!("{:.0}", now.instructions),
                then.map_or_else(String::new, |then| {
                    format!("{:+.1} %", (now.instructions / then.instructions - 1.0) * 100.0)
                }),
                told(|count| format!("{:.2}", count.allocations)),
                format!("{:.2}", now.allocations),
            ]);
        }
        table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        table.to_string()
    }

    /// What follows for whoever made the change.
    pub(crate) fn advice(&self, before: &Counts, exceeding: &[String]) -> String {
        let mut text = format!(
            "\nNot as before (by {INSTRUCTIONS_STRAY} % of the instructions and more, or {ALLOCATIONS_STRAY} % of the \
             allocations): {}.\nIf that is what the change is for, or worth it, keep the new counts and commit them with it:\n\
             \x20 cargo run --release --example instructions -- --renew\n\
             If not, docs/performance.md says how to find where it comes from.",
            exceeding.join("; ")
        );
        if self.compiler != before.compiler {
            let _ = write!(
                text,
                "\nThe counts that are kept are those of {}, and this is {}: the difference may be the compiler's.",
                before.compiler, self.compiler
            );
        }
        text
    }

    fn of(&self, name: &str) -> Option<Count> {
        self.pieces.iter().find(|(other, _)| other == name).map(|(_, count)| *count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pieces: &[(&str, f64, f64)]) -> Counts {
        let count = |&(name, instructions, allocations): &(&str, f64, f64)| {
            (name.to_owned(), Count { instructions, allocations })
        };
        Counts { compiler: "rustc 1.95.0".to_owned(), pieces: pieces.iter().map(count).collect() }
    }

    #[test]
    fn ten_hundredths_more_are_chance_and_more_than_that_is_not() {
        let before = counts(&[("fold", 1000.0, 4.0)]);
        for (instructions, exceeds) in [(1100.0, false), (1101.0, true), (500.0, false)] {
            let now = counts(&[("fold", instructions, 4.0)]);
            assert_eq!(!now.exceeding(&before).is_empty(), exceeds, "{instructions}");
        }
    }

    #[test]
    fn two_hundredths_of_the_allocations_are_chance_and_so_is_next_to_nothing() {
        for (then, now, exceeds) in
            [(4.0, 4.08, false), (4.0, 4.09, true), (4.0, 3.0, false), (0.0, 0.02, false), (0.0, 0.03, true)]
        {
            let (before, after) = (counts(&[("fold", 1000.0, then)]), counts(&[("fold", 1000.0, now)]));
            assert_eq!(!after.exceeding(&before).is_empty(), exceeds, "{then} and {now}");
        }
    }

    #[test]
    fn what_takes_less_is_told_and_is_no_failure() {
        let before = counts(&[("fold", 1100.0, 4.0), ("read", 1000.0, 4.0), ("gone", 1.0, 0.0)]);
        let now = counts(&[("fold", 999.0, 4.0), ("read", 960.0, 4.0), ("new", 1.0, 0.0)]);
        assert_eq!(now.gained(&before), ["fold"]);
        assert_eq!(now.exceeding(&before), ["new", "gone"]);
    }

    #[test]
    fn a_piece_that_is_new_or_gone_is_told() {
        let (before, now) = (counts(&[("fold", 1.0, 0.0)]), counts(&[("read", 1.0, 0.0)]));
        assert_eq!(now.exceeding(&before), ["read", "fold"]);
    }

    #[test]
    fn what_is_kept_is_what_was_counted() {
        let counted = counts(&[("a piece, vendor's", 1234.0, 3.25), ("fold", 10.0, 0.0)]);
        assert_eq!(Counts::read(&counted.text()), Ok(counted));
    }

    #[test]
    fn each_turn_takes_its_part() {
        let spent = Spent { instructions: 10_240, allocations: 3330 };
        assert_eq!(Count::of(spent, 1024), Count { instructions: 10.0, allocations: 3.25 });
    }

    #[test]
    fn another_compiler_is_told() {
        let before = counts(&[("fold", 1.0, 0.0)]);
        let same = Counts { pieces: counts(&[("fold", 2.0, 0.0)]).pieces, ..before.clone() };
        assert!(!same.advice(&before, &[]).contains("compiler"));
        let other = Counts { compiler: "rustc 1.99.0".to_owned(), ..same };
        assert!(other.advice(&before, &[]).contains("rustc 1.99.0"));
    }
}
