//! Every address that may relay at one moment, for a table that is asked when we can't be.
//!
//! Knows: that between two neighbouring ends of prefixes all addresses have the same answer. Must not know: what makes
//! the answer (that is asked of `ruling`, as for each mail server), or how a table is written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::Profile;
use super::ruling::{Client, rule};
use super::standing::Standing;
use super::verdict::Verdict;
use crate::session::bindings::LiveMap;
use crate::session::{Realm, Timestamp};

/// The fewest prefixes that hold exactly the permitted addresses, in order: IPv4, then IPv6. None lies within another, so
/// the table says the same in whatever order it is searched; and what must not relay within a permitted prefix is left
/// out of it, because a list of networks has no way to say no.
#[must_use]
pub fn permitted(
    map: &LiveMap,
    standing: &Standing,
    realm: Realm,
    blind: bool,
    now: Timestamp,
) -> Vec<IpNet> {
    let may = |address| {
        let client = Client {
            realm,
            address: Some(address),
            // A table tells addresses apart and no ports: what is shared is not in it.
            port: None,
            login: None,
            profile: Profile::Relay,
            logins_relay: false,
            blind,
        };
        rule(map, standing, client, now).verdict() == Verdict::Permit
    };
    let (mut ipv4, mut ipv6) = (Family::default(), Family::default());
    for prefix in map.prefixes(realm) {
        match prefix {
            IpNet::V4(net) => ipv4.mark(net.network().to_bits().into(), net.broadcast().to_bits().into()),
            IpNet::V6(net) => ipv6.mark(net.network().to_bits(), net.broadcast().to_bits()),
        }
    }
    let ipv4 = ipv4.ranges(u32::MAX.into(), |bits| narrow(bits).is_some_and(|bits| may(IpAddr::V4(bits))));
    let ipv6 = ipv6.ranges(u128::MAX, |bits| may(IpAddr::V6(Ipv6Addr::from_bits(bits))));
    let ipv4 = ipv4.into_iter().filter_map(|(first, last)| Some((narrow(first)?, narrow(last)?)));
    let ipv4 = ipv4.flat_map(|(first, last)| Ipv4Subnets::new(first, last, 0)).map(IpNet::V4);
    let ipv6 = ipv6.into_iter().flat_map(|(first, last)| {
        Ipv6Subnets::new(Ipv6Addr::from_bits(first), Ipv6Addr::from_bits(last), 0).map(IpNet::V6)
    });
    ipv4.chain(ipv6).collect()
}

fn narrow(bits: u128) -> Option<Ipv4Addr> {
    u32::try_from(bits).ok().map(Ipv4Addr::from_bits)
}

/// The prefixes of one family, as places where answers may change.
#[derive(Default)]
struct Family {
    /// An address, and by how many more prefixes it is covered than the one before it.
    marks: Vec<(u128, i32)>,
}

impl Family {
    fn mark(&mut self, first: u128, last: u128) {
        self.marks.push((first, 1));
        // Behind the last address of all there is none whose answer could differ.
        self.marks.extend(last.checked_add(1).map(|behind| (behind, -1)));
    }

