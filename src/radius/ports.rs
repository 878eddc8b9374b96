//! Blocks of ports of a translator's public address, as each vendor reports them.
//!
//! Knows: the attributes, and whether they tell of a change or of all that there is. Must not know: whose the blocks are,
//! or which of them may be bound.
//!
//! | who | attributes | tells of |
//! |---|---|---|
//! | Nokia | Alc-Nat-Port-Range, text; Alc-Acct-Triggered-Reason | all; in the records of a translator of its own, a change |
//! | Huawei | address, first and last port; Huawei-NAT-Port-Range-Update | a change where the latter says so, else all |
//! | H3C, NetElastic, Travelping | address, first and last port | all |
//! | RFC 8045 | IP-Port-Range, TLVs within 241.6 | a change |
//! | VAS Experts; Nokia and StarOS where the client is declared to be one-to-one | an address | all its ports |

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::value;
use crate::session::Ports;
use crate::session::event::{Claim, ClaimSource};

/// Alc-Acct-Triggered-Reason: a block was given or taken; in the records of a translator of its own, one was taken,
/// one given, or nothing has changed.
const NAT_PORT_RANGE_EVENT: u32 = 17;
const NAT_FREE: u32 = 19;
const NAT_MAP: u32 = 20;
const NAT_UPDATE: u32 = 21;

/// Huawei-NAT-Port-Range-Update.
const ADDED: u32 = 0;
const DELETED: u32 = 1;
const REPLACED: u32 = 3;

/// StarOS, whose attributes have two octets of type and two of length.
const STAROS: u32 = 8164;
const SN_NAT_IP_ADDRESS: u16 = 297;

/// Extended attribute 241, and IP-Port-Range within it (RFC 8045, section 3.1.2).
pub(super) const EXTENDED: u8 = 241;
const IP_PORT_RANGE: u8 = 6;

/// What a record's attributes say of ports, as they came.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    /// Alc-Nat-Port-Range.
    texts: Vec<&'a [u8]>,
    /// Address, first port and last port as numbers. Of one vendor; a second one would tell the same.
    vendor: Option<u32>,
    addresses: Vec<Ipv4Addr>,
    firsts: Vec<u32>,
    lasts: Vec<u32>,
    /// Huawei-NAT-Port-Range-Update.
    update: Option<u32>,
    /// RFC 8045.
    ranges: Vec<Range>,
    /// Addresses that are a subscriber's alone.
    alone: Vec<Ipv4Addr>,
    /// The same, if nobody shares them.
    perhaps_alone: Vec<Ipv4Addr>,
}

/// What it comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Blocks that the session has.
    pub(super) has: Vec<Claim>,
    /// Blocks that it no longer has.
    pub(super) freed: Vec<Claim>,
    /// Whether those that it has are all: any other is freed.
    pub(super) all: bool,
    /// Whether a change was told, so that what is not told of stays.
    pub(super) change: bool,
    /// Blocks that can't be: ends the wrong way round, port 0, or beyond 65535.
    pub(super) refused: u16,
}

/// Who reports a Nokia's blocks, and when.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Circumstances {
    /// Alc-Acct-Triggered-Reason.
    pub(super) reason: Option<u32>,
    /// A translator's own record rather than a subscriber session's.
    pub(super) translator: bool,
    /// It ends one block of several.
    pub(super) ends_block: bool,
    /// Each subscriber of this client has a public address alone.
    pub(super) one_to_one: bool,
}

/// One IP-Port-Range.
#[derive(Debug, Default, Clone, Copy)]
struct Range {
    outside: Option<Ipv4Addr>,
    inside: Option<IpAddr>,
    alloc: Option<u32>,
    first: Option<u32>,
    last: Option<u32>,
}

impl<'a> Attributes<'a> {
    /// Looks at one attribute of a vendor.
    pub(super) fn take(&mut self, (vendor, kind): (u32, u8), octets: &'a [u8]) {
        match (vendor, kind) {
            (6527, 121) => self.texts.push(octets),
            (6527, 141) => self.perhaps_alone.extend(value::ipv4(octets)),
            (43823, 21) => self.alone.extend(value::ipv4(octets)),
            (2011 | 54268, 161) | (25506, 32) | (18681, 16) if self.speaks(vendor) => {
                self.addresses.extend(value::ipv4(octets));
            }
            (2011 | 54268, 162) | (25506, 33) | (18681, 28) if self.speaks(vendor) => {
                self.firsts.extend(value::integer(octets));
            }
            (2011 | 54268, 163) | (25506, 34) | (18681, 29) if self.speaks(vendor) => {
                self.lasts.extend(value::integer(octets));
            }
            (2011, 165) => self.update = self.update.or(value::integer(octets)),
            _ => {}
        }
    }

