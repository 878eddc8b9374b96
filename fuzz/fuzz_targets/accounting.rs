//! Records of any attributes, one after the other, folded into who owns which address.
#![no_main]

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;
use relaywarden::radius::nas_clock::NasClocks;
use relaywarden::session::bindings::Lookup;
use relaywarden::session::event::Event;
use relaywarden::session::{Name, Realm};
use relaywarden_fuzz::{Clients, NOW, Sent, assert_admissible, assert_shared_is_nobodys, special_addresses};

fuzz_target!(|octets: &[u8]| {
    let clients = Clients::configured();
    let mut clocks = NasClocks::default();
    let mut machine = clients.machine();
    let mut now = NOW;
    let mut claimed: BTreeSet<(Option<Name>, IpNet)> = BTreeSet::new();
    for Sent { source, pause, request } in Sent::all(octets) {
        now = now.plus(Duration::from_secs(pause));
        let Ok(record) = clients.read(&request, source, now, &mut clocks) else { continue };
        assert!(record.event <= record.arrival, "nothing happens after it was told");
        assert_admissible(&record, clients.of(source), clients.never());
        claimed.extend(record.claims.iter().map(|claim| (record.realm.clone(), claim.prefix)));
        let event = match machine.as_refresh(&record) {
            Some(refresh) => Event::Refreshes(vec![refresh]),
            None => Event::Record(record),
        };
        machine.fold(now, &event, &mut Vec::new());
    }
    let map = machine.map();
    for address in special_addresses() {
        for realm in [Realm::PUBLIC, Realm::of_number(1)] {
            let found = map.lookup(realm, address, None, now);
            assert!(matches!(found, Lookup::Absent | Lookup::Unready(_, None)), "{address}: {found:?}");
        }
    }
    for (realm, prefix) in claimed {
        assert_shared_is_nobodys(map, map.realm(realm.as_ref()), prefix.addr(), now);
    }
});
