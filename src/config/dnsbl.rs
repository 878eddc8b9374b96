//! `[watch.dnsbl]`: which block lists are asked about which of our own addresses.
//!
//! Knows: what can be asked at all. Must not know: how it is asked, or what an answer means.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use toml::Spanned;

use super::fault::{Caution, ConfigError, Fault};
use super::file::Reader;
use super::table::{self, Text};
use super::value;
use crate::radius::claims;
use crate::session::{Name, Realm};

/// Lists are asked again after this.
const EVERY: Duration = Duration::from_secs(15 * 60);
/// Lists give out what changed in minutes; who asks more often is barred.
const EVERY_LEAST: Duration = Duration::from_secs(60);
const EVERY_MOST: Duration = Duration::from_secs(24 * 3600);

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT_LEAST: Duration = Duration::from_secs(1);
const TIMEOUT_MOST: Duration = Duration::from_secs(30);

/// So many addresses of a range are asked about in a round, at most: each list is asked about them, one after the other.
const SAMPLE_MOST: u16 = 256;

/// A name has 253 characters at most (RFC 1035, 2.3.4), and an IPv6 address takes 64 of them.
const ZONE_LIMIT: usize = 253 - 64;
/// RFC 1035, 2.3.4.
const LABEL_LIMIT: usize = 63;
/// Resolvers answer for these by themselves, and ask nobody (RFC 6761, RFC 6762, RFC 7686).
const NEVER_ASKED: [&str; 4] = ["localhost", "invalid", "local", "onion"];

/// `[watch.dnsbl]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dnsbl {
    /// Our relays, as the Internet sees them: public, each once, at least one.
    pub addresses: Vec<IpAddr>,
    /// At least one.
    pub lists: Vec<BlockList>,
    /// Ranges of customers of which some are asked about in each round.
    pub sample: Vec<Sample>,
    /// How often.
    pub every: Duration,
    /// Whom to ask; empty: whom this host asks.
    pub resolvers: Vec<SocketAddr>,
    /// How long an answer is waited for, before it is asked once more.
    pub timeout: Duration,
}

/// A block list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockList {
    /// Its name in output, in cases and in metrics; no two have the same.
    pub name: Name,
    /// Where it lies in the DNS; in lower case, without a dot at its end. Some lists put a customer's key into it.
    pub zone: String,
    /// Whether it has IPv6 addresses, too.
    pub ipv6: bool,
}

/// A range of customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Which; public.
    pub prefix: Ipv4Net,
    /// How many of its addresses in each round, at least one.
    pub count: u16,
}

impl Dnsbl {
    /// The addresses that this list is asked about.
    pub fn addresses_of(&self, list: &BlockList) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().copied().filter(|address| address.is_ipv4() || list.ipv6)
    }
}

