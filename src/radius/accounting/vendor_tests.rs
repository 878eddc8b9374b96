//! What vendors' attributes make of a whole record: blocks, releases, services, VRFs, and what the client is declared to be.

use super::tests::{chain, client, read_with};
use super::*;
use crate::config::NamedRealm;

fn read_from(client: &Client, text: &str) -> Record {
    read_with(text, client, &chain(&["User-Name"]), &[]).unwrap()
}

/// A record of alice's session with these lines.
fn record_from(client: &Client, status: &str, lines: &str) -> Record {
    let head = format!("Acct-Status-Type = {status}\nAcct-Session-Id = s1\nUser-Name = alice\n");
    read_from(client, &(head + lines))
}

fn interim(lines: &str) -> Record {
    record_from(&client(), "Interim-Update", lines)
}

fn claims(record: &Record) -> Vec<String> {
    let spell = |claim: &Claim| match claim.ports.is_all() {
        true => format!("{} {:?}", claim.prefix, claim.source),
        false => format!("{} {} {:?}", claim.prefix, claim.ports, claim.source),
    };
    record.claims.iter().map(spell).collect()
}

fn releases(record: &Record) -> Vec<String> {
    let spell = |release: &Release| match release {
        Release::All(source) => format!("all {source:?}"),
        Release::Only(prefix, ports) => format!("{prefix} {ports}"),
    };
    record.releases.iter().map(spell).collect()
}

const ADDRESS: &str = "Framed-IP-Address = 198.51.100.7\n";

#[test]
fn vendors_addresses_claim_as_the_standard_ones_do() {
    for (line, expected) in [
        ("Alc-Ipv6-Address = 2001:db8::7", "2001:db8::7/128 FramedIpv6Address"),
        ("Huawei-Framed-IPv6-Address = 2001:db8::7", "2001:db8::7/128 FramedIpv6Address"),
        ("Attr-26.54268.158 = 0x20010db8000000000000000000000007", "2001:db8::7/128 FramedIpv6Address"),
        ("ERX-IPv6-NdRa-Prefix = 2001:db8:7::/64", "2001:db8:7::/64 FramedIpv6Prefix"),
        ("Assigned-IP-Address = 198.51.100.9", "198.51.100.9/32 FramedAddress"),
    ] {
        assert_eq!(claims(&interim(line)), [expected]);
    }
}

#[test]
fn an_assigned_address_counts_where_there_is_no_framed_one() {
    let assigned = "Assigned-IP-Address = 198.51.100.9\n";
    assert_eq!(claims(&interim(&format!("{assigned}{ADDRESS}"))), ["198.51.100.7/32 FramedAddress"]);
    let selects = "Framed-IP-Address = 255.255.255.254";
    assert_eq!(claims(&interim(&format!("{assigned}{selects}"))), ["198.51.100.9/32 FramedAddress"]);
}

// Row 36.
#[test]
fn a_huaweis_block_is_the_subscribers_beside_the_inside_address() {
    let block = "Framed-IP-Address = 100.72.3.9\nHuawei-NAT-Public-Address = 203.0.113.77\n\
                 Huawei-NAT-Start-Port = 4096\nHuawei-NAT-End-Port = 8191\n";
    let present = interim(block);
    assert_eq!(claims(&present), ["100.72.3.9/32 FramedAddress", "203.0.113.77/32 4096-8191 PortBlock"]);
    assert_eq!(releases(&present), ["all PortBlock"]);
    let added = interim(&format!("{block}Huawei-NAT-Port-Range-Update = 0"));
    assert_eq!((claims(&added), releases(&added)), (claims(&present), vec![]));
    let deleted = interim(&format!("{block}Huawei-NAT-Port-Range-Update = 1"));
    assert_eq!(claims(&deleted), ["100.72.3.9/32 FramedAddress"]);
    assert_eq!(releases(&deleted), ["203.0.113.77/32 4096-8191"]);
    let replaced = interim(&format!("{block}Huawei-NAT-Port-Range-Update = 3"));
    assert_eq!(
        (claims(&replaced), releases(&replaced)),
        (claims(&present), vec!["all PortBlock".to_owned()])
    );
    let stop = record_from(&client(), "Stop", block);
    assert_eq!((claims(&stop), releases(&stop)), (claims(&present), vec![]));
}

