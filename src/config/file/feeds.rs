//! Feeds that come another way than straight from a NAS: NASes behind a proxy, and files that are followed.
//!
//! Knows: how these tables depend on the clients. Must not know: the clients' own keys.

use std::ops::Range;

use toml::Spanned;

use super::Reader;
use crate::config::fault::{ConfigError, Fault};
use crate::config::{Client, Detail, Nas, NasIdentity, table, value};
use crate::session::Name;

impl Reader<'_> {
    /// Puts each NAS behind its proxy: the one that it names, else every one.
    pub(super) fn nases(
        &self,
        tables: &[Spanned<table::Nas>],
        clients: &mut [Client],
    ) -> Result<(), ConfigError> {
        let mut earlier: Vec<(Option<Name>, Nas)> = Vec::new();
        for table in tables {
            let (span, table) = (table.span(), table.get_ref());
            let nas = self.nas(&span, table)?;
            let behind =
                table.client.as_ref().map(|text| self.filled(text).map(Name::from_text)).transpose()?;
            // Behind one proxy two NASes that are known by the same would be one, with the sessions of both.
            let clashes = |(client, other): &(Option<Name>, Nas)| {
                let apart = client.is_some() && behind.is_some() && *client != behind;
                !apart && is_same(other, &nas)
            };
            if let Some(other) = earlier.iter().position(clashes).and_then(|position| tables.get(position)) {
                return Err(self.error(&span, Fault::Duplicate { line: self.place(&other.span()).line }));
            }
            let place = table.client.as_ref().map_or(span.clone(), Spanned::span);
            if let Some(name) = &behind
                && !clients.iter().any(|client| client.name == *name)
            {
                return Err(self.error(&place, Fault::UnknownClient { written: name.to_string() }));
            }
            let mut proxies = clients
                .iter_mut()
                .filter(|client| client.nas == NasIdentity::Attributes)
                .filter(|client| behind.as_ref().is_none_or(|name| client.name == *name))
                .peekable();
            if proxies.peek().is_none() {
                return Err(self.error(&place, Fault::NotAProxy));
            }
            for proxy in proxies {
                if proxy.may_assign.is_empty() && nas.may_assign.is_empty() {
                    return Err(self.error(&span, Fault::NasWithoutPools));
                }
                proxy.nases.push(nas.clone());
            }
            earlier.push((behind, nas));
        }
        Ok(())
    }

    fn nas(&self, span: &Range<usize>, table: &table::Nas) -> Result<Nas, ConfigError> {
        let name = |text: &table::Text| self.filled(text).map(Name::from_text);
        let nas = Nas {
            identifier: table.identifier.as_ref().map(name).transpose()?,
            address: table.address.as_ref().map(|text| self.parse(text, value::address)).transpose()?,
            name: table.name.as_ref().map(name).transpose()?,
            may_assign: match &table.may_assign {
                Some(texts) => self.prefixes(texts.get_ref())?,
                None => Vec::new(),
            },
            realm: self.realm(table.realm.as_ref())?,
        };
        if nas.identifier.is_none() && nas.address.is_none() {
            return Err(self.error(span, Fault::NasUnnamed));
        }
        Ok(nas)
    }

    pub(super) fn details(
        &self,
        tables: &[Spanned<table::Detail>],
        clients: &[Client],
    ) -> Result<Vec<Detail>, ConfigError> {
        let mut details: Vec<Detail> = Vec::new();
        for table in tables {
            let (span, table) = (table.span(), table.get_ref());
            let text = self.required(&span, "directory", table.directory.as_ref())?;
            let directory = self.base.join(self.filled(text)?);
            let client = self.required(&span, "client", table.client.as_ref())?;
            let client = self.parse(client, |written| {
                let name = Name::from_text(written);
                let client = clients.iter().find(|client| client.name == name);
                let unknown = || Fault::UnknownClient { written: written.to_owned() };
                client.map(|client| client.name.clone()).ok_or_else(unknown)
            })?;
            // Each follows what is one level below, too.
            let shares = |other: &Detail| {
                other.directory == directory
                    || other.directory.parent() == Some(&directory)
                    || directory.parent() == Some(&other.directory)
            };
            if let Some(position) = details.iter().position(shares) {
                let earlier = tables.get(position).map_or(0..0, Spanned::span);
                let line = self.place(&earlier).line;
                return Err(self.error(&text.span(), Fault::FollowedTwice { line }));
            }
            let files = match &table.files {
                Some(text) => self.parse(text, value::pattern)?,
                None => value::pattern("detail*").map_err(|fault| self.error(&span, fault))?,
            };
            details.push(Detail { directory, client, files, remove: table.remove });
        }
        Ok(details)
    }
}

fn is_same(one: &Nas, other: &Nas) -> bool {
    one.identifier.is_some() && one.identifier == other.identifier
        || one.address.is_some() && one.address == other.address
        || one.name.is_some() && one.name == other.name
}
