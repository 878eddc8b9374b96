//! `reputation`: whether block lists have our own addresses.
//!
//! Knows: options, and how the answer looks to people. Must not know: how lists are asked, or when they are believed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::output::{self, Format, Row, safe};
use super::read::{PlainArgs, Question};
use super::rows::{NOTHING, local, number, text};
use super::{Answer, Exit, Failure};
use crate::server::http::reputation::ReputationRow;

/// All of them.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &PlainArgs) -> Result<Answer, Failure> {
    let style = args.shown.style()?;
    let rows: Vec<ReputationRow> = Question::new("/v1/reputation", &args.shown).ask(&args.daemon)?;
    let is_table = style.format == Format::Table;
    let mut text = output::rows(&rows, &style)?;
    if is_table {
        text += &notes(&rows);
    }
    if rows.is_empty() {
        let nothing = "no list is asked: [watch.dnsbl] of the configuration names addresses and lists";
        return Ok(Answer { text, remark: is_table.then(|| nothing.to_owned()), exit: Exit::NothingFound });
    }
    Ok(Answer { text, remark: None, exit: Exit::Found })
}

/// What lists say of what they have, and why others are not believed.
fn notes(rows: &[ReputationRow]) -> String {
    let said = rows.iter().filter_map(|row| {
        let text = row.text.as_ref()?;
        Some(format!("{} says of {}: {text}", row.list, row.address))
    });
    let why = |row: &ReputationRow| Some(format!("{}: {}", row.list, row.why.as_ref()?));
    let why: BTreeSet<_> = rows.iter().filter_map(why).collect();
    let mut notes = String::new();
    for note in said.chain(why) {
        let before = if notes.is_empty() { "\n" } else { "" };
        // Writing to a String can't fail.
        let _ = writeln!(notes, "{before}{}", safe(&note));
    }
    notes
}

impl Row for ReputationRow {
    const HEADINGS: &'static [&'static str] =
        &["ADDRESS", "LIST", "STATE", "SINCE", "ASKED", "SANITY", "CASE", "ANSWERS"];
    const FIELDS: &'static [&'static str] = &[
        "address", "list", "state", "since", "doubted", "asked", "answers", "text", "sanity", "why", "case",
    ];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        vec![
            self.address.clone(),
            self.list.clone(),
            if self.doubted { format!("{}?", self.state) } else { self.state.clone() },
            local(self.since.as_deref(), zone),
            local(self.asked.as_deref(), zone),
            self.sanity.clone(),
            self.case.map_or_else(|| NOTHING.to_owned(), |case| case.to_string()),
            if self.answers.is_empty() { NOTHING.to_owned() } else { self.answers.join(" ") },
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.address.clone(),
            self.list.clone(),
            self.state.clone(),
            text(self.since.as_deref()),
            self.doubted.to_string(),
            text(self.asked.as_deref()),
            self.answers.join(" "),
            text(self.text.as_deref()),
            self.sanity.clone(),
            text(self.why.as_deref()),
            number(self.case),
        ]
    }
}
