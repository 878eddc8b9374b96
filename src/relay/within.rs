//! Who sends within a host that is trusted with the mail of many: a web server's site, a forwarded mailbox, by the envelope sender.
//!
//! The sender is what the client says. Behind a host that is trusted to check it that is somebody; behind any other it is whatever
//! pleases. So it is never more than a subject of its own beside the host, and holds nothing against whoever has that address.
//!
//! Knows: how a rewritten sender (SRS) is undone, and how many of them there is room for. Must not know: which hosts are trusted.

use dashmap::DashMap;
use foldhash::fast::RandomState;

use super::standing::Subject;
use crate::session::Name;

/// So many senders within one host are kept at a time: their names are chosen by its clients, who take no room from another host's.
pub(super) const WITHIN_MAX: usize = 20_000;

/// No address is longer (RFC 5321 section 4.5.3.1).
const OCTETS_MAX: usize = 320;

/// By what senders within a host are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The whole address.
    Sender,
    /// Its domain.
    SenderDomain,
}

/// Who sends within this host: `host/sender`, in lower case. A message without a sender (a bounce) is one of `host/<>`.
#[must_use]
pub fn subject(host: &Name, by: By, sender: &[u8]) -> Subject {
    let sender = original(sender);
    let own = match by {
        _ if sender.is_empty() => b"<>".as_slice(),
        By::Sender => &sender,
        By::SenderDomain => domain(&sender).unwrap_or(&sender),
    };
    let own = own.get(..OCTETS_MAX).unwrap_or(own).to_ascii_lowercase();
    Subject::Within(Name::new(&[host.octets(), b"/", &own].concat()))
}

/// Within which host that is. Of one whose own name has a slash it is what stands before it.
#[must_use]
pub fn host(subject: &Subject) -> Option<Name> {
    let Subject::Within(name) = subject else { return None };
    let end = name.octets().iter().position(|octet| *octet == b'/')?;
    name.octets().get(..end).map(Name::new)
}

/// How many senders are kept within each host. There is one writer.
#[derive(Debug, Default)]
pub(super) struct Rooms(DashMap<Name, usize, RandomState>);

impl Rooms {
    /// Takes room for one that is not kept yet; false: there is none, and it counts with its host only. Whoever is no such sender needs none.
    pub(super) fn take(&self, subject: &Subject) -> bool {
        let Some(host) = host(subject) else { return true };
        let mut there = self.0.entry(host).or_default();
        let is_room = *there < WITHIN_MAX;
        *there = there.saturating_add(is_room.into());
        is_room
    }

    /// How many there are within the host of this one.
    pub(super) fn taken(&self, subject: &Subject) -> usize {
        host(subject).and_then(|host| self.0.get(&host).map(|there| *there)).unwrap_or_default()
    }

    /// Only these are kept now.
    pub(super) fn recount(&self, hosts: impl Iterator<Item = Name>) {
        self.0.clear();
        for host in hosts {
            let mut there = self.0.entry(host).or_default();
            *there = there.saturating_add(1);
        }
    }
}

/// What stands behind the last `@`.
fn domain(address: &[u8]) -> Option<&[u8]> {
    let at = address.iter().rposition(|octet| *octet == b'@')?;
    address.get(at.saturating_add(1)..).filter(|domain| !domain.is_empty())
}

/// The sender before it was rewritten by those who forward (SRS): `SRS0=hash=time=domain=local@forwarder`, and by the next ones
/// `SRS1=hash=forwarder==hash=time=domain=local@next`. What is not spelled so is taken as it stands.
fn original(sender: &[u8]) -> Vec<u8> {
    undone(sender).unwrap_or_else(|| sender.to_vec())
}

fn undone(sender: &[u8]) -> Option<Vec<u8>> {
    let at = sender.iter().rposition(|octet| *octet == b'@')?;
    let local = sender.get(..at)?;
    let (tag, rest) = local.split_at_checked(4)?;
    // Any of the three may stand behind the tag, and `=` between the rest.
    let rest = rest.split_first().filter(|(octet, _)| b"=+-".contains(octet)).map(|(_, rest)| rest)?;
    let rewritten = if tag.eq_ignore_ascii_case(b"SRS0") {
        rest
    } else if tag.eq_ignore_ascii_case(b"SRS1") {
        let twice = rest.windows(2).position(|pair| matches!(pair, [b'=', b'=' | b'+' | b'-']))?;
        rest.get(twice.saturating_add(2)..)?
    } else {
        return None;
    };
    // A local part may have a `=` of its own.
    let mut parts = rewritten.splitn(4, |octet| *octet == b'=').skip(2);
    let (domain, local) = (parts.next()?, parts.next()?);
    let whole = !domain.is_empty() && !local.is_empty();
    whole.then(|| [local, b"@", domain].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(by: By, sender: &str) -> String {
        let subject = subject(&Name::from("web"), by, sender.as_bytes());
        assert_eq!(subject.kind(), "within");
        subject.name().to_string()
    }

    #[test]
    fn senders_within_a_host_are_told_apart_by_address_or_by_domain() {
        assert_eq!(of(By::Sender, "Bob@Shop.example"), "web/bob@shop.example");
        assert_eq!(of(By::SenderDomain, "Bob@Shop.example"), "web/shop.example");
        for by in [By::Sender, By::SenderDomain] {
            assert_eq!(of(by, ""), "web/<>");
            assert_eq!(of(by, "www-data"), "web/www-data");
        }
        assert_eq!(of(By::SenderDomain, "\"a@b\"@shop.example"), "web/shop.example");
        let long = of(By::Sender, &"x".repeat(5000));
        assert_eq!(long.len(), "web/".len() + OCTETS_MAX);
    }

    #[test]
    fn a_sender_that_was_rewritten_is_whoever_it_was_before() {
        for (sender, before) in [
            ("SRS0=HHHH=TT=origin.example=user@forwarder.example", "web/user@origin.example"),
            ("srs0+HHHH=TT=origin.example=user=tag@forwarder.example", "web/user=tag@origin.example"),
            (
                "SRS1=GGGG=forwarder.example==HHHH=TT=origin.example=user@next.example",
                "web/user@origin.example",
            ),
            (
                "SRS1-GGGG=forwarder.example=+HHHH=TT=origin.example=user@next.example",
                "web/user@origin.example",
            ),
        ] {
            assert_eq!(of(By::Sender, sender), before);
            assert_eq!(of(By::SenderDomain, sender), "web/origin.example");
        }
        for broken in [
            "SRS0@forwarder.example",
            "SRS0=@forwarder.example",
            "SRS0=a=b=c@forwarder.example",
            "SRS0=a=b==user@forwarder.example",
            "SRS1=a=b=c@forwarder.example",
            "SRS2=a=b=c=d@forwarder.example",
            "SRS0user@forwarder.example",
        ] {
            assert_eq!(of(By::Sender, broken), format!("web/{}", broken.to_lowercase()), "as it stands");
        }
    }
}
