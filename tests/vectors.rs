//! RADIUS packets as data: vectors from the RFCs and from real clients, the samples of many vendors, and
//! every way of damaging them. The `radius` crate gives a second opinion.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing loudly"
)]

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use proptest::prelude::*;
use relaywarden::config::{Client, Identity, Secret};
use relaywarden::radius::accounting::{self, Ignored, Rules};
use relaywarden::radius::attribute;
use relaywarden::radius::authenticator::{self, Integrity};
use relaywarden::radius::dictionary::Dictionary;
use relaywarden::radius::nas_clock::NasClocks;
use relaywarden::radius::packet::Packet;
use relaywarden::radius::text;
use relaywarden::radius::vendor;
use relaywarden::session::event::{Record, Release};
use relaywarden::session::identity::Canonical;
use relaywarden::session::{Name, Ports, Timestamp};

const SECRET: &[u8] = b"testing123";

fn data(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(directory)
}

fn files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(data(directory)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// All samples as signed requests, with their names.
fn samples() -> Vec<(String, Vec<u8>)> {
    let encode = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let attributes = text::parse_attributes(&text, Dictionary::builtin())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text::encode_request(4, 1, &attributes, SECRET).unwrap()
    };
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files("samples").iter().map(|path| (name(path), encode(path))).collect()
}

fn read(packet: &Packet<'_>) -> Result<Box<Record>, Ignored> {
    let client = Client::new(Name::from("nas"), "192.0.2.0/24".parse().unwrap(), Secret::new(SECRET));
    let chain = ["User-Name", "Class", "26.3561.1"];
    let chain = chain.iter().map(|name| Dictionary::builtin().id(name).unwrap()).collect();
    let identity = Identity::new(chain, Canonical { lowercase: true, ..Canonical::default() });
    let source = "192.0.2.1".parse().unwrap();
    let rules = Rules { client: &client, source, identity: &identity, never: &[] };
    accounting::read(packet, &rules, Timestamp::from_seconds(1_800_000_000), &mut NasClocks::default())
}

fn octets(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// Runs one vector file: `secret`, `decode`, and what is expected of the packet.
fn run_vectors(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let (mut secret, mut datagram) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let place = format!("{}:{}: {line}", path.display(), number + 1);
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "" | "#" => {}
            "secret" => secret = rest.as_bytes().to_vec(),
            "decode" => datagram = octets(rest),
            "expect" => expect(&datagram, &secret, rest, &place),
            _ => panic!("{place}"),
        }
    }
}

fn expect(datagram: &[u8], secret: &[u8], what: &str, place: &str) {
    let (what, rest) = what.split_once(' ').unwrap();
    if what == "error" {
        let error = format!("{:?}", Packet::decode(datagram).unwrap_err());
        return assert_eq!(error.split(' ').next(), Some(rest), "{place}");
    }
    let packet = Packet::decode(datagram).unwrap_or_else(|error| panic!("{place}: {error}"));
    match what {
        "code" => assert_eq!(packet.code().to_string(), rest, "{place}"),
        "authentic" => assert_eq!(authenticator::is_authentic(&packet, secret), rest == "yes", "{place}"),
        "integrity" => {
            assert_eq!(format!("{:?}", authenticator::integrity(&packet, secret)), rest, "{place}");
        }
        "answer" => {
            let answer = authenticator::status_response(&packet, secret);
            assert_eq!(answer.as_slice(), octets(rest), "{place}");
        }
        "attribute" => {
            let (kind, value) = rest.split_once(' ').unwrap();
            let found = packet.values(kind.parse().unwrap()).next().map(<[u8]>::to_vec);
            assert_eq!(found, Some(octets(value)), "{place}");
        }
        _ => panic!("{place}"),
    }
}

#[test]
fn vectors_hold() {
    for path in files("vectors") {
        run_vectors(&path);
    }
}

#[test]
fn every_sample_says_what_it_is_expected_to_say() {
    let expected = fs::read_to_string(data("samples/expected")).unwrap();
    let rows: Vec<Vec<&str>> = expected
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let samples = samples();
    assert_eq!(samples.len(), 36);
    assert_eq!(rows.len(), samples.len());
    for ((name, octets), row) in samples.iter().zip(rows) {
        let packet = Packet::decode(octets).unwrap();
        assert!(authenticator::is_authentic(&packet, SECRET));
        let record = read(&packet).unwrap();
        let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        let session = or_dash(record.session_id.text().unwrap_or_default().to_owned());
        let subscriber = or_dash(record.subscriber.as_ref().map(ToString::to_string).unwrap_or_default());
        let mut seen = vec![name.clone(), format!("{:?}", record.kind), session, subscriber];
        let spelled = |prefix: IpNet, ports: Ports| match ports.is_all() {
            true => prefix.to_string(),
            false => format!("{}:{ports}", prefix.addr()),
        };
        seen.extend(record.claims.iter().map(|claim| spelled(claim.prefix, claim.ports)));
        seen.extend(record.releases.iter().map(|release| match release {
            Release::All(source) => format!("-{source:?}"),
            Release::Only(prefix, ports) => format!("-{}", spelled(*prefix, *ports)),
        }));
        seen.extend(record.inside.map(|inside| format!("inside={inside}")));
        seen.extend(record.realm.map(|realm| format!("realm={realm}")));
        seen.extend(record.service.map(|service| format!("part-of={}", service.parent.unwrap())));
        if seen.len() == 4 {
            seen.push("-".to_owned());
        }
        assert_eq!(seen, row);
        assert_eq!((record.claims_dropped, record.dated), (0, false));
    }
}