#[test]
fn a_block_outside_of_the_pools_or_of_ours_is_dropped_and_counted() {
    let block = "Alc-Nat-Port-Range = \"203.0.113.77 4096-8191,9000-8000 router base\"";
    let pool = |prefix: &str| Client { may_assign: vec![prefix.parse().unwrap()], ..client() };
    let within = record_from(&pool("203.0.113.0/24"), "Start", block);
    assert_eq!((claims(&within).len(), within.claims_dropped), (1, 1));
    let outside = record_from(&pool("198.51.100.0/24"), "Start", block);
    assert_eq!((claims(&outside).len(), outside.claims_dropped), (0, 2));
    let text = format!("Acct-Status-Type = Start\nAcct-Session-Id = s1\n{block}");
    let ours = read_with(&text, &client(), &chain(&["User-Name"]), &["203.0.113.77/32"]).unwrap();
    assert_eq!((claims(&ours).len(), ours.claims_dropped), (0, 2));
    let freed = record_from(
        &pool("198.51.100.0/24"),
        "Interim-Update",
        &format!("{block}\nAlc-Acct-Triggered-Reason = 19"),
    );
    assert_eq!(releases(&freed), Vec::<String>::new(), "what could not be bound need not be freed");
}

/// A record of Nokia's translator about the address behind it.
fn translator(status: &str, lines: &str) -> Record {
    let head = format!(
        "Acct-Status-Type = {status}\nAcct-Session-Id = n1\nUser-Name = \"LSN44@192.168.0.1\"\n\
         Alc-Subsc-ID-Str = \"LSN44@192.168.0.1\"\nFramed-IP-Address = 192.168.0.1\nAlc-Serv-Id = 100\n"
    );
    read_from(&client(), &(head + lines))
}

const BLOCK: &str = "Alc-Nat-Port-Range = \"180.0.1.248 37674-37723 router base\"\n";

// Row 39.
#[test]
fn a_translators_record_names_nobody_and_claims_no_inside_address() {
    let start = translator("Start", BLOCK);
    assert_eq!((start.kind, start.subscriber.clone()), (Kind::Start, None));
    assert_eq!(start.user_name, Some(Name::from("LSN44@192.168.0.1")), "people may see it");
    assert_eq!((start.inside, start.realm.clone()), ("192.168.0.1".parse().ok(), Some(Name::from("100"))));
    assert_eq!(claims(&start), ["180.0.1.248/32 37674-37723 PortBlock"]);
    assert_eq!(releases(&start), Vec::<String>::new());
    let freed = translator("Interim-Update", &format!("{BLOCK}Alc-Acct-Triggered-Reason = 19"));
    assert_eq!((claims(&freed), releases(&freed)), (vec![], vec!["180.0.1.248/32 37674-37723".to_owned()]));
}

#[test]
fn a_translators_stop_ends_its_session_or_one_block_of_several() {
    let last = translator("Stop", &format!("{BLOCK}Acct-Terminate-Cause = Host-Request"));
    assert_eq!((last.kind, claims(&last).len(), last.releases.len()), (Kind::Stop, 1, 0));
    let one = format!("{BLOCK}Acct-Terminate-Cause = Port-Unneeded\n");
    let one_of_several = translator("Stop", &one);
    assert_eq!((one_of_several.kind, claims(&one_of_several).len()), (Kind::Interim, 0));
    assert_eq!(releases(&one_of_several), ["180.0.1.248/32 37674-37723"]);
    // Each block has a session of its own: this one has ended.
    let linked = translator("Stop", &format!("{one}Acct-Multi-Session-Id = m1"));
    assert_eq!((linked.kind, linked.multi_session_id), (Kind::Stop, Some(Name::from("m1"))));
    // A subscriber's session that ends for the same cause ends.
    let session = record_from(&client(), "Stop", &one);
    assert_eq!(session.kind, Kind::Stop);
}

#[test]
fn whoever_logs_in_as_another_ones_address_is_a_subscriber_like_any_other() {
    let text = format!(
        "Acct-Status-Type = Start\nAcct-Session-Id = s1\nUser-Name = \"x@192.168.0.1\"\n\
         Framed-IP-Address = 192.168.0.2\n{BLOCK}"
    );
    let record = read_from(&client(), &text);
    assert_eq!((record.inside, record.subscriber.clone()), (None, Some(Name::from("x@192.168.0.1"))));
    assert_eq!(claims(&record)[0], "180.0.1.248/32 37674-37723 PortBlock");
    assert_eq!(claims(&record)[1], "192.168.0.2/32 FramedAddress");
}