    fn speaks(&mut self, vendor: u32) -> bool {
        *self.vendor.get_or_insert(vendor) == vendor
    }

    /// Looks at a Vendor-Specific attribute as a whole, for the one vendor whose own attributes have another form.
    pub(super) fn take_vendor_specific(&mut self, octets: &[u8]) {
        let Some((vendor, mut rest)) = octets.split_first_chunk() else { return };
        if u32::from_be_bytes(*vendor) != STAROS {
            return;
        }
        while let Some((&[a, b, c, d], _)) = rest.split_first_chunk() {
            let length = usize::from(u16::from_be_bytes([c, d]));
            let Some((attribute, behind)) = rest.split_at_checked(length) else { return };
            let Some(octets) = attribute.get(4..) else { return };
            if u16::from_be_bytes([a, b]) == SN_NAT_IP_ADDRESS {
                self.perhaps_alone.extend(value::ipv4(octets));
            }
            rest = behind;
        }
    }

    /// Looks at an extended attribute (RFC 6929): its own type, and what it holds.
    pub(super) fn take_extended(&mut self, octets: &[u8]) {
        if let Some((&IP_PORT_RANGE, within)) = octets.split_first() {
            self.ranges.extend(Range::read(within));
        }
    }

    /// Whether a Nokia tells of blocks.
    pub(super) fn has_nokia_blocks(&self) -> bool {
        !self.texts.is_empty()
    }

    /// The address behind the translator, where RFC 8045 names it.
    pub(super) fn inside(&self) -> Option<IpAddr> {
        self.ranges.iter().find_map(|range| range.inside)
    }

    /// What it comes to. `inside`: the address that the whole record is about, if that is all that it names; blocks of
    /// another one are then left out.
    pub(super) fn told(&self, circumstances: Circumstances, inside: Option<IpAddr>) -> Told {
        let mut told = Told::default();
        self.tell_texts(circumstances, &mut told);
        self.tell_numbers(&mut told);
        for range in &self.ranges {
            if inside.is_none() || range.inside.is_none() || range.inside == inside {
                range.tell(&mut told);
            }
        }
        // Where blocks are told of, the address is shared.
        let perhaps =
            if circumstances.one_to_one && self.texts.is_empty() { &self.perhaps_alone[..] } else { &[] };
        for address in self.alone.iter().chain(perhaps) {
            told.has.push(Claim::whole(IpNet::from(IpAddr::V4(*address)), ClaimSource::PortBlock));
            told.all = true;
        }
        told
    }

    fn tell_texts(&self, circumstances: Circumstances, told: &mut Told) {
        let Circumstances { reason, translator, ends_block, .. } = circumstances;
        if self.texts.is_empty() {
            told.all |= reason == Some(NAT_PORT_RANGE_EVENT);
            return;
        }
        let mut blocks = Vec::new();
        for text in joined(&self.texts) {
            read_text(&text, &mut blocks, &mut told.refused);
        }
        if ends_block || reason == Some(NAT_FREE) {
            told.change = true;
            return told.freed.append(&mut blocks);
        }
        let change = translator || matches!(reason, Some(NAT_MAP | NAT_UPDATE));
        // What can't be read says nothing of the blocks that there were.
        told.all |= !change && !blocks.is_empty();
        told.change |= change;
        told.has.append(&mut blocks);
    }

