//! Attributes of a request as an operator writes them, with places for what is known of a session: `Filter-Id = "walled-garden"`,
//! `Acct-Session-Id = "{session}"`.
//!
//! Knows: which fact fits which type, and which attribute names one session (RFC 5176 section 3). Must not know: when a
//! request is made, or whom it goes to.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

use super::dictionary::{Dictionary, Type};
use super::text::{self, Assignment, List, Value};
use crate::config::AttributePath;
use crate::session::Name;

/// What is known of a session, as far as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// User-Name as it came.
    pub user_name: Option<Name>,
    /// The subscriber by the identity rules.
    pub subscriber: Option<Name>,
    /// Acct-Session-Id.
    pub session: Option<Name>,
    /// NAS-Identifier.
    pub nas_identifier: Option<Name>,
    /// NAS-Port-Id.
    pub port_id: Option<Name>,
    /// Calling-Station-Id.
    pub calling_station: Option<Name>,
    /// Framed-IP-Address.
    pub address: Option<Ipv4Addr>,
    /// Framed-IPv6-Address.
    pub ipv6_address: Option<Ipv6Addr>,
    /// Framed-IPv6-Prefix.
    pub ipv6_prefix: Option<Ipv6Net>,
    /// Delegated-IPv6-Prefix.
    pub delegated_prefix: Option<Ipv6Net>,
    /// The order that the request follows from.
    pub reference: u64,
    /// Seconds since 1970.
    pub now: u32,
}

/// One of them, as it is written between braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// `{user}`
    User,
    /// `{subscriber}`
    Subscriber,
    /// `{session}`
    Session,
    /// `{nas-identifier}`
    NasIdentifier,
    /// `{port-id}`
    PortId,
    /// `{calling-station}`
    CallingStation,
    /// `{address}`
    Address,
    /// `{ipv6-address}`
    Ipv6Address,
    /// `{ipv6-prefix}`
    Ipv6Prefix,
    /// `{delegated-prefix}`
    DelegatedPrefix,
    /// `{reference}`
    Reference,
    /// `{now}`
    Now,
}

impl Fact {
    /// All of them.
    pub const ALL: [Fact; 12] = [
        Fact::User,
        Fact::Subscriber,
        Fact::Session,
        Fact::NasIdentifier,
        Fact::PortId,
        Fact::CallingStation,
        Fact::Address,
        Fact::Ipv6Address,
        Fact::Ipv6Prefix,
        Fact::DelegatedPrefix,
        Fact::Reference,
        Fact::Now,
    ];

    /// The word between the braces.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Fact::User => "user",
            Fact::Subscriber => "subscriber",
            Fact::Session => "session",
            Fact::NasIdentifier => "nas-identifier",
            Fact::PortId => "port-id",
            Fact::CallingStation => "calling-station",
            Fact::Address => "address",
            Fact::Ipv6Address => "ipv6-address",
            Fact::Ipv6Prefix => "ipv6-prefix",
            Fact::DelegatedPrefix => "delegated-prefix",
            Fact::Reference => "reference",
            Fact::Now => "now",
        }
    }

    /// The standard attribute in which it names one session, if it does.
    fn identifies(self) -> Option<u8> {
        match self {
            Fact::Session => Some(44),
            Fact::Address => Some(8),
            Fact::Ipv6Address => Some(168),
            Fact::Ipv6Prefix => Some(97),
            Fact::DelegatedPrefix => Some(123),
            // One user may have many sessions, and a NAS that is told no more ends them all (RFC 5176 section 3). So may one device, and a
            // port belongs to everybody behind it.
            Fact::User | Fact::Subscriber | Fact::CallingStation | Fact::PortId => None,
            Fact::NasIdentifier | Fact::Reference | Fact::Now => None,
        }
    }

    /// As text, for a value that is text.
    fn text(self, facts: &Facts) -> Option<Vec<u8>> {
        fn spelled(told: Option<impl ToString>) -> Option<Vec<u8>> {
            told.map(|told| told.to_string().into_bytes())
        }
        fn octets(name: Option<&Name>) -> Option<Vec<u8>> {
            name.map(|name| name.octets().to_vec())
        }
        match self {
            Fact::User => octets(facts.user_name.as_ref()),
            Fact::Subscriber => octets(facts.subscriber.as_ref()),
            Fact::Session => octets(facts.session.as_ref()),
            Fact::NasIdentifier => octets(facts.nas_identifier.as_ref()),
            Fact::PortId => octets(facts.port_id.as_ref()),
            Fact::CallingStation => octets(facts.calling_station.as_ref()),
            Fact::Address => spelled(facts.address),
            Fact::Ipv6Address => spelled(facts.ipv6_address),
            Fact::Ipv6Prefix => spelled(facts.ipv6_prefix),
            Fact::DelegatedPrefix => spelled(facts.delegated_prefix),
            Fact::Reference => spelled(Some(facts.reference)),
            Fact::Now => spelled(Some(facts.now)),
        }
    }

    /// As octets of a type that is no text.
    fn packed(self, facts: &Facts, kind: Type) -> Option<Vec<u8>> {
        let prefix = |prefix: Ipv6Net| {
            let head = [0, prefix.prefix_len()];
            [head.as_slice(), &prefix.addr().octets()].concat()
        };
        match (self, kind) {
            (Fact::Address, Type::Ipv4 | Type::Ip) => facts.address.map(|address| address.octets().to_vec()),
            (Fact::Ipv6Address, Type::Ipv6 | Type::Ip) => {
                facts.ipv6_address.map(|address| address.octets().to_vec())
            }
            (Fact::Ipv6Prefix, Type::Ipv6Prefix) => facts.ipv6_prefix.map(prefix),
            (Fact::DelegatedPrefix, Type::Ipv6Prefix) => facts.delegated_prefix.map(prefix),
            (Fact::Now, Type::Date | Type::Integer) => Some(facts.now.to_be_bytes().to_vec()),
            (Fact::Reference, Type::Integer64) => Some(facts.reference.to_be_bytes().to_vec()),
            _ => None,
        }
    }

    fn fits(self, kind: Type) -> bool {
        let some = Facts {
            address: Some(Ipv4Addr::UNSPECIFIED),
            ipv6_address: Some(Ipv6Addr::UNSPECIFIED),
            ipv6_prefix: Some(Ipv6Net::default()),
            delegated_prefix: Some(Ipv6Net::default()),
            ..Facts::default()
        };
        self.packed(&some, kind).is_some()
    }
}

