//! From an authentic packet to what the session machine wants, resolved by the rules in force.
//!
//! Knows: which attribute says what, and which NAS speaks. Must not know: which claims are admitted, the live
//! map, secrets, sockets, what time it is. An attribute that does not fit its type is left out; the packet
//! stays.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use smallvec::SmallVec;

use super::dictionary::Dictionary;
use super::nas_clock::NasClocks;
use super::packet::{Attribute, Packet};
use super::{attribute, claims, ports, realm, reason, service, translator, value, vendor};
use crate::config::{self, AttributePath, Client, Identity, NasIdentity};
use crate::session::event::{Claim, ClaimSource, Kind, Record, Release, Scope};
use crate::session::{Line, Name, Timestamp};

/// Acct-Terminate-Cause Port-Unneeded: in a translator's record, one block of several has ended.
const PORT_UNNEEDED: u32 = 12;

/// What a packet is read by.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The client whose secret the packet was made with.
    pub client: &'a Client,
    /// Where the packet came from.
    pub source: IpAddr,
    /// `[subscriber]`.
    pub identity: &'a Identity,
    /// `never` of `[relay]`.
    pub never: &'a [IpNet],
}

/// Why an authentic packet changes nothing. It is answered all the same, or it would be sent again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// No Acct-Status-Type.
    NoStatus,
    /// One that says nothing about a session or a NAS: tunnels, modems, vendors' own.
    OtherStatus(u32),
    /// No Acct-Session-Id (RFC 2866 section 5.5), or an empty one.
    NoSessionId,
    /// Accounting-On or -Off from a proxy that does not say of which NAS: it would close the sessions of all.
    UnnamedNas,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ignored::NoStatus => f.write_str("no Acct-Status-Type"),
            Ignored::OtherStatus(status) => write!(f, "Acct-Status-Type {status} concerns no session"),
            Ignored::NoSessionId => f.write_str("no Acct-Session-Id"),
            Ignored::UnnamedNas => {
                f.write_str("Accounting-On or -Off from a proxy without the name of a NAS")
            }
        }
    }
}

/// When a record came, and by which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// When it reached us.
    pub arrival: Timestamp,
    /// When it left the NAS's hands: it reached us, or the server that wrote it into a file. Never after the arrival.
    pub received: Timestamp,
    /// Where that server had it from.
    pub origin: Option<IpAddr>,
}

/// Reads an accounting record that came as a packet.
///
/// # Errors
/// Why it changes nothing.
pub fn read(
    packet: &Packet<'_>,
    rules: &Rules<'_>,
    arrival: Timestamp,
    clocks: &mut NasClocks,
) -> Result<Box<Record>, Ignored> {
    read_relayed(packet, rules, Passage { arrival, received: arrival, origin: None }, clocks)
}

