//! The addresses in a line, with their ports, and which of them is the client's.
//!
//! | mark | whose | examples |
//! |---|---|---|
//! | client | whoever connected | `client=name[A]:P`, `from name[A]`, `SRC=A SPT=P`, `src=A spt=P`, `H=(helo) [A]:P`, `rip=A` |
//! | ours | whom it connected to | `DST=A`, `by A`, `relay=name[A]:25`, `I=[A]:25`, `lip=A`, `-> A` |
//! | claimed | what the client only says | `helo=<[A]>`, `(A)` right behind `H=` |
//!
//! Of those that are left, loopback addresses and those for private use count only if there is nothing else.
//!
//! Knows: how logs mark and spell an endpoint. Must not know: whose an address is.

use std::net::{IpAddr, Ipv6Addr};

use super::{ADDRESSES_MAX, Endpoint};

/// So far before an address its mark is looked for.
const LEAD_OCTETS_MAX: usize = 160;
/// So many words before an address its mark is looked for.
const LEAD_WORDS_MAX: usize = 4;
/// More than ever are told, so that one that is marked is found behind many that are not.
const SPOTS_MAX: usize = 256;

const CLIENT: &[&str] = &[
    "src",
    "srcip",
    "src_ip",
    "source",
    "source-ip",
    "sourceaddress",
    "saddr",
    "client",
    "orig_client",
    "clientip",
    "client_ip",
    "client-ip",
    "client_address",
    "client_addr",
    "c-ip",
    "cip",
    "remote",
    "remote_addr",
    "remote_ip",
    "remote-ip",
    "remote_address",
    "remoteaddr",
    "rhost",
    "rip",
    "peer",
    "from",
    "h",
    "x-originating-ip",
    "x-forwarded-for",
];
const OURS: &[&str] = &[
    "dst",
    "dstip",
    "dst_ip",
    "dest",
    "dest_ip",
    "destination",
    "destinationaddress",
    "daddr",
    "to",
    "server",
    "local",
    "lip",
    "relay",
    "by",
    "on",
    "via",
    "->",
    ">",
    "i",
    "upstream",
    "s-ip",
    "orig_relay",
];
const CLAIMED: &[&str] = &["helo", "ehlo"];
/// Where a port stands by a name of its own.
const PORTS: &[&str] = &[
    "spt",
    "sport",
    "src_port",
    "srcport",
    "src-port",
    "source_port",
    "source-port",
    "sourceport",
    "client_port",
    "client-port",
    "clientport",
    "c-port",
    "remote_port",
    "remote-port",
    "remoteport",
    "rport",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Client,
    None,
    Ours,
    Claimed,
}

#[derive(Debug, Clone, Copy)]
struct Spot {
    endpoint: Endpoint,
    mark: Mark,
}

pub(super) fn find(line: &str, access_log: bool) -> Vec<Endpoint> {
    let mut spots = spots(line);
    // The access log of a web server begins with the client.
    if access_log
        && let Some(spot) = spots.first_mut().filter(|spot| spot.mark == Mark::None)
        && line.trim_start_matches(['[', '"']).starts_with(&spot.endpoint.address.to_string())
    {
        spot.mark = Mark::Client;
    }
    agree(&mut spots);
    if spots.iter().any(|spot| matches!(spot.mark, Mark::Client | Mark::None)) {
        spots.retain(|spot| matches!(spot.mark, Mark::Client | Mark::None));
    }
    if spots.iter().any(|spot| !is_private(spot.endpoint.address)) {
        spots.retain(|spot| !is_private(spot.endpoint.address));
    }
    if spots.iter().any(|spot| spot.mark == Mark::Client) {
        spots.retain(|spot| spot.mark == Mark::Client);
    }
    let mut found = once_each(&spots);
    // A port by a name of its own is that of the one client there is.
    if let [endpoint] = found.as_mut_slice()
        && endpoint.port.is_none()
    {
        endpoint.port = named_port(line);
    }
    found.truncate(ADDRESSES_MAX);
    found
}

/// An address that is marked in one place is so in all.
fn agree(spots: &mut [Spot]) {
    let marked: Vec<Spot> = spots.iter().copied().filter(|spot| spot.mark != Mark::None).collect();
    for spot in spots.iter_mut().filter(|spot| spot.mark == Mark::None) {
        if let Some(other) = marked.iter().find(|other| other.endpoint.address == spot.endpoint.address) {
            spot.mark = other.mark;
        }
    }
}

