//! Rows as CSV (RFC 4180), for whoever opens them in a spreadsheet.
//!
//! The columns are the fields of the row as JSON has them, in that order; what is within a field is spelled in one cell.
//!
//! Knows: that a spreadsheet takes some cells for formulas. Must not know: what is in a row.

use std::fmt;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::parameters::Parameters;
use super::problem::Problem;

/// The media type.
pub(super) const CSV: &str = "text/csv";
/// The parameter that says the same.
const FORMAT: &str = "format";

/// Whether a request wants CSV: by `format=csv`, or because it accepts nothing that comes before it.
///
/// # Errors
/// The format is none.
pub(super) fn is_wanted(headers: &HeaderMap, parameters: &mut Parameters) -> Result<bool, Problem> {
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.trim_start().starts_with(CSV));
    match parameters.text(FORMAT)?.as_deref() {
        None => Ok(headers.get_all(header::ACCEPT).iter().any(accepts)),
        Some("csv") => Ok(true),
        Some("json") => Ok(false),
        Some(_) => Err(Problem::parameter(FORMAT, "neither csv nor json")),
    }
}

/// Rows as a file to keep, named like the last part of the path they came from.
pub(super) fn answer<R: Serialize + Default>(path: &str, rows: &[R]) -> Response {
    let name: String =
        path.rsplit('/').next().unwrap_or_default().chars().filter(char::is_ascii_lowercase).collect();
    let disposition = format!("attachment; filename=\"{name}.csv\"");
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    (headers, spelled(rows)).into_response()
}

/// The rows, below their headings.
fn spelled<R: Serialize + Default>(rows: &[R]) -> Vec<u8> {
    let mut writer =
        csv::WriterBuilder::new().flexible(true).terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Writing to memory can't fail.
    let _ = writer.write_record(Fields::of(&R::default()).0.iter().map(|(name, _)| name));
    for row in rows {
        let _ = writer.write_record(Fields::of(row).0.iter().map(|(_, value)| harmless(cell(value))));
    }
    writer.into_inner().unwrap_or_default()
}

/// What stands in one cell.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(" "),
        // Of somebody within a row the name is what is looked for.
        Value::Object(fields) => match fields.get("subscriber") {
            Some(Value::String(name)) => name.clone(),
            Some(_) => "-".to_owned(),
            None => {
                let told = fields.iter().filter(|(_, value)| !value.is_null());
                told.map(|(name, value)| format!("{name}={}", cell(value))).collect::<Vec<_>>().join(" ")
            }
        },
    }
}

/// A spreadsheet calculates what begins so (a tab and a carriage return only lead up to it), whoever wrote it.
fn harmless(text: String) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') if text.parse::<f64>().is_err() => format!("'{text}"),
        _ => text,
    }
}

/// The fields of a row in the order in which it has them.
#[derive(Default)]
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn of<R: Serialize>(row: &R) -> Fields {
        // Structs of strings and numbers always have a spelling.
        let octets = serde_json::to_vec(row).unwrap_or_default();
        serde_json::from_slice(&octets).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::http::api::{Candidate, LineRow, MessageRow, SessionRow};

    fn sheet<R: Serialize + Default>(rows: &[R]) -> Vec<Vec<String>> {
        let octets = spelled(rows);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(octets.as_slice());
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn a_cell_that_a_spreadsheet_would_calculate_is_inert_and_a_number_stays_one() {
        for (text, cell) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1+1", "'+1+1"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("-17", "-17"),
            ("alice", "alice"),
            ("", ""),
        ] {
            assert_eq!(harmless(text.to_owned()), cell);
        }
        let row = MessageRow { sender: "=1+1\r\n\",x".to_owned(), ..MessageRow::default() };
        let sheet = sheet(&[row]);
        let sender = sheet[0].iter().position(|name| name == "sender").unwrap();
        assert_eq!((sheet.len(), sheet[1][sender].as_str()), (2, "'=1+1\r\n\",x"));
    }

    #[test]
    fn headings_are_there_without_rows_and_what_is_within_a_field_stands_in_its_cell() {
        let none = sheet::<SessionRow>(&[]);
        assert_eq!((none.len(), none[0][0].as_str(), none[0].len()), (1, "subscriber", 13));
        let line = LineRow { port_id: Some("eth 0/1:7".to_owned()), ..LineRow::default() };
        let row =
            SessionRow { addresses: vec!["a".to_owned(), "b".to_owned()], line, ..SessionRow::default() };
        let rows = sheet(&[row]);
        assert_eq!((rows[1][2].as_str(), rows[1][11].as_str()), ("a b", "port_id=eth 0/1:7"), "{rows:?}");
        let one = |name: &str| Candidate { subscriber: Some(name.to_owned()), ..Candidate::default() };
        let row = MessageRow { candidates: vec![one("x"), one("y")], ..MessageRow::default() };
        assert_eq!(sheet(&[row])[1].last().map(String::as_str), Some("x y"));
    }
}
