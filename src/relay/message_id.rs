//! The Message-ID of a message that was written down, by which others speak of it.
//!
//! Policy delegation asks before a milter has seen the header, and then the message is written down already: so this is an entry of its
//! own. It names the message as the mail server does, and not by its place in the log: a message that is asked about twice is
//! written down once.
//!
//! Knows: its shape (a log entry, so its fields are a file format), and how a Message-ID is read. Must not know: who saw it, or what is
//! found by it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::message::Message;
use crate::session::{Name, Timestamp};

/// Octets of one that are kept: no line of a mail is longer (RFC 5322, 2.1.1).
pub const OCTETS_MAX: usize = 998;

/// A message's name in the mail servers of everybody; whoever wrote the message chose it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageId {
    /// When the message was.
    pub at: Timestamp,
    /// It, without the brackets around it.
    pub id: Name,
    /// Which MTA.
    pub mta: Name,
    /// The MTA's name for the message.
    pub instance: Name,
    /// The queue id.
    pub queue_id: Name,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// Who owned that: what is kept longer for their sake is kept with it.
    pub subscribers: Vec<Name>,
}

impl MessageId {
    /// Whether it is of this message.
    #[must_use]
    pub fn is_of(&self, message: &Message) -> bool {
        self.mta == message.mta && self.instance == message.instance && self.queue_id == message.queue_id
    }
}

/// A Message-ID as it stands in a header, or as somebody types it: out of its brackets, on one line, and no longer than any may be.
/// What was read is read as itself again: it is typed into the page from where it was shown. `None`: there is none.
#[must_use]
pub fn read(value: &[u8]) -> Option<Name> {
    let line: Vec<u8> = value.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
    let line = line.trim_ascii();
    let start =
        line.iter().position(|octet| *octet != b'<' && !octet.is_ascii_whitespace()).unwrap_or(line.len());
    let (brackets, inside) = line.split_at(start);
    let end = inside.iter().position(|octet| *octet == b'>').filter(|_| !brackets.is_empty());
    let id = inside.get(..end.unwrap_or(inside.len()).min(OCTETS_MAX)).unwrap_or(inside).trim_ascii();
    (!id.is_empty()).then(|| Name::new(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(value: &[u8]) -> Option<String> {
        read(value).map(|id| id.to_string())
    }

    #[test]
    fn a_message_id_is_the_same_with_brackets_without_and_folded() {
        for value in [
            &b"<a.1@x.example>"[..],
            b"a.1@x.example",
            b" \t<a.1@x.example> (a comment)",
            b"\r\n <a.1@x.example>\r\n",
        ] {
            assert_eq!(spelled(value).as_deref(), Some("a.1@x.example"), "{value:?}");
        }
        assert_eq!(spelled(b"A.1@x.example").as_deref(), Some("A.1@x.example"), "its case is a part of it");
        assert_eq!(spelled(b"<no.end@x").as_deref(), Some("no.end@x"), "one that was cut");
        for nothing in [&b""[..], b" \r\n", b"<>", b"< >"] {
            assert_eq!(spelled(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_message_id_that_was_read_is_read_as_itself_again() {
        let cut_at_a_blank = [&[b'a'; OCTETS_MAX - 1][..], b" b"].concat();
        for value in [&b"<<a@x>>"[..], b"< <a@x> b>", b"<\x0c<a@x", b"a>b", b"<a b@x>", &cut_at_a_blank] {
            let once = read(value).unwrap();
            assert_eq!(read(once.octets()).as_ref(), Some(&once), "{value:?}");
        }
        assert_eq!(spelled(b"<<a@x>>").as_deref(), Some("a@x"));
    }

    #[test]
    fn a_message_id_that_is_endless_or_meant_to_act_is_cut_and_does_nothing() {
        let endless = [&b"<"[..], &[b'a'; 5000], b">"].concat();
        assert_eq!(read(&endless).unwrap().octets().len(), OCTETS_MAX);
        assert_eq!(spelled(b"<\x1b[2J@x>").as_deref(), Some("0x1b5b324a4078"));
        assert_eq!(spelled(b"<\0\xff>").as_deref(), Some("0x00ff"));
    }
}