/// Why a line is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is no attribute with a value.
    Line(text::Fault),
    /// Nothing is known by this name.
    UnknownFact {
        /// As written between the braces.
        written: String,
    },
    /// A brace without its other one.
    UnclosedBrace,
    /// The fact is of another type than the attribute.
    OtherType {
        /// Which fact.
        fact: Fact,
        /// The attribute's type.
        kind: Type,
    },
    /// The daemon writes this one itself.
    OurOwn,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Line(fault) => write!(f, "{fault}"),
            Fault::UnknownFact { written } => {
                write!(f, "nothing is known by '{{{written}}}'; write one of ")?;
                let words: Vec<_> = Fact::ALL.iter().map(|fact| format!("{{{}}}", fact.word())).collect();
                f.write_str(&words.join(", "))
            }
            Fault::UnclosedBrace => {
                f.write_str("a brace is not closed; a brace that is meant is written twice")
            }
            Fault::OtherType { fact, kind } => {
                write!(f, "{{{}}} does not fit a value of type {kind:?}", fact.word())
            }
            Fault::OurOwn => f.write_str("is written by the daemon; use message-authenticator = true"),
        }
    }
}

/// An attribute with its value, or how that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    path: AttributePath,
    value: Filling,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Filling {
    /// The same in each request.
    Fixed(Vec<u8>),
    /// A fact in the form of the attribute's type.
    Packed(Fact, Type),
    /// Text with facts in it.
    Text(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Octets(Vec<u8>),
    Fact(Fact),
}

/// Nothing in the list says which session is meant, or it does not fit a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsayable;

impl Template {
    /// Reads `Name = value`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &str, dictionary: &Dictionary) -> Result<Template, Fault> {
        let Assignment { name, value } = Assignment::parse(line.trim()).map_err(Fault::Line)?;
        let definition = dictionary.find(name).ok_or(Fault::Line(text::Fault::UnknownAttribute))?;
        let path = definition.path.clone();
        if path == AttributePath::standard(super::authenticator::MESSAGE_AUTHENTICATOR) {
            return Err(Fault::OurOwn);
        }
        let pieces = match &value {
            Value::Quoted(octets) => pieces(octets)?,
            Value::Bare(text) => pieces(text.as_bytes())?,
        };
        let fact = |piece: &Piece| match piece {
            Piece::Fact(fact) => Some(*fact),
            Piece::Octets(_) => None,
        };
        let is_text = matches!(definition.kind, Type::Text) || {
            // Octets between quotes are text, too.
            matches!((definition.kind, &value), (Type::Octets, Value::Quoted(_)))
        };
        let filling = match (pieces.as_slice(), pieces.iter().find_map(fact)) {
            (_, None) if is_text => Filling::Text(pieces),
            (_, None) => {
                Filling::Fixed(text::octets_of(&definition, &value, dictionary).map_err(Fault::Line)?)
            }
            (_, Some(_)) if is_text => Filling::Text(pieces),
            ([_], Some(fact)) if fact.fits(definition.kind) => Filling::Packed(fact, definition.kind),
            (_, Some(fact)) => return Err(Fault::OtherType { fact, kind: definition.kind }),
        };
        let template = Template { path, value: filling };
        // That it can be written at all, and is not too long by itself.
        let fixed = template.value(&Facts::default()).unwrap_or_default();
        List::default().push(&template.path, &fixed).map_err(Fault::Line)?;
        Ok(template)
    }

    /// Whether its value names one session, where the fact is known: in the attribute that is made for it, or in a vendor's.
    #[must_use]
    pub fn identifies(&self) -> bool {
        let facts: Vec<Fact> = match &self.value {
            Filling::Fixed(_) => Vec::new(),
            Filling::Packed(fact, _) => vec![*fact],
            Filling::Text(pieces) => {
                let fact = |piece: &Piece| match piece {
                    Piece::Fact(fact) => Some(*fact),
                    Piece::Octets(_) => None,
                };
                pieces.iter().filter_map(fact).collect()
            }
        };
        facts
            .into_iter()
            .filter_map(Fact::identifies)
            .any(|kind| self.path == AttributePath::standard(kind) || self.path.vendor() != 0)
    }

    /// Whether it says which NAS is meant.
    #[must_use]
    pub fn names_nas(&self) -> bool {
        let is_name =
            matches!(&self.value, Filling::Text(pieces) if *pieces == [Piece::Fact(Fact::NasIdentifier)]);
        is_name && self.path == AttributePath::standard(32)
    }

    fn value(&self, facts: &Facts) -> Option<Vec<u8>> {
        match &self.value {
            Filling::Fixed(octets) => Some(octets.clone()),
            Filling::Packed(fact, kind) => fact.packed(facts, *kind),
            Filling::Text(pieces) => {
                let mut text = Vec::new();
                for piece in pieces {
                    match piece {
                        Piece::Octets(octets) => text.extend_from_slice(octets),
                        Piece::Fact(fact) => text.extend(fact.text(facts)?),
                    }
                }
                Some(text)
            }
        }
    }
}

