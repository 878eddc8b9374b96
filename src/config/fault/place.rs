//! Where something stands in the configuration's text: line, column, and the key with its tables.
//!
//! Knows: TOML as a tree of spans. Must not know: what is wrong there.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Place;

/// The place of the octets `span` of `text`, whose tables are `tree`.
pub(in super::super) fn place(text: &str, tree: Option<&DeTable<'_>>, span: &Range<usize>) -> Place {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count().saturating_add(1);
    let begun = before.rsplit('\n').next().unwrap_or_default();
    let key = tree.and_then(|tree| key_of_table(tree, span)).map(|keys| keys.join("."));
    Place { line, column: begun.chars().count().saturating_add(1), key }
}

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// The names that lead to what stands at `span`: the key itself, or its value.
///
/// A table's own span is its header line, which does not cover what is in it; so tables are always looked into.
fn key_of_table(table: &DeTable<'_>, span: &Range<usize>) -> Option<Vec<String>> {
    table.iter().find_map(|(key, value)| {
        let here = || covers(&key.span(), span).then(Vec::new);
        let mut keys = key_of_value(value, span).or_else(here)?;
        keys.insert(0, key.get_ref().to_string());
        Some(keys)
    })
}

fn key_of_value(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<Vec<String>> {
    let within = match value.get_ref() {
        DeValue::Table(table) => key_of_table(table, span),
        DeValue::Array(values) => values.iter().find_map(|value| key_of_value(value, span)),
        _ => None,
    };
    within.or_else(|| covers(&value.span(), span).then(Vec::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str, at: &str) -> Place {
        let start = text.find(at).unwrap();
        let tree = DeTable::parse(text).unwrap();
        place(text, Some(tree.get_ref()), &(start..start + at.len()))
    }

    #[test]
    fn a_place_has_its_line_its_column_and_its_key_with_all_tables() {
        let text = "# ü\n[radius]\n[[radius.client]]\nname = \"a\"\n[[radius.client]]\n  name = \"b\"\n";
        let place = key(text, "\"b\"");
        assert_eq!((place.line, place.column, place.key.as_deref()), (6, 10, Some("radius.client.name")));
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(key("a = 1 # é\n\"ö\" = 22\n", "22").column, 7);
    }

    #[test]
    fn a_place_within_an_inline_table_is_named() {
        let text = "[relay]\nstatic = [{ prefix = \"x\" }, { prefix = \"yy\" }]\n";
        assert_eq!(key(text, "\"yy\"").key.as_deref(), Some("relay.static.prefix"));
    }
}