    /// First and last addresses of the ranges in which every address may. Asks about one address of each stretch.
    fn ranges(mut self, end: u128, may: impl Fn(u128) -> bool) -> Vec<(u128, u128)> {
        self.marks.sort_unstable();
        let mut ranges: Vec<(u128, u128)> = Vec::new();
        let mut covered = 0_i32;
        let mut marks = self.marks.into_iter().peekable();
        while let Some((first, change)) = marks.next() {
            covered = covered.saturating_add(change);
            let behind = marks.peek().map(|(next, _)| *next);
            // Of several marks at one address the last one sees them all.
            if behind == Some(first) || covered <= 0 || !may(first) {
                continue;
            }
            let last = behind.map_or(end, |next| next.saturating_sub(1));
            match ranges.last_mut() {
                Some((_, until)) if until.checked_add(1) == Some(first) => *until = last,
                _ => ranges.push((first, last)),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::standing::{Command, Order, Subject};
    use crate::session::event::{Applied, Claim, ClaimSource, Event, Kind, Record, Span};
    use crate::session::machine::Machine;
    use crate::session::{Name, Ports};
    use std::sync::Arc;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    /// `192.0.2.7/32`, or a block of its ports as `192.0.2.7/32 1024-2047`.
    fn claim(text: &str) -> Claim {
        let (prefix, ports) = text.split_once(' ').unwrap_or((text, "0-65535"));
        let (first, last) = ports.split_once('-').unwrap();
        Claim {
            prefix: prefix.parse().unwrap(),
            ports: Ports::new(first.parse().unwrap(), last.parse().unwrap()).unwrap(),
            source: ClaimSource::FramedRoute,
        }
    }

    struct World {
        machine: Machine,
        standing: Standing,
        sessions: u32,
    }

    impl World {
        fn new(never: &[&str], statics: &[(&str, &str)]) -> World {
            let mut machine = Machine::new(Arc::new(LiveMap::default()));
            let mut applied = Applied {
                never: never.iter().map(|prefix| prefix.parse().unwrap()).collect(),
                statics: statics.iter().map(|(p, name)| (p.parse().unwrap(), Name::from(*name))).collect(),
                pools: vec![(Name::from("bras1"), Vec::new())],
                ..Applied::default()
            };
            applied.rules.warm_up = Span::Fixed(Duration::ZERO);
            machine.fold(NOW, &Event::Applied(Box::new(applied)), &mut Vec::new());
            World { machine, standing: Standing::default(), sessions: 0 }
        }

        /// A session of this subscriber, heard so many seconds from now on.
        fn online(&mut self, subscriber: &str, prefix: &str, second: u64) -> String {
            self.sessions += 1;
            let id = self.sessions.to_string();
            self.tell(Kind::Start, &id, subscriber, prefix, second);
            id
        }

        fn tell(&mut self, kind: Kind, id: &str, subscriber: &str, prefix: &str, second: u64) {
            let at = NOW.plus(Duration::from_secs(second));
            let mut record = Record::bare(kind, Name::from("bras1"), Name::from(id), at);
            record.subscriber = (!subscriber.is_empty()).then(|| Name::from(subscriber));
            record.claims = vec![claim(prefix)];
            self.machine.fold(at, &Event::Record(Box::new(record)), &mut Vec::new());
        }

        fn suspend(&mut self, subscriber: &str) {
            let command = Command {
                at: NOW,
                by: Name::from("root"),
                subject: Subject::Subscriber(Name::from(subscriber)),
                order: Order::Suspend { until: None },
                reason: Name::from("spam"),
            };
            self.standing.fold(1, &command);
        }

        fn table(&self) -> Vec<String> {
            let now = NOW.plus(Duration::from_secs(60));
            let table = permitted(self.machine.map(), &self.standing, Realm::PUBLIC, false, now);
            table.iter().map(ToString::to_string).collect()
        }
    }

    #[test]
    fn an_empty_map_is_an_empty_table() {
        assert_eq!(World::new(&[], &[]).table(), Vec::<String>::new());
    }

    #[test]
    fn who_is_online_with_a_name_stands_in_the_table_and_others_do_not() {
        let mut world = World::new(&["192.0.2.250/32"], &[("203.0.113.0/28", "office")]);
        world.online("alice", "192.0.2.7/32", 0);
        world.online("alice", "2001:db8:7::/48", 0);
        world.online("", "192.0.2.9/32", 0);
        world.online("bob", "192.0.2.11/32", 0);
        world.suspend("bob");
        let carol = world.online("carol", "192.0.2.13/32", 0);
        world.tell(Kind::Stop, &carol, "carol", "192.0.2.13/32", 1);
        // Two claim it in turn.
        let dora = world.online("dora", "192.0.2.15/32", 0);
        world.online("emil", "192.0.2.15/32", 1);
        world.tell(Kind::Interim, &dora, "dora", "192.0.2.15/32", 2);
        assert_eq!(world.table(), ["192.0.2.7/32", "203.0.113.0/28", "2001:db8:7::/48"]);
    }

    #[test]
    fn what_may_not_is_cut_out_of_what_may() {
        let mut world = World::new(&["192.0.2.255/32"], &[]);
        world.online("alice", "192.0.2.0/24", 0);
        world.online("bob", "192.0.2.0/31", 1);
        world.suspend("bob");
        assert_eq!(
            world.table(),
            [
                "192.0.2.2/31",
                "192.0.2.4/30",
                "192.0.2.8/29",
                "192.0.2.16/28",
                "192.0.2.32/27",
                "192.0.2.64/26",
                "192.0.2.128/26",
                "192.0.2.192/27",
                "192.0.2.224/28",
                "192.0.2.240/29",
                "192.0.2.248/30",
                "192.0.2.252/31",
                "192.0.2.254/32",
            ]
        );
    }

    #[test]
    fn neighbours_share_a_line() {
        let mut world = World::new(&[], &[]);
        for (number, subscriber) in ["alice", "bob", "carol", "dora", "emil"].into_iter().enumerate() {
            world.online(subscriber, &format!("192.0.2.{}/32", number + 3), 0);
        }
        assert_eq!(world.table(), ["192.0.2.3/32", "192.0.2.4/30"]);
        world.online("office", "192.0.2.0/24", 0);
        assert_eq!(world.table(), ["192.0.2.0/24"]);
    }

    #[test]
    fn an_address_that_is_shared_by_ports_is_not_in_the_table() {
        let mut world = World::new(&[], &[]);
        world.online("office", "192.0.2.6/31", 0);
        world.online("alice", "192.0.2.7/32 1024-2047", 1);
        world.online("bob", "192.0.2.9/32 0-65535", 1);
        assert_eq!(world.table(), ["192.0.2.6/32", "192.0.2.9/32"]);
    }

    #[test]
    fn a_static_prefix_decides_over_what_is_reported_within_it() {
        let mut world = World::new(&[], &[("192.0.2.0/28", "office"), ("255.255.255.240/28", "end")]);
        world.online("alice", "192.0.2.7/32", 0);
        world.suspend("office");
        assert_eq!(world.table(), ["255.255.255.240/28"]);
    }

    #[test]
    fn the_last_addresses_of_all_are_addresses_too() {
        let ends = ["255.255.255.255/32", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"];
        assert_eq!(World::new(&[], &ends.map(|prefix| (prefix, "a"))).table(), ends);
    }

    /// Nothing is in the table that a mail server would not be told at that moment, and nothing is missing.
    #[test]
    fn the_table_answers_as_we_do() {
        let mut world =
            World::new(&["192.0.2.33/32"], &[("192.0.2.16/29", "office"), ("192.0.2.18/31", "bob")]);
        world.online("alice", "192.0.2.0/24", 0);
        world.online("bob", "192.0.2.32/27", 3);
        world.online("carol", "192.0.2.40/32", 2);
        world.online("", "192.0.2.64/26", 1);
        world.suspend("bob");
        let table: Vec<IpNet> = world.table().iter().map(|line| line.parse().unwrap()).collect();
        let now = NOW.plus(Duration::from_secs(60));
        for last in 0..=255 {
            let address = IpAddr::from([192, 0, 2, last]);
            let client = Client {
                realm: Realm::PUBLIC,
                address: Some(address),
                port: None,
                login: None,
                profile: Profile::Relay,
                logins_relay: false,
                blind: false,
            };
            let told = rule(world.machine.map(), &world.standing, client, now).verdict() == Verdict::Permit;
            let lines = table.iter().filter(|line| line.contains(&address)).count();
            assert_eq!(lines, usize::from(told), "{address}");
        }
    }
}
