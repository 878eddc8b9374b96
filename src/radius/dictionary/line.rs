//! One line of a dictionary to a statement: the grammar of FreeRADIUS 3.
//!
//! Knows: keywords, words and numbers. Must not know: what was declared before, or in which file.

use smallvec::SmallVec;

use super::fault::Fault;

/// More numbers than any attribute has; what is longer is refused where it is placed.
const NUMBERS_MAX: usize = 16;

/// What a line says. The words are as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement<'a> {
    /// `ATTRIBUTE name number type [flags]`
    Attribute { name: &'a str, numbers: Numbers, kind: &'a str, flags: Option<&'a str> },
    /// `VALUE attribute name number`
    Value { attribute: &'a str, name: &'a str, number: u32 },
    /// `VALUE-ALIAS attribute other`: the first has the values of the second.
    ValueAlias { attribute: &'a str, other: &'a str },
    /// `VENDOR name number [format=...]`
    Vendor { name: &'a str, number: u32, format: Option<&'a str> },
    /// `BEGIN-VENDOR name [format=attribute]`; newer ones write `parent=`.
    BeginVendor { name: &'a str, within: Option<&'a str> },
    /// `END-VENDOR name`
    EndVendor { name: &'a str },
    /// `BEGIN-TLV name`
    BeginTlv { name: &'a str },
    /// `END-TLV name`
    EndTlv { name: &'a str },
    /// `$INCLUDE path`; of the other spellings the file may be missing.
    Include { path: &'a str, optional: bool },
}

/// `4`, or an OID's numbers.
pub(super) type Numbers = SmallVec<[u32; 4]>;

/// The text of a line without its comment. Octets, because other people's comments have any encoding; nothing else
/// should, and what does becomes names that nobody can write.
pub(super) fn text(octets: &[u8]) -> std::borrow::Cow<'_, str> {
    // A `#` begins a comment wherever it stands; there are no quotes.
    let statement = octets.split(|&octet| octet == b'#').next().unwrap_or_default();
    String::from_utf8_lossy(statement)
}

/// What the line says; `None` when it is blank.
pub(super) fn statement(text: &str) -> Result<Option<Statement<'_>>, Fault> {
    let words: SmallVec<[&str; 8]> = text.split_ascii_whitespace().collect();
    let Some((&keyword, words)) = words.split_first() else { return Ok(None) };
    let statement = match (keyword.to_ascii_uppercase().as_str(), words) {
        ("ATTRIBUTE", &[name, number, kind]) => {
            Statement::Attribute { name, numbers: numbers(number)?, kind, flags: None }
        }
        ("ATTRIBUTE", &[name, number, kind, flags]) => {
            Statement::Attribute { name, numbers: numbers(number)?, kind, flags: Some(flags) }
        }
        ("VALUE", &[attribute, name, value]) => Statement::Value { attribute, name, number: number(value)? },
        ("VALUE-ALIAS", &[attribute, other]) => Statement::ValueAlias { attribute, other },
        ("VENDOR", &[name, value]) => Statement::Vendor { name, number: number(value)?, format: None },
        ("VENDOR", &[name, value, format]) => {
            let format = strip_prefix(format, "format=").ok_or_else(|| Fault::BadFormat(format.into()))?;
            Statement::Vendor { name, number: number(value)?, format: Some(format) }
        }
        ("BEGIN-VENDOR", &[name]) => Statement::BeginVendor { name, within: None },
        ("BEGIN-VENDOR", &[name, within]) => {
            let parent = strip_prefix(within, "format=").or_else(|| strip_prefix(within, "parent="));
            let parent = parent.ok_or_else(|| Fault::BadFormat(within.into()))?;
            Statement::BeginVendor { name, within: Some(parent) }
        }
        ("END-VENDOR", &[name]) => Statement::EndVendor { name },
        ("BEGIN-TLV", &[name]) => Statement::BeginTlv { name },
        ("END-TLV", &[name]) => Statement::EndTlv { name },
        ("$INCLUDE", &[path]) => Statement::Include { path, optional: false },
        ("$INCLUDE-" | "$-INCLUDE", &[path]) => Statement::Include { path, optional: true },
        (
            "ATTRIBUTE" | "VALUE" | "VALUE-ALIAS" | "VENDOR" | "BEGIN-VENDOR" | "END-VENDOR" | "BEGIN-TLV"
            | "END-TLV" | "$INCLUDE" | "$INCLUDE-" | "$-INCLUDE",
            _,
        ) => return Err(Fault::WrongWordCount(keyword.into())),
        _ if is_of_version_4(keyword) => return Err(Fault::Version4(keyword.into())),
        _ => return Err(Fault::UnknownKeyword(keyword.into())),
    };
    Ok(Some(statement))
}

/// Words that begin a statement in FreeRADIUS 4 only. `FLAGS` is not among them: a line that can be left out.
fn is_of_version_4(keyword: &str) -> bool {
    [
        "ALIAS",
        "BEGIN",
        "BEGIN-PROTOCOL",
        "DEFINE",
        "END",
        "END-PROTOCOL",
        "ENUM",
        "MEMBER",
        "PROTOCOL",
        "STRUCT",
    ]
    .iter()
    .any(|word| keyword.eq_ignore_ascii_case(word))
}

fn strip_prefix<'a>(word: &'a str, prefix: &str) -> Option<&'a str> {
    let (begin, rest) = word.split_at_checked(prefix.len())?;
    begin.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Decimal, whatever zeros it begins with, or hexadecimal with `0x`.
fn number(word: &str) -> Result<u32, Fault> {
    let (digits, radix) = match strip_prefix(word, "0x") {
        Some(digits) => (digits, 16),
        None => (word, 10),
    };
    // `from_str_radix` alone would take a leading plus sign.
    let number = digits.chars().all(|c| c.is_digit(radix)).then(|| u32::from_str_radix(digits, radix).ok());
    number.flatten().ok_or_else(|| Fault::BadNumber(word.into()))
}

/// `4`, `0x98`, `241.6.3`.
fn numbers(word: &str) -> Result<Numbers, Fault> {
    let numbers: Result<Numbers, Fault> = word.split('.').take(NUMBERS_MAX).map(number).collect();
    numbers.map_err(|_| Fault::BadNumber(word.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(line: &str) -> (Vec<u32>, String, Option<String>) {
        match statement(line) {
            Ok(Some(Statement::Attribute { numbers, kind, flags, .. })) => {
                (numbers.to_vec(), kind.to_owned(), flags.map(str::to_owned))
            }
            other => unreachable!("{line}: {other:?}"),
        }
    }

    #[test]
    fn keywords_are_read_in_any_case_and_words_as_they_are() {
        let expected = Statement::Value { attribute: "Foo", name: "One,2+/x", number: 1 };
        assert_eq!(statement(" value\tFoo One,2+/x 1 \r"), Ok(Some(expected)));
        let expected = Statement::BeginVendor { name: "Acme", within: Some("Extended-Vendor-Specific-5") };
        assert_eq!(
            statement("BEGIN-VENDOR Acme format=Extended-Vendor-Specific-5"),
            Ok(Some(expected.clone()))
        );
        assert_eq!(statement("Begin-Vendor Acme Parent=Extended-Vendor-Specific-5"), Ok(Some(expected)));
    }

    #[test]
    fn comments_blank_lines_and_line_ends_of_every_kind_are_read() {
        for blank in [b"".as_slice(), b"\r", b" \t\r", b"# all", b"  # caf\xe9"] {
            assert_eq!(statement(&text(blank)), Ok(None));
        }
        let glued = text(b"VALUE Foo One 1#glued \xff");
        assert_eq!(
            statement(&glued),
            Ok(Some(Statement::Value { attribute: "Foo", name: "One", number: 1 }))
        );
    }

    #[test]
    fn numbers_are_decimal_hexadecimal_or_several() {
        assert_eq!(attribute("ATTRIBUTE Foo 010 string").0, [10]);
        assert_eq!(attribute("ATTRIBUTE Foo 0xFf string").0, [255]);
        assert_eq!(attribute("ATTRIBUTE Foo 241.6.0x03 string").0, [241, 6, 3]);
        assert_eq!(attribute("ATTRIBUTE Foo 4294967295 octets[4]").0, [u32::MAX]);
        for wrong in ["", "x", "-1", "+1", "0x", "0x+1", "4294967296", "1.", ".1", "1..2", "1.x"] {
            let line = format!("ATTRIBUTE Foo {wrong}. string");
            assert_eq!(statement(&line), Err(Fault::BadNumber(format!("{wrong}.").into())), "{wrong}");
        }
    }

    #[test]
    fn flags_are_the_fifth_word() {
        assert_eq!(
            attribute("ATTRIBUTE Foo 1 String has_tag,encrypt=2"),
            (vec![1], "String".to_owned(), Some("has_tag,encrypt=2".to_owned()))
        );
    }

    #[test]
    fn an_include_may_be_optional_in_two_spellings() {
        assert_eq!(statement("$include a/b"), Ok(Some(Statement::Include { path: "a/b", optional: false })));
        for spelling in ["$INCLUDE- a", "$-INCLUDE a"] {
            assert_eq!(statement(spelling), Ok(Some(Statement::Include { path: "a", optional: true })));
        }
    }

    #[test]
    fn a_statement_has_the_words_that_it_needs() {
        for line in [
            "ATTRIBUTE Foo 1",
            "ATTRIBUTE Foo 1 string a b",
            "VALUE Foo One",
            "VALUE-ALIAS Foo",
            "VENDOR Acme",
            "BEGIN-VENDOR",
            "END-VENDOR",
            "BEGIN-TLV",
            "END-TLV a b",
            "$INCLUDE",
        ] {
            let keyword = line.split(' ').next().unwrap();
            assert_eq!(statement(line), Err(Fault::WrongWordCount(keyword.into())), "{line}");
        }
    }

    #[test]
    fn words_of_version_4_are_told_from_unknown_ones() {
        for line in
            ["BEGIN PROTOCOL RADIUS 1", "alias User-Name 1", "MEMBER a b", "DEFINE a string", "END Foo"]
        {
            assert!(matches!(statement(line), Err(Fault::Version4(_))), "{line}");
        }
        for line in ["HELLO world", "FLAGS internal", "ATTRIBUTES Foo 1 string"] {
            assert!(matches!(statement(line), Err(Fault::UnknownKeyword(_))), "{line}");
        }
    }
}
