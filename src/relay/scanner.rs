//! What scanners say, and what of it counts: headers that they add, and what rspamd tells of a message.
//!
//! Whoever sends a message writes its headers, also such as look like a scanner's. He may accuse himself so, but must not be able to
//! clear himself: a header that says "clean" proves nothing, and where a scanner is known to write at one end, only the header
//! that stands there counts. `contains` asks for a word that the scanner alone writes, such as its host's name.
//!
//! Knows: rules, and how they are held against what is said. Must not know: whose a message is.

use glob::{MatchOptions, Pattern};

use super::scanned::{Finding, Found};
use crate::session::Name;

/// Which of several headers of one name counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Position {
    /// Each.
    #[default]
    Any,
    /// The one that stands first: the scanner inserts.
    First,
    /// The one that stands last: the scanner appends.
    Last,
}

/// `[[scanned.header]]`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Values that say spam, whatever their case.
    pub spam: Vec<Pattern>,
    /// Values that say virus.
    pub virus: Vec<Pattern>,
    /// From so many thousandths on, the first number in the value says spam.
    pub spam_score: Option<i64>,
    /// A word that stands in every header that the scanner writes.
    pub contains: Option<String>,
    /// Which one counts.
    pub position: Position,
}

/// `[scanned]`
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Headers that are read.
    pub headers: Vec<Header>,
    /// Actions of rspamd that say spam.
    pub spam_actions: Vec<Pattern>,
    /// Symbols of rspamd that say virus, beside those of its group `antivirus`.
    pub virus_symbols: Vec<Pattern>,
}

impl Default for Rules {
    /// What rspamd, SpamAssassin, amavis and ClamAV write when nobody has changed that.
    fn default() -> Self {
        let all = |texts: &[&str]| texts.iter().filter_map(|text| pattern(text)).collect();
        let header = |name: &str, position, spam: &[&str], virus: &[&str]| Header {
            name: name.to_owned(),
            spam: all(spam),
            virus: all(virus),
            position,
            ..Header::default()
        };
        Rules {
            headers: vec![
                header("X-Spam", Position::First, &["yes"], &[]),
                header("X-Spam-Flag", Position::Any, &["yes"], &[]),
                header("X-Spam-Status", Position::Any, &["yes*"], &[]),
                header("X-Spamd-Result", Position::First, &["default: true [*"], &[]),
                header("X-Rspamd-Action", Position::First, &["reject", "add header", "rewrite subject"], &[]),
                header("X-Virus", Position::First, &[], &["?*"]),
                header("X-Virus-Status", Position::Any, &[], &["infected*", "yes*"]),
                header("X-Amavis-Alert", Position::Any, &[], &["infected*"]),
            ],
            spam_actions: all(&["reject", "add header", "rewrite subject"]),
            virus_symbols: all(&["*virus*", "*malware*"]),
        }
    }
}

/// What rspamd tells of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told<'a> {
    /// What it does about it.
    pub action: &'a str,
    /// How bad it is.
    pub score: f64,
    /// What it found: names, and the groups they are in.
    pub symbols: &'a [(&'a str, &'a str)],
}

