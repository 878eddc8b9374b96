//! Lists of the operator's: one record per line, its fields parted by commas.
//!
//! Knows: lines, fields, comments, headings. Must not know: what a field means, or where the text comes from.

use super::fault::Fault;

/// Octets of a line. A name has 253 at most, in hex twice as many.
pub(super) const LINE_OCTETS_MAX: usize = 1024;

/// A line that can't be used.
#[derive(Debug)]
pub(super) struct Misplaced {
    /// Counted from 1.
    pub(super) line: usize,
    /// In characters, counted from 1.
    pub(super) column: usize,
    /// What is wrong.
    pub(super) fault: Fault,
}

/// A field without the blanks around it, and where it begins.
pub(super) struct Field {
    pub(super) text: String,
    pub(super) column: usize,
}

/// The fields of one line.
pub(super) struct Record {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) fields: Vec<Field>,
}

/// What a first line may say, in place of a record: so many fields, the first of which have these names.
pub(super) struct Heading {
    pub(super) names: &'static [&'static str],
    pub(super) fields: usize,
}

impl Heading {
    fn is(&self, fields: &[Field]) -> bool {
        let named = |(field, name): (&Field, &&str)| field.text.eq_ignore_ascii_case(name);
        fields.len() == self.fields && fields.iter().zip(self.names).all(named)
    }
}

impl Record {
    /// Something is wrong there.
    pub(super) fn wrong(&self, column: usize, fault: Fault) -> Misplaced {
        Misplaced { line: self.line, column, fault }
    }
}

/// The records, but for blank lines, comments, and a heading.
pub(super) fn records<'a>(
    octets: &'a [u8],
    heading: &'a Heading,
) -> impl Iterator<Item = Result<Record, Misplaced>> + 'a {
    // Spreadsheets put a mark before the first line.
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    let mut may_be_heading = true;
    (1..).zip(octets.split(|&octet| octet == b'\n')).filter_map(move |(line, octets)| {
        let octets = octets.strip_suffix(b"\r").unwrap_or(octets);
        let refused = |fault| Some(Err(Misplaced { line, column: 1, fault }));
        if octets.len() > LINE_OCTETS_MAX {
            return refused(Fault::LineTooLong { limit: LINE_OCTETS_MAX });
        }
        let Ok(text) = std::str::from_utf8(octets) else { return refused(Fault::NotUtf8) };
        if text.trim().is_empty() || text.starts_with('#') {
            return None;
        }
        let fields = fields(text);
        let is_heading = std::mem::take(&mut may_be_heading) && heading.is(&fields);
        (!is_heading).then_some(Ok(Record { line, fields }))
    })
}

fn fields(line: &str) -> Vec<Field> {
    if line.contains('"') {
        return quoted(line);
    }
    let mut before = 1_usize;
    let mut fields = Vec::new();
    for written in line.split(',') {
        let blanks = written.chars().take_while(|c| c.is_whitespace()).count();
        fields.push(Field { text: written.trim().to_owned(), column: before.saturating_add(blanks) });
        before = before.saturating_add(written.chars().count()).saturating_add(1);
    }
    fields
}

/// A line with quotes in it. Where its fields begin is not worth a parser of our own.
fn quoted(line: &str) -> Vec<Field> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(line.as_bytes());
    let mut record = csv::StringRecord::new();
    // Reading from memory what is UTF-8 and may have any number of fields leaves nothing to fail.
    let _ = reader.read_record(&mut record);
    record.iter().map(|text| Field { text: text.to_owned(), column: 1 }).collect()
}
