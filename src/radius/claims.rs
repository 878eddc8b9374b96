//! Which addresses and prefixes an accounting record asks for, and which of them a subscriber may have at
//! all.
//!
//! Knows: the attributes that claim, special addresses, widths, pools. Must not know: who owns what.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::value;
use crate::session::event::{Claim, ClaimSource};

/// The shortest IPv4 prefix that a subscriber can own. A shorter one is a mistake that would open the relay
/// to many.
const IPV4_LENGTH_MIN: u8 = 24;
/// The shortest IPv6 prefix that a subscriber can own.
const IPV6_LENGTH_MIN: u8 = 44;

/// What an attribute asks for. Framed-IP-Netmask is not among them: equipment that speaks DHCP sends the
/// subnet's mask with a single lease, and the neighbours are not the subscriber's.
pub(super) fn claim(kind: u8, octets: &[u8]) -> Option<Claim> {
    let (prefix, source) = match kind {
        8 => (IpNet::from(IpAddr::V4(value::ipv4(octets)?)), ClaimSource::FramedAddress),
        22 => (IpNet::V4(value::ipv4_route(octets)?), ClaimSource::FramedRoute),
        97 => (IpNet::V6(value::ipv6_prefix(octets)?), ClaimSource::FramedIpv6Prefix),
        99 => (IpNet::V6(value::ipv6_route(octets)?), ClaimSource::FramedIpv6Route),
        123 => (IpNet::V6(value::ipv6_prefix(octets)?), ClaimSource::DelegatedIpv6Prefix),
        168 => (IpNet::from(IpAddr::V6(value::ipv6(octets)?)), ClaimSource::FramedIpv6Address),
        _ => return None,
    };
    Some(Claim::whole(prefix, source))
}

/// Assigned-IP-Address, for records that have no address where it belongs.
pub(super) const ASSIGNED_ADDRESS: (u32, u8) = (2352, 132);

/// What a vendor's attribute asks for that stands for a standard one.
pub(super) fn vendors_claim(id: (u32, u8), octets: &[u8]) -> Option<Claim> {
    let (prefix, source) = match id {
        ASSIGNED_ADDRESS => (IpNet::from(IpAddr::V4(value::ipv4(octets)?)), ClaimSource::FramedAddress),
        // Alc-Ipv6-Address, Huawei-Framed-IPv6-Address, NetElastic-Framed-IPv6-Address.
        (6527, 99) | (2011 | 54268, 158) => {
            (IpNet::from(IpAddr::V6(value::ipv6(octets)?)), ClaimSource::FramedIpv6Address)
        }
        // ERX-IPv6-NdRa-Prefix.
        (4874, 129) => (IpNet::V6(value::ipv6_prefix(octets)?), ClaimSource::FramedIpv6Prefix),
        _ => return None,
    };
    Some(Claim::whole(prefix, source))
}

/// Whether a framed address is among them that is one.
pub(super) fn has_address(claims: &[Claim]) -> bool {
    claims.iter().any(|claim| claim.source == ClaimSource::FramedAddress && !is_special(claim.prefix))
}

/// Row 47, where the client's netmasks are those of routed subnets. A mask that is none, or wider than a subscriber's
/// prefix can be, leaves the address as it is.
pub(super) fn widen(claims: &mut [Claim], netmask: Ipv4Addr) {
    let Ok(length) = ipnet::ipv4_mask_to_prefix(netmask) else { return };
    if length < IPV4_LENGTH_MIN {
        return;
    }
    for claim in claims.iter_mut().filter(|claim| claim.source == ClaimSource::FramedAddress) {
        if let (IpNet::V4(net), false) = (claim.prefix, is_special(claim.prefix))
            && let Ok(net) = Ipv4Net::new(net.addr(), length)
        {
            claim.prefix = IpNet::V4(net.trunc());
        }
    }
}

/// The claims that may be bound, each once and in one order, and how many were refused. A special address is
/// not refused: it says that there is no address yet.
pub(super) fn admitted(claims: &[Claim], may_assign: &[IpNet], never: &[IpNet]) -> (Vec<Claim>, u16) {
    let mut admitted = Vec::with_capacity(claims.len());
    let mut refused = Vec::new();
    for claim in claims {
        match judge(claim.prefix, may_assign, never) {
            Judgement::Admitted => admitted.push(*claim),
            // A translator has an address before it gives a block of it.
            Judgement::Special if claim.source == ClaimSource::PortBlock => refused.push(*claim),
            Judgement::Special => {}
            Judgement::Refused => refused.push(*claim),
        }
    }
    for list in [&mut admitted, &mut refused] {
        list.sort_unstable();
        list.dedup();
    }
    (admitted, u16::try_from(refused.len()).unwrap_or(u16::MAX))
}

enum Judgement {
    Admitted,
    Special,
    Refused,
}

