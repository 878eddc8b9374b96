//! Records that are authentic and hold something that can't be: the NAS gets its answer, the record counts, what is right
//! in it is bound and nothing else, and what was refused is counted.

#![allow(clippy::indexing_slicing, reason = "a test says what it expects by failing loudly")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use crate::common::daemon::{Daemon, SECRET, Wanted};
use crate::common::nas::{Attributes, Nas, Status};
use crate::house::metric;

/// A public address: it is in no VRF, whatever a record says of one.
const ALICE: &str = "192.0.2.7";
/// The public address of a translator.
const SHARED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);

const NOKIA: u32 = 6527;
const HUAWEI: u32 = 2011;
const WIMAX: u32 = 24757;

/// A daemon, its NAS, and what it has counted so far.
struct House {
    daemon: Daemon,
    nas: Nas,
    sessions: usize,
    records: u64,
    dropped: u64,
    alarms: u64,
}

impl House {
    fn new() -> House {
        House::with(&Wanted::default())
    }

    fn with(wanted: &Wanted) -> House {
        let daemon = Daemon::start_with(wanted);
        House { nas: daemon.nas(), daemon, sessions: 0, records: 0, dropped: 0, alarms: 0 }
    }

    /// A Start of a new session of alice's at her address, with more in it. It is answered and counts, so many claims of
    /// it are dropped, and it holds this, her address not mentioned.
    #[track_caller]
    fn holds(
        &mut self,
        what: &str,
        more: impl FnOnce(Attributes) -> Attributes,
        dropped: u64,
        held: &[&str],
    ) {
        if self.sessions > 0 {
            // Many sessions of one subscriber at a time would be an alarm of its own.
            self.nas.report(Status::Stop, "alice", &format!("s{}", self.sessions), ALICE);
            self.records += 1;
        }
        self.sessions += 1;
        self.records += 1;
        self.dropped += dropped;
        self.alarms += u64::from(dropped > 0);
        let id = format!("s{}", self.sessions);
        let address = ALICE.parse().expect("an address");
        let record = more(Attributes::record(Status::Start, "alice", &id, address));
        assert!(self.nas.tell(&record), "{what} is not answered");
        let rows = self.daemon.sessions(&["--address", ALICE], self.sessions);
        let row = rows
            .iter()
            .find(|row| row["session"].as_str().is_some_and(|name| name.contains(&format!("/{id}/"))));
        let row = row.unwrap_or_else(|| panic!("{what}: no {id} in {rows:?}"));
        let mut expected = vec![ALICE];
        expected.extend(held);
        let mut seen: Vec<_> =
            row["addresses"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        seen.sort_unstable();
        expected.sort_unstable();
        assert_eq!((row["state"].as_str(), &seen), (Some("active"), &expected), "{what}");
        self.counted(what);
    }

    /// What the NAS's row and the metrics say of it all.
    #[track_caller]
    fn counted(&self, what: &str) {
        let Some(Value::Array(rows)) = self.daemon.json(&["nas"]) else { panic!("no rows") };
        let row = rows.iter().find(|row| row["client"] == "bras1").expect("our NAS");
        assert_eq!(row["unusable"], Value::Array(Vec::new()), "{what}: {row}");
        let of_row = (row["records"].as_u64(), row["claims_dropped"].as_u64());
        assert_eq!(of_row, (Some(self.records), Some(self.dropped)), "{what}: {row}");
        assert_eq!(
            metric(&self.daemon, "relaywarden_claims_dropped_total{nas=\"bras1/"),
            self.dropped,
            "{what}"
        );
        assert_eq!(metric(&self.daemon, "relaywarden_alarms_total"), self.alarms, "{what}");
        let told =
            self.daemon.log_text().lines().any(|line| line.contains("WARN") && line.contains("claims"));
        assert_eq!(told, self.alarms > 0, "{what}: {}", self.daemon.log_text());
    }
}

/// A Vendor-Specific attribute.
fn of_vendor(vendor: u32, octets: &[u8]) -> Vec<u8> {
    [&vendor.to_be_bytes(), octets].concat()
}

/// An attribute of the usual form, or a TLV.
fn piece(kind: u8, octets: &[u8]) -> Vec<u8> {
    let length = u8::try_from(octets.len() + 2).expect("253 octets at most");
    [&[kind, length], octets].concat()
}

fn huawei(address: Ipv4Addr, first: u32, last: u32) -> Vec<u8> {
    let pieces =
        [piece(161, &address.octets()), piece(162, &first.to_be_bytes()), piece(163, &last.to_be_bytes())];
    of_vendor(HUAWEI, &pieces.concat())
}

/// TLVs of an allocation by RFC 8045, to be put behind its type within 241.
fn allocation(first: u32, last: u32) -> Vec<u8> {
    [
        piece(3, &SHARED.octets()),
        piece(8, &1_u32.to_be_bytes()),
        piece(9, &first.to_be_bytes()),
        piece(10, &last.to_be_bytes()),
    ]
    .concat()
}

fn port_range(tlvs: &[u8]) -> Vec<u8> {
    [&[6], tlvs].concat()
}

#[test]
fn a_block_that_cant_be_is_dropped_and_counted_and_the_others_are_bound() {
    let mut house = House::new();
    for (first, last) in [(2, 1), (0, 1023), (65_535, 65_536), (65_536, 65_537)] {
        let block = huawei(SHARED, first, last);
        house.holds(&format!("Huawei {first}-{last}"), |record| record.with(26, &block), 1, &[]);
        let text = format!("203.0.113.77 {first}-{last},1024-2047 router base");
        let block = of_vendor(NOKIA, &piece(121, text.as_bytes()));
        let held = ["203.0.113.77:1024-2047"];
        house.holds(&format!("Nokia {first}-{last}"), |record| record.with(26, &block), 1, &held);
        let (bad, good) = (port_range(&allocation(first, last)), port_range(&allocation(1024, 2047)));
        let both = |record: Attributes| record.with(241, &bad).with(241, &good);
        house.holds(&format!("RFC 8045 {first}-{last}"), both, 1, &held);
    }
    for (first, last) in [(1, 1), (65_535, 65_535), (1, 65_535)] {
        let block = huawei(SHARED, first, last);
        let held =
            if first < last { "203.0.113.77:1-65535" } else { &format!("203.0.113.77:{first}-{last}") };
        house.holds("as narrow and as wide as may be", |record| record.with(26, &block), 0, &[held]);
    }
    let block = huawei(Ipv4Addr::LOCALHOST, 1024, 2047);
    house.holds("a special address", |record| record.with(26, &block), 1, &[]);
}

#[test]
fn a_prefix_that_is_too_wide_is_dropped_and_counted_and_the_rest_is_bound() {
    let mut house = House::new();
    let prefix = |length: u8| {
        let address: Ipv6Addr = "2001:db8:20::".parse().expect("an address");
        [&[0, length], &address.octets()[..]].concat()
    };
    for kind in [97, 123] {
        house.holds("44 bits", |record| record.with(kind, &prefix(44)), 0, &["2001:db8:20::/44"]);
        house.holds("43 bits", |record| record.with(kind, &prefix(43)), 1, &[]);
        house.holds("none", |record| record.with(kind, &[0, 0]), 1, &[]);
    }
    let two = |record: Attributes| {
        record.with(22, b"198.51.100.0/24 0.0.0.0 1").with(22, b"198.18.0.0/23 0.0.0.0 1")
    };
    house.holds("routes", two, 1, &["198.51.100.0/24"]);
    let two = |record: Attributes| record.with(99, b"2001:db8:20::/44 :: 1").with(99, b"2001:db9::/43 :: 1");
    house.holds("IPv6 routes", two, 1, &["2001:db8:20::/44"]);
    house.holds("everything", |record| record.with(22, b"0.0.0.0/0 0.0.0.0 1"), 1, &[]);
    for refused in ["198.18.0.1", "2001:db8:20::1", "2001:db8:30::1", "2001:db9::1"] {
        assert!(!house.daemon.map("relay", refused).starts_with("OK"), "{refused}");
    }
}

#[test]
fn a_vendor_that_lies_about_a_length_is_believed_up_to_there() {
    let mut house = House::new();
    let address = |last: u16| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).octets();
    let behind = of_vendor(NOKIA, &piece(99, &address(4)));
    for length in [0, 1, 19, 255] {
        let mut lie = [piece(99, &address(1)), piece(99, &address(2))].concat();
        lie[19] = length;
        let lie = of_vendor(NOKIA, &lie);
        let both = |record: Attributes| record.with(26, &lie).with(26, &behind);
        house.holds(&format!("a length of {length}"), both, 0, &["2001:db8::1", "2001:db8::4"]);
    }
    // What follows the lie in the same attribute is not looked for.
    let mut lie = [piece(99, &address(1)), piece(99, &address(2)), piece(99, &address(3))].concat();
    lie[19] = 1;
    let lie = of_vendor(NOKIA, &lie);
    house.holds("a lie in the middle", |record| record.with(26, &lie), 0, &["2001:db8::1"]);
    // Shorter than a vendor's number.
    let both = |record: Attributes| record.with(26, &[0, 0, 25]).with(26, &behind);
    house.holds("no vendor", both, 0, &["2001:db8::4"]);
    let truth = of_vendor(NOKIA, &[piece(99, &address(1)), piece(99, &address(2))].concat());
    house.holds("the truth", |record| record.with(26, &truth), 0, &["2001:db8::1", "2001:db8::2"]);
}