/// Does with a datagram all that is done with one from the network; the result does not matter, that there is
/// one does.
fn survive(datagram: &[u8]) -> bool {
    let Ok(packet) = Packet::decode(datagram) else { return false };
    let _ = read(&packet);
    let _ = authenticator::integrity(&packet, SECRET);
    assert!(authenticator::accounting_response(&packet, SECRET).len() <= packet.octets().len());
    authenticator::is_authentic(&packet, SECRET)
}

#[test]
fn a_sample_cut_anywhere_is_survived_and_refused() {
    for (name, octets) in samples() {
        for length in 0..octets.len() {
            assert!(!survive(&octets[..length]), "{name} cut to {length}");
            // With a Length that fits, so that the cut goes through the attributes.
            let mut fitting = octets[..length].to_vec();
            if let (Some(place), Ok(length)) = (fitting.get_mut(2..4), u16::try_from(length)) {
                place.copy_from_slice(&length.to_be_bytes());
            }
            assert!(!survive(&fitting), "{name} shortened to {length}");
        }
    }
}

#[test]
fn a_sample_with_any_octet_changed_is_survived_and_never_authentic() {
    for (name, octets) in samples() {
        for at in 0..octets.len() {
            for change in [1, 0x80, 0xff] {
                let mut changed = octets.clone();
                changed[at] ^= change;
                assert!(!survive(&changed), "{name} changed at {at}");
            }
        }
    }
}

#[test]
fn any_subset_of_a_samples_attributes_is_survived() {
    // CVE-2004-0938: an attribute came without the one that it belongs to.
    for (name, octets) in samples() {
        let packet = Packet::decode(&octets).unwrap();
        let attributes: Vec<_> = packet.attributes().collect();
        for left_out in 0..attributes.len() {
            let mut list = Vec::new();
            for (at, attribute) in attributes.iter().enumerate() {
                if at != left_out {
                    list.extend([attribute.kind, u8::try_from(attribute.value.len() + 2).unwrap()]);
                    list.extend(attribute.value);
                }
            }
            let request = text::encode_request(4, 1, &list, SECRET).unwrap();
            assert!(survive(&request), "{name} without attribute {left_out}");
        }
    }
}

#[test]
fn answers_are_those_of_the_second_opinion() {
    for (name, octets) in samples() {
        let theirs = radius::core::packet::Packet::decode(&octets, SECRET).unwrap();
        let mut response = theirs.make_response_packet(radius::core::code::Code::AccountingResponse);
        // The crate leaves echoing Proxy-State to its user.
        response.extend(theirs.lookup_all(33).into_iter().cloned().collect());
        let ours = authenticator::accounting_response(&Packet::decode(&octets).unwrap(), SECRET);
        assert_eq!(ours.as_slice(), response.encode().unwrap(), "{name}");
    }
}

/// A packet of code 4 whose list is mostly well-formed, then perhaps damaged, signed or not.
fn datagrams() -> impl Strategy<Value = Vec<u8>> {
    let attribute = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..30));
    let list = prop::collection::vec(attribute, 0..12);
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (list, damage, any::<bool>()).prop_map(|(list, damage, damaged)| {
        let mut attributes = Vec::new();
        for (kind, value) in list {
            attributes.extend([kind, u8::try_from(value.len() + 2).unwrap()]);
            attributes.extend(value);
        }
        let mut octets = text::encode_request(4, 1, &attributes, SECRET).unwrap();
        for (at, octet) in damage.into_iter().filter(|_| damaged) {
            let at = at.index(octets.len());
            // Another code would change which authenticator the crate checks.
            if at > 0 {
                octets[at] = octet;
            }
        }
        octets
    })
}

