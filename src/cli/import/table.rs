//! Lines to fields: comma-separated as psql writes them, tab-separated as mysql does.
//!
//! Knows: delimiters, quotes, escapes, and what says "not told". Must not know: columns.
//!
//! A line is a row. A field with a line break in it, which CSV could quote, is refused with its line: a quote that is
//! not closed must not take the rest of the file with it.

use std::fmt;

/// How the fields of a file are parted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// By this mark; quotes hold what it stands in.
    Quoted(u8),
    /// By tabs; a backslash escapes.
    Tabs,
}

/// A quote is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclosed;

impl fmt::Display for Unclosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quote is not closed; fields with line breaks in them can't be read")
    }
}

impl Form {
    /// The form of a file with this first line.
    #[must_use]
    pub fn of(heading: &[u8]) -> Form {
        let has = |mark: u8| heading.contains(&mark);
        match () {
            () if has(b'\t') => Form::Tabs,
            () if has(b';') && !has(b',') => Form::Quoted(b';'),
            () => Form::Quoted(b','),
        }
    }

    /// The fields of a line; `None` is NULL, or empty.
    ///
    /// # Errors
    /// See [`Unclosed`].
    pub fn split(self, line: &[u8]) -> Result<Vec<Option<Vec<u8>>>, Unclosed> {
        let told = |field: Vec<u8>| Some(field).filter(|field| !field.is_empty());
        match self {
            Form::Tabs => Ok(line
                .split(|&octet| octet == b'\t')
                .map(unescaped)
                .map(|field| field.and_then(told))
                .collect()),
            Form::Quoted(mark) => {
                if line.iter().filter(|&&octet| octet == b'"').count() % 2 != 0 {
                    return Err(Unclosed);
                }
                let mut reader = csv::ReaderBuilder::new()
                    .has_headers(false)
                    .flexible(true)
                    .delimiter(mark)
                    .buffer_capacity(line.len().saturating_add(1))
                    .from_reader(line);
                let mut record = csv::ByteRecord::new();
                // Octets in memory with any number of fields leave nothing to fail.
                let _ = reader.read_byte_record(&mut record);
                let null = |field: &[u8]| if field == b"\\N" { Vec::new() } else { field.to_vec() };
                Ok(record.iter().map(null).map(told).collect())
            }
        }
    }
}

/// What `mysql --batch` and PostgreSQL's text format write for line breaks, tabs, NUL and the backslash itself.
fn unescaped(field: &[u8]) -> Option<Vec<u8>> {
    if field == b"\\N" || field == b"NULL" {
        return None;
    }
    let mut octets = Vec::with_capacity(field.len());
    let mut rest = field.iter().copied();
    while let Some(octet) = rest.next() {
        if octet != b'\\' {
            octets.push(octet);
            continue;
        }
        octets.push(match rest.next() {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'0') => 0,
            Some(other) => other,
            None => b'\\',
        });
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(form: Form, line: &str) -> Vec<String> {
        let fields = form.split(line.as_bytes()).unwrap();
        let shown =
            |field: Option<Vec<u8>>| field.map_or("-".to_owned(), |field| String::from_utf8(field).unwrap());
        fields.into_iter().map(shown).collect()
    }

    #[test]
    fn commas_part_fields_and_quotes_hold_them() {
        let form = Form::of(b"acctsessionid,username");
        assert_eq!(split(form, "s1,alice,,"), ["s1", "alice", "-", "-"]);
        assert_eq!(split(form, "\"s,1\",\"al\"\"ice\",\"\",\\N"), ["s,1", "al\"ice", "-", "-"]);
        assert_eq!(split(form, "NULL, x"), ["NULL", " x"], "somebody may be called so");
        assert_eq!(split(Form::of(b"a;b"), "s1;a,b"), ["s1", "a,b"]);
    }

    #[test]
    fn tabs_part_fields_and_backslashes_escape() {
        let form = Form::of(b"acctsessionid\tuser,name");
        assert_eq!(form, Form::Tabs);
        assert_eq!(split(form, "s1\talice\tNULL\t\\N\t"), ["s1", "alice", "-", "-", "-"]);
        assert_eq!(split(form, "a\\tb\\nc\\\\d\\0\te\"f\\"), ["a\tb\nc\\d\0", "e\"f\\"]);
    }

    #[test]
    fn a_quote_that_is_not_closed_refuses_its_line_and_one_that_is_does_not() {
        let form = Form::Quoted(b',');
        assert_eq!(form.split(b"s1,\"alice"), Err(Unclosed));
        assert_eq!(form.split(b"s1,\"alice\"\""), Err(Unclosed));
        assert_eq!(split(form, "s1,\"alice\""), ["s1", "alice"]);
    }
}
