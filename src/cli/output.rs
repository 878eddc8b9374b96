//! How answers look: a table or a card for people, JSON, NDJSON and CSV for programs. Text out; prints nothing.
//!
//! Knows: formats, and what untrusted text can do to a terminal or a spreadsheet. Must not know: where rows come from.

use std::io::IsTerminal;

use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::session::is_harmful;

/// How an answer is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON value.
    Json,
    /// One JSON object per line.
    Ndjson,
    /// Comma-separated values with a heading.
    Csv,
}

/// How an answer is shown to people.
#[derive(Debug, Clone)]
pub struct Style {
    /// The spelling.
    pub format: Format,
    /// The zone of local times.
    pub zone: TimeZone,
    /// Headings in bold: a terminal, and nobody asked for plain text.
    pub bold: bool,
}

impl Style {
    /// Bold only on a terminal, and never against `NO_COLOR` (no-color.org: any value but the empty one).
    #[must_use]
    pub fn new(format: Format, zone: TimeZone) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Style { format, zone, bold: !refused && std::io::stdout().is_terminal() }
    }
}

/// A row of an answer, as columns.
pub trait Row: Serialize {
    /// Headings of the table.
    const HEADINGS: &'static [&'static str];
    /// Names of the CSV columns: the API's field names.
    const FIELDS: &'static [&'static str];

    /// One line of the table.
    fn line(&self, zone: &TimeZone) -> Vec<String>;

    /// All fields, in the order of `FIELDS`.
    fn fields(&self) -> Vec<String>;
}

/// Why there is no text: a value can't be spelled so. Rows of plain fields always can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unspellable;

/// Rows in the given style.
///
/// # Errors
/// See [`Unspellable`].
pub fn rows<R: Row>(rows: &[R], style: &Style) -> Result<String, Unspellable> {
    match style.format {
        Format::Table if rows.is_empty() => Ok(String::new()),
        Format::Table => Ok(table(rows, style)),
        Format::Json => json(&rows),
        Format::Ndjson => rows.iter().map(ndjson).collect(),
        Format::Csv => csv(rows),
    }
}

/// One value as JSON for people and programs.
///
/// # Errors
/// See [`Unspellable`].
pub fn json<T: Serialize>(value: &T) -> Result<String, Unspellable> {
    let text = serde_json::to_string_pretty(value).map_err(|_| Unspellable)?;
    Ok(format!("{}\n", escaped(&text)))
}

/// One value on one line.
///
/// # Errors
/// See [`Unspellable`].
pub fn ndjson<T: Serialize>(value: &T) -> Result<String, Unspellable> {
    let text = serde_json::to_string(value).map_err(|_| Unspellable)?;
    Ok(format!("{}\n", escaped(&text)))
}

/// Rows as CSV with a heading.
///
/// # Errors
/// See [`Unspellable`].
pub fn csv<R: Row>(rows: &[R]) -> Result<String, Unspellable> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(R::FIELDS).map_err(|_| Unspellable)?;
    for row in rows {
        writer.write_record(row.fields().iter().map(|field| harmless(field))).map_err(|_| Unspellable)?;
    }
    let octets = writer.into_inner().map_err(|_| Unspellable)?;
    String::from_utf8(octets).map_err(|_| Unspellable)
}

fn table<R: Row>(rows: &[R], style: &Style) -> String {
    let mut table = Table::new();
    // Columns by white space only: what is pasted into a ticket or cut by awk has no frame in it.
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if style.bold {
        table.enforce_styling();
    }
    table.set_header(R::HEADINGS.iter().map(|heading| {
        let cell = Cell::new(heading);
        if style.bold { cell.add_attribute(Attribute::Bold) } else { cell }
    }));
    for row in rows {
        table.add_row(row.line(&style.zone).iter().map(|cell| safe(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().flat_map(|line| [line.trim_end().to_owned(), "\n".to_owned()]).collect()
}

/// Text for a terminal: what could act on it is spelled out. The daemon spells names safely already, but whoever sits at
/// the other end of the socket need not be the daemon.
#[must_use]
pub fn safe(text: &str) -> String {
    text.chars().map(|c| if is_harmful(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// JSON text with everything harmful as `\u....`. Such characters can stand in strings only; the line ends of pretty
/// printing are the one exception.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| if is_harmful(c) && c != '\n' { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() })
        .collect()
}

/// A CSV field that no spreadsheet takes for a formula: customers choose their own names.
fn harmless(field: &str) -> String {
    let field = safe(field);
    let number = field.parse::<i64>().is_ok() && !field.starts_with('+');
    if field.starts_with(['=', '+', '-', '@']) && !number { format!("'{field}") } else { field }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Named(&'static str);

    impl Row for Named {
        const HEADINGS: &'static [&'static str] = &["NAME", "OTHER"];
        const FIELDS: &'static [&'static str] = &["name", "other"];
        fn line(&self, _: &TimeZone) -> Vec<String> {
            vec![self.0.to_owned(), "x".to_owned()]
        }
        fn fields(&self) -> Vec<String> {
            vec![self.0.to_owned(), "x".to_owned()]
        }
    }

    fn shown(format: Format, name: &'static str) -> String {
        rows(&[Named(name)], &Style { format, zone: TimeZone::UTC, bold: false }).expect("plain")
    }

    #[test]
    fn a_formula_is_quoted_and_a_number_is_not() {
        for (name, line) in [
            ("=cmd()", "'=cmd(),x"),
            ("+1", "'+1,x"),
            ("-1+1", "'-1+1,x"),
            ("@sum", "'@sum,x"),
            ("-5", "-5,x"),
            ("a,\"b", "\"a,\"\"b\",x"),
            ("\t=1", "\\u{9}=1,x"),
        ] {
            assert_eq!(shown(Format::Csv, name), format!("name,other\n{line}\n"));
        }
    }

    #[test]
    fn nothing_reaches_the_terminal_that_could_act_on_it() {
        for format in [Format::Table, Format::Json, Format::Ndjson, Format::Csv] {
            let text = shown(format, "a\u{1b}[2Jb\u{9b}c\u{202e}d\r\ne\u{7f}");
            assert!(text.chars().all(|c| !is_harmful(c) || c == '\n'), "{text:?}");
        }
    }

    #[test]
    fn escaped_json_still_says_the_same() {
        let text = shown(Format::Ndjson, "a\u{9b}\u{202e}");
        assert_eq!(serde_json::from_str::<String>(&text).ok().as_deref(), Some("a\u{9b}\u{202e}"));
    }

    #[test]
    fn columns_stand_under_their_headings_without_trailing_blanks() {
        assert_eq!(shown(Format::Table, "a longer name"), "NAME           OTHER\na longer name  x\n");
    }

    #[test]
    fn headings_are_bold_only_when_asked_for() {
        let style = Style { format: Format::Table, zone: TimeZone::UTC, bold: true };
        assert!(rows(&[Named("a")], &style).expect("plain").contains("\u{1b}[1m"));
        assert!(!shown(Format::Table, "a").contains('\u{1b}'));
    }
}