/// Reads an accounting record that another server had first.
///
/// # Errors
/// Why it changes nothing.
pub fn read_relayed(
    packet: &Packet<'_>,
    rules: &Rules<'_>,
    passage: Passage,
    clocks: &mut NasClocks,
) -> Result<Box<Record>, Ignored> {
    let Passage { arrival, received, origin } = passage;
    let mut fields = Fields::of(packet);
    let kind = kind(fields.status)?;
    let whole_nas = matches!(kind, Kind::On | Kind::Off);
    let behind = behind(&fields, rules, origin);
    let nas = match nas(&fields, rules, behind, origin) {
        Some(nas) => nas,
        None if whole_nas => return Err(Ignored::UnnamedNas),
        // A session of a NAS that the proxy does not name is still somebody's; it counts as the proxy's own.
        None => rules.client.name.clone(),
    };
    let session_id = fields.session_id.unwrap_or_default();
    if session_id.is_empty() && !whole_nas {
        return Err(Ignored::NoSessionId);
    }
    let subscriber = subscriber(packet, rules.identity);
    // Mostly the same: then it is one name, not two.
    let user_name = match (&subscriber, fields.user_name) {
        (Some(subscriber), Some(octets)) if subscriber.octets() == octets => Some(subscriber.clone()),
        (_, octets) => name(octets),
    };
    let moment = clocks.moment(&nas, received, arrival, fields.delay, fields.stamp);
    let mut record = Record {
        arrival,
        event: moment.event,
        dated: moment.dated,
        clock_offset: moment.offset,
        client: rules.client.name.clone(),
        nas,
        kind,
        session_id: Name::new(session_id),
        subscriber,
        user_name,
        realm: None,
        claims: Vec::new(),
        releases: Vec::new(),
        inside: None,
        service: None,
        multi_session_id: name(fields.multi_session_id),
        group: rules.client.group.clone(),
        claims_dropped: 0,
        session_time: fields.session_time,
        interval: fields.interval,
        line: Line {
            port_id: name(fields.port_id),
            calling_station: name(fields.calling_station),
            circuit_id: name(fields.circuit_id),
            remote_id: name(fields.remote_id),
        },
        scope: Scope {
            nas_identifier: name(fields.nas_identifier),
            called_station: name(fields.called_station),
            nas_port: fields.nas_port,
            context: fields.contexts.name(),
        },
        terminate_cause: fields.terminate_cause,
        stop_start: rules.client.stop_start,
        kept: Vec::new(),
    };
    // A session's addresses in an Accounting-On would be nonsense, and a service has none of its own: what does not
    // exist can't be misread.
    if !whole_nas {
        record.service = fields.signs.service(session_id, fields.multi_session_id);
        if record.service.is_none() {
            fields.fill(&mut record, packet, rules, behind);
        }
    }
    Ok(Box::new(record))
}

/// The NAS that a packet counts for, also one that is no record: as [`read_relayed`] would name it, and where that names
/// none, the client.
#[must_use]
pub fn nas_of(packet: &Packet<'_>, rules: &Rules<'_>, origin: Option<IpAddr>) -> Name {
    let fields = Fields::of(packet);
    let behind = behind(&fields, rules, origin);
    nas(&fields, rules, behind, origin).unwrap_or_else(|| rules.client.name.clone())
}

/// Whether the NAS says that it had to wait before it could send this (Acct-Delay-Time above zero, RFC 2866 section 5.2):
/// it was sent in vain before, or waited its turn.
#[must_use]
pub fn was_held_back(packet: &Packet<'_>) -> bool {
    packet.values(41).find_map(value::integer).is_some_and(|delay| delay > 0)
}

/// RFC 2866 section 5.1, and 18 and 19 by which equipment reports a part of itself.
fn kind(status: Option<u32>) -> Result<Kind, Ignored> {
    match status.ok_or(Ignored::NoStatus)? {
        1 => Ok(Kind::Start),
        // 15 Failed: a session that never came up has ended all the same.
        2 | 15 => Ok(Kind::Stop),
        3 => Ok(Kind::Interim),
        7 | 18 => Ok(Kind::On),
        8 | 19 => Ok(Kind::Off),
        other => Err(Ignored::OtherStatus(other)),
    }
}

/// RFC 5080 section 2.7.2: the source address says who speaks. What a packet says about its NAS counts only
/// from a proxy that is declared as such: home routers by the thousand call themselves 10.1.0.1.
fn nas(
    fields: &Fields<'_>,
    rules: &Rules<'_>,
    behind: Option<&config::Nas>,
    origin: Option<IpAddr>,
) -> Option<Name> {
    if let Some(name) = behind.and_then(|nas| nas.name.clone()) {
        return Some(name);
    }
    let client = &rules.client.name;
    let named = |part: &[u8]| Name::new(&[client.octets(), b"/", part].concat());
    match rules.client.nas {
        NasIdentity::Client => Some(client.clone()),
        NasIdentity::Source if is_single_host(rules.client.address) => Some(client.clone()),
        NasIdentity::Source => Some(named(rules.source.to_string().as_bytes())),
        NasIdentity::Attributes => {
            let address = fields.nas_address().or(origin);
            let identifier = fields.identifier().map(named);
            identifier.or_else(|| address.map(|address| named(address.to_string().as_bytes())))
        }
    }
}