/// A packet of attributes that hold others, and lie about it at times.
fn nested() -> impl Strategy<Value = Vec<u8>> {
    // Few numbers, so that what is asked for is there.
    let tlv = (0..3_u8, prop_oneof![4 => 2..6_u8, 1 => any::<u8>()], prop::collection::vec(0..6_u8, 0..6));
    let inner = prop::collection::vec(tlv, 0..8).prop_map(|tlvs| {
        let octets = tlvs.into_iter().flat_map(|(kind, length, value)| [vec![kind, length], value].concat());
        octets.collect::<Vec<_>>()
    });
    let vendor =
        prop_oneof![Just(9_u32), Just(429), Just(4846), Just(8164), Just(24757)].prop_map(u32::to_be_bytes);
    let head = prop_oneof![
        vendor.clone().prop_map(|vendor| [[26].as_slice(), &vendor].concat()),
        (241..=246_u8, 0..3_u8).prop_map(|(kind, extension)| vec![kind, extension]),
        (245..=246_u8, 0..3_u8, any::<bool>()).prop_map(|(kind, extension, more)| vec![
            kind,
            extension,
            if more { 0x80 } else { 0 }
        ]),
        (241..=244_u8, vendor.clone()).prop_map(|(kind, vendor)| [[kind, 26].as_slice(), &vendor].concat()),
        (245..=246_u8, vendor).prop_map(|(kind, vendor)| [[kind, 26, 0].as_slice(), &vendor].concat()),
        (0..4_u8).prop_map(|kind| vec![kind]),
    ];
    prop::collection::vec((head, inner), 0..12).prop_map(|list| {
        let mut attributes = Vec::new();
        for (head, mut inner) in list {
            inner.truncate(240);
            attributes.extend([head[0], u8::try_from(head.len() + inner.len() + 1).unwrap()]);
            attributes.extend(head[1..].iter().chain(&inner));
        }
        text::encode_request(4, 1, &attributes, SECRET).unwrap()
    })
}

/// Numbers that may be an attribute's.
fn paths() -> impl Strategy<Value = String> {
    let space = prop_oneof![
        Just(String::new()),
        prop_oneof![Just(9), Just(429), Just(4846), Just(8164), Just(24757)]
            .prop_map(|vendor| format!("26.{vendor}.")),
        (241..=246).prop_map(|kind| format!("{kind}.")),
        (241..=246).prop_map(|kind| format!("{kind}.26.9.")),
    ];
    (space, prop::collection::vec(0..4_u32, 1..6)).prop_map(|(space, numbers)| {
        space + &numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
    })
}

