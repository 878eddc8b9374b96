//! `[[rule]]` and `[rules]`: what acts alone on cases.
//!
//! Knows: how a rule's words are written. Must not know: what a rule does.

use std::time::Duration;

use toml::Spanned;

use super::Relay;
use super::fault::{ConfigError, Fault};
use super::file::Reader;
use super::table::{self, Text};
use super::value;
use crate::relay::rule::{Brake, Rule, Rules, Then, When, Written};
use crate::session::Name;

/// A name stands in logs, in paths and behind `rule:`.
const NAME_MAX: usize = 64;
/// What brakes go by is in cases, and those may have gone after that.
const BRAKE_WITHIN_MOST: Duration = Duration::from_secs(4 * 24 * 3600);

impl Reader<'_> {
    pub(super) fn case_rules(&self, file: &table::File, relay: &Relay) -> Result<Rules, ConfigError> {
        let mut all: Vec<Rule> = Vec::new();
        for table in &file.rule {
            let rule = self.case_rule(table)?;
            if let Some((earlier, _)) = file.rule.iter().zip(&all).find(|(_, other)| other.name == rule.name)
            {
                let (ours, theirs) = (table.get_ref().name.as_ref(), earlier.get_ref().name.as_ref());
                return Err(self.duplicate(ours, theirs));
            }
            all.push(rule);
        }
        let brake = file.rules.max_actions.as_ref().map(|text| self.parse(text, brake)).transpose()?;
        let hosts = relay.statics.iter().map(|(_, subscriber)| subscriber.clone()).collect();
        Ok(Rules { all, brake: brake.unwrap_or_default(), hosts })
    }

    fn case_rule(&self, table: &Spanned<table::Rule>) -> Result<Rule, ConfigError> {
        let (span, table) = (table.span(), table.get_ref());
        let name = self.parse(self.required(&span, "name", table.name.as_ref())?, name)?;
        let when_text = self.required(&span, "when", table.when.as_ref())?;
        let then_text = self.required(&span, "then", table.then.as_ref())?;
        let (when, then) = (self.parse(when_text, when)?, self.parse(then_text, then)?);
        if matches!((&when, then), (When::Listing, Then::Suspend(_))) {
            return Err(self.error(&then_text.span(), Fault::SuspectsSuspended));
        }
        if then == Then::LimitUntilDelisted && when != When::Listing {
            return Err(self.error(&then_text.span(), Fault::NothingToDelist));
        }
        let own = table.max_actions.as_ref();
        let as_written = |text: &Text| text.get_ref().clone();
        Ok(Rule {
            name,
            when,
            then,
            enforce: self.choice(table.mode.as_ref(), &["observe", "enforce"])? == 1,
            brake: own.map(|text| self.parse(text, brake)).transpose()?,
            written: Written {
                when: as_written(when_text),
                then: as_written(then_text),
                max_actions: own.map(as_written),
            },
        })
    }
}

/// A word.
pub(super) fn name(written: &str) -> Result<Name, Fault> {
    if !is_word(written) || written.len() > NAME_MAX {
        return Err(Fault::NotARuleName { written: written.to_owned(), limit: NAME_MAX });
    }
    Ok(Name::from(written))
}

fn is_word(text: &str) -> bool {
    let may = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    !text.is_empty() && text.bytes().all(may)
}

/// `listing`, `signal`, `signal NAME`, `signal NAME >= N`, `NAME >= N`, `complaints >= N`, `complaints >= N/SPAN`.
fn when(written: &str) -> Result<When, Fault> {
    let fault = || Fault::NotACondition { written: written.to_owned() };
    let signal = |name: &str, at_least| match is_word(name) {
        true => Ok(When::Signal { name: Some(Name::from(name)), at_least }),
        false => Err(fault()),
    };
    let number = |text: &str| value::digits(text).filter(|number| *number > 0).ok_or_else(fault);
    match written.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["listing"] => Ok(When::Listing),
        ["signal"] => Ok(When::Signal { name: None, at_least: 0 }),
        ["signal", name] => signal(name, 0),
        ["complaints", ">=", most] => {
            let (count, within) = match most.split_once('/') {
                Some((count, within)) => (count, Some(positive(within)?)),
                None => (*most, None),
            };
            Ok(When::Complaints { at_least: number(count)?, within })
        }
        ["signal", name, ">=", least] | [name, ">=", least] => signal(name, number(least)?),
        _ => Err(fault()),
    }
}

