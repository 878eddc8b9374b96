//! In which VRF the addresses of a record lie.
//!
//! Knows: how an attribute's value names a VRF, which names mean the public space, and under which attributes vendors name
//! the part of a NAS that begins anew. Must not know: which attributes the operator chose, and which addresses depend
//! on it.

use super::attribute;
use super::packet::Packet;
use super::vendor::VENDOR_SPECIFIC;
use crate::config::{RealmAttribute, RealmForm};
use crate::session::Name;

/// VRFs that are everybody's: equipment names its default one, too.
const DEFAULTS: [&str; 5] = ["", "default", "default:default", "local", "base"];

/// The VRF as its NAS spells it, by the first of these attributes that the packet has; `None`: the public space.
///
/// The name alone counts: the same VRF is the same space on each NAS that has it. Where that is not so, the client
/// says which it is.
pub(super) fn name(packet: &Packet<'_>, attributes: &[RealmAttribute]) -> Option<Name> {
    // Mostly they are vendors', and many packets have nothing of any vendor.
    let has_vendors = packet.values(VENDOR_SPECIFIC).next().is_some();
    let mut asked = attributes.iter().filter(|attribute| has_vendors || attribute.path.vendor() == 0);
    let name = asked.find_map(|RealmAttribute { path, form }| {
        attribute::values(packet, path).find_map(|value| named(&value, form))
    })?;
    let is_default = |default: &&str| name.octets().eq_ignore_ascii_case(default.as_bytes());
    (!DEFAULTS.iter().any(is_default)).then_some(name)
}

/// What a value names, be it the default VRF; `None` where it does not fit, or is a pair with another key.
fn named(value: &[u8], form: &RealmForm) -> Option<Name> {
    match form {
        RealmForm::Name => Some(Name::new(whole(value))),
        RealmForm::Number { octets } if value.len() == usize::from(*octets) => {
            let number = value.iter().fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
            // The VRF or service with number 0 is the router itself.
            let number = Some(number).filter(|number| *number != 0);
            Some(Name::from(number.map(|number| number.to_string()).unwrap_or_default().as_str()))
        }
        RealmForm::Number { .. } => None,
        RealmForm::Pair { key } => pair(value, key).map(|name| Name::new(whole(name))),
    }
}

/// What stands behind `key=`, or behind `ip:key=`, as the name of its protocol may be left out.
fn pair<'a>(value: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let behind = |pair: &'a [u8]| pair.strip_prefix(key.as_bytes())?.strip_prefix(b"=");
    behind(value).or_else(|| behind(value.strip_prefix(b"ip:")?))
}

/// C strings end where their NUL is.
fn whole(name: &[u8]) -> &[u8] {
    name.strip_suffix(b"\0").unwrap_or(name)
}

/// The names that a record gives its virtual router, by vendor.
///
/// They are the same whatever names a realm: the operator chooses in which space addresses count, but not which part of
/// a NAS began anew. Were another attribute compared, one that an Accounting-On lacks, its sessions would seem to be
/// elsewhere, and go on under people who are gone.
#[derive(Debug, Default)]
pub(super) struct Contexts<'a> {
    /// Cisco-AVPair `vrf-id=`.
    cisco: Option<&'a [u8]>,
    /// ERX-Virtual-Router-Name.
    juniper: Option<&'a [u8]>,
    /// Context-Name.
    redback: Option<&'a [u8]>,
}

impl<'a> Contexts<'a> {
    /// Looks at one attribute of a vendor.
    pub(super) fn take(&mut self, id: (u32, u8), value: &'a [u8]) {
        match id {
            (9, 1) => self.cisco = self.cisco.or_else(|| pair(value, "vrf-id")),
            (4874, 1) => self.juniper = self.juniper.or(Some(value)),
            (2352, 4) => self.redback = self.redback.or(Some(value)),
            _ => {}
        }
    }

