//! Addresses that several subscribers share by ports (CGNAT): which of them a port belongs to.
//!
//! Knows: blocks of ports, translators whose blocks follow from the inside address (RFC 7422), and the step from a block
//! to whoever owns the address behind it. Must not know: how a block was reported. Invariant I8: without a port nobody
//! is named.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;

use super::bindings::{Binding, Doubt, Found, LiveMap, Lookup, Slot, same_subscriber};
use super::event::Translation;
use super::{Place, Ports, Realm, SessionKey, Timestamp};

/// A translator's record may overtake the one that says who owns the inside address: for so long it is waited for.
const JOINED_WITHIN: Duration = Duration::from_secs(60);

impl LiveMap {
    /// Who owns a port of an address, where it is shared. `None`: it is not.
    pub(super) fn shared(
        &self,
        realm: Realm,
        address: IpAddr,
        port: Option<u16>,
        now: Timestamp,
    ) -> Option<Lookup> {
        if let Some(answer) = self.block(realm, address, port, now) {
            return Some(answer);
        }
        let translations = self.translations.load();
        let (inside_realm, translation) =
            translations.iter().find(|(_, translation)| translation.outside.contains(&address))?;
        let Some(port) = port else { return Some(Lookup::Unready(Doubt::PortRequired, None)) };
        // A port that is given to nobody is the translator's own.
        let Some(inside) = translation.inside_of(address, port) else {
            return Some(self.unowned(address, now));
        };
        Some(self.behind(inside_realm.around(inside), inside, now))
    }

    /// The blocks that stand at an address and their owners, and whoever owns all of it, for people who were told no
    /// port. Empty where there are no blocks.
    #[must_use]
    pub fn sharers(&self, realm: Realm, address: IpAddr) -> Vec<(Ports, Found)> {
        let realm = realm.around(address);
        let mut sharers = Vec::new();
        let blocks = self.blocks_at(realm, address);
        let whole = (!blocks.is_empty()).then_some(Ports::ALL);
        for ports in blocks.into_iter().chain(whole) {
            let place = Place { realm, prefix: address.into(), ports };
            let Some(slot) = self.slot(place) else { continue };
            for binding in slot.holders() {
                sharers.push((ports, Found::from((binding, place.prefix))));
            }
        }
        // Blocks that were given back share nothing any more.
        if sharers.iter().all(|(ports, _)| ports.is_all()) {
            return Vec::new();
        }
        sharers.sort_by_key(|(ports, _)| *ports);
        sharers
    }

    /// The block around a port, for people: that of this session, else the one that was given last. `None`: there is
    /// none, or the session owns the address as a whole.
    #[must_use]
    pub fn block_around(
        &self,
        realm: Realm,
        address: IpAddr,
        port: u16,
        session: Option<&SessionKey>,
    ) -> Option<Ports> {
        let mut around = self.sharers(realm, address);
        around.retain(|(ports, _)| ports.contains(port));
        let of = |found: &Found| found.session.as_ref().map(|session| session.key());
        let own = around.iter().find(|(_, found)| session.is_some() && of(found).as_ref() == session);
        let blocks = around.iter().filter(|(ports, _)| !ports.is_all());
        let block = own.or_else(|| blocks.max_by_key(|(_, found)| found.since));
        if let Some((ports, _)) = block {
            return Some(*ports).filter(|ports| !ports.is_all());
        }
        let translations = self.translations.load();
        let (_, translation) =
            translations.iter().find(|(_, translation)| translation.outside.contains(&address))?;
        translation.block_around(port)
    }

    fn blocks_at(&self, realm: Realm, address: IpAddr) -> Vec<Ports> {
        self.blocks.get(&(realm, address)).map(|blocks| blocks.value().clone()).unwrap_or_default()
    }

