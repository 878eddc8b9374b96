//! What one packet comes to, attribute by attribute.

use super::*;
use crate::config::Secret;
use crate::radius::dictionary::Dictionary;
use crate::radius::text;
use crate::session::identity::Canonical;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const START: &str = "Acct-Status-Type = Start\nAcct-Session-Id = s1\nUser-Name = \"Alice\"\n";

pub(super) fn client() -> Client {
    Client::new(Name::from("bras1"), "192.0.2.1/32".parse().unwrap(), Secret::new(b"testing123"))
}

pub(super) fn chain(names: &[&str]) -> Identity {
    let chain = names.iter().map(|name| Dictionary::builtin().id(name).unwrap()).collect();
    Identity::new(chain, Canonical { lowercase: true, ..Canonical::default() })
}

pub(super) fn read_with(
    text: &str,
    client: &Client,
    identity: &Identity,
    never: &[&str],
) -> Result<Record, Ignored> {
    let attributes = text::parse_attributes(text, Dictionary::builtin()).unwrap();
    let octets = text::encode_request(4, 1, &attributes, b"testing123").unwrap();
    let never: Vec<IpNet> = never.iter().map(|prefix| prefix.parse().unwrap()).collect();
    let rules = Rules { client, source: "192.0.2.1".parse().unwrap(), identity, never: &never };
    let packet = Packet::decode(&octets).unwrap();
    read(&packet, &rules, NOW, &mut NasClocks::default()).map(|record| *record)
}

fn read_plain(text: &str) -> Result<Record, Ignored> {
    read_with(text, &client(), &chain(&["User-Name"]), &[])
}

/// The claims of a Start with these lines, as text, and how many were refused.
fn claims_with(lines: &str, client: &Client, never: &[&str]) -> (Vec<String>, u16) {
    let record = read_with(&format!("{START}{lines}"), client, &chain(&["User-Name"]), never).unwrap();
    (record.claims.iter().map(|claim| claim.prefix.to_string()).collect(), record.claims_dropped)
}

fn claims(lines: &str) -> (Vec<String>, u16) {
    claims_with(lines, &client(), &[])
}

fn some(prefixes: &[&str]) -> Vec<String> {
    prefixes.iter().map(ToString::to_string).collect()
}

#[test]
fn each_status_has_its_kind() {
    let kinds = [
        (1, Kind::Start),
        (2, Kind::Stop),
        (3, Kind::Interim),
        (7, Kind::On),
        (8, Kind::Off),
        (15, Kind::Stop),
        (18, Kind::On),
        (19, Kind::Off),
    ];
    for (status, kind) in kinds {
        let text = format!("Acct-Status-Type = {status}\nAcct-Session-Id = x");
        assert_eq!(read_plain(&text).unwrap().kind, kind);
    }
}

// Row 43.
#[test]
fn a_status_that_concerns_no_session_is_ignored() {
    for status in [0, 4, 5, 6, 9, 10, 11, 12, 13, 14, 16, 17, 20, 217, 0x0630_0001] {
        let text = format!("Acct-Status-Type = {status}\nAcct-Session-Id = x");
        assert_eq!(read_plain(&text), Err(Ignored::OtherStatus(status)));
    }
    assert_eq!(read_plain("Acct-Session-Id = x"), Err(Ignored::NoStatus));
    assert_eq!(read_plain("Attr-40 = 0x0001\nAcct-Session-Id = x"), Err(Ignored::NoStatus));
}

#[test]
fn a_session_needs_an_id_and_a_nas_does_not() {
    assert_eq!(read_plain("Acct-Status-Type = Start"), Err(Ignored::NoSessionId));
    assert_eq!(read_plain("Acct-Status-Type = Stop\nAcct-Session-Id = \"\""), Err(Ignored::NoSessionId));
    assert_eq!(read_plain("Acct-Status-Type = Accounting-On").unwrap().session_id, Name::from(""));
}

