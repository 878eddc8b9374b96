//! `[[limit]]`: how much is too much, and for whom.
//!
//! Knows: what makes a limit one that can be exceeded and can be kept. Must not know: what was sent.

use std::time::Duration;

use glob::Pattern;
use toml::Spanned;

use super::AttributePath;
use super::fault::{ConfigError, Fault};
use super::file::Reader;
use super::table::{self, Text};
use super::value;
use crate::relay::limit::{Kind, Limit, Measure, Rate};
use crate::relay::usage::LONGEST;
use crate::session::Name;

/// What Postfix is none the wiser for, beside the recipient that it writes before it.
const TEXT_LIMIT: usize = 200;

/// More SMTP sessions than any mail server has.
const CONNECTIONS_MOST: u32 = 100_000;

impl Reader<'_> {
    /// `keep` has the names of attributes that records bring.
    pub(super) fn limits(
        &self,
        tables: &[Spanned<table::Limit>],
        keep: &[(Name, AttributePath)],
    ) -> Result<Vec<Limit>, ConfigError> {
        let mut limits: Vec<Limit> = Vec::new();
        for table in tables {
            let (span, table) = (table.span(), table.get_ref());
            let name = self.name(&span, table.name.as_ref())?;
            if let Some((other, _)) = tables.iter().zip(&limits).find(|(_, earlier)| earlier.name == name) {
                return Err(self.duplicate(table.name.as_ref(), other.get_ref().name.as_ref()));
            }
            let mut rates = Vec::new();
            for (measure, texts) in [
                (Measure::Messages, &table.messages),
                (Measure::Recipients, &table.recipients),
                (Measure::Bytes, &table.bytes),
                (Measure::Refused, &table.refused),
            ] {
                for text in texts {
                    rates.push(self.parse(text, |written| rate(measure, written))?);
                }
            }
            let message_size = table.message_size.as_ref();
            let message_size = message_size.map(|text| self.parse(text, value::octets)).transpose()?;
            let connections = table.connections.as_ref();
            let connections = connections
                .map(|number| self.number(Some(number), 1..=CONNECTIONS_MOST, CONNECTIONS_MOST))
                .transpose()?;
            if rates.is_empty() && message_size.is_none() && connections.is_none() {
                return Err(self.error(&span, Fault::LimitOfNothing));
            }
            limits.push(Limit {
                name,
                enforced: self.choice(table.mode.as_ref(), &["observe", "enforce"])? == 1,
                kind: self.kind(&table.kind, keep)?,
                rates,
                message_size,
                connections: connections.map(u64::from),
                text: table.text.as_ref().map(|text| self.parse(text, reply)).transpose()?,
            });
        }
        // An order to limit somebody must not be without effect.
        if !limits.iter().any(|limit| limit.kind.limited) {
            limits.push(Limit::of_the_limited());
        }
        Ok(limits)
    }

    fn kind(&self, table: &table::Kind, keep: &[(Name, AttributePath)]) -> Result<Kind, ConfigError> {
        let pattern = |text: &Option<Text>| {
            text.as_ref()
                .map(|text| {
                    let written = self.filled(text)?;
                    Pattern::new(written).map_err(|_| {
                        self.error(&text.span(), Fault::NotANamePattern { written: written.to_owned() })
                    })
                })
                .transpose()
        };
        Ok(Kind {
            name: pattern(&table.subscriber)?,
            nas: pattern(&table.nas)?,
            attribute: self.attribute(table, keep)?,
            is_static: table.is_static,
            authenticated: table.authenticated,
            limited: table.limited,
        })
    }
}

impl Reader<'_> {
    /// `Filter-Id=gold*`; `class = "gold"` is short for `Class=gold`.
    fn attribute(
        &self,
        table: &table::Kind,
        keep: &[(Name, AttributePath)],
    ) -> Result<Option<(Name, Pattern)>, ConfigError> {
        let (text, name, value) = match (&table.attribute, &table.class) {
            (None, None) => return Ok(None),
            (Some(_), Some(class)) => return Err(self.error(&class.span(), Fault::ClassAndAttribute)),
            (None, Some(class)) => (class, "Class", self.filled(class)?),
            (Some(text), None) => {
                let written = self.filled(text)?;
                let fault = || Fault::NotAnAttributeValue { written: written.to_owned() };
                let parts = written.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
                let parts = parts.filter(|(name, value)| !name.is_empty() && !value.is_empty());
                let (name, value) = parts.ok_or_else(|| self.error(&text.span(), fault()))?;
                (text, name, value)
            }
        };
        let unknown = || self.error(&text.span(), Fault::UnknownAttribute { written: name.to_owned() });
        let path = self.attributes.path(name).ok_or_else(unknown)?;
        // By whatever name it is kept: records bring it under that one.
        let kept = keep.iter().find(|(_, kept)| *kept == path).map(|(name, _)| name.clone());
        let unkept = || self.error(&text.span(), Fault::NotKept { written: name.to_owned() });
        let pattern = Pattern::new(value)
            .map_err(|_| self.error(&text.span(), Fault::NotANamePattern { written: value.to_owned() }))?;
        Ok(Some((kept.ok_or_else(unkept)?, pattern)))
    }
}