/// The attribute list of one request. Of what names the session some may be unknown; what only narrows down which is meant must be
/// known.
///
/// # Errors
/// Nothing names it, something that narrows it is unknown, or the values do not fit.
pub fn fill(templates: &[Template], facts: &Facts) -> Result<Vec<u8>, Unsayable> {
    let mut list = List::default();
    let mut identified = false;
    for template in templates {
        let Some(value) = template.value(facts).filter(|value| !value.is_empty()) else {
            if template.identifies() {
                continue;
            }
            return Err(Unsayable);
        };
        list.push(&template.path, &value).map_err(|_| Unsayable)?;
        identified |= template.identifies();
    }
    if identified { Ok(list.octets) } else { Err(Unsayable) }
}

fn pieces(octets: &[u8]) -> Result<Vec<Piece>, Fault> {
    let mut pieces = Vec::new();
    let mut plain = Vec::new();
    let mut rest = octets;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        match (octet, after.first()) {
            (b'{', Some(b'{')) | (b'}', Some(b'}')) => {
                plain.push(octet);
                rest = after.get(1..).unwrap_or_default();
            }
            (b'}', _) => return Err(Fault::UnclosedBrace),
            (b'{', _) => {
                let end = after.iter().position(|octet| *octet == b'}').ok_or(Fault::UnclosedBrace)?;
                let word = String::from_utf8_lossy(after.get(..end).unwrap_or_default()).into_owned();
                let fact = Fact::ALL.into_iter().find(|fact| fact.word() == word);
                let fact = fact.ok_or(Fault::UnknownFact { written: word })?;
                if !plain.is_empty() {
                    pieces.push(Piece::Octets(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Fact(fact));
                rest = after.get(end.saturating_add(1)..).unwrap_or_default();
            }
            _ => plain.push(octet),
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Octets(plain));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(line: &str) -> Result<Template, Fault> {
        Template::parse(line, Dictionary::builtin())
    }

    fn filled(lines: &[&str], facts: &Facts) -> Result<Vec<u8>, Unsayable> {
        fill(&lines.iter().map(|line| template(line).unwrap()).collect::<Vec<_>>(), facts)
    }

    fn facts() -> Facts {
        Facts {
            user_name: Some(Name::from("alice")),
            session: Some(Name::from("s1")),
            address: Some(Ipv4Addr::new(192, 0, 2, 7)),
            ipv6_prefix: Some("2001:db8::/64".parse().unwrap()),
            reference: 7,
            now: 258,
            ..Facts::default()
        }
    }

    #[test]
    fn a_request_says_what_is_known_in_the_form_of_each_attribute() {
        let lines = [
            "Acct-Session-Id = \"{session}\"",
            "User-Name = {user}",
            "Framed-IP-Address = {address}",
            "Event-Timestamp = {now}",
            "Filter-Id = \"walled-garden-{reference}\"",
            "Session-Timeout = 60",
        ];
        let expected = [
            [44, 4].as_slice(),
            b"s1",
            &[1, 7],
            b"alice",
            &[8, 6, 192, 0, 2, 7],
            &[55, 6, 0, 0, 1, 2],
            &[11, 17],
            b"walled-garden-7",
            &[27, 6, 0, 0, 0, 60],
        ];
        assert_eq!(filled(&lines, &facts()).unwrap(), expected.concat());
    }

    #[test]
    fn what_is_not_known_is_left_out_and_nothing_is_said_of_a_session_that_nothing_names() {
        let lines =
            ["Framed-IP-Address = {address}", "Framed-IPv6-Prefix = {ipv6-prefix}", "User-Name = {user}"];
        let without = Facts { address: None, ..facts() };
        assert_eq!(filled(&lines, &without).unwrap()[0], 97);
        let nameless = Facts { ipv6_prefix: None, ..without };
        assert_eq!(filled(&lines, &nameless), Err(Unsayable));
        let unnarrowed = Facts { user_name: None, ..facts() };
        assert_eq!(filled(&lines, &unnarrowed), Err(Unsayable), "it would mean more than was written");
    }

    #[test]
    fn a_nas_is_named_by_its_identifier_and_nothing_else() {
        for (line, names) in [
            ("NAS-Identifier = {nas-identifier}", true),
            ("NAS-Identifier = \"{nas-identifier}\"", true),
            ("NAS-Identifier = bras1", false),
            ("NAS-Identifier = \"x{nas-identifier}\"", false),
            ("Called-Station-Id = {nas-identifier}", false),
        ] {
            assert_eq!(template(line).unwrap().names_nas(), names, "{line}");
        }
    }

    #[test]
    fn what_names_one_session_is_told_from_what_may_name_many() {
        for (line, names) in [
            ("Acct-Session-Id = {session}", true),
            ("Framed-IP-Address = {address}", true),
            ("Calling-Station-Id = {calling-station}", false),
            ("NAS-Port-Id = {port-id}", false),
            ("Cisco-AVPair = \"audit-session-id={session}\"", true),
            ("User-Name = {user}", false),
            ("Acct-Session-Id = 00000001", false),
            ("Reply-Message = \"{session}\"", false),
            ("NAS-Identifier = {nas-identifier}", false),
        ] {
            assert_eq!(template(line).unwrap().identifies(), names, "{line}");
        }
    }

    #[test]
    fn each_mistake_in_a_template_is_named() {
        let unknown = |written: &str| Fault::UnknownFact { written: written.to_owned() };
        for (line, fault) in [
            ("Filter-Id", Fault::Line(text::Fault::NoOperator)),
            ("No-Such-Thing = 1", Fault::Line(text::Fault::UnknownAttribute)),
            ("Session-Timeout = soon", Fault::Line(text::Fault::BadValue(Type::Integer))),
            ("Filter-Id = \"{who}\"", unknown("who")),
            ("Filter-Id = \"{User}\"", unknown("User")),
            ("Filter-Id = \"{user\"", Fault::UnclosedBrace),
            ("Filter-Id = \"user}\"", Fault::UnclosedBrace),
            ("Framed-IP-Address = {user}", Fault::OtherType { fact: Fact::User, kind: Type::Ipv4 }),
            (
                "Framed-IP-Address = \"{address}.\"",
                Fault::OtherType { fact: Fact::Address, kind: Type::Ipv4 },
            ),
            (
                "Session-Timeout = {reference}",
                Fault::OtherType { fact: Fact::Reference, kind: Type::Integer },
            ),
            ("Message-Authenticator = 0x00", Fault::OurOwn),
        ] {
            assert_eq!(template(line), Err(fault), "{line}");
        }
        let long = |length| template(&format!("Filter-Id = \"{}\"", "x".repeat(length)));
        assert!(long(253).is_ok());
        assert_eq!(long(254), Err(Fault::Line(text::Fault::TooLong)));
    }

    #[test]
    fn a_brace_that_is_meant_is_written_twice() {
        let lines = ["Acct-Session-Id = {session}", "Filter-Id = \"{{{user}}}\""];
        assert!(filled(&lines, &facts()).unwrap().ends_with(b"{alice}"));
    }

    #[test]
    fn a_name_that_is_too_long_for_its_place_makes_no_request() {
        let lines = ["Acct-Session-Id = {session}", "Filter-Id = \"for {user}\""];
        let named = |length| Facts { user_name: Some(Name::new(&vec![b'x'; length])), ..facts() };
        assert!(filled(&lines, &named(249)).is_ok());
        assert_eq!(filled(&lines, &named(250)), Err(Unsayable));
    }
}