#[test]
fn every_kind_of_address_is_a_claim() {
    let lines = "Framed-IP-Address = 198.51.100.7\nFramed-Route = \"203.0.113.8/29 0.0.0.0 1\"\n\
                 Framed-IPv6-Prefix = 2001:db8:1::/64\nFramed-IPv6-Prefix = 2001:db8:2::/64\n\
                 Framed-IPv6-Address = 2001:db8:3::1\nDelegated-IPv6-Prefix = 2001:db8:f00::/56\n\
                 Framed-IPv6-Route = \"2001:db8:e00::/56 :: 0 pref 0 type pd-host\"";
    let expected = some(&[
        "198.51.100.7/32",
        "203.0.113.8/29",
        "2001:db8:1::/64",
        "2001:db8:2::/64",
        "2001:db8:3::1/128",
        "2001:db8:e00::/56",
        "2001:db8:f00::/56",
    ]);
    assert_eq!(claims(lines), (expected, 0));
}

// Row 47.
#[test]
fn a_netmask_widens_nothing() {
    let lines = "Framed-IP-Address = 203.0.113.5\nFramed-IP-Netmask = 255.255.255.0";
    assert_eq!(claims(lines), (some(&["203.0.113.5/32"]), 0));
}

#[test]
fn pools_and_our_own_addresses_limit_what_is_claimed() {
    let client = Client { may_assign: vec!["198.51.100.0/24".parse().unwrap()], ..client() };
    let lines = "Framed-IP-Address = 198.51.101.1";
    assert_eq!(claims_with(lines, &client, &[]), (vec![], 1));
    let lines = "Framed-IP-Address = 198.51.100.1";
    assert_eq!(claims_with(lines, &client, &[]), (some(&["198.51.100.1/32"]), 0));
    assert_eq!(claims_with(lines, &client, &["198.51.100.1/32"]), (vec![], 1));
}

#[test]
fn addresses_that_are_not_the_subscribers_own_are_no_claims() {
    let lines = "Mikrotik-Host-IP = 192.168.2.11\nCalling-Station-Id = \"198.51.100.7\"\n\
                 Tunnel-Client-Endpoint = \"198.51.100.7\"\nNAS-IP-Address = 198.51.100.7";
    assert_eq!(claims(lines), (vec![], 0));
}

// A Catalyst sends attribute 151 as text; others put text where an IPv6 prefix should be.
#[test]
fn an_attribute_that_does_not_fit_its_type_leaves_the_rest_alone() {
    let lines = "Attr-151 = 0x3f30453831444546\nAttr-123 = 0x3f30453831444546\nAttr-97 = 0x00\nAttr-8 = 0x0102\n\
                 Attr-46 = 0x01\nAttr-5 = \"\"\nAttr-26 = 0x0000\nAttr-26 = 0x000000090100";
    let record = read_plain(&format!("{START}{lines}")).unwrap();
    assert_eq!((record.claims.len(), record.session_time, record.scope.nas_port), (0, None, None));
    assert_eq!(record.subscriber, Some(Name::from("alice")));
}

// CVE-2003-0967 and CVE-2004-0938: attributes with no or one octet, or without their companions.
#[test]
fn every_attribute_of_no_or_one_octet_is_survived() {
    for kind in 1..=240 {
        for value in ["\"\"", "0x01"] {
            let line = format!("Attr-{kind} = {value}");
            let line = if matches!(kind, 40 | 44) { String::new() } else { line };
            assert!(read_plain(&format!("{START}{line}")).is_ok(), "{kind}");
        }
    }
}