    fn block(&self, realm: Realm, address: IpAddr, port: Option<u16>, now: Timestamp) -> Option<Lookup> {
        let blocks = self.blocks_at(realm, address);
        if blocks.is_empty() {
            return None;
        }
        let prefix = IpNet::from(address);
        let slots = |ports: &Ports| self.slot(Place { realm, prefix, ports: *ports });
        let Some(port) = port else {
            let all: Vec<Slot> = blocks.iter().filter_map(slots).collect();
            if all.iter().any(|slot| !slot.holders().is_empty()) {
                return Some(Lookup::Unready(Doubt::PortRequired, None));
            }
            return withheld(&all, now).map(|doubt| Lookup::Unready(doubt, None));
        };
        let around: Vec<Slot> = blocks
            .iter()
            .filter(|ports| ports.contains(port))
            .chain([&Ports::ALL])
            .filter_map(slots)
            .collect();
        if let Some(Slot::Contested(claimants)) = around.iter().find(|slot| slot.holders().len() > 1) {
            return Some(Lookup::Ambiguous(claimants.iter().map(|one| Found::from((one, prefix))).collect()));
        }
        let owners: Vec<&Binding> = around.iter().flat_map(Slot::holders).collect();
        let Some(newest) = owners.iter().max_by_key(|owner| (owner.since, owner.session.key())) else {
            if let Some(doubt) = withheld(&around, now) {
                return Some(Lookup::Unready(doubt, None));
            }
            let shared = blocks.iter().filter_map(slots).any(|slot| !slot.holders().is_empty());
            return shared.then(|| self.unowned(address, now));
        };
        // Nobody was given the port, and the address as a whole belonged to somebody before it came to be shared.
        let given = |slot: &Slot| slot.holders().iter().any(|holder| holder.since > newest.since);
        if owners.len() == 1
            && blocks.iter().filter_map(slots).any(|slot| given(&slot))
            && self.is_whole(newest, realm, prefix)
        {
            return Some(Lookup::Ambiguous(vec![Found::from((*newest, prefix))]));
        }
        // Row 36: of blocks that overlap, the newest counts, unless the other session was heard since: then both live. Of two
        // that were given in one moment, neither is the newer.
        let rivals: Vec<_> = owners
            .iter()
            .filter(|owner| {
                let (ours, theirs) = (&newest.session, &owner.session);
                !ours.is(theirs)
                    && !same_subscriber(ours.subscriber_octets(), theirs.subscriber_octets())
                    && (theirs.seen() > newest.since || owner.since == newest.since)
            })
            .map(|owner| Found::from((*owner, prefix)))
            .collect();
        if rivals.is_empty() {
            return Some(self.joined(newest, prefix, now));
        }
        Some(Lookup::Ambiguous(rivals.into_iter().chain([Found::from((*newest, prefix))]).collect()))
    }

    /// Who owns an address behind a translator; there, too, what is static is known by name.
    fn behind(&self, realm: Realm, inside: IpAddr, now: Timestamp) -> Lookup {
        self.fixed(realm, inside).map_or_else(|| self.unshared(realm, inside, now), Lookup::Found)
    }

    fn is_whole(&self, owner: &Binding, realm: Realm, prefix: IpNet) -> bool {
        let whole = self.slot(Place { realm, prefix, ports: Ports::ALL });
        whole.is_some_and(|slot| slot.holders().iter().any(|holder| holder.session.is(&owner.session)))
    }

    /// Rows 36 and 39: the owner of a block, or of the address for which a translator reports it.
    fn joined(&self, binding: &Binding, prefix: IpNet, now: Timestamp) -> Lookup {
        let found = Found::from((binding, prefix));
        if !binding.is_believed() {
            return Lookup::Unready(Doubt::Suspect, Some(found));
        }
        let Some((realm, inside)) = binding.session.inside() else { return Lookup::Found(found) };
        match self.behind(realm.around(inside), inside, now) {
            Lookup::Absent if now.since(binding.since) < JOINED_WITHIN => {
                Lookup::Unready(Doubt::Unjoined, None)
            }
            other => other,
        }
    }
}

/// Why it can't be said of places without owners that nobody has them.
fn withheld(slots: &[Slot], now: Timestamp) -> Option<Doubt> {
    let doubts = slots.iter().filter_map(|slot| slot.doubt(now));
    doubts.max_by_key(|doubt| *doubt == Doubt::JustFreed)
}

impl Translation {
    /// The inside address that a port of an outside one belongs to: inside addresses take the blocks of the first outside
    /// address in order, then those of the second (RFC 7422, section 2). `None`: a port that is given to nobody.
    #[must_use]
    pub fn inside_of(&self, outside: IpAddr, port: u16) -> Option<IpAddr> {
        let (IpNet::V4(pool), IpNet::V4(inside), IpAddr::V4(outside)) = (self.outside, self.inside, outside)
        else {
            return None;
        };
        let blocks = self.blocks_of_an_address();
        let block = u32::from(port.checked_sub(self.first_port)?.checked_div(self.block)?);
        let order = u32::from(outside).checked_sub(u32::from(pool.network()))?;
        let number = order.checked_mul(blocks)?.checked_add(block)?;
        let address = Ipv4Addr::from(u32::from(inside.network()).checked_add(number)?);
        (block < blocks && pool.contains(&outside) && inside.contains(&address)).then_some(address.into())
    }

    /// The block that a port lies in. `None`: it is given to nobody.
    #[must_use]
    pub fn block_around(&self, port: u16) -> Option<Ports> {
        let number = port.checked_sub(self.first_port)?.checked_div(self.block)?;
        let first = number.checked_mul(self.block)?.checked_add(self.first_port)?;
        Ports::new(first, first.checked_add(self.block.checked_sub(1)?)?)
    }

    /// How many inside addresses share an outside one.
    #[must_use]
    pub fn blocks_of_an_address(&self) -> u32 {
        let ports = u32::from(u16::MAX).saturating_sub(self.first_port.into()).saturating_add(1);
        ports.checked_div(self.block.into()).unwrap_or_default()
    }