#[test]
fn rfc_8045_is_joined_by_the_inside_address_only_where_the_record_names_nobody() {
    let range = "IP-Port-Range-Ext-IPv4-Addr = 203.0.113.10\nIP-Port-Range-Int-IPv4-Addr = 100.64.9.9\n\
                 IP-Port-Range-Alloc = Allocation\nIP-Port-Range-Range-Start = 32768\n\
                 IP-Port-Range-Range-End = 33279\n";
    let block = "203.0.113.10/32 32768-33279 PortBlock";
    let nobody = "Acct-Status-Type = Start\nAcct-Session-Id = s1\n";
    let joined = read_from(&client(), &format!("{nobody}{range}"));
    assert_eq!((joined.inside, claims(&joined)), ("100.64.9.9".parse().ok(), vec![block.to_owned()]));
    let named = interim(range);
    assert_eq!((named.inside, named.subscriber.clone()), (None, Some(Name::from("alice"))));
    assert_eq!(claims(&named), [block]);
    let addressed = read_from(&client(), &format!("{nobody}Framed-IP-Address = 100.64.9.9\n{range}"));
    assert_eq!((addressed.inside, claims(&addressed).len()), (None, 2));
}

// Row 6.
#[test]
fn an_interim_gives_back_what_its_reason_says_and_a_start_nothing() {
    let reason = format!("{ADDRESS}ERX-Acct-Request-Reason = 32");
    let ipv6 =
        ["all FramedIpv6Prefix", "all FramedIpv6Address", "all DelegatedIpv6Prefix", "all FramedIpv6Route"];
    assert_eq!(releases(&interim(&reason)), ipv6);
    for other in ["Start", "Stop"] {
        assert_eq!(releases(&record_from(&client(), other, &reason)), Vec::<String>::new(), "{other}");
    }
    let ipv4 = ["all FramedAddress", "all FramedRoute"];
    assert_eq!(releases(&interim("Attr-26.4874.164 = 0x00000001")), ipv4);
    assert_eq!(releases(&interim(&format!("{ADDRESS}Attr-26.4874.164 = 0x00000001"))), Vec::<String>::new());
    let both = "ERX-Acct-Request-Reason = 8\nAttr-26.4874.164 = 0x00000001";
    assert_eq!(releases(&interim(both)), ipv4, "each once");
}

#[test]
fn a_client_that_lists_everything_gives_back_whatever_it_does_not_list() {
    let snapshot = Client { snapshot: true, ..client() };
    for status in ["Start", "Interim-Update"] {
        let record = record_from(&snapshot, status, ADDRESS);
        assert_eq!(record.releases, ClaimSource::ALL.map(Release::All), "{status}");
    }
    assert_eq!(record_from(&snapshot, "Stop", ADDRESS).releases, []);
    // A change of blocks is no list of them.
    let change = "Huawei-NAT-Public-Address = 203.0.113.77\nHuawei-NAT-Start-Port = 4096\n\
                  Huawei-NAT-End-Port = 8191\nHuawei-NAT-Port-Range-Update = 0\n";
    let record = record_from(&snapshot, "Interim-Update", change);
    assert_eq!(record.releases.len(), ClaimSource::ALL.len() - 1);
    assert!(!record.releases.contains(&Release::All(ClaimSource::PortBlock)));
}

// Rows 21 and 22.
#[test]
fn a_service_claims_nothing_gives_nothing_back_and_is_not_counted() {
    let pools = Client { may_assign: vec!["10.0.0.0/8".parse().unwrap()], snapshot: true, ..client() };
    let lines = format!("{ADDRESS}ERX-Service-Session = \"IPV4(20M,30M)\"");
    for status in ["Start", "Interim-Update", "Stop"] {
        let head = format!("Acct-Status-Type = {status}\nAcct-Session-Id = \"4:5\"\nUser-Name = alice\n");
        let record = read_from(&pools, &(head + &lines));
        assert_eq!(record.service.unwrap().parent, Some(Name::from("4")));
        assert_eq!((record.claims, record.releases, record.claims_dropped), (vec![], vec![], 0));
    }
    let whole_nas = format!("Acct-Status-Type = Accounting-On\nAcct-Session-Id = \"4:5\"\n{lines}");
    assert_eq!(read_from(&client(), &whole_nas).service, None);
}

#[test]
fn the_client_decides_the_realm_and_otherwise_the_records_vrf() {
    let vrf = "Cisco-AVPair = \"ip:vrf-id=gold\"\nERX-Virtual-Router-Name = \"default:silver\"\n";
    let realm = |realm: Option<NamedRealm>, lines: &str| {
        record_from(&Client { realm, ..client() }, "Start", lines).realm.map(|realm| realm.to_string())
    };
    assert_eq!(realm(None, vrf).as_deref(), Some("gold"));
    assert_eq!(realm(None, "ERX-Virtual-Router-Name = \"default:default\""), None);
    assert_eq!(realm(None, ""), None);
    let own = || Some(NamedRealm::Vrf(Name::from("own")));
    assert_eq!(realm(own(), vrf).as_deref(), Some("own"));
    assert_eq!(realm(own(), "").as_deref(), Some("own"));
    assert_eq!(realm(Some(NamedRealm::Public), vrf), None);
    let on = format!("Acct-Status-Type = Accounting-On\n{vrf}");
    assert_eq!(read_from(&Client { realm: own(), ..client() }, &on).realm, None);
}