#[test]
fn the_first_attribute_of_the_chain_that_names_somebody_wins() {
    let identity = chain(&["Class", "26.3561.1", "User-Name"]);
    let subscriber = |lines: &str| {
        read_with(&format!("{START}{lines}"), &client(), &identity, &[]).unwrap().subscriber.unwrap()
    };
    assert_eq!(subscriber(""), Name::from("alice"));
    assert_eq!(subscriber("ADSL-Agent-Circuit-Id = \"Eth 1/1\""), Name::from("eth 1/1"));
    let both = "Class = \"\"\nClass = \"C-7\"\nADSL-Agent-Circuit-Id = \"Eth 1/1\"";
    assert_eq!(subscriber(both), Name::from("c-7"));
}

#[test]
fn a_record_that_names_nobody_is_still_a_record() {
    let record = read_plain("Acct-Status-Type = Start\nAcct-Session-Id = s1\nUser-Name = \"\"").unwrap();
    assert_eq!((record.subscriber, record.user_name), (None, None));
}

#[test]
fn the_line_is_found_under_each_vendors_name() {
    for (circuit, remote) in [
        ("ADSL-Agent-Circuit-Id = 0x63", "ADSL-Agent-Remote-Id = 0x72"),
        ("Agent-Circuit-Id = 0x63", "Agent-Remote-Id = 0x72"),
        ("ERX-Acc-Loop-Cir-Id = c", "ERX-Acc-Loop-Remote-Id = r"),
        ("Cisco-AVPair = \"circuit-id-tag=c\"", "Cisco-AVPair = \"remote-id-tag=r\""),
    ] {
        let line = read_plain(&format!("{START}{circuit}\n{remote}\nNAS-Port-Id = p")).unwrap().line;
        assert_eq!((line.circuit_id, line.remote_id), (Some(Name::from("c")), Some(Name::from("r"))));
        assert_eq!(line.port_id, Some(Name::from("p")));
    }
}

#[test]
fn a_nas_is_named_by_its_source_and_not_by_what_it_says() {
    let lines = format!("{START}NAS-IP-Address = 203.0.113.1\nNAS-Identifier = evil");
    let nas = |client: &Client| read_with(&lines, client, &chain(&["User-Name"]), &[]).unwrap().nas;
    assert_eq!(nas(&client()), Name::from("bras1"));
    let several = Client { address: "192.0.2.0/24".parse().unwrap(), ..client() };
    assert_eq!(nas(&several), Name::from("bras1/192.0.2.1"));
    assert_eq!(nas(&Client { nas: NasIdentity::Client, ..several }), Name::from("bras1"));
}

#[test]
fn a_nas_behind_a_proxy_is_named_by_its_attributes() {
    let proxy = Client { nas: NasIdentity::Attributes, ..client() };
    let nas =
        |lines: &str| read_with(&format!("{START}{lines}"), &proxy, &chain(&["User-Name"]), &[]).unwrap().nas;
    let both = "NAS-IP-Address = 203.0.113.1\nNAS-Identifier = bras7";
    assert_eq!(nas(both), Name::from("bras1/bras7"));
    assert_eq!(nas("NAS-IP-Address = 203.0.113.1\nNAS-IPv6-Address = ::"), Name::from("bras1/203.0.113.1"));
    assert_eq!(
        nas("NAS-IP-Address = 0.0.0.0\nNAS-IPv6-Address = 2001:db8::1"),
        Name::from("bras1/2001:db8::1")
    );
    assert_eq!(nas("NAS-IPv6-Address = fe80::1"), Name::from("bras1"));
}

