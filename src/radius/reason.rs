//! Why an interim update was sent, where its vendor says so: because the session has given something up.
//!
//! Knows: the attributes that tell of it, and which kinds of address go. Must not know: what the session had.

use super::value;
use crate::session::event::ClaimSource;

/// What goes with a session's IPv4 address.
const IPV4: &[ClaimSource] = &[ClaimSource::FramedAddress, ClaimSource::FramedRoute];
/// What goes with its last IPv6 address.
const IPV6: &[ClaimSource] = &[
    ClaimSource::FramedIpv6Prefix,
    ClaimSource::FramedIpv6Address,
    ClaimSource::DelegatedIpv6Prefix,
    ClaimSource::FramedIpv6Route,
];
/// Addresses and prefixes of the session itself, without the routes behind them.
const ADDRESSES: &[ClaimSource] = &[
    ClaimSource::FramedAddress,
    ClaimSource::FramedIpv6Prefix,
    ClaimSource::FramedIpv6Address,
    ClaimSource::DelegatedIpv6Prefix,
];

/// ERX-Acct-Request-Reason is a set of bits.
const IPV4_INACTIVE: u32 = 8;
const IPV6_INACTIVE: u32 = 32;

/// What a record says of its reasons.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    /// ERX-Acct-Request-Reason.
    juniper: Option<u32>,
    /// Alc-Acct-Triggered-Reason.
    nokia: Option<u32>,
    /// Acct-Update-Reason.
    redback: Option<u32>,
    /// Huawei-Acct-Update-Address.
    huawei: Option<u32>,
    /// Ipv4-release-control of JunosE, or Redback's IPv4-Address-Release-Control.
    controls_ipv4: bool,
}

impl Reasons {
    /// Looks at one attribute of a vendor.
    pub(super) fn take(&mut self, id: (u32, u8), octets: &[u8]) {
        let reason = match id {
            (4874, 210) => &mut self.juniper,
            (6527, 163) => &mut self.nokia,
            (2352, 144) => &mut self.redback,
            (2011, 159) => &mut self.huawei,
            (4874, 164) | (2352, 213) => return self.controls_ipv4 = true,
            _ => return,
        };
        *reason = reason.or(value::integer(octets));
    }

    /// Alc-Acct-Triggered-Reason.
    pub(super) fn nokia(&self) -> Option<u32> {
        self.nokia
    }

    /// The kinds of address of which nothing is left but what the same interim update names. `ipv4`: it has a
    /// Framed-IP-Address.
    pub(super) fn given_up(&self, ipv4: bool) -> impl Iterator<Item = ClaimSource> {
        let bit = |bit: u32| self.juniper.is_some_and(|bits| bits & bit != 0);
        let nokia: &[ClaimSource] = match self.nokia {
            Some(5) => IPV4,
            Some(7) => &[ClaimSource::FramedIpv6Address],
            // The prefix may have been told of as a route, which is not told of again.
            Some(9) => &[ClaimSource::DelegatedIpv6Prefix, ClaimSource::FramedIpv6Route],
            Some(11) => &[ClaimSource::FramedIpv6Prefix],
            _ => &[],
        };
        let when = |given_up: bool, sources: &'static [ClaimSource]| if given_up { sources } else { &[] };
        let all = [
            when(bit(IPV4_INACTIVE), IPV4),
            when(bit(IPV6_INACTIVE), IPV6),
            // Sessions that have an address carry these, too.
            when(self.controls_ipv4 && !ipv4, IPV4),
            nokia,
            when(self.redback == Some(11), IPV4),
            when(self.huawei == Some(1), ADDRESSES),
        ];
        all.into_iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given_up(id: (u32, u8), reason: u32, ipv4: bool) -> Vec<ClaimSource> {
        let mut reasons = Reasons::default();
        reasons.take(id, &reason.to_be_bytes());
        reasons.given_up(ipv4).collect()
    }

    #[test]
    fn a_juniper_gives_up_one_family_or_both() {
        assert_eq!(given_up((4874, 210), 8, true), IPV4);
        assert_eq!(given_up((4874, 210), 32, true), IPV6);
        assert_eq!(given_up((4874, 210), 8 | 32, true), [IPV4, IPV6].concat());
        for still in [0, 1, 2, 4, 16, 64, 128, 256, 512, 1024] {
            assert_eq!(given_up((4874, 210), still, true), [], "{still}");
        }
    }

    #[test]
    fn an_address_that_is_controlled_is_given_up_when_it_is_not_named() {
        for id in [(4874, 164), (2352, 213)] {
            assert_eq!(given_up(id, 1, false), IPV4);
            assert_eq!(given_up(id, 1, true), []);
        }
    }

    #[test]
    fn a_nokia_gives_up_one_kind_at_a_time() {
        use ClaimSource::{DelegatedIpv6Prefix, FramedIpv6Address, FramedIpv6Prefix, FramedIpv6Route};
        assert_eq!(given_up((6527, 163), 5, true), IPV4);
        assert_eq!(given_up((6527, 163), 7, true), [FramedIpv6Address]);
        assert_eq!(given_up((6527, 163), 9, true), [DelegatedIpv6Prefix, FramedIpv6Route]);
        assert_eq!(given_up((6527, 163), 11, true), [FramedIpv6Prefix]);
        // Rows 25 and 34: recovered after a reboot, and taken over by another node, they have what they had.
        for still in [0, 1, 4, 6, 8, 10, 12, 15, 16, 17, 19, 20, 21, 5 << 8] {
            assert_eq!(given_up((6527, 163), still, true), [], "{still}");
        }
    }

    #[test]
    fn a_redback_and_a_huawei_give_up_what_they_say() {
        assert_eq!(given_up((2352, 144), 11, true), IPV4);
        assert_eq!(given_up((2352, 144), 10, true), []);
        assert_eq!(given_up((2011, 159), 1, true), ADDRESSES);
        assert_eq!(given_up((2011, 159), 0, true), []);
    }

    #[test]
    fn a_reason_that_is_no_number_gives_nothing_up() {
        let mut reasons = Reasons::default();
        for octets in [b"".as_slice(), b"\x08", b"\0\0\0\0\x08"] {
            for id in [(4874, 210), (6527, 163), (2352, 144), (2011, 159)] {
                reasons.take(id, octets);
            }
        }
        assert_eq!(reasons.given_up(true).count(), 0);
    }
}
