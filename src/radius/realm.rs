//! In which VRF the addresses of a record lie.
//!
//! Knows: under which attribute each vendor names it, and which names mean the public space. Must not know: which
//! addresses depend on it.

use super::value;
use crate::session::Name;

/// VRFs that are everybody's: equipment names its default one, too.
const DEFAULTS: [&str; 5] = ["", "default", "default:default", "local", "base"];

/// The names that a record gives its VRF, by vendor.
#[derive(Debug, Default)]
pub(super) struct Vrfs<'a> {
    /// Cisco-AVPair `vrf-id=`.
    cisco: Option<&'a [u8]>,
    /// ERX-Virtual-Router-Name.
    juniper: Option<&'a [u8]>,
    /// Context-Name.
    redback: Option<&'a [u8]>,
    /// Alc-Serv-Id.
    nokia: Option<u32>,
}

impl<'a> Vrfs<'a> {
    /// Looks at one attribute of a vendor.
    pub(super) fn take(&mut self, id: (u32, u8), value: &'a [u8]) {
        match id {
            (9, 1) => {
                let pair = value.strip_prefix(b"ip:").unwrap_or(value);
                self.cisco = self.cisco.or(pair.strip_prefix(b"vrf-id="));
            }
            (4874, 1) => self.juniper = self.juniper.or(Some(value)),
            (2352, 4) => self.redback = self.redback.or(Some(value)),
            (6527, 100) => self.nokia = self.nokia.or(value::integer(value)),
            _ => {}
        }
    }

    /// The VRF as its NAS spells it; `None`: the public space.
    ///
    /// The name alone counts: the same VRF is the same space on each NAS that has it. Where that is not so, the client
    /// says which it is.
    pub(super) fn name(&self) -> Option<Name> {
        let name = match self.named() {
            Some(name) => Name::new(name),
            // The service with number 0 is the router itself.
            None => Name::from(self.nokia.filter(|id| *id != 0)?.to_string().as_str()),
        };
        let is_default = |default: &&str| name.octets().eq_ignore_ascii_case(default.as_bytes());
        (!DEFAULTS.iter().any(is_default)).then_some(name)
    }

    /// The virtual router or context by which an Accounting-On or -Off can be limited, the default one included.
    pub(super) fn context(&self) -> Option<Name> {
        self.named().filter(|name| !name.is_empty()).map(Name::new)
    }

    fn named(&self) -> Option<&'a [u8]> {
        let name = self.cisco.or(self.juniper).or(self.redback)?;
        // C strings end where their NUL is.
        Some(name.strip_suffix(b"\0").unwrap_or(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vrfs<'a>(attributes: &[((u32, u8), &'a [u8])]) -> Vrfs<'a> {
        let mut vrfs = Vrfs::default();
        attributes.iter().for_each(|(id, value)| vrfs.take(*id, value));
        vrfs
    }

    fn name(attributes: &[((u32, u8), &[u8])]) -> Option<String> {
        vrfs(attributes).name().map(|name| name.to_string())
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
    fn a_default_virtual_router_limits_what_an_on_or_off_speaks_for() {
        let context = |value: &[u8]| vrfs(&[((4874, 1), value)]).context();
        assert_eq!(context(b"default:default"), Some(Name::from("default:default")));
        assert_eq!(context(b""), None);
        assert_eq!(vrfs(&[((6527, 100), &[0, 0, 0, 100])]).context(), None);
    }
}