#[test]
fn a_nas_that_names_itself_by_nothing_is_named_by_where_the_first_server_had_it_from() {
    let proxy = Client { nas: NasIdentity::Attributes, ..client() };
    let identity = chain(&["User-Name"]);
    let nas = |lines: &str, client: &Client| {
        let attributes = text::parse_attributes(lines, Dictionary::builtin()).unwrap();
        let octets = text::encode_request(4, 1, &attributes, b"testing123").unwrap();
        let packet = Packet::decode(&octets).unwrap();
        let rules = Rules { client, source: "192.0.2.1".parse().unwrap(), identity: &identity, never: &[] };
        let origin = Some("203.0.113.9".parse().unwrap());
        let passage = Passage { arrival: NOW, received: NOW, origin };
        read_relayed(&packet, &rules, passage, &mut NasClocks::default()).map(|record| record.nas)
    };
    assert_eq!(nas(START, &proxy), Ok(Name::from("bras1/203.0.113.9")));
    let named = format!("{START}NAS-IP-Address = 203.0.113.1");
    assert_eq!(nas(&named, &proxy), Ok(Name::from("bras1/203.0.113.1")));
    let off = "Acct-Status-Type = Accounting-Off\nNAS-IP-Address = 0.0.0.0";
    assert_eq!(nas(off, &proxy), Ok(Name::from("bras1/203.0.113.9")));
    // Who is no proxy is named by its own address only.
    assert_eq!(nas(START, &client()), Ok(Name::from("bras1")));
}

#[test]
fn a_nas_behind_a_proxy_may_have_a_name_pools_and_a_realm_of_its_own() {
    let nas = |identifier: &str, address: &str, name: &str, pool: &str| config::Nas {
        identifier: Some(identifier).filter(|text| !text.is_empty()).map(Name::from),
        address: address.parse().ok(),
        name: Some(name).filter(|text| !text.is_empty()).map(Name::from),
        may_assign: pool.parse().into_iter().collect(),
        realm: None,
    };
    let vrf = |name: &str| Some(config::NamedRealm::Vrf(Name::from(name)));
    let nases = vec![
        config::Nas { realm: vrf("red"), ..nas("bras7", "", "berlin-7", "198.51.100.0/25") },
        nas("", "203.0.113.1", "", "198.51.100.128/25"),
        nas("bras9", "", "berlin-9", ""),
    ];
    let may_assign = vec!["192.0.2.0/24".parse().unwrap()];
    let proxy = Client { nas: NasIdentity::Attributes, nases, may_assign, realm: vrf("blue"), ..client() };
    let read = |lines: &str, proxy: &Client| {
        let addresses = "Framed-IP-Address = 198.51.100.7\nFramed-Route = \"198.51.100.129/32\"\n\
                         Framed-Route = \"192.0.2.7/32\"";
        let lines = format!("{START}{lines}\n{addresses}");
        let record = read_with(&lines, proxy, &chain(&["User-Name"]), &[]).unwrap();
        let had: Vec<_> = record.claims.iter().map(|claim| claim.prefix.addr().to_string()).collect();
        let realm = record.realm.map(|realm| realm.to_string()).unwrap_or_default();
        (record.nas.to_string(), had.join(" "), record.claims_dropped, realm)
    };
    let told = |nas: &str, had: &str, dropped, realm: &str| {
        (nas.to_owned(), had.to_owned(), dropped, realm.to_owned())
    };
    let bras7 = "NAS-Identifier = bras7";
    assert_eq!(read(bras7, &proxy), told("berlin-7", "198.51.100.7", 2, "red"));
    let by_address = "NAS-Identifier = other\nNAS-IP-Address = 203.0.113.1";
    assert_eq!(read(by_address, &proxy), told("bras1/other", "198.51.100.129", 2, "blue"));
    // Those of the proxy where a NAS has none of its own, or is not listed.
    assert_eq!(read("NAS-Identifier = bras9", &proxy), told("berlin-9", "192.0.2.7", 2, "blue"));
    assert_eq!(read("NAS-Identifier = bras8", &proxy), told("bras1/bras8", "192.0.2.7", 2, "blue"));
    // A proxy without pools lends none.
    let bare = Client { may_assign: Vec::new(), ..proxy };
    assert_eq!(read(bras7, &bare), told("berlin-7", "198.51.100.7", 2, "red"));
    assert_eq!(read("NAS-Identifier = bras8", &bare), told("bras1/bras8", "", 3, "blue"));
    assert_eq!(bare.pools().len(), 2);
}