#[test]
fn tlvs_that_nest_or_lie_claim_nothing_and_those_beside_them_do() {
    let mut house = House::new();
    let beside = port_range(&allocation(3072, 4095));
    let held = ["203.0.113.77:3072-4095"];
    let mut nested = allocation(1024, 2047);
    for depth in 1..=32 {
        nested = piece(6, &nested);
        let within = port_range(&nested);
        if matches!(depth, 1 | 2 | 8 | 32) {
            let both = |record: Attributes| record.with(241, &within).with(241, &beside);
            house.holds(&format!("{depth} deep"), both, 0, &held);
        }
    }
    let inner = piece(9, &1024_u32.to_be_bytes());
    let first = [
        piece(3, &SHARED.octets()),
        piece(8, &1_u32.to_be_bytes()),
        piece(9, &inner),
        piece(10, &2047_u32.to_be_bytes()),
    ];
    let within = port_range(&first.concat());
    let both = |record: Attributes| record.with(241, &within).with(241, &beside);
    house.holds("a number within a number", both, 0, &held);
    for length in [0, 1, 7, 200] {
        let mut lie = allocation(1024, 2047);
        let last = lie.len() - 5;
        lie[last] = length;
        let lie = port_range(&lie);
        let both = |record: Attributes| record.with(241, &lie).with(241, &beside);
        house.holds(&format!("a length of {length}"), both, 0, &held);
    }
    let truth = port_range(&allocation(1024, 2047));
    let both = |record: Attributes| record.with(241, &truth).with(241, &beside);
    house.holds("the truth", both, 0, &["203.0.113.77:1024-2047", "203.0.113.77:3072-4095"]);
}