    fn tell_numbers(&self, told: &mut Told) {
        let mut blocks = Vec::new();
        for (at, (first, last)) in self.firsts.iter().zip(&self.lasts).enumerate() {
            // Several blocks of one address may name it once.
            let Some(address) = self.addresses.get(at).or(self.addresses.last()) else { continue };
            push(block(*address, *first, *last), &mut blocks, &mut told.refused);
        }
        if self.update.is_some_and(|update| update != REPLACED) {
            told.change = true;
        }
        match self.update {
            Some(ADDED) => told.has.append(&mut blocks),
            Some(DELETED) => told.freed.append(&mut blocks),
            None | Some(REPLACED) => {
                told.all |= !blocks.is_empty();
                told.has.append(&mut blocks);
            }
            // Nobody knows what it says; what was told before stays.
            Some(_) => {}
        }
    }
}

impl Range {
    /// Reads the TLVs within an IP-Port-Range. They do not nest any further, so neither does this; one that lies about
    /// its length ends the walk, and with it the range.
    fn read(mut within: &[u8]) -> Option<Self> {
        let mut range = Range::default();
        while !within.is_empty() {
            let (&[kind, length], _) = within.split_first_chunk()?;
            let (tlv, rest) = within.split_at_checked(usize::from(length))?;
            let octets = tlv.get(2..)?;
            match kind {
                3 => range.outside = range.outside.or(value::ipv4(octets)),
                4 => range.inside = range.inside.or(value::ipv4(octets).map(IpAddr::V4)),
                5 => range.inside = range.inside.or(value::ipv6(octets).map(IpAddr::V6)),
                8 => range.alloc = range.alloc.or(value::integer(octets)),
                9 => range.first = range.first.or(value::integer(octets)),
                10 => range.last = range.last.or(value::integer(octets)),
                _ => {}
            }
            within = rest;
        }
        Some(range)
    }

    fn tell(&self, told: &mut Told) {
        told.change = true;
        match (self.alloc, self.outside, self.first, self.last) {
            (Some(1), Some(outside), Some(first), Some(last)) => {
                push(block(outside, first, last), &mut told.has, &mut told.refused);
            }
            (Some(2), Some(outside), Some(first), Some(last)) => {
                push(block(outside, first, last), &mut told.freed, &mut told.refused);
            }
            // Section 3.1.2: without a range everything that was allocated is deallocated.
            (Some(2), _, None, None) => told.all = true,
            _ => {}
        }
    }
}

/// A block; `None`: there is no such.
fn block(address: Ipv4Addr, first: u32, last: u32) -> Option<Claim> {
    let (first, last) = (u16::try_from(first).ok()?, u16::try_from(last).ok()?);
    let ports = Ports::new(first, last).filter(|ports| ports.first() > 0)?;
    Some(Claim { prefix: IpNet::from(IpAddr::V4(address)), ports, source: ClaimSource::PortBlock })
}

fn push(block: Option<Claim>, blocks: &mut Vec<Claim>, refused: &mut u16) {
    match block {
        Some(block) => blocks.push(block),
        None => *refused = refused.saturating_add(1),
    }
}

/// A list that is too long for one attribute goes on in the next; one that begins with an address is a list of its own.
fn joined(texts: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut whole: Vec<Vec<u8>> = Vec::new();
    for text in texts {
        match whole.last_mut() {
            Some(last) if address(text).is_none() => last.extend_from_slice(text),
            _ => whole.push(text.to_vec()),
        }
    }
    whole
}

fn address(text: &[u8]) -> Option<Ipv4Addr> {
    std::str::from_utf8(words(text).next()?).ok()?.parse().ok()
}

/// Everything up to the space separates, so that a C string's NUL does, too.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&octet| octet <= b' ').filter(|word| !word.is_empty())
}

/// `180.0.1.248 37674-37723,38507-38556 router base`: behind the blocks stands the service outside.
fn read_text(text: &[u8], blocks: &mut Vec<Claim>, refused: &mut u16) {
    let Some(address) = address(text) else { return };
    let lists = words(text).skip(1).take_while(|word| word.first().is_some_and(u8::is_ascii_digit));
    for ends in lists.flat_map(|list| list.split(|&octet| octet == b',')).filter(|ends| !ends.is_empty()) {
        push(ends_of(ends).and_then(|(first, last)| block(address, first, last)), blocks, refused);
    }
}

fn ends_of(ends: &[u8]) -> Option<(u32, u32)> {
    let (first, last) = std::str::from_utf8(ends).ok()?.split_once('-')?;
    let number = |digits: &str| {
        digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    Some((number(first)?, number(last)?))
}

#[cfg(test)]
mod tests;
