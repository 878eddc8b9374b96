//! The list of prefixes that no accounting record carries, one per line: `subscriber,prefix,always` or `...,online`.
//!
//! Knows: the form of a line, and which prefixes may be listed. Must not know: where the text comes from, or what an
//! owner by list is worth beside one by session.

use std::collections::HashMap;

use ipnet::IpNet;

use super::fault::Fault;
use super::lines::{Field, Heading, Misplaced, records};
use super::{Listed, When, value};
use crate::radius::claims;
use crate::session::Name;
use crate::session::identity::Canonical;

/// What the third column is called is a matter of taste.
const HEADING: Heading = Heading { names: &["subscriber", "prefix"], fields: 3 };

/// What the lines are judged by.
pub(super) struct Terms<'a> {
    /// Names get the same form as those in accounting records.
    pub(super) canonical: Canonical,
    /// `never` of `[relay]`.
    pub(super) never: &'a [IpNet],
    /// `static` of `[relay]`.
    pub(super) statics: &'a [(IpNet, Name)],
}

/// Reads the list: in order of prefixes, each once.
pub(super) fn read(octets: &[u8], terms: &Terms<'_>) -> Result<Vec<Listed>, Misplaced> {
    let statics: HashMap<IpNet, &Name> = terms.statics.iter().map(|(prefix, name)| (*prefix, name)).collect();
    let mut known: HashMap<IpNet, usize> = HashMap::new();
    let mut list: Vec<(usize, Listed)> = Vec::new();
    for record in records(octets, &HEADING) {
        let record = record?;
        let column = |field: usize| record.fields.get(field).map_or(1, |field| field.column);
        let listed = listed(&record.fields, terms, &statics)
            .map_err(|(field, fault)| record.wrong(field.map_or(1, column), fault))?;
        match known.get(&listed.prefix).and_then(|&index| list.get(index)) {
            Some((_, earlier)) if *earlier == listed => {}
            Some((line, earlier)) if earlier.subscriber == listed.subscriber => {
                return Err(record.wrong(column(1), Fault::Duplicate { line: *line }));
            }
            Some((line, earlier)) => {
                let subscriber = earlier.subscriber.clone();
                return Err(record.wrong(column(1), Fault::ListedTwice { line: *line, subscriber }));
            }
            None => {
                known.insert(listed.prefix, list.len());
                list.push((record.line, listed));
            }
        }
    }
    let mut list: Vec<Listed> = list.into_iter().map(|(_, listed)| listed).collect();
    list.sort_by_key(|listed| listed.prefix);
    Ok(list)
}

