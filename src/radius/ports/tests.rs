//! Each vendor's form once whole, and each of its lies.

use super::*;

fn address(text: &str) -> Vec<u8> {
    text.parse::<Ipv4Addr>().unwrap().octets().to_vec()
}

fn number(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn spelled(claims: &[Claim]) -> String {
    let spell = |claim: &Claim| format!("{} {}", claim.prefix.addr(), claim.ports);
    claims.iter().map(spell).collect::<Vec<_>>().join(", ")
}

/// What was told, in a line: `has 192.0.2.1 1-2; freed ...; all; change; refused 1`.
fn line(told: &Told) -> String {
    let mut parts = Vec::new();
    for (word, claims) in [("has", &told.has), ("freed", &told.freed)] {
        if !claims.is_empty() {
            parts.push(format!("{word} {}", spelled(claims)));
        }
    }
    for (word, is) in [("all", told.all), ("change", told.change)] {
        if is {
            parts.push(word.to_owned());
        }
    }
    if told.refused > 0 {
        parts.push(format!("refused {}", told.refused));
    }
    parts.join("; ")
}

fn told(attributes: &[(u32, u8, Vec<u8>)], circumstances: Circumstances) -> String {
    let mut all = Attributes::default();
    for (vendor, kind, octets) in attributes {
        all.take((*vendor, *kind), octets);
    }
    line(&all.told(circumstances, None))
}

const SESSION: Circumstances =
    Circumstances { reason: None, translator: false, ends_block: false, one_to_one: false };
const TRANSLATOR: Circumstances = Circumstances { translator: true, ..SESSION };

fn reason(circumstances: Circumstances, reason: u32) -> Circumstances {
    Circumstances { reason: Some(reason), ..circumstances }
}

fn nokia(texts: &[&str], circumstances: Circumstances) -> String {
    let attributes: Vec<_> = texts.iter().map(|text| (6527, 121, text.as_bytes().to_vec())).collect();
    told(&attributes, circumstances)
}

#[test]
fn a_nokias_session_lists_all_its_blocks() {
    let text = "180.0.1.248 37674-37723,38507-38556 router base";
    let has = "has 180.0.1.248 37674-37723, 180.0.1.248 38507-38556; all";
    assert_eq!(nokia(&[text], SESSION), has);
    assert_eq!(nokia(&[text], reason(SESSION, 17)), has);
    assert_eq!(nokia(&["180.0.1.248 40-40 vprn 300"], SESSION), "has 180.0.1.248 40-40; all");
    assert_eq!(nokia(&[" 180.0.1.248  1-2, 3-4\0"], SESSION), "has 180.0.1.248 1-2, 180.0.1.248 3-4; all");
    // The last one went: there is nothing to list.
    assert_eq!(nokia(&[], reason(SESSION, 17)), "all");
    assert_eq!(nokia(&[], SESSION), "");
}

#[test]
fn a_nokias_translator_tells_what_has_changed() {
    let text = "180.0.1.248 37674-37723 router base";
    assert_eq!(nokia(&[text], TRANSLATOR), "has 180.0.1.248 37674-37723; change");
    for kept in [20, 21] {
        assert_eq!(nokia(&[text], reason(TRANSLATOR, kept)), "has 180.0.1.248 37674-37723; change");
        assert_eq!(nokia(&[text], reason(SESSION, kept)), "has 180.0.1.248 37674-37723; change");
    }
    assert_eq!(nokia(&[text], reason(TRANSLATOR, 19)), "freed 180.0.1.248 37674-37723; change");
    let ends_block = Circumstances { ends_block: true, ..TRANSLATOR };
    assert_eq!(nokia(&[text], ends_block), "freed 180.0.1.248 37674-37723; change");
}

#[test]
fn a_nokias_list_may_go_on_in_the_next_attribute_or_begin_anew() {
    let anew = ["180.0.1.248 1-2 router base", "180.0.1.249 3-4 router base"];
    assert_eq!(nokia(&anew, SESSION), "has 180.0.1.248 1-2, 180.0.1.249 3-4; all");
    let cut = ["180.0.1.248 1001-1002,20", "01-2002,3001-3002 router base"];
    assert_eq!(
        nokia(&cut, SESSION),
        "has 180.0.1.248 1001-1002, 180.0.1.248 2001-2002, 180.0.1.248 3001-3002; all"
    );
}

#[test]
fn a_port_range_that_is_reversed_or_above_65535_is_refused_and_the_others_count() {
    assert_eq!(nokia(&["192.0.2.1 65535-65535"], SESSION), "has 192.0.2.1 65535-65535; all");
    for lie in
        ["65535-65536", "2-1", "0-1023", "0-0", "99999999999-99999999999", "5", "5-", "5-x", "5-6-7", "5+6"]
    {
        assert_eq!(nokia(&[&format!("192.0.2.1 {lie}")], SESSION), "refused 1", "{lie}");
        let beside = format!("192.0.2.1 {lie},1024-2047 router base");
        assert_eq!(nokia(&[&beside], SESSION), "has 192.0.2.1 1024-2047; all; refused 1", "{lie}");
    }
}

#[test]
fn a_text_without_an_address_or_blocks_says_nothing() {
    for nothing in [
        "",
        " ",
        "\0",
        "192.0.2.1",
        "192.0.2.1 ",
        "192.0.2.1 router base",
        "192.0.2 1-2",
        "1-2",
        "192.0.2.1,1-2",
    ] {
        assert_eq!(nokia(&[nothing], SESSION), "", "{nothing:?}");
    }
    let latin = (6527, 121, b"192.0.2.1 1-2\xff".to_vec());
    assert_eq!(told(&[latin], SESSION), "refused 1");
}

/// A block in the form of address, first and last port.
fn numbers(vendor: u32, kinds: [u8; 3], first: u32, last: u32) -> Vec<(u32, u8, Vec<u8>)> {
    vec![
        (vendor, kinds[0], address("203.0.113.77")),
        (vendor, kinds[1], number(first)),
        (vendor, kinds[2], number(last)),
    ]
}

const NUMBERED: [(u32, [u8; 3]); 4] =
    [(2011, [161, 162, 163]), (54268, [161, 162, 163]), (25506, [32, 33, 34]), (18681, [16, 28, 29])];

#[test]
fn huawei_h3c_netelastic_and_travelping_tell_the_present_block() {
    for (vendor, kinds) in NUMBERED {
        assert_eq!(told(&numbers(vendor, kinds, 4096, 8191), SESSION), "has 203.0.113.77 4096-8191; all");
        let mut reversed = numbers(vendor, kinds, 1, 65_535);
        reversed.reverse();
        assert_eq!(told(&reversed, SESSION), "has 203.0.113.77 1-65535; all", "whichever stands first");
    }
}

#[test]
fn a_block_that_cant_be_is_refused_whoever_tells_of_it() {
    for (vendor, kinds) in NUMBERED {
        for (first, last) in [(8191, 4096), (4096, 65_536), (65_536, 65_537), (0, 1023), (0, 65_535)] {
            assert_eq!(told(&numbers(vendor, kinds, first, last), SESSION), "refused 1", "{first}-{last}");
        }
    }
}

#[test]
fn a_block_of_which_a_part_is_missing_or_has_another_size_is_left_out() {
    for (vendor, kinds) in NUMBERED {
        for missing in 0..3 {
            let mut attributes = numbers(vendor, kinds, 4096, 8191);
            attributes[missing].2.pop();
            assert_eq!(told(&attributes, SESSION), "", "{vendor} {missing}");
            attributes[missing].2.clear();
            assert_eq!(told(&attributes, SESSION), "", "{vendor} {missing}");
            attributes.remove(missing);
            assert_eq!(told(&attributes, SESSION), "", "{vendor} {missing}");
        }
    }
}

#[test]
fn several_blocks_may_share_an_address_or_have_one_each() {
    let (vendor, kinds) = NUMBERED[0];
    let mut two = numbers(vendor, kinds, 1024, 2047);
    two.extend_from_slice(&numbers(vendor, kinds, 3072, 4095)[1..]);
    assert_eq!(told(&two, SESSION), "has 203.0.113.77 1024-2047, 203.0.113.77 3072-4095; all");
    two.push((vendor, kinds[0], address("203.0.113.78")));
    assert_eq!(told(&two, SESSION), "has 203.0.113.77 1024-2047, 203.0.113.78 3072-4095; all");
}

#[test]
fn a_second_vendors_block_in_the_same_record_is_left_out() {
    let mut both = numbers(2011, [161, 162, 163], 1024, 2047);
    both.extend(numbers(54268, [161, 162, 163], 3072, 4095));
    assert_eq!(told(&both, SESSION), "has 203.0.113.77 1024-2047; all");
}

#[test]
fn a_huawei_says_whether_a_block_was_added_deleted_or_replaced() {
    let with = |update: u32| {
        let mut attributes = numbers(2011, [161, 162, 163], 20_480, 21_503);
        attributes.push((2011, 165, number(update)));
        told(&attributes, SESSION)
    };
    assert_eq!(with(0), "has 203.0.113.77 20480-21503; change");
    assert_eq!(with(1), "freed 203.0.113.77 20480-21503; change");
    assert_eq!(with(3), "has 203.0.113.77 20480-21503; all");
    for unknown in [2, 4, u32::MAX] {
        assert_eq!(with(unknown), "change");
    }
}

/// An IP-Port-Range with these TLVs.
fn port_range(tlvs: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let tlvs = tlvs.iter().flat_map(|(kind, octets)| {
        let length = u8::try_from(octets.len() + 2).unwrap();
        [[*kind, length].as_slice(), octets].concat()
    });
    [IP_PORT_RANGE].into_iter().chain(tlvs).collect()
}

fn rfc8045(attributes: &[Vec<u8>], inside: Option<&str>) -> String {
    let mut all = Attributes::default();
    attributes.iter().for_each(|octets| all.take_extended(octets));
    line(&all.told(SESSION, inside.map(|inside| inside.parse().unwrap())))
}

fn outside() -> (u8, Vec<u8>) {
    (3, address("203.0.113.10"))
}

fn range(alloc: u32, first: u32, last: u32) -> Vec<u8> {
    port_range(&[outside(), (8, number(alloc)), (9, number(first)), (10, number(last))])
}

#[test]
fn rfc_8045_allocates_and_deallocates() {
    assert_eq!(rfc8045(&[range(1, 32_768, 33_279)], None), "has 203.0.113.10 32768-33279; change");
    assert_eq!(rfc8045(&[range(2, 32_768, 33_279)], None), "freed 203.0.113.10 32768-33279; change");
    let both = [range(1, 1024, 2047), range(2, 3072, 4095)];
    assert_eq!(rfc8045(&both, None), "has 203.0.113.10 1024-2047; freed 203.0.113.10 3072-4095; change");
    let everything = port_range(&[outside(), (8, number(2))]);
    assert_eq!(rfc8045(&[everything], None), "all; change");
}

#[test]
fn rfc_8045_refuses_ranges_that_cant_be_and_leaves_out_what_is_no_range() {
    for (first, last) in [(2, 1), (0, 1), (1, 65_536)] {
        assert_eq!(rfc8045(&[range(1, first, last)], None), "change; refused 1");
    }
    for alloc in [0, 3] {
        assert_eq!(rfc8045(&[range(alloc, 1024, 2047)], None), "change");
    }
    let without_outside = port_range(&[(8, number(1)), (9, number(1)), (10, number(2))]);
    let without_last = port_range(&[outside(), (8, number(1)), (9, number(1))]);
    let without_range = port_range(&[outside(), (8, number(1))]);
    for nothing in [without_outside, without_last, without_range, port_range(&[]), vec![]] {
        assert!(!rfc8045(std::slice::from_ref(&nothing), None).contains("203"), "{nothing:?}");
    }
    let limit = [5].into_iter().chain(range(1, 1024, 2047).into_iter().skip(1)).collect();
    assert_eq!(rfc8045(&[limit], None), "", "another attribute within 241");
}

#[test]
fn a_tlv_that_lies_about_its_length_ends_its_range_and_no_other() {
    let whole = range(1, 1024, 2047);
    for cut in 2..whole.len() {
        let told = rfc8045(&[whole[..cut].to_vec(), range(1, 3072, 4095)], None);
        assert!(!told.contains("1024"), "{cut}");
        assert!(told.contains("has 203.0.113.10 3072-4095"), "{cut}");
    }
    for length in [0, 1, 200] {
        let mut lie = whole.clone();
        lie[2] = length;
        assert_eq!(rfc8045(&[lie], None), "");
    }
}

#[test]
fn tlvs_that_nest_where_none_may_are_not_followed() {
    let mut inner = range(1, 1024, 2047)[1..].to_vec();
    for _ in 0..8 {
        let length = u8::try_from(inner.len() + 2).unwrap();
        inner.splice(..0, [IP_PORT_RANGE, length]);
    }
    inner.insert(0, IP_PORT_RANGE);
    assert_eq!(rfc8045(&[inner], None), "change");
    let nested = port_range(&[outside(), (8, number(1)), (9, vec![9, 6, 0, 0, 4, 0]), (10, number(2047))]);
    assert_eq!(rfc8045(&[nested], None), "change");
}

#[test]
fn rfc_8045_names_an_inside_address_and_blocks_of_another_are_left_out() {
    let of = |inside: &str, first: u32| {
        port_range(&[
            outside(),
            (4, address(inside)),
            (8, number(1)),
            (9, number(first)),
            (10, number(first)),
        ])
    };
    let two = [of("100.64.0.1", 1024), of("100.64.0.2", 2048)];
    let mut all = Attributes::default();
    two.iter().for_each(|octets| all.take_extended(octets));
    assert_eq!(all.inside(), "100.64.0.1".parse().ok());
    assert_eq!(rfc8045(&two, Some("100.64.0.1")), "has 203.0.113.10 1024-1024; change");
    let ipv6 = port_range(&[(5, "2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec())]);
    let mut all = Attributes::default();
    all.take_extended(&ipv6);
    assert_eq!(all.inside(), "2001:db8::7".parse().ok());
}

const ONE_TO_ONE: Circumstances = Circumstances { one_to_one: true, ..SESSION };

#[test]
fn an_address_that_is_a_subscribers_alone_is_all_its_ports() {
    let alone = (43823, 21, address("198.51.100.7"));
    assert_eq!(told(&[alone], SESSION), "has 198.51.100.7 0-65535; all");
    assert_eq!(told(&[(43823, 21, vec![198, 51, 100])], SESSION), "");
    let nokia = (6527, 141, address("198.51.100.7"));
    assert_eq!(told(&[nokia], ONE_TO_ONE), "has 198.51.100.7 0-65535; all");
}

// The same attributes tell of shared addresses: bound as a whole they would name another for each but the last.
#[test]
fn an_address_that_may_be_shared_is_bound_only_where_the_client_is_declared_to_share_none() {
    let nokia = (6527, 141, address("198.51.100.7"));
    assert_eq!(told(std::slice::from_ref(&nokia), SESSION), "");
    let block = (6527, 121, b"198.51.100.7 1024-2047 router base".to_vec());
    assert_eq!(told(&[nokia, block], ONE_TO_ONE), "has 198.51.100.7 1024-2047; all");
}

fn staros(octets: &[u8]) -> String {
    let octets = [STAROS.to_be_bytes().as_slice(), octets].concat();
    let mut all = Attributes::default();
    all.take_vendor_specific(&octets);
    line(&all.told(ONE_TO_ONE, None))
}

#[test]
fn staros_has_two_octets_of_type_and_two_of_length() {
    let whole = [0x01, 0x29, 0, 8, 198, 51, 100, 7];
    assert_eq!(staros(&whole), "has 198.51.100.7 0-65535; all");
    assert_eq!(staros(&[&[0, 1, 0, 8, 0, 0, 0, 1], whole.as_slice()].concat()), staros(&whole));
    for cut in 0..whole.len() {
        assert_eq!(staros(&whole[..cut]), "", "{cut}");
    }
    for length in [0, 3, 4, 7, 9] {
        let mut lie = whole;
        lie[3] = length;
        assert_eq!(staros(&lie), "", "{length}");
    }
    let mut another = Attributes::default();
    another.take_vendor_specific(&[&[0, 0, 0, 9], whole.as_slice()].concat());
    assert_eq!(another.told(ONE_TO_ONE, None), Told::default());
}