/// What is configured about the NAS behind a proxy. One that names itself by nothing is known by where the server
/// before us had it from.
fn behind<'a>(fields: &Fields<'_>, rules: &Rules<'a>, origin: Option<IpAddr>) -> Option<&'a config::Nas> {
    rules.client.nas_behind(fields.identifier(), fields.nas_address().or(origin))
}

/// Which claims may be had.
struct Admission<'a> {
    pools: &'a [IpNet],
    never: &'a [IpNet],
}

impl<'a> Admission<'a> {
    fn of(rules: &Rules<'a>, behind: Option<&'a config::Nas>) -> Self {
        /// Where nobody said what may be had, nothing is.
        const EVERYTHING: [IpNet; 2] = [
            IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
            IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
        ];
        match rules.client.may_assign(behind) {
            Some(pools) => Admission { pools, never: rules.never },
            None => Admission { pools: &[], never: &EVERYTHING },
        }
    }

    fn admitted(&self, claims: &[Claim]) -> (Vec<Claim>, u16) {
        claims::admitted(claims, self.pools, self.never)
    }
}

fn is_single_host(prefix: IpNet) -> bool {
    prefix.prefix_len() == prefix.max_prefix_len()
}

fn name(octets: Option<&[u8]>) -> Option<Name> {
    octets.filter(|octets| !octets.is_empty()).map(Name::new)
}

/// The first attribute of the identity chain that names somebody.
fn subscriber(packet: &Packet<'_>, identity: &Identity) -> Option<Name> {
    let candidates = identity.chain.iter().flat_map(|path| attribute::values(packet, path));
    identity.canonical.first(candidates, &identity.shared_names)
}

/// What the operator wants kept, each value of it that is not empty.
fn kept(packet: &Packet<'_>, identity: &Identity) -> Vec<(Name, Name)> {
    let each = identity
        .keep
        .iter()
        .flat_map(|(name, path)| attribute::values(packet, path).map(move |value| (name, path, value)));
    let filled = each.filter(|(_, _, value)| !value.is_empty());
    filled.map(|(name, path, value)| (name.clone(), shown(path, &value))).collect()
}

/// A value as people are to read it, by the type of its attribute; what has none, or does not fit, as octets: a name
/// shows these as text where they are printable, else in hex.
fn shown(path: &AttributePath, value: &[u8]) -> Name {
    let text = Dictionary::builtin().show(path, value).to_string();
    if text.starts_with("0x") { Name::new(value) } else { Name::from(text.as_str()) }
}

/// What one walk over the packet finds. Of an attribute that may stand there only once, the first counts.
#[derive(Default)]
struct Fields<'a> {
    status: Option<u32>,
    session_id: Option<&'a [u8]>,
    user_name: Option<&'a [u8]>,
    nas_ipv4: Option<Ipv4Addr>,
    nas_ipv6: Option<Ipv6Addr>,
    nas_identifier: Option<&'a [u8]>,
    nas_port: Option<u32>,
    called_station: Option<&'a [u8]>,
    calling_station: Option<&'a [u8]>,
    port_id: Option<&'a [u8]>,
    circuit_id: Option<&'a [u8]>,
    remote_id: Option<&'a [u8]>,
    delay: Option<u32>,
    stamp: Option<u32>,
    session_time: Option<u32>,
    interval: Option<u32>,
    terminate_cause: Option<u32>,
    multi_session_id: Option<&'a [u8]>,
    netmask: Option<Ipv4Addr>,
    /// Whether there is a Framed-IP-Address, whatever it says.
    has_framed_address: bool,
    /// Assigned-IP-Address, for records without one.
    assigned: Option<Claim>,
    subscriber_id: Option<&'a [u8]>,
    claims: SmallVec<[Claim; 4]>,
    ports: ports::Attributes<'a>,
    reasons: reason::Reasons,
    signs: service::Signs<'a>,
    contexts: realm::Contexts<'a>,
}