impl Reader<'_> {
    pub(super) fn dnsbl(
        &mut self,
        table: Option<&Spanned<table::Dnsbl>>,
    ) -> Result<Option<Dnsbl>, ConfigError> {
        let Some(table) = table else { return Ok(None) };
        let (span, table) = (table.span(), table.get_ref());
        let Some(addresses) = &table.addresses else {
            return Err(self.error(&span, Fault::Missing { key: "addresses" }));
        };
        let Some(lists) = &table.lists else {
            return Err(self.error(&span, Fault::Missing { key: "lists" }));
        };
        for (span, is_empty) in
            [(addresses.span(), addresses.get_ref().is_empty()), (lists.span(), lists.get_ref().is_empty())]
        {
            if is_empty {
                return Err(self.error(&span, Fault::Empty));
            }
        }
        let dnsbl = Dnsbl {
            addresses: self.own_addresses(addresses.get_ref())?,
            lists: self.block_lists(lists.get_ref())?,
            sample: self.samples(&table.sample)?,
            every: self.parse_or(table.every.as_ref(), EVERY, |written| {
                within(written, EVERY_LEAST..EVERY_MOST, ("1m", "1d"))
            })?,
            resolvers: match &table.resolver {
                Some(texts) if texts.get_ref().is_empty() => {
                    return Err(self.error(&texts.span(), Fault::Empty));
                }
                Some(texts) => self.socket_addresses(texts)?,
                None => Vec::new(),
            },
            timeout: self.parse_or(table.timeout.as_ref(), TIMEOUT, |written| {
                within(written, TIMEOUT_LEAST..TIMEOUT_MOST, ("1s", "30s"))
            })?,
        };
        let unasked = addresses.get_ref().iter().zip(&dnsbl.addresses).find(|(_, address)| address.is_ipv6());
        if let Some((text, _)) = unasked.filter(|_| !dnsbl.lists.iter().any(|list| list.ipv6)) {
            self.warn(Some(&text.span()), Caution::NoListForIpv6);
        }
        Ok(Some(dnsbl))
    }

    fn own_addresses(&self, texts: &[Text]) -> Result<Vec<IpAddr>, ConfigError> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for text in texts {
            let address = self.parse(text, public)?;
            if let Some(earlier) = addresses.iter().position(|other| *other == address) {
                return Err(self.duplicate(Some(text), texts.get(earlier)));
            }
            addresses.push(address);
        }
        Ok(addresses)
    }

    fn block_lists(&self, tables: &[Spanned<table::BlockList>]) -> Result<Vec<BlockList>, ConfigError> {
        let mut lists: Vec<BlockList> = Vec::new();
        for table in tables {
            let (span, table) = (table.span(), table.get_ref());
            let text = self.required(&span, "zone", table.zone.as_ref())?;
            let zone = self.parse(text, zone)?;
            let name = match &table.name {
                Some(text) => Name::from_text(self.filled(text)?),
                None => Name::from(zone.as_str()),
            };
            for (other, earlier) in tables.iter().zip(&lists) {
                let other = other.get_ref();
                if earlier.zone == zone {
                    return Err(self.duplicate(Some(text), other.zone.as_ref()));
                }
                if earlier.name == name {
                    let named =
                        |table: &table::BlockList| table.name.as_ref().or(table.zone.as_ref()).cloned();
                    return Err(self.duplicate(named(table).as_ref(), named(other).as_ref()));
                }
            }
            lists.push(BlockList { name, zone, ipv6: table.ipv6 });
        }
        Ok(lists)
    }

    fn samples(&self, tables: &[Spanned<table::Sample>]) -> Result<Vec<Sample>, ConfigError> {
        let mut samples: Vec<Sample> = Vec::new();
        for table in tables {
            let (span, table) = (table.span(), table.get_ref());
            let text = self.required(&span, "prefix", table.prefix.as_ref())?;
            let prefix = self.parse(text, sampled)?;
            let Some(count) = &table.count else {
                return Err(self.error(&span, Fault::Missing { key: "count" }));
            };
            let count = self.number(Some(count), 1..=SAMPLE_MOST, SAMPLE_MOST)?;
            if let Some(earlier) = samples.iter().position(|other| other.prefix == prefix) {
                let other = tables.get(earlier).and_then(|other| other.get_ref().prefix.as_ref());
                return Err(self.duplicate(Some(text), other));
            }
            samples.push(Sample { prefix, count });
        }
        Ok(samples)
    }
}

/// A time from the one to the other, both included.
fn within(
    written: &str,
    range: Range<Duration>,
    (least, most): (&'static str, &'static str),
) -> Result<Duration, Fault> {
    let time = value::duration(written)?;
    match range.start <= time && time <= range.end {
        true => Ok(time),
        false => Err(Fault::DurationOutOfRange { least, most }),
    }
}

/// An address that other mail servers can see.
fn public(written: &str) -> Result<IpAddr, Fault> {
    let address = value::address(written)?;
    let is_private = Realm::NOWHERE.around(address) != Realm::PUBLIC;
    match is_private || claims::is_special(address.into()) {
        true => Err(Fault::NotPublic { written: written.to_owned() }),
        false => Ok(address),
    }
}

