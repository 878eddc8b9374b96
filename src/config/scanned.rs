//! `[scanned]` and `[[scanned.header]]`: what scanners say, and what of it counts.
//!
//! Knows: how rules are written, and what stands for them where none is. Must not know: how they are held against what is said.

use glob::Pattern;
use toml::Spanned;

use super::fault::{ConfigError, Fault};
use super::file::Reader;
use super::table::{self, Text};
use crate::mta::policy::is_field_name;
use crate::relay::scanner::{Header, Position, Rules, pattern};

/// No scanner counts as far as that.
const SCORE_MOST: i64 = 1_000_000;

impl Reader<'_> {
    pub(super) fn scanned(&self, table: &table::Scanned) -> Result<Rules, ConfigError> {
        let usual = Rules::default();
        Ok(Rules {
            headers: match &table.header {
                Some(tables) => {
                    tables.iter().map(|table| self.scanned_header(table)).collect::<Result<_, _>>()?
                }
                None => usual.headers,
            },
            spam_actions: match &table.spam_actions {
                Some(texts) => self.value_patterns(texts)?,
                None => usual.spam_actions,
            },
            virus_symbols: match &table.virus_symbols {
                Some(texts) => self.value_patterns(texts)?,
                None => usual.virus_symbols,
            },
        })
    }

    fn scanned_header(&self, table: &Spanned<table::ScannedHeader>) -> Result<Header, ConfigError> {
        let (span, table) = (table.span(), table.get_ref());
        let name = self.required(&span, "name", table.name.as_ref())?;
        let name = self.parse(name, |written| match is_field_name(written) {
            true => Ok(written.to_owned()),
            false => Err(Fault::NotAHeader { written: written.to_owned() }),
        })?;
        if table.spam.is_empty() && table.virus.is_empty() && table.spam_score.is_none() {
            return Err(self.error(&span, Fault::Missing { key: "spam" }));
        }
        let positions = [Position::Any, Position::First, Position::Last];
        let place = self.choice(table.position.as_ref(), &["any", "first", "last"])?;
        Ok(Header {
            name,
            spam: self.value_patterns(&table.spam)?,
            virus: self.value_patterns(&table.virus)?,
            spam_score: table.spam_score.as_ref().map(|score| self.thousandths(score)).transpose()?,
            contains: table.contains.as_ref().map(|text| self.filled(text).map(str::to_owned)).transpose()?,
            position: positions.get(place).copied().unwrap_or_default(),
        })
    }

    fn value_patterns(&self, texts: &[Text]) -> Result<Vec<Pattern>, ConfigError> {
        let of = |written: &str| {
            pattern(written).ok_or_else(|| Fault::NotANamePattern { written: written.to_owned() })
        };
        texts.iter().map(|text| self.parse(text, of)).collect()
    }

    fn thousandths(&self, score: &Spanned<f64>) -> Result<i64, ConfigError> {
        let thousandths = (score.get_ref() * 1000.0).round();
        let within = thousandths.abs() <= 1000.0 * 1_000_000.0;
        let fault = Fault::NumberOutOfRange { least: -SCORE_MOST, most: SCORE_MOST };
        if !within {
            return Err(self.error(&score.span(), fault));
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is within a range that fits")]
        Ok(thousandths as i64)
    }
}
