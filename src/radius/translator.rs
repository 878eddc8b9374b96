//! Records of a translator that name no subscriber, but the address behind it (Nokia's large-scale NAT).
//!
//! Knows: how such a record is told from a subscriber's own. Must not know: who owns the address.
//!
//! A subscriber chooses the name to log in with. Were `x@100.64.0.7` enough, whoever chose it would have his mail put down
//! to the owner of 100.64.0.7. So the record must be about that address in every other respect, too.

use std::net::IpAddr;

use crate::session::event::Claim;

/// The inside address that the names of a record spell, as `LSN44@192.168.0.1`. `identified`: the router itself gave one
/// of the names (Alc-Subsc-ID-Str). `None`: the record is a subscriber's.
pub(super) fn inside_named_by(
    names: [Option<&[u8]>; 2],
    identified: bool,
    claims: &[Claim],
) -> Option<IpAddr> {
    let mut named = names.into_iter().flatten().map(address);
    let inside = named.next()??;
    if named.any(|other| other != Some(inside)) {
        return None;
    }
    let own = |claim: &Claim| claim.prefix.contains(&inside);
    let about_it = if claims.is_empty() { identified } else { claims.iter().any(own) };
    about_it.then_some(inside)
}

/// The address behind the last `@`.
fn address(name: &[u8]) -> Option<IpAddr> {
    let at = name.iter().rposition(|&octet| octet == b'@')?;
    let address = std::str::from_utf8(name.get(at.saturating_add(1)..)?).ok()?;
    address.trim_end_matches('\0').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::event::ClaimSource;

    fn inside(user_name: Option<&str>, subscriber_id: Option<&str>, claims: &[&str]) -> Option<String> {
        let claims: Vec<_> = claims
            .iter()
            .map(|prefix| Claim::whole(prefix.parse().unwrap(), ClaimSource::FramedAddress))
            .collect();
        let names = [user_name.map(str::as_bytes), subscriber_id.map(str::as_bytes)];
        inside_named_by(names, subscriber_id.is_some(), &claims).map(|inside| inside.to_string())
    }

    const LSN: Option<&str> = Some("LSN44@192.168.0.1");

    #[test]
    fn a_translators_record_names_the_address_behind_it() {
        let found = Some("192.168.0.1".to_owned());
        assert_eq!(inside(LSN, LSN, &["192.168.0.1/32"]), found);
        assert_eq!(inside(LSN, None, &["192.168.0.1/32"]), found);
        assert_eq!(inside(None, LSN, &["192.168.0.1/32"]), found);
        assert_eq!(inside(LSN, LSN, &[]), found);
        let ipv6 = Some("DSLite@2001:db8::7");
        assert_eq!(inside(ipv6, ipv6, &["2001:db8::/64"]).as_deref(), Some("2001:db8::7"));
    }

    #[test]
    fn nobody_can_log_in_as_another_ones_address() {
        assert_eq!(inside(LSN, None, &["192.168.0.2/32"]), None);
        assert_eq!(inside(LSN, None, &[]), None, "a name that a subscriber could have chosen");
        assert_eq!(inside(LSN, Some("alice"), &["192.168.0.1/32"]), None);
        assert_eq!(inside(Some("alice"), LSN, &["192.168.0.1/32"]), None);
        assert_eq!(inside(LSN, Some("LSN44@192.168.0.2"), &["192.168.0.1/32"]), None);
    }

    #[test]
    fn other_names_are_subscribers() {
        for name in
            ["alice", "alice@isp.example", "192.168.0.1", "LSN44@192.168.0.1.example", "LSN44@", "@", ""]
        {
            assert_eq!(inside(Some(name), Some(name), &["192.168.0.1/32"]), None, "{name}");
        }
        assert_eq!(inside(None, None, &["192.168.0.1/32"]), None);
    }
}