/// Each address once: one that stands there with its port and without is the one with it.
fn once_each(spots: &[Spot]) -> Vec<Endpoint> {
    let mut found: Vec<Endpoint> = Vec::new();
    for Spot { endpoint, .. } in spots {
        let known = found.iter_mut().find(|known| {
            known.address == endpoint.address
                && (known.port == endpoint.port || known.port.is_none() || endpoint.port.is_none())
        });
        match known {
            Some(known) => known.port = known.port.or(endpoint.port),
            None => found.push(*endpoint),
        }
    }
    found
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

fn spots(line: &str) -> Vec<Spot> {
    let mut spots = Vec::new();
    let (mut at, mut behind_last) = (0, 0);
    while let Some(rest) = line.get(at..).filter(|rest| !rest.is_empty()) {
        if spots.len() >= SPOTS_MAX {
            break;
        }
        let begins = is_boundary(line, at);
        let Some((endpoint, length)) = begins.then(|| endpoint(rest)).flatten() else {
            at = at.saturating_add(if begins { skip(rest) } else { 1 });
            continue;
        };
        let lead = line.get(behind_last..at).unwrap_or_default();
        spots.push(Spot { endpoint, mark: mark(lead) });
        at = at.saturating_add(length);
        behind_last = at;
    }
    spots
}

fn is_word(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'_'
}

/// Whether an address may begin here: not within a name, and not behind a part of another number.
fn is_boundary(line: &str, at: usize) -> bool {
    let (Some(before), Some(rest)) = (line.get(..at), line.get(at..)) else { return false };
    let Some(&last) = before.as_bytes().last() else { return true };
    if !is_word(last) && !b".-:%".contains(&last) {
        return true;
    }
    // "client:192.0.2.7" and "\"ip\":\"192.0.2.7\"", but not "02:39".
    let named = before
        .strip_suffix(':')
        .is_some_and(|name| name.ends_with(|c: char| c.is_ascii_alphabetic() || c == '"') && dotted(rest));
    named || ends_with(before, "ipv6:")
}

fn dotted(text: &str) -> bool {
    text.bytes().take(4).any(|octet| octet == b'.')
}

fn ends_with(text: &str, suffix: &str) -> bool {
    let from = text.len().checked_sub(suffix.len());
    from.and_then(|from| text.get(from..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

/// How far to the next place at which an address may begin: a word that is none is passed over as a whole.
fn skip(rest: &str) -> usize {
    let word = rest.bytes().take_while(|&octet| is_word(octet)).count();
    word.max(1)
}

/// An address at the front, with the port behind it, and how many octets both take.
fn endpoint(rest: &str) -> Option<(Endpoint, usize)> {
    let part = |octet: u8| octet.is_ascii_hexdigit() || octet == b':' || octet == b'.';
    let run = rest.bytes().take_while(|&octet| part(octet)).count();
    let whole = rest.get(..run)?;
    let next = rest.as_bytes().get(run).copied();
    // A name that begins like an address: 192.0.2.7.isp.example.
    if next.is_some_and(|next| is_word(next) || next == b'-') && !whole.ends_with(':') {
        // "192.0.2.7-192.0.2.9" and the like are ranges, and nobody's.
        return None;
    }
    let (address, port, length) = split(whole)?;
    if address.is_unspecified() {
        return None;
    }
    if port.is_some() || length < run {
        return Some((Endpoint { address, port }, length.max(1)));
    }
    let (port, more) = port_behind(address, rest.get(run..)?);
    Some((Endpoint { address, port }, run.saturating_add(more)))
}

/// Takes a run of digits, dots and colons apart: an address, perhaps with a port behind it.
fn split(whole: &str) -> Option<(IpAddr, Option<u16>, usize)> {
    let trimmed = match whole.ends_with("::") {
        true => whole,
        false => whole.trim_end_matches(['.', ':']),
    };
    if let Some(address) = address(trimmed) {
        return Some((address, None, trimmed.len()));
    }
    // 192.0.2.7:51234; as tcpdump writes it 192.0.2.7.51234; and 2001:db8::7.51234.
    let last = trimmed.rfind([':', '.'])?;
    let (before, port) = (trimmed.get(..last)?, trimmed.get(last.checked_add(1)?..)?);
    let mark = trimmed.as_bytes().get(last).copied()?;
    let port: u16 = port.parse().ok().filter(|_| port.len() <= 5)?;
    let address = address(before)?;
    // Eight groups and one more: the ninth is the port. Of fewer the last one would be a group.
    let fits = address.is_ipv4() || mark == b'.' || before.matches(':').count() == 7;
    fits.then_some((address, Some(port).filter(|port| *port > 0), trimmed.len()))
}

fn address(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    if let IpAddr::V6(v6) = address {
        // Names of programs have colons too (dcc::add), and a hardware address of eight octets looks like one.
        let digits = text.bytes().any(|octet| octet.is_ascii_digit());
        let hardware = text.split(':').count() == 8 && text.split(':').all(|group| group.len() == 2);
        if !digits || hardware || v6 == Ipv6Addr::UNSPECIFIED {
            return None;
        }
    }
    Some(address.to_canonical())
}

/// The port in what follows an address, and how many octets belong to it.
fn port_behind(address: IpAddr, rest: &str) -> (Option<u16>, usize) {
    let mut after = rest;
    // fe80::1%eth0
    if let Some(zone) = after.strip_prefix('%') {
        after = zone.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    }
    let taken = |after: &str| rest.len().saturating_sub(after.len());
    let zone = taken(after);
    let closed = after.strip_prefix(']').unwrap_or(after);
    let number = |text: &str| {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let text = text.get(..digits).filter(|_| digits <= 5)?;
        text.parse::<u16>().ok().filter(|port| *port > 0)
    };
    for mark in [':', '#'] {
        if let Some(text) = closed.strip_prefix(mark)
            && let Some(port) = number(text)
        {
            return (Some(port), taken(text.trim_start_matches(|c: char| c.is_ascii_digit())));
        }
    }
    // Cisco: 192.0.2.7(51234), and 192.0.2.7/51234. A small number behind a slash is the length of a prefix.
    if let Some(text) = after.strip_prefix('(')
        && let Some(port) = number(text)
        && text.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(')')
    {
        return (Some(port), zone);
    }
    if let Some(text) = after.strip_prefix('/')
        && let Some(port) = number(text).filter(|port| *port > if address.is_ipv4() { 32 } else { 128 })
    {
        return (Some(port), zone);
    }
    // "port 55", "port=55", ", port: 55"
    let words = after.trim_start_matches([']', ')', '>', '"', '\'', ',', ' ']);
    let named = words.get(..4).filter(|word| word.eq_ignore_ascii_case("port")).and_then(|_| words.get(4..));
    let port = named.and_then(|text| {
        let text = text
            .strip_prefix([' ', '=', ':', '#'])
            .map(|text| text.trim_start_matches([' ', '=', ':', '#']))?;
        number(text)
    });
    (port, zone)
}

/// What the text before an address, as far as the address before it, says about it.
fn mark(lead: &str) -> Mark {
    let from = lead.len().saturating_sub(LEAD_OCTETS_MAX);
    let lead = lead.get(from..).unwrap_or(lead);
    let lead = if ends_with(lead, "ipv6:") {
        lead.get(..lead.len().saturating_sub(5)).unwrap_or(lead)
    } else {
        lead
    };
    // Exim: H=name (helo) [address]; what stands in parentheses right behind H= is only said.
    if lead.ends_with("H=(") || lead.ends_with("H=([") {
        return Mark::Claimed;
    }
    let known = |word: &str| {
        let word =
            word.trim_matches(['"', '\'', '(', '<', '[', '{', ',', ';', ':', ')', '=']).to_ascii_lowercase();
        let is = |list: &[&str]| list.contains(&word.as_str());
        match () {
            () if is(CLIENT) => Some(Mark::Client),
            () if is(OURS) => Some(Mark::Ours),
            () if is(CLAIMED) => Some(Mark::Claimed),
            () => None,
        }
    };
    for word in lead
        .split([' ', '\t', ',', '|', '{', '&', '?'])
        .rev()
        .filter(|word| !word.is_empty())
        .take(LEAD_WORDS_MAX)
    {
        // "from=<a@b>" is an envelope and no host.
        if word.trim_start_matches('@').contains('@') {
            return Mark::None;
        }
        let key = word.split_once(['=', ':']).map_or(word, |(key, _)| key);
        if let Some(mark) = known(key).or_else(|| known(word)) {
            return mark;
        }
    }
    Mark::None
}

/// `SPT=51234`, `"client_port": 51234`. More than one: none.
fn named_port(line: &str) -> Option<u16> {
    let mut found = None;
    let mut rest = line;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        let begins = before
            .is_none_or(|before: char| !before.is_ascii_alphanumeric() && before != '_' && before != '-');
        if begins && let Some(port) = PORTS.iter().find_map(|name| port_named(rest, name)) {
            if found.is_some_and(|found| found != port) {
                return None;
            }
            found = Some(port);
        }
        before = Some(c);
        rest = rest.get(c.len_utf8()..)?;
    }
    found
}

fn port_named(rest: &str, name: &str) -> Option<u16> {
    let key = rest.get(..name.len()).filter(|key| key.eq_ignore_ascii_case(name))?;
    let value = rest.get(key.len()..)?.trim_start_matches(['"', ' ']);
    let value = value.strip_prefix(['=', ':'])?.trim_start_matches(['"', ' ']);
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    value.get(..digits)?.parse().ok().filter(|port| *port > 0)
}