/// `note`, `limit`, `limit SPAN`, `limit until delisted`, `suspend`, `suspend SPAN`.
fn then(written: &str) -> Result<Then, Fault> {
    let span = |text: &str| positive(text).map(Some);
    match written.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["note"] => Ok(Then::Note),
        ["limit"] => Ok(Then::Limit(None)),
        ["limit", "until", "delisted"] => Ok(Then::LimitUntilDelisted),
        ["suspend", "until", "delisted"] => Err(Fault::SuspectsSuspended),
        ["limit", text] => Ok(Then::Limit(span(text)?)),
        ["suspend"] => Ok(Then::Suspend(None)),
        ["suspend", text] => Ok(Then::Suspend(span(text)?)),
        _ => Err(Fault::NotAConsequence { written: written.to_owned() }),
    }
}

/// `20/1h`.
fn brake(written: &str) -> Result<Brake, Fault> {
    let fault = || Fault::NotABrake { written: written.to_owned() };
    let (orders, within) = written.split_once('/').ok_or_else(fault)?;
    let orders = value::digits(orders).ok_or_else(fault)?;
    let within = positive(within)?;
    if within > BRAKE_WITHIN_MOST {
        return Err(Fault::DurationOutOfRange { least: "1s", most: "4d" });
    }
    Ok(Brake { orders, within })
}

fn positive(written: &str) -> Result<Duration, Fault> {
    match value::duration(written)? {
        Duration::ZERO => Err(Fault::DurationOutOfRange { least: "1s", most: "3650d" }),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_a_listing_a_signal_of_a_size_or_so_many_complaints() {
        let signal = |name: Option<&str>, at_least| When::Signal { name: name.map(Name::from), at_least };
        let complaints = |within| When::Complaints { at_least: 3, within };
        for (written, meant) in [
            ("listing", When::Listing),
            ("signal", signal(None, 0)),
            ("signal messages", signal(Some("messages"), 0)),
            ("signal messages >= 1000", signal(Some("messages"), 1000)),
            ("  messages   >= 500 ", signal(Some("messages"), 500)),
            ("complaints >= 3", complaints(None)),
            ("complaints >= 3/24h", complaints(Some(Duration::from_secs(86_400)))),
        ] {
            assert_eq!(when(written).unwrap(), meant, "{written}");
        }
        for written in [
            "",
            "messages",
            "messages > 5",
            "messages >= 0",
            "messages >= -5",
            "messages >= 5/1h",
            "Messages >= 5",
            "signal messages >=",
            "complaints >= x/1h",
            "complaints >= 3/0s",
            "complaints >= 3/yesterday",
            "listing >= 1 2",
            "messages >= 99999999999999999999",
        ] {
            assert!(when(written).is_err(), "{written}");
        }
    }

    #[test]
    fn a_consequence_is_a_note_a_limit_or_a_suspension_for_a_while_or_until_released() {
        let day = Some(Duration::from_secs(86_400));
        for (written, meant) in [
            ("note", Then::Note),
            ("limit", Then::Limit(None)),
            ("limit 24h", Then::Limit(day)),
            ("limit until delisted", Then::LimitUntilDelisted),
            ("suspend", Then::Suspend(None)),
            ("suspend 1d", Then::Suspend(day)),
        ] {
            assert_eq!(then(written).unwrap(), meant, "{written}");
        }
        for written in [
            "",
            "ban",
            "note 1h",
            "limit 0s",
            "suspend 24",
            "suspend 1h 1h",
            "Limit",
            "limit until",
            "limit until released",
            "note until delisted",
        ] {
            assert!(then(written).is_err(), "{written}");
        }
    }

    #[test]
    fn a_brake_is_a_number_of_orders_and_a_time_of_at_most_four_days() {
        assert_eq!(brake("20/1h").unwrap(), Brake::default());
        assert_eq!(brake("0/4d").unwrap().orders, 0);
        for written in ["20", "/1h", "20/", "-1/1h", "20/0s", "20/5d", "4294967296/1h"] {
            assert!(brake(written).is_err(), "{written}");
        }
    }

    #[test]
    fn a_name_is_a_word_of_64_letters_at_most() {
        assert!(name("flood-2").is_ok() && name(&"a".repeat(64)).is_ok());
        for written in ["", "Flood", "a b", "a/b", "rule:x", "\u{e9}", &"a".repeat(65)] {
            assert!(name(written).is_err(), "{written}");
        }
    }
}
