//! Services within a session (Cisco ISG and SSG, Juniper, Nokia): how their records are told from those of sessions.
//!
//! Knows: by what each vendor marks them, and how they name the session. Must not know: what becomes of either. A record
//! that is taken for a service's by mistake owns nothing, so only what is certain counts.

use crate::session::Name;
use crate::session::event::Service;

/// What a record says about being a service's.
#[derive(Debug, Default)]
pub(super) struct Signs<'a> {
    /// It has an attribute of Juniper's, whichever.
    juniper: bool,
    /// ERX-Service-Session.
    juniper_service: bool,
    /// Acct-Session-Id of the session, as Cisco tells it.
    cisco_parent: Option<&'a [u8]>,
    /// Cisco-Service-Info names a service.
    cisco_service: bool,
    /// Alc-Sub-Serv-Activate, which Nokia puts into the records of service instances and no others.
    nokia_service: bool,
}

impl<'a> Signs<'a> {
    /// Looks at one attribute of a vendor.
    pub(super) fn take(&mut self, id: (u32, u8), value: &'a [u8]) {
        match id {
            (4874, kind) => {
                self.juniper = true;
                // Without a name there is no service, and the session would lose its address to nobody.
                self.juniper_service |= kind == 83 && !value.is_empty();
            }
            (9, 1) => self.take_parent(value.strip_prefix(b"parent-session-id=")),
            (9, 52) => self.take_parent(Some(value)),
            // SSG: `N` and the name of a service the record is about.
            (9, 251) => self.cisco_service |= matches!(value, [b'N', _, ..]),
            (6527, 151) => self.nokia_service |= !value.is_empty(),
            _ => {}
        }
    }

    fn take_parent(&mut self, parent: Option<&'a [u8]>) {
        self.cisco_parent = self.cisco_parent.or(parent.filter(|parent| !parent.is_empty()));
    }

    /// The service, given the record's Acct-Session-Id and Acct-Multi-Session-Id. `None`: the record is a session's own.
    pub(super) fn service(&self, session_id: &[u8], multi_session_id: Option<&[u8]>) -> Option<Service> {
        let parent = if let Some(parent) = self.cisco_parent {
            // Whoever is its own parent is a session.
            (parent != session_id).then_some(parent)?;
            Some(parent)
        } else if self.nokia_service {
            multi_session_id.filter(|parent| !parent.is_empty())
        } else if self.juniper_service {
            extended(session_id).map(|(parent, _)| parent)
        } else if self.cisco_service {
            None
        } else {
            // A colon may be part of another NAS's ids, and of Juniper's own where they describe the line.
            let (parent, _) = extended(session_id).filter(|(parent, _)| self.juniper && is_number(parent))?;
            Some(parent)
        };
        Some(Service { parent: parent.map(Name::new) })
    }
}

/// Juniper writes a service's id behind the session's: `4:5` is a service of session `4`.
fn extended(session_id: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = session_id.iter().rposition(|&octet| octet == b':')?;
    let (parent, service) = (session_id.get(..colon)?, session_id.get(colon.saturating_add(1)..)?);
    (!parent.is_empty() && is_number(service)).then_some((parent, service))
}

fn is_number(octets: &[u8]) -> bool {
    !octets.is_empty() && octets.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The session that the record is a service of: `None` of a session itself, `Some("")` where it is not told.
    fn parent(
        attributes: &[((u32, u8), &str)],
        session_id: &str,
        multi_session_id: Option<&str>,
    ) -> Option<String> {
        let mut signs = Signs::default();
        for (id, value) in attributes {
            signs.take(*id, value.as_bytes());
        }
        let service = signs.service(session_id.as_bytes(), multi_session_id.map(str::as_bytes))?;
        Some(service.parent.map(|parent| parent.to_string()).unwrap_or_default())
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn junipers_services_carry_the_sessions_id_before_a_colon() {
        let service = ((4874, 83), "IPV4(20M,30M)");
        let router = ((4874, 1), "default:default");
        assert_eq!(parent(&[service], "4:5", None), some("4"));
        assert_eq!(parent(&[router], "4:5", None), some("4"));
        assert_eq!(parent(&[service], "jnpr ge-1/0/0.1:4:5", None), some("jnpr ge-1/0/0.1:4"));
        assert_eq!(parent(&[service], "45", None), some(""));
    }

    #[test]
    fn a_service_without_a_name_is_none() {
        for id in [(4874, 83), (6527, 151), (9, 251)] {
            assert_eq!(parent(&[(id, "")], "45", Some("4")), None, "{id:?}");
        }
    }

    #[test]
    fn a_colon_alone_makes_no_service() {
        let router = ((4874, 1), "default:default");
        assert_eq!(parent(&[], "4:5", None), None);
        assert_eq!(parent(&[((9, 1), "x")], "4:5", None), None);
        assert_eq!(parent(&[router], "45", None), None);
        for id in [":5", "4:", ":", "4:x", "x:5", "jnpr ge-1/0/0.1:4", "4:5:6"] {
            assert_eq!(parent(&[router], id, None), None, "{id}");
        }
    }

    #[test]
    fn ciscos_services_name_their_session_or_themselves() {
        let parent_of = |attributes: &[((u32, u8), &str)]| parent(attributes, "A5", None);
        assert_eq!(parent_of(&[((9, 1), "parent-session-id=A4")]), some("A4"));
        assert_eq!(parent_of(&[((9, 52), "A4")]), some("A4"));
        assert_eq!(parent_of(&[((9, 251), "N10240"), ((9, 1), "parent-session-id=A4")]), some("A4"));
        assert_eq!(parent_of(&[((9, 251), "N10240")]), some(""));
    }

    #[test]
    fn a_session_of_ciscos_is_none() {
        for attribute in [
            ((9, 251), "Aauto"),
            ((9, 251), "N"),
            ((9, 251), ""),
            ((9, 1), "parent-session-id="),
            ((9, 1), "parent-session-id=A5"),
            ((9, 52), ""),
            ((9, 253), "I0;0"),
        ] {
            assert_eq!(parent(&[attribute], "A5", None), None, "{attribute:?}");
        }
    }

    #[test]
    fn nokias_services_name_their_session_by_the_multi_session_id() {
        let service = ((6527, 151), "rate-limit");
        assert_eq!(parent(&[service], "s2", Some("s1")), some("s1"));
        assert_eq!(parent(&[service], "s2", None), some(""));
        assert_eq!(parent(&[((6527, 11), "sub")], "s2", Some("s1")), None);
    }
}