#[test]
fn a_packet_counts_for_the_nas_that_a_record_of_it_would_name() {
    let proxy = Client { nas: NasIdentity::Attributes, ..client() };
    let fleet = Client { address: "192.0.2.0/24".parse().unwrap(), ..client() };
    let lines = ["", "NAS-Identifier = x", "NAS-IP-Address = 203.0.113.1\nNAS-Identifier = \"\""];
    for client in [client(), proxy, fleet] {
        for lines in lines {
            let text = format!("{START}{lines}");
            let attributes = text::parse_attributes(&text, Dictionary::builtin()).unwrap();
            let octets = text::encode_request(4, 1, &attributes, b"testing123").unwrap();
            let packet = Packet::decode(&octets).unwrap();
            let identity = chain(&["User-Name"]);
            let source = "192.0.2.1".parse().unwrap();
            let rules = Rules { client: &client, source, identity: &identity, never: &[] };
            let record = read(&packet, &rules, NOW, &mut NasClocks::default()).unwrap();
            assert_eq!(nas_of(&packet, &rules, None), record.nas, "{lines}");
        }
    }
}

#[test]
fn a_delay_of_zero_is_none_and_one_of_a_second_says_that_it_waited() {
    let held_back = |lines: &str| {
        let text = format!("{START}{lines}");
        let attributes = text::parse_attributes(&text, Dictionary::builtin()).unwrap();
        let octets = text::encode_request(4, 1, &attributes, b"testing123").unwrap();
        was_held_back(&Packet::decode(&octets).unwrap())
    };
    assert!(!held_back(""));
    assert!(!held_back("Acct-Delay-Time = 0"));
    assert!(held_back("Acct-Delay-Time = 1"));
}

// Rows 26 and 27.
#[test]
fn an_accounting_on_of_nobody_concerns_its_sender_or_from_a_proxy_nothing() {
    let text = "Acct-Status-Type = Accounting-Off\nNAS-IP-Address = 0.0.0.0";
    assert_eq!(read_plain(text).unwrap().nas, Name::from("bras1"));
    let proxy = Client { nas: NasIdentity::Attributes, ..client() };
    let identity = chain(&["User-Name"]);
    assert_eq!(read_with(text, &proxy, &identity, &[]), Err(Ignored::UnnamedNas));
    let named = format!("{text}\nNAS-Identifier = bras7");
    assert_eq!(read_with(&named, &proxy, &identity, &[]).unwrap().nas, Name::from("bras1/bras7"));
}

#[test]
fn everything_else_the_machine_wants_is_carried_over() {
    let lines = "Acct-Session-Time = 60\nAcct-Interim-Interval = 300\nAcct-Terminate-Cause = 6\nAcct-Delay-Time = 5\n\
                 Called-Station-Id = \"aa:ssid\"\nNAS-Identifier = box\nNAS-Port = 7\nCalling-Station-Id = m";
    let client = Client { stop_start: true, ..client() };
    let record = read_with(&format!("{START}{lines}"), &client, &chain(&["User-Name"]), &[]).unwrap();
    assert_eq!(
        (record.session_time, record.interval, record.terminate_cause),
        (Some(60), Some(300), Some(6))
    );
    assert_eq!(
        (record.arrival, record.event, record.dated),
        (NOW, Timestamp::from_seconds(1_799_999_995), false)
    );
    assert_eq!((record.session_id, record.client), (Name::from("s1"), Name::from("bras1")));
    assert_eq!(record.user_name, Some(Name::from("Alice")));
    let scope = Scope {
        nas_identifier: Some(Name::from("box")),
        called_station: Some(Name::from("aa:ssid")),
        nas_port: Some(7),
        context: None,
    };
    assert_eq!(record.scope, scope);
    assert_eq!(record.line.calling_station, Some(Name::from("m")));
    assert!(record.stop_start);
}
