//! `[trend]`: from where on it is a signal what a sender does.
//!
//! Knows: the numbers that make sense. Must not know: how anything is measured.

use super::fault::ConfigError;
use super::file::Reader;
use super::{table, value};
use crate::relay::trend::{Measure, Thresholds};

/// Beyond this it is another way to write "never".
const FLOOR_MOST: u32 = 1_000_000_000;

impl Reader<'_> {
    pub(super) fn trend(&self, table: &table::Trend) -> Result<Thresholds, ConfigError> {
        let default = Thresholds::default();
        let mut of = default.of;
        for (measure, threshold) in Measure::ALL.into_iter().zip(&mut of) {
            let written = written(table, measure);
            // Zero would make a signal of nothing.
            let floor = u32::try_from(threshold.floor).unwrap_or(FLOOR_MOST);
            threshold.floor = self.number(written.floor.as_ref(), 1..=FLOOR_MOST, floor)?.into();
            threshold.tenths = self.parse_or(written.factor.as_ref(), threshold.tenths, value::factor)?;
        }
        Ok(Thresholds {
            signals: table.signals.as_ref().is_none_or(|signals| *signals.get_ref()),
            learn: self.parse_or(table.learn.as_ref(), default.learn, value::duration)?,
            of,
        })
    }
}

fn written(table: &table::Trend, measure: Measure) -> &table::Threshold {
    match measure {
        Measure::Messages => &table.messages,
        Measure::Hours => &table.hours,
        Measure::Recipients => &table.recipients,
        Measure::Domains => &table.domains,
        Measure::NewDomains => &table.new_domains,
        Measure::Strangers => &table.strangers,
        Measure::Senders => &table.senders,
        Measure::Helo => &table.helo,
        Measure::Refused => &table.refused,
        Measure::Spam => &table.spam,
        Measure::Virus => &table.virus,
        Measure::Addresses => &table.addresses,
    }
}
