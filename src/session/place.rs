//! Where something can be bound: an address space, a prefix in it, and the ports of it.
//!
//! Knows: which addresses mean the same to everybody, and how ranges of ports lie to one another. Must not know: who
//! owns what.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// An address space. The public one is single; private spaces belong to a VRF and come with their own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Realm(u16);

impl Realm {
    /// The one space in which an address means the same to everybody.
    pub const PUBLIC: Realm = Realm(0);
    /// The private space of which nothing was ever heard: nothing is bound in it, nothing found.
    pub const NOWHERE: Realm = Realm(u16::MAX);

    /// The space with this number.
    #[must_use]
    pub const fn of_number(number: u16) -> Self {
        Realm(number)
    }

    /// Its number; 0 is the public one.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The space in which an address of this realm's lies: what is routed on the Internet is the same address in every
    /// VRF.
    #[must_use]
    pub fn around(self, address: IpAddr) -> Realm {
        if is_private(address) { self } else { Realm::PUBLIC }
    }
}

/// Whether an address means something else in each VRF: RFC 1918, RFC 6598 (shared), RFC 4193 (unique local).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_private() || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

/// Source ports of an address, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Option<(u16, u16)>", into = "Option<(u16, u16)>")]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// The whole address.
    pub const ALL: Ports = Ports { first: 0, last: u16::MAX };

    /// A block of ports. `None`: the ends are the wrong way round.
    #[must_use]
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first > last { None } else { Some(Ports { first, last }) }
    }

    /// The lowest port.
    #[must_use]
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    #[must_use]
    pub const fn last(self) -> u16 {
        self.last
    }

    /// Whether this is the whole address.
    #[must_use]
    pub fn is_all(self) -> bool {
        self == Ports::ALL
    }

    /// Whether a port lies within.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl From<Option<(u16, u16)>> for Ports {
    fn from(ends: Option<(u16, u16)>) -> Self {
        ends.map_or(Ports::ALL, |(a, b)| Ports { first: a.min(b), last: a.max(b) })
    }
}

impl From<Ports> for Option<(u16, u16)> {
    fn from(ports: Ports) -> Self {
        (!ports.is_all()).then_some((ports.first, ports.last))
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What can have one owner: a prefix of an address space, or a block of ports of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The address space; always the public one for a public prefix.
    pub realm: Realm,
    /// Host bits are zero.
    pub prefix: IpNet,
    /// Which ports of it.
    pub ports: Ports,
}

/// Hashed for each lookup, and twice for each claim: in two words for IPv4 and three for IPv6, where field by field would
/// be seven.
impl Hash for Place {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Place { realm, prefix, ports } = self;
        let [a, b] = realm.0.to_be_bytes();
        let ([c, d], [e, f]) = (ports.first.to_be_bytes(), ports.last.to_be_bytes());
        match prefix {
            IpNet::V4(net) => {
                state.write_u64(u64::from_be_bytes([a, b, c, d, e, f, net.prefix_len(), 4]));
                state.write_u64(net.addr().to_bits().into());
            }
            IpNet::V6(net) => {
                state.write_u64(u64::from_be_bytes([a, b, c, d, e, f, net.prefix_len(), 6]));
                state.write_u128(net.addr().to_bits());
            }
        }
    }
}

impl Place {
    /// The place of a prefix that is claimed within a realm.
    #[must_use]
    pub fn new(realm: Realm, prefix: IpNet, ports: Ports) -> Self {
        Place { realm: realm.around(prefix.addr()), prefix, ports }
    }

    /// A whole prefix.
    #[must_use]
    pub fn whole(realm: Realm, prefix: IpNet) -> Self {
        Place::new(realm, prefix, Ports::ALL)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.prefix.fmt(f)?;
        if !self.ports.is_all() {
            write!(f, " ports {}", self.ports)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_private_addresses_depend_on_the_realm() {
        let vrf = Realm::of_number(7);
        let around = |address: &str| vrf.around(address.parse().unwrap());
        for private in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.0",
            "100.127.255.255",
            "fd00::1",
        ] {
            assert_eq!(around(private), vrf, "{private}");
        }
        for public in [
            "9.255.255.255",
            "172.15.0.1",
            "172.32.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "192.0.2.1",
            "2001:db8::1",
        ] {
            assert_eq!(around(public), Realm::PUBLIC, "{public}");
        }
    }

    #[test]
    fn a_block_holds_both_its_ends_and_nothing_beside_them() {
        let block = Ports::new(1024, 2047).unwrap();
        assert!(block.contains(1024) && block.contains(2047));
        assert!(!block.contains(1023) && !block.contains(2048));
        assert_eq!(Ports::new(2, 1), None);
        assert!(Ports::new(5, 5).is_some_and(|one| one.contains(5)));
    }

    #[test]
    fn ports_are_written_only_where_they_limit() {
        let octets = |ports| postcard::to_stdvec(&ports).unwrap();
        assert_eq!(octets(Ports::ALL), [0]);
        let block = Ports::new(1024, 2047).unwrap();
        assert_eq!(postcard::from_bytes::<Ports>(&octets(block)).unwrap(), block);
    }
}