impl<'a> Fields<'a> {
    fn of(packet: &Packet<'a>) -> Self {
        let mut fields = Fields::default();
        for attribute in packet.attributes() {
            fields.take(attribute);
        }
        fields
    }

    fn take(&mut self, Attribute { kind, value }: Attribute<'a>) {
        match kind {
            1 => first(&mut self.user_name, Some(value)),
            4 => first(&mut self.nas_ipv4, value::ipv4(value)),
            5 => first(&mut self.nas_port, value::integer(value)),
            9 => first(&mut self.netmask, value::ipv4(value)),
            vendor::VENDOR_SPECIFIC => {
                self.ports.take_vendor_specific(value);
                for inner in vendor::attributes(value) {
                    self.take_vendors((inner.vendor, inner.kind), inner.value);
                }
            }
            30 => first(&mut self.called_station, Some(value)),
            31 => first(&mut self.calling_station, Some(value)),
            32 => first(&mut self.nas_identifier, Some(value)),
            40 => first(&mut self.status, value::integer(value)),
            41 => first(&mut self.delay, value::integer(value)),
            44 => first(&mut self.session_id, Some(value)),
            46 => first(&mut self.session_time, value::integer(value)),
            49 => first(&mut self.terminate_cause, value::integer(value)),
            50 => first(&mut self.multi_session_id, Some(value)),
            55 => first(&mut self.stamp, value::integer(value)),
            85 => first(&mut self.interval, value::integer(value)),
            87 => first(&mut self.port_id, Some(value)),
            95 => first(&mut self.nas_ipv6, value::ipv6(value)),
            ports::EXTENDED => self.ports.take_extended(value),
            _ => {
                self.has_framed_address |= kind == 8;
                if let Some(claim) = claims::claim(kind, value) {
                    self.claims.push(claim);
                }
            }
        }
    }

    /// What vendors say under names of their own. Addresses that are before a translation (Mikrotik-Host-IP) or outside
    /// of a tunnel (Calling-Station-Id) are nobody's here.
    fn take_vendors(&mut self, id: (u32, u8), value: &'a [u8]) {
        const CISCO_AVPAIR: (u32, u8) = (9, 1);
        self.ports.take(id, value);
        self.reasons.take(id, value);
        self.signs.take(id, value);
        self.contexts.take(id, value);
        match id {
            (3561, 1) | (2352, 97) | (4874, 110) => first(&mut self.circuit_id, Some(value)),
            (3561, 2) | (2352, 96) | (4874, 182) => first(&mut self.remote_id, Some(value)),
            CISCO_AVPAIR => {
                first(&mut self.circuit_id, value.strip_prefix(b"circuit-id-tag="));
                first(&mut self.remote_id, value.strip_prefix(b"remote-id-tag="));
            }
            (6527, 11) => first(&mut self.subscriber_id, Some(value)),
            claims::ASSIGNED_ADDRESS => first(&mut self.assigned, claims::vendors_claim(id, value)),
            _ => self.claims.extend(claims::vendors_claim(id, value)),
        }
    }