fn judge(prefix: IpNet, may_assign: &[IpNet], never: &[IpNet]) -> Judgement {
    if prefix.prefix_len() < length_min(prefix) {
        return Judgement::Refused;
    }
    if is_special(prefix) {
        return Judgement::Special;
    }
    let outside = !may_assign.is_empty()
        && !may_assign.iter().any(|pool| pool.prefix_len() <= prefix.prefix_len() && overlap(*pool, prefix));
    if outside || never.iter().any(|ours| overlap(*ours, prefix)) {
        return Judgement::Refused;
    }
    Judgement::Admitted
}

/// The fewest bits that a subscriber's prefix of this family can have.
pub(crate) fn length_min(prefix: IpNet) -> u8 {
    match prefix {
        IpNet::V4(_) => IPV4_LENGTH_MIN,
        IpNet::V6(_) => IPV6_LENGTH_MIN,
    }
}

/// Addresses that no subscriber can have on the Internet: equipment puts them where it has no address yet.
pub(crate) fn is_special(prefix: IpNet) -> bool {
    const IPV4: [Ipv4Net; 5] = [
        Ipv4Net::new_assert(Ipv4Addr::new(0, 0, 0, 0), 8),
        Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8),
        Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
        Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4),
        // RFC 2865 section 5.8: ...255 lets the user choose, ...254 the NAS.
        Ipv4Net::new_assert(Ipv4Addr::new(255, 255, 255, 254), 31),
    ];
    const IPV6: [Ipv6Net; 4] = [
        // Unspecified, loopback, and the IPv4 addresses that an MTA would ask for as such.
        Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 80),
        Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
        Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
        Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
    ];
    match prefix {
        IpNet::V4(net) => IPV4.iter().any(|special| overlap_v4(*special, net)),
        IpNet::V6(net) => IPV6.iter().any(|special| overlap_v6(*special, net)),
    }
}

/// Two prefixes have an address in common when they agree as far as the shorter one says. Each claim is held against a
/// dozen, so this is not done by comparing where they begin and end.
fn overlap(a: IpNet, b: IpNet) -> bool {
    match (a, b) {
        (IpNet::V4(a), IpNet::V4(b)) => overlap_v4(a, b),
        (IpNet::V6(a), IpNet::V6(b)) => overlap_v6(a, b),
        _ => false,
    }
}

fn overlap_v4(a: Ipv4Net, b: Ipv4Net) -> bool {
    let beyond = u32::BITS.saturating_sub(a.prefix_len().min(b.prefix_len()).into());
    (a.addr().to_bits() ^ b.addr().to_bits()).checked_shr(beyond).unwrap_or_default() == 0
}