/// `200/1h`, and for octets `2GiB/24h`.
fn rate(measure: Measure, written: &str) -> Result<Rate, Fault> {
    let fault = || Fault::NotARate { written: written.to_owned(), octets: measure == Measure::Bytes };
    let (most, within) = written.split_once('/').ok_or_else(fault)?;
    let most = match measure {
        Measure::Bytes | Measure::MessageSize => value::octets(most).map_err(|_| fault())?,
        Measure::Messages | Measure::Recipients | Measure::Refused | Measure::Connections => {
            value::digits(most).ok_or_else(fault)?
        }
    };
    let within = value::duration(within).map_err(|_| fault())?;
    // What nobody may send at all is a suspension, and has a reason and an end.
    if most == 0 {
        return Err(fault());
    }
    if !(Duration::from_secs(1)..=LONGEST).contains(&within) {
        return Err(Fault::DurationOutOfRange { least: "1s", most: "3d" });
    }
    Ok(Rate { measure, most, within })
}

fn reply(written: &str) -> Result<String, Fault> {
    let is_plain = written.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic());
    if written.trim().is_empty() || !is_plain || written.len() > TEXT_LIMIT {
        return Err(Fault::NotAReplyText { limit: TEXT_LIMIT });
    }
    Ok(written.to_owned())
}

/// Limits of which one can never be exceeded, as another of the same kind is exceeded before.
#[must_use]
pub(super) fn idle(limits: &[Limit]) -> Vec<(Name, Rate, Rate)> {
    let mut idle = Vec::new();
    for limit in limits {
        for rate in &limit.rates {
            let tighter = limit.rates.iter().find(|other| {
                other.measure == rate.measure
                    && *other != rate
                    && other.most <= rate.most
                    && other.within >= rate.within
            });
            idle.extend(tighter.map(|tighter| (limit.name.clone(), *rate, *tighter)));
        }
    }
    idle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_so_much_in_so_long() {
        let read = |written| rate(Measure::Messages, written).map(|rate| (rate.most, rate.within.as_secs()));
        assert_eq!(read("20/1m").unwrap(), (20, 60));
        assert_eq!(read("1/1s").unwrap(), (1, 1));
        assert_eq!(read("500/3d").unwrap(), (500, 259_200));
        for written in
            ["", "20", "/1m", "20/", "0/1m", "+1/1m", "-1/1m", "1.5/1m", "20/1", "20 / 1m", "2GiB/1m"]
        {
            assert!(matches!(read(written), Err(Fault::NotARate { octets: false, .. })), "{written:?}");
        }
        for written in ["20/0s", "20/4d"] {
            assert!(matches!(read(written), Err(Fault::DurationOutOfRange { .. })), "{written:?}");
        }
        let octets = |written| rate(Measure::Bytes, written).map(|rate| rate.most);
        assert_eq!(octets("2GiB/24h").unwrap(), 2 << 30);
        assert_eq!(octets("1000/1h").unwrap(), 1000);
        assert!(matches!(octets("0MiB/1h"), Err(Fault::NotARate { octets: true, .. })));
    }

    #[test]
    fn a_rate_behind_a_tighter_one_is_told() {
        let limit = |rates: &[&str]| Limit {
            name: Name::from("default"),
            enforced: true,
            kind: Kind::default(),
            rates: rates.iter().map(|written| rate(Measure::Messages, written).unwrap()).collect(),
            message_size: None,
            connections: None,
            text: None,
        };
        assert_eq!(idle(&[limit(&["20/1m", "200/1h", "500/24h"])]), []);
        let told = idle(&[limit(&["20/1m", "200/1h", "100/24h"])]);
        let told: Vec<_> =
            told.iter().map(|(_, idle, tight)| (idle.to_string(), tight.to_string())).collect();
        assert_eq!(told, [("200/1h".to_owned(), "100/1d".to_owned())]);
    }
}