    /// The virtual router or context by which an Accounting-On or -Off can be limited, the default one included.
    pub(super) fn name(&self) -> Option<Name> {
        let name = whole(self.cisco.or(self.juniper).or(self.redback)?);
        (!name.is_empty()).then(|| Name::new(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radius::dictionary::Dictionary;

    /// A packet of vendors' attributes.
    fn packet(attributes: &[((u32, u8), &[u8])]) -> Vec<u8> {
        let each = attributes.iter().map(|((vendor, kind), value)| {
            let length = u8::try_from(value.len() + 2).unwrap();
            [[26, length + 6].as_slice(), &vendor.to_be_bytes(), &[*kind, length], value].concat()
        });
        let attributes = each.collect::<Vec<_>>().concat();
        let length = u16::try_from(20 + attributes.len()).unwrap();
        [[4, 1].as_slice(), &length.to_be_bytes(), &[0; 16], &attributes].concat()
    }

    fn name_by(list: &[RealmAttribute], attributes: &[((u32, u8), &[u8])]) -> Option<String> {
        let octets = packet(attributes);
        super::name(&Packet::decode(&octets).unwrap(), list).map(|name| name.to_string())
    }

    fn name(attributes: &[((u32, u8), &[u8])]) -> Option<String> {
        name_by(&RealmAttribute::usual(), attributes)
    }

    /// As the configuration reads it.
    fn list(written: &[&str]) -> Vec<RealmAttribute> {
        let attribute = |written: &&str| RealmAttribute::parse(written, Dictionary::builtin()).unwrap();
        written.iter().map(attribute).collect()
    }

    #[test]
    fn each_vendor_names_its_vrf() {
        for (id, value, expected) in [
            ((9, 1), b"vrf-id=gold".as_slice(), "gold"),
            ((9, 1), b"ip:vrf-id=gold", "gold"),
            ((4874, 1), b"default:gold", "default:gold"),
            ((2352, 4), b"gold\0", "gold"),
            ((6527, 100), &[0, 0, 0, 100], "100"),
        ] {
            assert_eq!(name(&[(id, value)]).as_deref(), Some(expected));
        }
        assert_eq!(
            name(&[((9, 1), b"vrf-id=a"), ((4874, 1), b"b"), ((9, 1), b"vrf-id=c")]).as_deref(),
            Some("a")
        );
    }

    #[test]
    fn the_default_vrf_is_the_public_space_under_each_of_its_names() {
        for default in ["", "default", "Default", "default:default", "local", "Base", "\0"] {
            assert_eq!(name(&[((4874, 1), default.as_bytes())]), None, "{default:?}");
        }
        assert_eq!(name(&[((6527, 100), &[0, 0, 0, 0])]), None);
        assert_eq!(name(&[((6527, 100), &[0, 100])]), None);
        assert_eq!(name(&[]), None);
        assert_eq!(name(&[((4874, 1), b"default:defaults")]).as_deref(), Some("default:defaults"));
    }

    #[test]
    fn the_default_vrf_decides_though_another_vendors_attribute_stands_beside_it() {
        assert_eq!(name(&[((9, 1), b"vrf-id=default"), ((6527, 100), &[0, 0, 0, 100])]), None);
    }

    #[test]
    fn the_first_attribute_of_the_operators_list_that_the_packet_has_decides() {
        let packet: [((u32, u8), &[u8]); 3] =
            [((4874, 1), b"b"), ((6527, 100), &[0, 0, 0, 9]), ((26_000, 7), b"own")];
        for (written, expected) in [
            (["26.26000.7", "Alc-Serv-Id"].as_slice(), Some("own")),
            (&["Alc-Serv-Id", "26.26000.7"], Some("9")),
            (&["26.26000.8", "ERX-Virtual-Router-Name"], Some("b")),
            (&["26.26000.8", "Cisco-AVPair=vrf-id"], None),
            (&[], None),
        ] {
            assert_eq!(name_by(&list(written), &packet).as_deref(), expected, "{written:?}");
        }
        let default = [packet.as_slice(), &[((2352, 4), b"default")]].concat();
        assert_eq!(name_by(&list(&["Context-Name", "26.26000.7"]), &default), None);
    }

    #[test]
    fn a_pair_is_told_from_others_by_its_whole_key() {
        let by = |key: &str, values: &[&[u8]]| {
            let packet: Vec<_> = values.iter().map(|value| ((9, 1), *value)).collect();
            name_by(&list(&[&format!("Cisco-AVPair={key}")]), &packet)
        };
        let values = [b"vrf=a".as_slice(), b"vrf-id-2=b", b"ip:vrf-id=c", b"lcp:vrf-id=d"];
        assert_eq!(by("vrf-id", &values).as_deref(), Some("c"));
        assert_eq!(by("vrf", &values).as_deref(), Some("a"));
        assert_eq!(by("lcp:vrf-id", &values).as_deref(), Some("d"));
        assert_eq!(by("ip:vrf-id", &values).as_deref(), Some("c"));
        assert_eq!(by("vrf-i", &values), None);
    }

    #[test]
    fn a_number_that_does_not_fit_is_passed_over_and_zero_is_the_public_space() {
        let named = |octets: u8, value: &[u8]| named(value, &RealmForm::Number { octets });
        assert_eq!(named(8, &[0, 0, 0, 1, 0, 0, 0, 0]), Some(Name::from("4294967296")));
        assert_eq!(named(1, &[255]), Some(Name::from("255")));
        assert_eq!(named(2, &[0, 0]), Some(Name::from("")));
        assert_eq!(named(2, &[1]), None);
        assert_eq!(named(2, &[0, 0, 1]), None);
        let short: [((u32, u8), &[u8]); 2] = [((6527, 100), &[0, 9]), ((4874, 1), b"b")];
        assert_eq!(name_by(&list(&["Alc-Serv-Id", "ERX-Virtual-Router-Name"]), &short).as_deref(), Some("b"));
    }

    #[test]
    fn a_default_virtual_router_limits_what_an_on_or_off_speaks_for() {
        let context = |id: (u32, u8), value: &'static [u8]| {
            let mut contexts = Contexts::default();
            contexts.take(id, value);
            contexts.name()
        };
        assert_eq!(context((4874, 1), b"default:default"), Some(Name::from("default:default")));
        assert_eq!(context((9, 1), b"ip:vrf-id=gold"), Some(Name::from("gold")));
        assert_eq!(context((4874, 1), b""), None);
        assert_eq!(context((6527, 100), &[0, 0, 0, 100]), None);
    }
}
