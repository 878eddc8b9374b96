//! RADIUS packets as data: vectors from the RFCs and from real clients, the samples of many vendors, and
//! every way of damaging them. The `radius` crate gives a second opinion.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing loudly"
)]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use relaywarden::config::{Client, Identity, NasIdentity, Secret};
use relaywarden::radius::accounting::{self, Ignored, Rules};
use relaywarden::radius::authenticator::{self, Integrity};
use relaywarden::radius::dictionary::Dictionary;
use relaywarden::radius::nas_clock::NasClocks;
use relaywarden::radius::packet::Packet;
use relaywarden::radius::text;
use relaywarden::session::event::Record;
use relaywarden::session::identity::Canonical;
use relaywarden::session::{Name, Timestamp};

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
    let client = Client {
        name: Name::from("nas"),
        address: "192.0.2.0/24".parse().unwrap(),
        secret: Secret::new(SECRET),
        may_assign: Vec::new(),
        nas: NasIdentity::Source,
        stop_start: false,
        nases: Vec::new(),
    };
    let chain = ["User-Name", "Class", "26.3561.1"];
    let identity = Identity {
        chain: chain.iter().map(|name| Dictionary::builtin().id(name).unwrap()).collect(),
        canonical: Canonical { lowercase: true, strip_realm: false },
    };
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
        seen.extend(record.claims.iter().map(|claim| claim.prefix.to_string()));
        if record.claims.is_empty() {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

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
