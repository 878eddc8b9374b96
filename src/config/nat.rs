//! `[[nat]]`: translators whose blocks of ports follow from the inside address (RFC 7422).
//!
//! Knows: what such a translation needs to be one. Must not know: how it is looked up.

use ipnet::IpNet;
use toml::Spanned;

use super::fault::{ConfigError, Fault};
use super::file::Reader;
use super::table::{self, Text};
use super::value;
use crate::session::event::Translation;

/// The ports below are for services; translators leave them alone (RFC 7422, section 2).
const FIRST_PORT: u16 = 1024;

impl Reader<'_> {
    pub(super) fn translations(
        &self,
        tables: &[Spanned<table::Nat>],
    ) -> Result<Vec<Translation>, ConfigError> {
        let mut translations: Vec<Translation> = Vec::new();
        for table in tables {
            let (span, table) = (table.span(), table.get_ref());
            let inside = self.required(&span, "inside", table.inside.as_ref())?;
            let outside_text = self.required(&span, "outside", table.outside.as_ref())?;
            let outside = self.ipv4(outside_text)?;
            let block =
                table.block.as_ref().ok_or_else(|| self.error(&span, Fault::Missing { key: "block" }))?;
            let translation = Translation {
                realm: self.realm(table.realm.as_ref())?.and_then(|realm| realm.vrf().cloned()),
                inside: self.ipv4(inside)?,
                outside,
                first_port: self.number(table.first_port.as_ref(), 1..=u16::MAX, FIRST_PORT)?,
                block: self.number(Some(block), 1..=u16::MAX, u16::MAX)?,
            };
            if !translation.suffices() {
                let blocks = addresses(outside).saturating_mul(translation.blocks_of_an_address().into());
                let inside = addresses(translation.inside);
                return Err(self.error(&outside_text.span(), Fault::NatTooSmall { inside, blocks }));
            }
            if let Some((other, earlier)) = tables
                .iter()
                .zip(&translations)
                .find(|(_, earlier)| earlier.outside.contains(&outside) || outside.contains(&earlier.outside))
            {
                let line = other.get_ref().outside.as_ref().map_or(0, |text| self.place(&text.span()).line);
                let fault = Fault::NatOverlap { outside: earlier.outside, line };
                return Err(self.error(&outside_text.span(), fault));
            }
            translations.push(translation);
        }
        Ok(translations)
    }

    fn ipv4(&self, text: &Text) -> Result<IpNet, ConfigError> {
        self.parse(text, |written| match value::prefix(written)? {
            IpNet::V6(_) => Err(Fault::NatIpv4Only),
            net => Ok(net),
        })
    }
}

/// How many addresses an IPv4 prefix has.
fn addresses(net: IpNet) -> u64 {
    1_u64 << net.max_prefix_len().saturating_sub(net.prefix_len()).min(63)
}