    /// What the session has, had, and is.
    fn fill(
        &mut self,
        record: &mut Record,
        packet: &Packet<'_>,
        rules: &Rules<'_>,
        behind: Option<&config::Nas>,
    ) {
        let client = rules.client;
        let admission = Admission::of(rules, behind);
        record.realm = match behind.and_then(|nas| nas.realm.as_ref()).or(client.realm.as_ref()) {
            Some(realm) => realm.vrf().cloned(),
            None => realm::name(packet, &client.realm_attributes),
        };
        if !claims::has_address(&self.claims) {
            self.claims.extend(self.assigned);
        }
        let names = [self.user_name, self.subscriber_id];
        let identified = self.subscriber_id.is_some();
        let translator = if identified || self.ports.has_nokia_blocks() {
            translator::inside_named_by(names, identified, &self.claims)
        } else {
            None
        };
        if translator.is_some() {
            record.subscriber = None;
        }
        let unnamed = record.subscriber.is_none() && !self.has_framed_address;
        record.inside = translator.or_else(|| self.ports.inside().filter(|_| unnamed));
        // The inside address is another session's.
        if record.inside.is_some() {
            self.claims.clear();
        }
        // One block of several has ended, and the session goes on. Where each block has a session of its own, linked by
        // the Acct-Multi-Session-Id, that one ends.
        let ends_block = translator.is_some()
            && record.kind == Kind::Stop
            && self.terminate_cause == Some(PORT_UNNEEDED)
            && record.multi_session_id.is_none();
        if ends_block {
            record.kind = Kind::Interim;
        }
        let told = self.ports.told(
            ports::Circumstances {
                reason: self.reasons.nokia(),
                translator: translator.is_some(),
                ends_block,
                one_to_one: client.one_to_one,
            },
            record.inside,
        );
        if let Some(netmask) = self.netmask.filter(|_| client.routed_netmask) {
            claims::widen(&mut self.claims, netmask);
        }
        self.claims.extend(told.has.iter().copied());
        let (claims, dropped) = admission.admitted(&self.claims);
        (record.claims, record.claims_dropped) = (claims, dropped.saturating_add(told.refused));
        if record.kind != Kind::Stop {
            record.releases = self.releases(record.kind, &told, client, &admission);
            record.kept = kept(packet, rules.identity);
        }
    }

    /// What the session no longer has. Each once and in one order, so that a repetition is the same record.
    fn releases(
        &self,
        kind: Kind,
        told: &ports::Told,
        client: &Client,
        admission: &Admission<'_>,
    ) -> Vec<Release> {
        let mut sources = Vec::new();
        if client.snapshot {
            // Where a change of blocks is told, the others are not, and stay.
            let stays = |source: &ClaimSource| told.change && *source == ClaimSource::PortBlock;
            sources.extend(ClaimSource::ALL.into_iter().filter(|source| !stays(source)));
        }
        if kind == Kind::Interim {
            sources.extend(self.reasons.given_up(self.has_framed_address));
        }
        if told.all {
            sources.push(ClaimSource::PortBlock);
        }
        // What could never be bound need not be remembered as given back.
        let (freed, _) = admission.admitted(&told.freed);
        let freed = freed.into_iter().map(|claim| Release::Only(claim.prefix, claim.ports));
        let mut releases: Vec<_> = sources.into_iter().map(Release::All).chain(freed).collect();
        releases.sort_unstable();
        releases.dedup();
        releases
    }

    fn identifier(&self) -> Option<&'a [u8]> {
        self.nas_identifier.filter(|identifier| !identifier.is_empty())
    }

    /// IOS-XR sends `::` beside a valid IPv4 address, others 0.0.0.0: both name nobody.
    fn nas_address(&self) -> Option<IpAddr> {
        let ipv4 = self.nas_ipv4.filter(|address| !address.is_unspecified()).map(IpAddr::V4);
        // RFC 5080 section 2.7.1: a link-local address does not identify a NAS.
        let usable = |address: &Ipv6Addr| !address.is_unspecified() && !address.is_unicast_link_local();
        ipv4.or_else(|| self.nas_ipv6.filter(usable).map(IpAddr::V6))
    }
}

fn first<T>(field: &mut Option<T>, value: Option<T>) {
    if field.is_none() {
        *field = value;
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vendor_tests;