/// A client whose subscribers are named by the first of these attributes that a record has.
fn named_by(chain: &[&str]) -> Wanted {
    let feeds = format!(
        "[[radius.client]]\nname = \"bras1\"\naddress = \"127.0.0.0/8\"\nsecret = \"{SECRET}\"\n\
         [subscriber]\nidentity = {chain:?}\n"
    );
    Wanted { feeds: Some(feeds), ..Wanted::default() }
}

#[test]
fn a_tlv_that_lies_hides_the_name_behind_it_and_none_in_another_attribute() {
    // IP-Port-Range-Local-Id.
    let mut house = House::with(&named_by(&["241.6.11", "User-Name"]));
    let name = piece(11, b"bob");
    let truth = port_range(&[piece(5, b""), name.clone()].concat());
    let carol = port_range(&piece(11, b"carol"));
    for length in [0, 1, 8] {
        let lie = port_range(&[&[5, length], name.as_slice()].concat());
        house.holds("a lie", |record| record.with(241, &lie), 0, &[]);
        assert_eq!(house.daemon.map("relay", ALICE), "OK alice", "a length of {length}");
        house.holds("a lie and a name", |record| record.with(241, &lie).with(241, &carol), 0, &[]);
        assert_eq!(house.daemon.map("relay", ALICE), "OK carol", "a length of {length}");
    }
    house.holds("the truth", |record| record.with(241, &truth).with(241, &carol), 0, &[]);
    assert_eq!(house.daemon.map("relay", ALICE), "OK bob");
}

#[test]
fn a_value_in_parts_that_is_too_long_or_lacks_one_names_nobody_and_the_record_counts() {
    let mut house = House::with(&named_by(&["26.24757.1", "245.1", "User-Name"]));
    let wimax = |more: bool, octets: &[u8]| {
        let flags = if more { 0x80 } else { 0 };
        (26_u8, of_vendor(WIMAX, &piece(1, &[&[flags], octets].concat())))
    };
    // RFC 6929 section 2.2.
    let long = |more: bool, octets: &[u8]| (245_u8, [&[1, if more { 0x80 } else { 0 }], octets].concat());
    let full = [b'x'; 244];
    for (form, part) in [("WiMAX", &wimax as &dyn Fn(bool, &[u8]) -> (u8, Vec<u8>)), ("RFC 6929", &long)] {
        let of = |length: usize| {
            let mut parts: Vec<_> = (0..4).map(|_| part(true, &full)).collect();
            parts.push(part(false, &full[..length - 4 * full.len()]));
            parts
        };
        let name = "x".repeat(1024);
        for (what, parts, named) in [
            ("in two parts", vec![part(true, b"bo"), part(false, b"b")], "bob"),
            ("as long as may be", of(1024), name.as_str()),
            ("one octet too long", of(1025), "alice"),
            ("without an end", vec![part(true, b"bo")], "alice"),
            (
                "with something else between",
                vec![part(true, b"bo"), (25, b"C".to_vec()), part(true, b"b")],
                "alice",
            ),
        ] {
            let what = format!("{form}, {what}");
            let with = |record: Attributes| {
                parts.iter().fold(record, |record, (kind, octets)| record.with(*kind, octets))
            };
            house.holds(&what, with, 0, &[]);
            let who = house.daemon.json(&["who", ALICE]).unwrap_or_default();
            assert_eq!(who["subscriber"], named, "{what}");
        }
    }
}