    /// Whether every inside address has a block.
    #[must_use]
    pub fn suffices(&self) -> bool {
        let addresses = |net: IpNet| 1_u64 << net.max_prefix_len().saturating_sub(net.prefix_len()).min(63);
        addresses(self.outside).saturating_mul(self.blocks_of_an_address().into()) >= addresses(self.inside)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::session::Name;
    use crate::session::event::{Claim, ClaimSource, Event, Kind, Record};
    use crate::session::machine::Machine;

    fn translation(inside: &str, outside: &str, first_port: u16, block: u16) -> Translation {
        let (inside, outside) = (inside.parse().unwrap(), outside.parse().unwrap());
        Translation { realm: None, inside, outside, first_port, block }
    }

    // RFC 7422, section 2: 1024 ports are reserved, 64,512 are given in blocks of 1008: 64 subscribers an address.
    #[test]
    fn blocks_follow_the_inside_addresses_in_order() {
        let nat = translation("100.64.0.0/22", "192.0.2.0/28", 1024, 1008);
        let inside = |outside: &str, port| {
            nat.inside_of(outside.parse().unwrap(), port).map(|address| address.to_string())
        };
        let some = |address: &str| Some(address.to_owned());
        assert_eq!(nat.blocks_of_an_address(), 64);
        assert_eq!(inside("192.0.2.0", 1023), None);
        assert_eq!(inside("192.0.2.0", 1024), some("100.64.0.0"));
        assert_eq!(inside("192.0.2.0", 2031), some("100.64.0.0"));
        assert_eq!(inside("192.0.2.0", 2032), some("100.64.0.1"));
        assert_eq!(inside("192.0.2.0", 65_535), some("100.64.0.63"));
        assert_eq!(inside("192.0.2.1", 1024), some("100.64.0.64"));
        assert_eq!(inside("192.0.2.15", 65_535), some("100.64.3.255"));
        assert_eq!(inside("192.0.2.16", 1024), None);
        assert_eq!(nat.block_around(1023), None);
        assert_eq!(nat.block_around(2031), Ports::new(1024, 2031));
        assert_eq!(nat.block_around(2032), Ports::new(2032, 3039));
        assert_eq!(nat.block_around(65_535), Ports::new(64_528, 65_535));
    }

    #[test]
    fn ports_beyond_the_last_whole_block_or_the_last_inside_address_are_nobodys() {
        let uneven = translation("100.64.0.0/30", "192.0.2.0/31", 1024, 30_000);
        let inside = |outside: &str, port| uneven.inside_of(outside.parse().unwrap(), port);
        assert_eq!(uneven.blocks_of_an_address(), 2);
        assert_eq!(inside("192.0.2.0", 61_023), "100.64.0.1".parse().ok());
        assert_eq!(inside("192.0.2.0", 61_024), None);
        assert!(uneven.suffices());
        let wide = translation("100.64.0.0/29", "192.0.2.0/31", 1024, 30_000);
        assert!(!wide.suffices());
        let narrow = translation("100.64.0.0/31", "192.0.2.0/31", 1024, 30_000);
        assert_eq!(narrow.inside_of("192.0.2.1".parse().unwrap(), 1024), None);
    }
    /// Two subscribers' sessions that are given these blocks of one address, so many seconds apart.
    fn given(blocks: [(u16, u16); 2], apart: i64) -> Machine {
        let at = |second| Timestamp::from_seconds(1_800_000_000 + second);
        let mut machine = Machine::new(Arc::new(LiveMap::default()));
        for (number, (first, last)) in (0_i64..).zip(blocks) {
            let name = Name::from(["bob", "alice"][usize::try_from(number).unwrap()]);
            let ports = Ports::new(first, last).unwrap();
            let source = ClaimSource::PortBlock;
            let record = Record {
                subscriber: Some(name.clone()),
                claims: vec![Claim { prefix: "192.0.2.1/32".parse().unwrap(), ports, source }],
                ..Record::bare(Kind::Start, Name::from("nat1"), name, at(number * apart))
            };
            machine.fold(at(number * apart), &Event::Record(Box::new(record)), &mut Vec::new());
        }
        machine
    }

    /// Who has port 2048 of that address, in the order in which they are told.
    fn told(machine: &Machine) -> Vec<String> {
        let now = Timestamp::from_seconds(1_800_000_060);
        let named = |found: Found| found.subscriber().unwrap().to_string();
        match machine.map().lookup(Realm::PUBLIC, "192.0.2.1".parse().unwrap(), Some(2048), now) {
            Lookup::Found(found) => vec![named(found)],
            Lookup::Ambiguous(all) => all.into_iter().map(named).collect(),
            other => panic!("{other:?}"),
        }
    }

    // Row 36. A snapshot holds the blocks in another order than they came in.
    #[test]
    fn of_blocks_that_cross_and_were_given_in_one_moment_none_is_the_newer_nor_after_a_restart() {
        for blocks in [[(2048, 3071), (1500, 2500)], [(1500, 2500), (2048, 3071)]] {
            for (apart, expected) in [(0, vec!["alice", "bob"]), (1, vec!["alice"])] {
                let machine = given(blocks, apart);
                let restored = Machine::restore(Arc::new(LiveMap::default()), machine.image());
                assert_eq!(told(&machine), expected, "{blocks:?} {apart} s apart");
                assert_eq!(told(&restored), expected, "{blocks:?} {apart} s apart, after a restart");
            }
        }
    }
}