// Row 25.
#[test]
fn an_on_or_off_is_limited_by_virtual_router_card_and_station() {
    let on = "Acct-Status-Type = Accounting-Off\nNAS-Identifier = box\nNAS-Port = 7\nCalled-Station-Id = cell\n\
              ERX-Virtual-Router-Name = \"default:gold\"";
    let scope = Scope {
        nas_identifier: Some(Name::from("box")),
        called_station: Some(Name::from("cell")),
        nas_port: Some(7),
        context: Some(Name::from("default:gold")),
    };
    assert_eq!(read_from(&client(), on).scope, scope);
    let context = interim("Attr-26.2352.4 = \"local\"").scope.context;
    assert_eq!(context, Some(Name::from("local")));
}

// Row 47.
#[test]
fn a_netmask_widens_where_the_client_routes_subnets() {
    let routed = Client { routed_netmask: true, ..client() };
    let lines = "Framed-IP-Address = 203.0.113.5\nFramed-IP-Netmask = 255.255.255.248";
    assert_eq!(claims(&record_from(&routed, "Start", lines)), ["203.0.113.0/29 FramedAddress"]);
    assert_eq!(claims(&record_from(&client(), "Start", lines)), ["203.0.113.5/32 FramedAddress"]);
}

#[test]
fn accounts_of_a_host_and_nases_of_a_group_are_known_by_their_names() {
    let grouped = Client { group: Some(Name::from("pair1")), ..client() };
    let record = record_from(&grouped, "Start", "Acct-Multi-Session-Id = m1");
    assert_eq!((record.multi_session_id, record.group), (Some(Name::from("m1")), Some(Name::from("pair1"))));
    let record = interim("Acct-Multi-Session-Id = \"\"");
    assert_eq!((record.multi_session_id, record.group), (None, None));
}

#[test]
fn what_the_operator_wants_kept_is_kept_under_the_name_it_was_asked_for_by() {
    let mut identity = chain(&["User-Name"]);
    for name in ["Class", "NAS-Port", "26.3561.1"] {
        identity.keep.push((Name::from(name), Dictionary::builtin().id(name).unwrap()));
    }
    let lines = "Class = \"gold\"\nClass = 0x00ff\nADSL-Agent-Circuit-Id = \"\"\nNAS-Port = 7\n";
    let kept = |status: &str| {
        let text = format!("Acct-Status-Type = {status}\nAcct-Session-Id = s1\nUser-Name = alice\n{lines}");
        let record = read_with(&text, &client(), &identity, &[]).unwrap();
        record.kept.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    let expected = ["Class=gold", "Class=0x00ff", "NAS-Port=7"];
    assert_eq!(kept("Start"), expected);
    assert_eq!(kept("Interim-Update"), expected);
    assert_eq!(kept("Stop"), Vec::<String>::new());
}

#[test]
fn a_shared_login_names_nobody_and_the_chain_goes_on() {
    let mut identity = chain(&["User-Name", "Calling-Station-Id"]);
    identity.shared_names.push(Name::from("mig"));
    let text =
        "Acct-Status-Type = Start\nAcct-Session-Id = s1\nUser-Name = MIG\nCalling-Station-Id = 447700900123";
    let record = read_with(text, &client(), &identity, &[]).unwrap();
    assert_eq!(record.subscriber, Some(Name::from("447700900123")));
    assert_eq!(record.user_name, Some(Name::from("MIG")), "as it came");
}

#[test]
fn every_vendors_attribute_of_no_or_one_octet_is_survived_and_claims_nothing() {
    for vendor in [9, 2011, 2352, 3561, 4874, 6527, 8164, 14988, 18681, 25506, 43823, 54268] {
        for kind in 0..=255 {
            for value in ["\"\"", "0x01"] {
                let record = interim(&format!("Attr-26.{vendor}.{kind} = {value}"));
                assert_eq!((record.claims.len(), record.claims_dropped), (0, 0), "{vendor} {kind}");
            }
        }
    }
    for value in ["\"\"", "0x06", "0x0601", "0x060102", "0x06030203", "0xff"] {
        let record = interim(&format!("Attr-241 = {value}"));
        assert_eq!((record.claims.len(), record.releases.len()), (0, 0), "{value}");
    }
}