#[test]
fn attributes_that_are_empty_or_of_one_octet_are_left_out_and_the_record_counts() {
    let mut house = House::new();
    // What a record can't do without stands at its beginning, and a signature that is none refuses the packet.
    let kinds = || (1..=255).filter(|kind| !matches!(kind, 26 | 80));
    for octets in [[].as_slice(), &[1]] {
        let all = |record: Attributes| kinds().fold(record, |record, kind| record.with(kind, octets));
        house.holds(&format!("all of {octets:?}"), all, 0, &[]);
        for vendor in
            [9, HUAWEI, 2352, 3561, 4874, NOKIA, 8164, 14_988, 18_681, WIMAX, 25_506, 43_823, 54_268]
        {
            // The name of a service, or of its session, is one with one octet: the record is rightly the service's.
            let named = |kind: u8| {
                !octets.is_empty() && matches!((vendor, kind), (9, 52) | (4874, 83) | (NOKIA, 151))
            };
            let within: Vec<u8> =
                (0..=255).filter(|kind| !named(*kind)).flat_map(|kind| piece(kind, octets)).collect();
            // As many in each as it has room for, none cut in two.
            let room = 240 / (octets.len() + 2) * (octets.len() + 2);
            let all = |record: Attributes| {
                within.chunks(room).fold(record, |record, pieces| record.with(26, &of_vendor(vendor, pieces)))
            };
            house.holds(&format!("all of {vendor}'s of {octets:?}"), all, 0, &[]);
        }
    }
    let empty = |record: Attributes| {
        record.with(26, &[]).with(26, &of_vendor(NOKIA, &[])).with(241, &[]).with(241, &[6])
    };
    house.holds("envelopes", empty, 0, &[]);
}

#[test]
fn an_empty_name_or_address_does_not_hide_the_one_behind_it() {
    let mut house = House::new();
    let address: IpAddr = ALICE.parse().expect("an address");
    for octets in [[].as_slice(), &[192, 0, 2], &[192, 0, 2, 7, 0]] {
        let id = format!("s{}", house.records + 1);
        let IpAddr::V4(framed) = address else { panic!("IPv4") };
        let record = Attributes::of_nas(Status::Start)
            .with(1, b"")
            .with(8, octets)
            .with(44, id.as_bytes())
            .with(1, b"alice")
            .with(8, &framed.octets());
        assert!(house.nas.tell(&record));
        house.records += 1;
        assert_eq!(house.daemon.map("relay", ALICE), "OK alice", "{octets:?}");
        house.counted(&format!("{octets:?}"));
    }
}

#[test]
fn a_block_without_all_its_parts_and_a_value_of_another_size_are_left_out_and_not_counted() {
    let mut house = House::new();
    let parts = [
        piece(161, &SHARED.octets()),
        piece(162, &1024_u32.to_be_bytes()),
        piece(163, &2047_u32.to_be_bytes()),
    ];
    for missing in 0..3 {
        let rest: Vec<_> =
            (0..3).filter(|part| *part != missing).flat_map(|part| parts[part].clone()).collect();
        house.holds("a part is missing", |record| record.with(26, &of_vendor(HUAWEI, &rest)), 0, &[]);
        let mut cut = parts.clone();
        cut[missing].pop();
        cut[missing][1] -= 1;
        let cut = of_vendor(HUAWEI, &cut.concat());
        house.holds("a part is too short", |record| record.with(26, &cut), 0, &[]);
    }
    let whole = of_vendor(HUAWEI, &parts.concat());
    house.holds("all parts", |record| record.with(26, &whole), 0, &["203.0.113.77:1024-2047"]);
    for text in ["203.0.113.77", "203.0.113 1-2", "1-2", ""] {
        let text = of_vendor(NOKIA, &piece(121, text.as_bytes()));
        house.holds("a text without blocks", |record| record.with(26, &text), 0, &[]);
    }
    // Hexadecimal digits where a prefix belongs, as some switches send them.
    let digits = |record: Attributes| {
        record.with(123, b"?0E81DEF").with(97, &[0, 129]).with(168, &[0; 15]).with(22, b"x")
    };
    house.holds("values of other kinds", digits, 0, &[]);
}