fn sampled(written: &str) -> Result<Ipv4Net, Fault> {
    let prefix = value::prefix(written)?;
    let is_private = Realm::NOWHERE.around(prefix.addr()) != Realm::PUBLIC;
    match prefix {
        IpNet::V4(net) if !is_private && !claims::is_special(prefix) => Ok(net),
        _ => Err(Fault::NotSampled { written: written.to_owned() }),
    }
}

fn zone(written: &str) -> Result<String, Fault> {
    let is_label = |label: &str| {
        (1..=LABEL_LIMIT).contains(&label.len())
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet))
    };
    let zone = written.to_ascii_lowercase();
    let (before, last) = zone.rsplit_once('.').unwrap_or_default();
    let good = !before.is_empty()
        && zone.len() <= ZONE_LIMIT
        && zone.split('.').all(is_label)
        && !last.bytes().all(|octet| octet.is_ascii_digit())
        && !NEVER_ASKED.contains(&last);
    match good {
        true => Ok(zone),
        false => Err(Fault::NotABlockList { written: written.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_leaves_room_for_an_ipv6_address_and_has_labels_that_can_be() {
        let of = |length: usize| {
            let label = "a".repeat(LABEL_LIMIT);
            let whole = [label.as_str(); 4].join(".");
            whole[whole.len() - length..].to_owned()
        };
        assert_eq!(of(ZONE_LIMIT).len(), 189);
        assert!(zone(&of(ZONE_LIMIT)).is_ok() && zone(&of(ZONE_LIMIT + 1)).is_err());
        let label = |length| format!("{}.example", "a".repeat(length));
        assert!(zone(&label(63)).is_ok() && zone(&label(64)).is_err());
        assert_eq!(zone("Zen.Example.ORG").unwrap(), "zen.example.org");
        assert!(zone("k3y_.zen-1.example").is_ok());
        for wrong in
            ["", "zen", ".example", "zen..example", "zen.example.", "https://zen.example", "zen example.org"]
        {
            assert!(zone(wrong).is_err(), "{wrong}");
        }
        for never in ["192.0.2.1", "a.localhost", "a.invalid", "a.LOCAL", "a.onion", "b\u{fc}.example"] {
            assert!(zone(never).is_err(), "{never}");
        }
    }

    #[test]
    fn only_what_others_can_see_is_asked_about() {
        for good in ["192.0.2.25", "100.128.0.1", "172.32.0.1", "2001:db8::25"] {
            assert!(public(good).is_ok(), "{good}");
        }
        for wrong in [
            "10.0.0.1",
            "100.64.0.1",
            "172.31.0.1",
            "127.0.0.2",
            "0.0.0.0",
            "224.0.0.1",
            "fd00::1",
            "::1",
            "fe80::1",
        ] {
            assert!(matches!(public(wrong), Err(Fault::NotPublic { .. })), "{wrong}");
        }
        assert!(matches!(public("192.0.2.0/24"), Err(Fault::NotAnAddress { .. })));
    }

    #[test]
    fn a_range_that_is_sampled_is_public_and_of_ipv4() {
        for good in ["198.51.100.0/24", "192.0.2.1"] {
            assert!(sampled(good).is_ok(), "{good}");
        }
        for wrong in ["10.0.0.0/8", "100.64.0.0/10", "0.0.0.0/0", "127.0.0.0/8", "2001:db8::/32"] {
            assert!(matches!(sampled(wrong), Err(Fault::NotSampled { .. })), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_within_both_ends() {
        let every = |written| within(written, EVERY_LEAST..EVERY_MOST, ("1m", "1d"));
        assert!(every("60s").is_ok() && every("59s").is_err());
        assert!(every("24h").is_ok() && every("86401s").is_err());
    }
}