/// One line's meaning; what is wrong goes with the number of its field.
fn listed(
    fields: &[Field],
    terms: &Terms<'_>,
    statics: &HashMap<IpNet, &Name>,
) -> Result<Listed, (Option<usize>, Fault)> {
    let [subscriber, prefix, when] = fields else {
        return Err((None, Fault::NotALine { fields: fields.len() }));
    };
    let name = Name::from_text(&subscriber.text);
    let subscriber = terms.canonical.name(name.octets()).ok_or((Some(0), Fault::NoName))?;
    let wrong = |fault| (Some(1), fault);
    let prefix = value::prefix(&prefix.text).map_err(wrong)?;
    let least = claims::length_min(prefix);
    if prefix.prefix_len() < least {
        return Err(wrong(Fault::PrefixTooShort { least }));
    }
    if claims::is_special(prefix) {
        return Err(wrong(Fault::PrefixOfNobody));
    }
    let overlap = |never: &&IpNet| never.contains(&prefix) || prefix.contains(*never);
    if let Some(&never) = terms.never.iter().find(overlap) {
        return Err(wrong(Fault::ListedNever { never }));
    }
    let when = match when.text.as_str() {
        "always" => When::Always,
        "online" => When::Online,
        written => {
            let choices: &[&str] = &["always", "online"];
            return Err((Some(2), Fault::NotAChoice { written: written.to_owned(), choices }));
        }
    };
    match statics.get(&prefix) {
        Some(&holder) if *holder != subscriber || when == When::Online => {
            Err(wrong(Fault::ListedStatic { subscriber: holder.clone() }))
        }
        _ => Ok(Listed { subscriber, prefix, when }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Canonical = Canonical { lowercase: true, strip_realm: false, fold_mac: false };

    fn read_with(text: &str, never: &[&str], statics: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let never: Vec<IpNet> = never.iter().map(|prefix| prefix.parse().unwrap()).collect();
        let statics: Vec<(IpNet, Name)> =
            statics.iter().map(|(prefix, name)| (prefix.parse().unwrap(), Name::from(*name))).collect();
        let terms = Terms { canonical: PLAIN, never: &never, statics: &statics };
        let shown = |listed: Listed| format!("{} {} {:?}", listed.prefix, listed.subscriber, listed.when);
        read(text.as_bytes(), &terms)
            .map(|list| list.into_iter().map(shown).collect())
            .map_err(|misplaced| format!("{}:{}: {}", misplaced.line, misplaced.column, misplaced.fault))
    }

    fn list(text: &str) -> Vec<String> {
        read_with(text, &[], &[]).unwrap()
    }

    fn mistake(text: &str) -> String {
        read_with(text, &[], &[]).unwrap_err()
    }

    #[test]
    fn a_list_with_all_that_people_put_into_one() {
        let text = "\u{feff}Subscriber,Prefix,when\r\n# routed subnets\r\n\r\n\
                    Alice@ISP.example, 198.51.100.8/29 ,always\r\n  \r\n\
                    bob,2001:db8:42::/48,online\r\n\"smith, ltd\",203.0.113.7,always\r\n0xff41,203.0.113.8,online";
        assert_eq!(
            list(text),
            [
                "198.51.100.8/29 alice@isp.example Always",
                "203.0.113.7/32 smith, ltd Always",
                "203.0.113.8/32 0xff61 Online",
                "2001:db8:42::/48 bob Online",
            ]
        );
        assert_eq!(list(""), Vec::<String>::new());
    }

    #[test]
    fn a_heading_stands_at_the_top_or_is_a_mistake() {
        let late = mistake("a,192.0.2.0/28,always\nsubscriber,prefix,when\n");
        assert!(late.starts_with("2:12: 'prefix' is no address"), "{late}");
    }

    #[test]
    fn each_mistake_has_its_line_its_column_and_its_remedy() {
        for (text, expected) in [
            (
                "a,192.0.2.0/28\n",
                "1:1: has 2 fields; write subscriber,prefix,always or subscriber,prefix,online",
            ),
            ("\"a,192.0.2.0/28,always\nb,192.0.2.16/28,always\n", "1:1: has 1 fields; write"),
            (
                "#\na,192.0.2.1/28,always\n",
                "2:3: '192.0.2.1/28' is not the prefix it names; write \"192.0.2.0/28\"",
            ),
            ("ä, 192.0.2.0,offline\n", "1:14: 'offline' is unknown; write one of: \"always\", \"online\""),
            (" ,192.0.2.0,always\n", "1:2: nothing is left of this name"),
            (
                "a,127.0.0.1,always\n",
                "1:3: no subscriber can have this; write an address or prefix that is routed",
            ),
            ("a,fe80::/64,always\n", "1:3: no subscriber can have this"),
        ] {
            let mistake = mistake(text);
            assert!(mistake.starts_with(expected), "{text:?}: {mistake}");
        }
        let not_text = read(b"a,192.0.2.0,always\n\xff,192.0.2.1,always\n", &terms()).unwrap_err();
        assert_eq!((not_text.line, not_text.column), (2, 1));
    }

    fn terms() -> Terms<'static> {
        Terms { canonical: PLAIN, never: &[], statics: &[] }
    }

    #[test]
    fn a_prefix_is_as_wide_as_a_record_may_claim_and_no_wider() {
        for (fits, too_wide) in [("10.0.0.0/24", "10.0.0.0/23"), ("2001:db8::/44", "2001:db8::/43")] {
            assert_eq!(list(&format!("a,{fits},always")).len(), 1);
            assert!(mistake(&format!("a,{too_wide},always")).contains("is wider than a subscriber's can be"));
        }
    }

    #[test]
    fn one_prefix_has_one_owner() {
        let twice = "a,192.0.2.0/28,always\n";
        assert_eq!(list(&format!("{twice}A,192.0.2.0/28,always\n")), ["192.0.2.0/28 a Always"]);
        assert_eq!(
            mistake(&format!("{twice}b,192.0.2.0/28,always\n")),
            "2:3: line 1 gives this prefix to 'a'; change one of them"
        );
        assert_eq!(
            mistake(&format!("{twice}a,192.0.2.0/28,online\n")),
            "2:3: line 1 has the same; change one of them"
        );
        assert_eq!(list(&format!("{twice}b,192.0.2.0/29,always\n")).len(), 2, "the longest prefix answers");
    }

    #[test]
    fn what_never_relays_is_not_listed_and_what_touches_it_neither() {
        let with = |prefix: &str| read_with(&format!("a,{prefix},always"), &["192.0.2.250/32"], &[]);
        assert!(with("192.0.2.0/25").is_ok());
        for prefix in ["192.0.2.250", "192.0.2.128/25"] {
            assert_eq!(
                with(prefix).unwrap_err(),
                "1:3: relay.never has 192.0.2.250/32, which never relays; change one of them"
            );
        }
    }

    #[test]
    fn a_static_prefix_is_listed_only_as_what_it_is() {
        let with = |line: &str| read_with(line, &[], &[("192.0.2.0/28", "office")]);
        assert!(with("Office,192.0.2.0/28,always").is_ok());
        for line in ["office,192.0.2.0/28,online", "alice,192.0.2.0/28,always"] {
            assert_eq!(
                with(line).unwrap_err(),
                format!(
                    "1:{}: relay.static gives this prefix to 'office' at all times; change one of them",
                    line.find("192").unwrap() + 1
                )
            );
        }
    }

    #[test]
    fn a_line_of_1024_octets_is_read_and_one_of_1025_is_not() {
        let line = |octets: usize| {
            let rest = ",192.0.2.0,always";
            format!("{}{rest}", "a".repeat(octets - rest.len()))
        };
        assert_eq!(list(&line(1024)).len(), 1);
        assert_eq!(mistake(&line(1025)), "1:1: is longer than 1024 octets; is a line break missing?");
    }
}