/// Statements about a few names and numbers, most of which contradict each other or what is built in.
fn dictionary_lines() -> impl Strategy<Value = Vec<u8>> {
    fn word(words: &[&'static str]) -> impl Strategy<Value = &'static str> + use<> {
        prop::sample::select(words.to_vec())
    }
    let name = || {
        word(&["User-Name", "Class", "Acct-Status-Type", "Cisco-AVPair", "IP-Port-Range", "Foo", "Bar", "25"])
    };
    let vendor = || word(&["Acme", "Cisco", "Starent", "Nobody"]);
    let number = || {
        word(&[
            "0",
            "1",
            "2",
            "25",
            "40",
            "0xff",
            "300",
            "241.6",
            "241.6.3",
            "26.9.1",
            "245.26",
            "1.1.1.1.1.1",
        ])
    };
    let kind = || word(&["string", "integer", "byte", "tlv", "evs", "ipaddr", "octets[3]", "quaternion"]);
    let flags = || word(&["", "has_tag", "secret", "Acme", "frobbed"]);
    let format = || word(&["", "format=1,1", "format=2,2", "format=1,1,c", "format=9"]);
    let line = prop_oneof![
        4 => (name(), number(), kind(), flags()).prop_map(|(n, o, k, f)| format!("ATTRIBUTE {n} {o} {k} {f}")),
        2 => (name(), word(&["Stop", "Start", "Odd"]), number()).prop_map(|(n, v, o)| format!("VALUE {n} {v} {o}")),
        2 => (vendor(), number(), format()).prop_map(|(v, o, f)| format!("VENDOR {v} {o} {f}")),
        2 => vendor().prop_map(|vendor| format!("BEGIN-VENDOR {vendor}")),
        1 => vendor().prop_map(|vendor| format!("END-VENDOR {vendor}")),
        1 => (vendor(), name()).prop_map(|(v, n)| format!("BEGIN-VENDOR {v} format={n}")),
        1 => (word(&["BEGIN-TLV", "END-TLV"]), name()).prop_map(|(word, name)| format!("{word} {name}")),
        1 => (name(), name()).prop_map(|(one, other)| format!("VALUE-ALIAS {one} {other}")),
    ];
    prop::collection::vec(line, 0..30).prop_map(|lines| lines.join("\n").into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_packet_and_any_path_are_survived(octets in prop_oneof![nested(), datagrams()], written in paths()) {
        let Ok(packet) = Packet::decode(&octets) else { return Ok(()) };
        let Some(found) = Dictionary::builtin().find(&written) else { return Ok(()) };
        let mut sum = 0;
        for value in attribute::values(&packet, &found.path) {
            if let Cow::Owned(value) = &value {
                prop_assert!(value.len() <= attribute::CONCATENATED_MAX);
            }
            sum += value.len() + 1;
            let _ = Dictionary::builtin().show(&found.path, &value).to_string();
        }
        // Nothing is found twice.
        prop_assert!(sum <= packet.octets().len(), "{}", written);
    }

    #[test]
    fn what_stands_in_the_usual_form_is_what_a_plain_walk_finds(octets in nested(), kind in 0..4_u8) {
        let packet = Packet::decode(&octets).unwrap();
        let path = Dictionary::builtin().find(&format!("26.9.{kind}")).unwrap().path;
        let found: Vec<_> = attribute::values(&packet, &path).collect();
        let walked = packet.values(26).flat_map(vendor::attributes);
        let walked: Vec<_> = walked.filter(|a| (a.vendor, a.kind) == (9, kind)).map(|a| Cow::Borrowed(a.value)).collect();
        prop_assert_eq!(found, walked);
    }

    #[test]
    fn any_octets_are_survived(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = survive(&octets);
    }

    #[test]
    fn any_attributes_of_an_authentic_packet_are_survived(octets in datagrams()) {
        let _ = survive(&octets);
    }

    #[test]
    fn what_is_accepted_is_what_the_second_opinion_accepts(octets in datagrams()) {
        let ours = Packet::decode(&octets);
        // Listed difference: the crate takes padding for a part of the packet, so it is shown what we read.
        let shown = ours.as_ref().map_or(octets.as_slice(), Packet::octets);
        let theirs = radius::core::packet::Packet::decode(shown, SECRET);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        if let Ok(packet) = ours {
            let authentic = radius::core::packet::Packet::is_authentic_request(shown, SECRET);
            prop_assert_eq!(authenticator::is_authentic(&packet, SECRET), authentic);
        }
    }

    #[test]
    fn text_of_any_kind_is_survived(text in "\\PC{0,80}", value in "[\"'\\\\x0-9a-f=, #]{0,20}") {
        let _ = text::parse_requests(&text, Dictionary::builtin());
        for name in ["User-Name", "Class", "Event-Timestamp", "Framed-IPv6-Prefix", "26.9.1", "Attr-241.6.3"] {
            let _ = text::parse_requests(&format!("{name} = {value}"), Dictionary::builtin());
        }
    }

    #[test]
    fn a_signed_message_authenticator_is_valid_wherever_it_stands(
        before in prop::collection::vec(any::<u8>(), 0..50),
        after in prop::collection::vec(any::<u8>(), 0..50),
        secret in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let class = |value: &[u8]| {
            [[25, u8::try_from(value.len() + 2).unwrap()].as_slice(), value].concat()
        };
        let place = [[80, 18].as_slice(), &[0; 16]].concat();
        let list = [class(&before), place, class(&after)].concat();
        let octets = text::encode_request(4, 1, &list, &secret).unwrap();
        let packet = Packet::decode(&octets).unwrap();
        prop_assert_eq!(authenticator::integrity(&packet, &secret), Integrity::Valid);
        prop_assert!(authenticator::is_authentic(&packet, &secret));
    }
}

proptest! {
    // Each compares everything that is built in.
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_octets_as_a_dictionary_are_survived_and_change_nothing_that_is_built_in(
        octets in prop_oneof![dictionary_lines(), prop::collection::vec(any::<u8>(), 0..300)],
    ) {
        let mut dictionary = Dictionary::beside_builtin();
        if let Ok(remarks) = dictionary.read_text(&octets) {
            for remark in &remarks.first {
                prop_assert!(!remark.to_string().chars().any(char::is_control), "{}", remark);
            }
        }
        for definition in dictionary.definitions() {
            let _ = dictionary.show(&definition.path, &octets).to_string();
        }
        let builtin = Dictionary::builtin();
        for theirs in builtin.definitions() {
            prop_assert_eq!(dictionary.find(&theirs.name), builtin.find(&theirs.name));
            let number = theirs.path.to_string();
            prop_assert_eq!(dictionary.find(&number), builtin.find(&number));
            prop_assert_eq!(dictionary.format(theirs.path.vendor()), builtin.format(theirs.path.vendor()));
        }
        let status = builtin.find("Acct-Status-Type").unwrap().path;
        prop_assert_eq!(dictionary.value(&status, "Stop"), Some(2));
        prop_assert_eq!(dictionary.value_name(&status, 2), Some("Stop"));
    }
}
