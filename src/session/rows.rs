//! A slot in as little room as it needs: there are three for each session.
//!
//! Knows: what nearly all slots have in common. Must not know: who reads them, or what a slot means.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::alive::Session;
use super::slot::{Binding, Slot};
use super::{Place, Ports, Realm, Timestamp};

/// A row as most are: a place of one owner, who claimed it when most of what it has was claimed.
pub(super) struct Usual {
    place: Narrow,
    session: Session,
}

/// Any other row.
pub(super) struct Unusual {
    place: Place,
    kept: Kept,
}

/// What stands in a row that is not the usual one.
enum Kept {
    Owned { session: Session, since: Timestamp },
    Other(Box<Slot>),
}

/// IPv4, or an IPv6 prefix of half an address at the most: what subscribers are given, but for single IPv6 addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Narrow {
    V4 { length: u8, realm: Realm, address: [u8; 4], ports: Ports },
    V6 { length: u8, realm: Realm, half: [u8; 8] },
}

const _: () = assert!(size_of::<Option<Usual>>() == 24 && size_of::<Option<Unusual>>() == 40);

/// A row of either kind.
pub(super) enum Row {
    Usual(Usual),
    Unusual(Unusual),
}

impl Row {
    pub(super) fn new(place: Place, slot: Slot) -> Row {
        let kept = match slot {
            Slot::Owned(Binding { session, since, .. }) if !slot.is_remembering() => {
                match Narrow::of(place).filter(|_| since == session.claimed()) {
                    Some(place) => return Row::Usual(Usual { place, session }),
                    None => Kept::Owned { session, since },
                }
            }
            other => Kept::Other(Box::new(other)),
        };
        Row::Unusual(Unusual { place, kept })
    }
}

impl Usual {
    pub(super) fn place(&self) -> Place {
        self.place.place()
    }

    /// Whether it is this place's.
    pub(super) fn is_at(&self, place: &Place) -> bool {
        self.place.is(place)
    }

    pub(super) fn slot(&self) -> Slot {
        Slot::Owned(Binding::new(self.session.clone(), self.session.claimed()))
    }
}

impl Unusual {
    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn is_at(&self, place: &Place) -> bool {
        self.place == *place
    }

    /// What is kept as a slot; any other is handed over as one that was made for the purpose.
    pub(super) fn see<T>(&self, look: impl FnOnce(&Slot) -> T) -> T {
        match &self.kept {
            Kept::Other(slot) => look(slot),
            Kept::Owned { .. } => look(&self.slot()),
        }
    }

    pub(super) fn slot(&self) -> Slot {
        match &self.kept {
            Kept::Owned { session, since } => Slot::Owned(Binding::new(session.clone(), *since)),
            Kept::Other(slot) => slot.as_ref().clone(),
        }
    }
}

impl Narrow {
    fn of(place: Place) -> Option<Narrow> {
        let Place { realm, prefix, ports } = place;
        match prefix {
            IpNet::V4(net) => {
                Some(Narrow::V4 { length: net.prefix_len(), realm, address: net.addr().octets(), ports })
            }
            // Ports of an IPv6 prefix, or a longer one, do not fit.
            IpNet::V6(net) => {
                let ([half, 0], true) = (halves(net), ports.is_all()) else { return None };
                Some(Narrow::V6 { length: net.prefix_len(), realm, half: half.to_be_bytes() })
            }
        }
    }

    /// Whether it was made of this place: the place need not be made of it again for each look at a table.
    fn is(self, place: &Place) -> bool {
        match (self, place.prefix) {
            (Narrow::V4 { length, realm, address, ports }, IpNet::V4(net)) => {
                address == net.addr().octets()
                    && length == net.prefix_len()
                    && realm == place.realm
                    && ports == place.ports
            }
            (Narrow::V6 { length, realm, half }, IpNet::V6(net)) => {
                halves(net) == [u64::from_be_bytes(half), 0]
                    && length == net.prefix_len()
                    && realm == place.realm
                    && place.ports.is_all()
            }
            _ => false,
        }
    }

    fn place(self) -> Place {
        match self {
            Narrow::V4 { length, realm, address, ports } => {
                let net = Ipv4Net::new(Ipv4Addr::from(address), length).unwrap_or_default();
                Place { realm, prefix: net.into(), ports }
            }
            Narrow::V6 { length, realm, half } => {
                let address = u128::from(u64::from_be_bytes(half)) << 64;
                let net = Ipv6Net::new(Ipv6Addr::from(address), length).unwrap_or_default();
                Place { realm, prefix: net.into(), ports: Ports::ALL }
            }
        }
    }
}

/// The first and the second half of where a prefix begins.
fn halves(net: Ipv6Net) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = net.addr().octets();
    [u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes([i, j, k, l, m, n, o, p])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_place_is_the_place_it_was_made_of_and_what_does_not_fit_is_none() {
        let block = Ports::new(1024, 2047).unwrap();
        let mut places = Vec::new();
        for (prefix, ports, fits) in [
            ("192.0.2.1/32", Ports::ALL, true),
            ("192.0.2.0/24", Ports::ALL, true),
            ("0.0.0.0/0", Ports::ALL, true),
            ("192.0.2.1/32", block, true),
            ("2001:db8:1:2::/64", Ports::ALL, true),
            ("2001:db8:1:200::/56", Ports::ALL, true),
            ("::/0", Ports::ALL, true),
            ("2001:db8:1:2::/64", block, false),
            ("2001:db8:1:2:8000::/65", Ports::ALL, false),
            ("2001:db8::1/128", Ports::ALL, false),
            // Nothing but its length tells it from a shorter one.
            ("2001:db8::/128", Ports::ALL, true),
        ] {
            let place = Place { realm: Realm::of_number(7), prefix: prefix.parse().unwrap(), ports };
            let narrow = Narrow::of(place);
            assert_eq!(narrow.map(Narrow::place), fits.then_some(place), "{prefix} {ports}");
            places.extend(narrow.map(|narrow| (narrow, place)));
        }
        for (narrow, own) in &places {
            let elsewhere = Place { realm: Realm::PUBLIC, ..*own };
            assert!(
                !narrow.is(&elsewhere) && places.iter().all(|(_, place)| narrow.is(place) == (own == place))
            );
        }
    }
}