fn overlap_v6(a: Ipv6Net, b: Ipv6Net) -> bool {
    let beyond = u128::BITS.saturating_sub(a.prefix_len().min(b.prefix_len()).into());
    (a.addr().to_bits() ^ b.addr().to_bits()).checked_shr(beyond).unwrap_or_default() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(prefixes: &[&str]) -> Vec<IpNet> {
        prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect()
    }

    fn claims(prefixes: &[&str]) -> Vec<Claim> {
        let claim = |prefix| Claim::whole(prefix, ClaimSource::FramedRoute);
        nets(prefixes).into_iter().map(claim).collect()
    }

    /// Whether the only claim is admitted, and how many were refused.
    fn judged(prefix: &str, may_assign: &[&str], never: &[&str]) -> (bool, u16) {
        let (admitted, refused) = admitted(&claims(&[prefix]), &nets(may_assign), &nets(never));
        (!admitted.is_empty(), refused)
    }

    const ADMITTED: (bool, u16) = (true, 0);
    const REFUSED: (bool, u16) = (false, 1);
    const SPECIAL: (bool, u16) = (false, 0);

    #[test]
    fn claims_come_once_and_in_one_order() {
        let (admitted, refused) = admitted(
            &claims(&["2001:db8::/64", "198.51.100.7/32", "10.0.0.0/8", "2001:db8::/64", "10.0.0.0/8"]),
            &[],
            &[],
        );
        assert_eq!(admitted, claims(&["198.51.100.7/32", "2001:db8::/64"]));
        assert_eq!(refused, 1);
    }

    // Row 2.
    #[test]
    fn a_special_address_is_no_claim_and_not_counted() {
        for special in [
            "0.0.0.0/32",
            "0.1.2.3/32",
            "127.0.0.1/32",
            "169.254.7.7/32",
            "224.0.0.1/32",
            "239.255.255.255/32",
            "255.255.255.254/32",
            "255.255.255.255/32",
            "255.255.255.0/24",
            "::/128",
            "::1/128",
            "::/64",
            "fe80::1/128",
            "febf::/64",
            "ff02::1/128",
            "::ffff:198.51.100.7/128",
        ] {
            assert_eq!(judged(special, &[], &[]), SPECIAL, "{special}");
        }
        for beside in [
            "1.0.0.0/32",
            "126.0.0.1/32",
            "128.0.0.1/32",
            "169.253.0.1/32",
            "223.255.255.255/32",
            "fec0::/64",
        ] {
            assert_eq!(judged(beside, &[], &[]), ADMITTED, "{beside}");
        }
    }

    #[test]
    fn a_special_address_is_not_counted_though_it_is_in_no_pool() {
        assert_eq!(judged("0.0.0.0/32", &["198.51.100.0/24"], &[]), SPECIAL);
    }

    // Row 46.
    #[test]
    fn a_prefix_of_24_or_44_bits_is_admitted_and_a_shorter_one_refused() {
        assert_eq!(judged("198.51.100.0/24", &[], &[]), ADMITTED);
        assert_eq!(judged("198.51.100.0/23", &[], &[]), REFUSED);
        assert_eq!(judged("2001:db8:10::/44", &[], &[]), ADMITTED);
        assert_eq!(judged("2001:db8::/43", &[], &[]), REFUSED);
        assert_eq!(judged("0.0.0.0/0", &[], &[]), REFUSED);
        assert_eq!(judged("::/0", &[], &[]), REFUSED);
    }

    #[test]
    fn a_claim_must_lie_within_a_pool() {
        let pools = ["198.51.100.0/25", "2001:db8::/32"];
        assert_eq!(judged("198.51.100.127/32", &pools, &[]), ADMITTED);
        assert_eq!(judged("198.51.100.128/32", &pools, &[]), REFUSED);
        assert_eq!(judged("198.51.100.0/24", &pools, &[]), REFUSED);
        assert_eq!(judged("2001:db8:ffff::/48", &pools, &[]), ADMITTED);
        assert_eq!(judged("2001:db9::/48", &pools, &[]), REFUSED);
    }

    #[test]
    fn a_claim_must_not_touch_our_own_addresses() {
        let never = ["203.0.113.9/32", "192.0.2.0/24"];
        assert_eq!(judged("192.0.2.77/32", &[], &never), REFUSED);
        assert_eq!(judged("203.0.113.8/29", &[], &never), REFUSED);
        assert_eq!(judged("203.0.113.8/32", &[], &never), ADMITTED);
    }

    #[test]
    fn attributes_that_do_not_fit_claim_nothing() {
        assert!(claim(8, &[198, 51, 100, 7]).is_some());
        assert_eq!(claim(8, &[198, 51, 100, 7, 0]), None);
        assert_eq!(claim(123, b"?0E81DEF"), None);
        assert_eq!(claim(151, b"?0E81DEF"), None);
        assert_eq!(claim(9, &[255, 255, 255, 0]), None);
        for id in [(6527, 99), (2011, 158), (54268, 158), (4874, 129), ASSIGNED_ADDRESS] {
            for octets in [b"".as_slice(), &[1; 3], &[1; 17]] {
                assert_eq!(vendors_claim(id, octets), None, "{id:?}");
            }
        }
        assert_eq!(vendors_claim((2352, 60), &[198, 51, 100, 7]), None);
    }

    fn widened(address: &str, netmask: &str) -> String {
        let mut claims = [Claim::whole(format!("{address}/32").parse().unwrap(), ClaimSource::FramedAddress)];
        widen(&mut claims, netmask.parse().unwrap());
        claims[0].prefix.to_string()
    }

    #[test]
    fn a_routed_netmask_widens_as_far_as_a_subscribers_prefix_may_be() {
        assert_eq!(widened("203.0.113.5", "255.255.255.255"), "203.0.113.5/32");
        assert_eq!(widened("203.0.113.5", "255.255.255.248"), "203.0.113.0/29");
        assert_eq!(widened("203.0.113.5", "255.255.255.0"), "203.0.113.0/24");
        for mask in ["255.255.254.0", "0.0.0.0", "255.0.255.0", "0.0.0.255", "203.0.113.1"] {
            assert_eq!(widened("203.0.113.5", mask), "203.0.113.5/32", "{mask}");
        }
        assert_eq!(widened("255.255.255.254", "255.255.255.0"), "255.255.255.254/32");
    }

    #[test]
    fn a_block_of_a_special_address_is_refused_and_counted() {
        let block = |prefix: &str| Claim {
            prefix: prefix.parse().unwrap(),
            ports: crate::session::Ports::new(1024, 2047).unwrap(),
            source: ClaimSource::PortBlock,
        };
        assert_eq!(admitted(&[block("0.0.0.0/32"), block("127.0.0.1/32")], &[], &[]), (vec![], 2));
        let pools = nets(&["203.0.113.0/24"]);
        let blocks = [block("203.0.113.7/32"), block("198.51.100.7/32")];
        assert_eq!(admitted(&blocks, &pools, &[]), (vec![blocks[0]], 1));
        assert_eq!(admitted(&blocks, &[], &pools), (vec![blocks[1]], 1));
    }
}