impl Rules {
    /// What headers say, in their order; the worst of it.
    #[must_use]
    pub fn by_headers(&self, headers: &[(Vec<u8>, Vec<u8>)]) -> Option<Found> {
        let mut worst: Option<Found> = None;
        for rule in &self.headers {
            let named = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(rule.name.as_bytes()));
            let mut values =
                named.map(|(_, value)| unfolded(value)).filter(|value| rule.is_of_scanner(value));
            let found = match rule.position {
                Position::Any => {
                    values.filter_map(|value| rule.finds(&value)).max_by_key(|found| found.finding)
                }
                Position::First => values.next().and_then(|value| rule.finds(&value)),
                Position::Last => values.next_back().and_then(|value| rule.finds(&value)),
            };
            if let Some(found) = found
                && worst.as_ref().is_none_or(|worst| worst.finding < found.finding)
            {
                worst = Some(found);
            }
        }
        worst
    }

    /// What rspamd's own word says.
    #[must_use]
    pub fn by_rspamd(&self, told: &Told<'_>) -> Option<Found> {
        let is_virus = |(name, group): &&(&str, &str)| {
            group.eq_ignore_ascii_case("antivirus") || fits(&self.virus_symbols, name)
        };
        if let Some((name, _)) = told.symbols.iter().find(is_virus) {
            return Some(Found::new(Finding::Virus, name.as_bytes()));
        }
        let is_spam = fits(&self.spam_actions, told.action);
        is_spam.then(|| {
            Found::new(Finding::Spam, format!("{}, score {:.2}", told.action, told.score).as_bytes())
        })
    }

    /// The headers that are read, by their names in lower case.
    #[must_use]
    pub fn names(&self) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> =
            self.headers.iter().map(|rule| rule.name.to_ascii_lowercase().into_bytes()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Header {
    /// Whether it may be the scanner's own. Another one that only looks like it has no place among them.
    fn is_of_scanner(&self, value: &str) -> bool {
        let word = self.contains.as_deref().map(str::to_ascii_lowercase);
        word.is_none_or(|word| value.to_ascii_lowercase().contains(&word))
    }

    fn finds(&self, value: &str) -> Option<Found> {
        let finding = if fits(&self.virus, value) {
            Finding::Virus
        } else if fits(&self.spam, value) || self.spam_score.is_some_and(|least| score(value) >= Some(least))
        {
            Finding::Spam
        } else {
            return None;
        };
        Some(Found::new(finding, format!("{}: {value}", self.name).as_bytes()))
    }
}

/// A pattern in which `*` and `?` stand for others, and nothing else does.
#[must_use]
pub fn pattern(written: &str) -> Option<Pattern> {
    Pattern::new(&written.replace('[', "[[]")).ok().filter(|_| !written.is_empty())
}

fn fits(patterns: &[Pattern], text: &str) -> bool {
    let options = MatchOptions { case_sensitive: false, ..MatchOptions::default() };
    patterns.iter().any(|pattern| pattern.matches_with(text, options))
}

/// The first number in a value, in thousandths.
fn score(value: &str) -> Option<i64> {
    let begin = value.find(|c: char| c.is_ascii_digit())?;
    let (before, number) = value.split_at_checked(begin)?;
    let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
    let (whole, part) = number.get(..end)?.split_once('.').unwrap_or((number.get(..end)?, ""));
    let whole: i64 = whole.parse().ok()?;
    let part: i64 = part
        .chars()
        .filter(char::is_ascii_digit)
        .chain("000".chars())
        .take(3)
        .collect::<String>()
        .parse()
        .ok()?;
    let thousandths = whole.checked_mul(1000)?.checked_add(part)?;
    Some(if before.ends_with('-') { thousandths.saturating_neg() } else { thousandths })
}

/// A value in one line (RFC 5322, 2.2.3), as text.
fn unfolded(value: &[u8]) -> String {
    let name = Name::new(value);
    let text = std::str::from_utf8(name.octets()).map_or_else(|_| name.to_string(), str::to_owned);
    text.split(['\r', '\n', '\t'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rules: &Rules, headers: &[(&str, &str)]) -> Option<Finding> {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect();
        rules.by_headers(&headers).map(|found| found.finding)
    }

    fn one(header: Header) -> Rules {
        Rules { headers: vec![header], ..Rules::default() }
    }

    fn flag(position: Position) -> Rules {
        let spam = vec![pattern("yes*").unwrap()];
        one(Header { name: "X-Spam-Flag".to_owned(), spam, position, ..Header::default() })
    }

    #[test]
    fn what_scanners_write_is_read_without_a_rule_of_ones_own() {
        let rules = Rules::default();
        for (name, value, expected) in [
            ("X-Spam", "Yes", Some(Finding::Spam)),
            ("x-spam-flag", " YES ", Some(Finding::Spam)),
            ("X-Spam-Status", "Yes, score=12.3 required=5.0\r\n\ttests=GTUBE", Some(Finding::Spam)),
            ("X-Spam-Status", "No, score=-1.1 required=5.0", None),
            ("X-Spamd-Result", "default: True [999.00 / 15.00];\r\n\tGTUBE(0.00)[]", Some(Finding::Spam)),
            ("X-Spamd-Result", "default: False [1.00 / 15.00]; A(0.00)[: true [x]", None),
            ("X-Rspamd-Action", "add header", Some(Finding::Spam)),
            ("X-Rspamd-Action", "no action", None),
            ("X-Virus-Status", "Infected (Eicar-Test-Signature)", Some(Finding::Virus)),
            ("X-Virus-Status", "Clean", None),
            ("X-Virus", "Eicar-Test-Signature", Some(Finding::Virus)),
            ("X-Amavis-Alert", "INFECTED, message contains virus: EICAR", Some(Finding::Virus)),
            ("Subject", "Yes", None),
        ] {
            assert_eq!(found(&rules, &[(name, value)]), expected, "{name}: {value}");
        }
    }

    #[test]
    fn whoever_writes_a_clean_header_of_his_own_is_not_cleared_by_it() {
        let forged = [("X-Spam-Flag", "NO"), ("X-Spam-Flag", "YES")];
        let above = [("X-Spam-Flag", "YES"), ("X-Spam-Flag", "NO")];
        for (position, below, first) in [
            (Position::Any, Some(Finding::Spam), Some(Finding::Spam)),
            (Position::Last, Some(Finding::Spam), None),
            (Position::First, None, Some(Finding::Spam)),
        ] {
            assert_eq!(found(&flag(position), &forged), below, "{position:?}");
            assert_eq!(found(&flag(position), &above), first, "{position:?}");
        }
    }

    #[test]
    fn a_header_without_the_scanners_own_word_is_not_the_scanners() {
        let mut rules = flag(Position::First);
        rules.headers[0].contains = Some("Scan1.ISP.example".to_owned());
        assert_eq!(found(&rules, &[("X-Spam-Flag", "yes")]), None);
        let own = ("X-Spam-Flag", "yes, says scan1.isp.example");
        assert_eq!(found(&rules, &[("X-Spam-Flag", "no"), own]), Some(Finding::Spam), "first of its own");
    }

    #[test]
    fn a_score_counts_from_its_threshold_on_and_not_below() {
        let header = Header { name: "X-Score".to_owned(), spam_score: Some(12_500), ..Header::default() };
        let rules = one(header);
        for (value, spam) in [
            ("12.5", true),
            ("12.50001", true),
            ("12.499", false),
            ("score=13 of 15", true),
            ("-13", false),
            ("none", false),
            ("", false),
            ("99999999999999999999", false),
        ] {
            assert_eq!(found(&rules, &[("X-Score", value)]).is_some(), spam, "{value}");
        }
    }

    #[test]
    fn a_virus_is_worse_than_spam_whichever_stands_first() {
        let both = [("X-Spam-Flag", "YES"), ("X-Virus-Status", "Infected (x)")];
        assert_eq!(found(&Rules::default(), &both), Some(Finding::Virus));
    }

    #[test]
    fn rspamd_finds_a_virus_by_its_group_or_symbol_and_spam_by_its_action() {
        let rules = Rules::default();
        let finding = |action, symbols: &[(&str, &str)]| {
            rules.by_rspamd(&Told { action, score: 15.0, symbols }).map(|found| found.finding)
        };
        assert_eq!(finding("reject", &[("GTUBE", "ungrouped")]), Some(Finding::Spam));
        assert_eq!(finding("add header", &[]), Some(Finding::Spam));
        for action in ["no action", "greylist", "soft reject", ""] {
            assert_eq!(finding(action, &[("R_SPF_ALLOW", "spf")]), None, "{action}");
        }
        assert_eq!(finding("reject", &[("CLAM", "antivirus")]), Some(Finding::Virus));
        assert_eq!(finding("no action", &[("CLAM_VIRUS", "")]), Some(Finding::Virus));
    }

    #[test]
    fn octets_that_are_no_text_and_patterns_that_look_like_sets_are_plain() {
        assert!(fits(&[pattern("a [b").unwrap()], "A [B"));
        assert!(pattern("").is_none());
        let headers = vec![(b"X-Spam-Flag".to_vec(), b"\xff\xfe".to_vec())];
        assert_eq!(Rules::default().by_headers(&headers), None);
    }
}
