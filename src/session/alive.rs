//! A living session as everybody may see it. There are millions: whatever is told of one lies packed behind one pointer.
//!
//! Knows: what a session is called, whose it is, where its line ends, and when it was heard. Must not know: what it owns,
//! or why it lives.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use smallvec::SmallVec;
use triomphe::ThinArc;

use super::nas::Nas;
use super::packed::{self, Word, Words};
use super::{Line, Name, Realm, SessionKey, Timestamp};

/// A living session. What changes with every interim update is atomic; the rest is replaced. Cheap to clone; a clone is the
/// same session.
#[derive(Clone)]
pub struct Session(ThinArc<Head, u8>);

struct Head {
    nas: Arc<Nas>,
    seen: AtomicI64,
    incarnation: Timestamp,
    certain: AtomicBool,
}

/// What is said of a session, before it is packed.
#[derive(Debug)]
pub(super) struct Saying {
    pub(super) id: Name,
    pub(super) incarnation: Timestamp,
    /// When most of what it has was claimed. Nothing follows from it: what was claimed then need not say so itself.
    pub(super) claimed: Timestamp,
    pub(super) subscriber: Option<Name>,
    pub(super) user_name: Option<Name>,
    pub(super) line: Line,
    pub(super) inside: Option<(Realm, IpAddr)>,
}

/// In which order the same is packed. What every lookup and every record asks for comes first: it is read without the
/// rest. Names are made of it when they are asked for.
mod order {
    pub(super) const SUBSCRIBER: usize = 1;
    pub(super) const CLAIMED: usize = 2;
    pub(super) const CALLING_STATION: usize = 3;
    pub(super) const USER_NAME: usize = 5;
    pub(super) const CIRCUIT_ID: usize = 6;
    pub(super) const INSIDE: usize = 8;
}

impl Session {
    pub(super) fn new(saying: &Saying, nas: Arc<Nas>, seen: Timestamp) -> Self {
        let Saying { id, incarnation, claimed, subscriber, user_name, line, inside } = saying;
        let since = claimed.millis().to_be_bytes();
        let inside = inside.map(|(realm, address)| packed_inside(realm, address));
        let packed = packed::pack(&[
            Word::Told(id.octets()),
            Word::of_name(subscriber.as_ref()),
            // Mostly the moment of its beginning.
            if claimed == incarnation { Word::Untold } else { Word::Told(&since) },
            Word::of_name(line.calling_station.as_ref()),
            Word::of_name(line.port_id.as_ref()),
            // Where the identity rules change nothing about the User-Name, it is the subscriber.
            if user_name.is_some() && user_name == subscriber {
                Word::Same
            } else {
                Word::of_name(user_name.as_ref())
            },
            Word::of_name(line.circuit_id.as_ref()),
            Word::of_name(line.remote_id.as_ref()),
            Word::of(inside.as_deref()),
        ]);
        let (seen, certain) = (AtomicI64::new(seen.millis()), AtomicBool::new(true));
        let head = Head { nas, seen, incarnation: *incarnation, certain };
        Session(ThinArc::from_header_and_slice(head, &packed))
    }

    /// What is said from the word of this number on.
    fn words(&self, from: usize) -> Words<'_> {
        Words(&self.0.slice).skip(from)
    }

    /// Everything that is said of it, for a value that is to take its place.
    pub(super) fn saying(&self) -> Saying {
        Saying {
            id: self.id(),
            incarnation: self.incarnation(),
            claimed: self.claimed(),
            subscriber: self.subscriber(),
            user_name: self.user_name(),
            line: self.line(),
            inside: self.inside(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        SessionKey { nas: self.nas().name.clone(), id: self.id(), incarnation: self.incarnation() }
    }

    /// Acct-Session-Id.
    #[must_use]
    pub fn id(&self) -> Name {
        Name::new(self.id_octets())
    }

    pub(super) fn id_octets(&self) -> &[u8] {
        self.words(0).next().octets().unwrap_or_default()
    }

    /// Event time at which this life of it began.
    #[must_use]
    pub fn incarnation(&self) -> Timestamp {
        self.head().incarnation
    }

    pub(super) fn claimed(&self) -> Timestamp {
        let since = self.words(order::CLAIMED).next().octets().and_then(|since| since.try_into().ok());
        since.map_or(self.incarnation(), |since| Timestamp::from_millis(i64::from_be_bytes(since)))
    }

    /// Whose it is.
    #[must_use]
    pub fn subscriber(&self) -> Option<Name> {
        self.subscriber_octets().map(Name::new)
    }

    pub(super) fn subscriber_octets(&self) -> Option<&[u8]> {
        self.words(order::SUBSCRIBER).next().octets()
    }

    /// User-Name as it came.
    #[must_use]
    pub fn user_name(&self) -> Option<Name> {
        match self.words(order::USER_NAME).next() {
            Word::Untold => None,
            Word::Same => self.subscriber(),
            Word::Told(octets) => Some(Name::new(octets)),
        }
    }

    /// Where its line ends.
    #[must_use]
    pub fn line(&self) -> Line {
        let name = |words: &mut Words<'_>| words.next().octets().map(Name::new);
        let (mut ends, mut ids) = (self.words(order::CALLING_STATION), self.words(order::CIRCUIT_ID));
        let (calling_station, port_id) = (name(&mut ends), name(&mut ends));
        let (circuit_id, remote_id) = (name(&mut ids), name(&mut ids));
        Line { port_id, calling_station, circuit_id, remote_id }
    }

    /// Which NAS reports it.
    #[must_use]
    pub fn nas(&self) -> &Arc<Nas> {
        &self.head().nas
    }

    /// Its blocks of ports belong to whoever owns this address, behind the translator that reports it.
    #[must_use]
    pub fn inside(&self) -> Option<(Realm, IpAddr)> {
        self.words(order::INSIDE).next().octets().and_then(inside_of)
    }

    /// When it was last heard of alive, by event time.
    #[must_use]
    pub fn seen(&self) -> Timestamp {
        Timestamp::from_millis(self.head().seen.load(Ordering::Relaxed))
    }

    /// Whether it is active rather than suspect.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.head().certain.load(Ordering::Acquire)
    }

    /// Whether what we know of it dates from before we last lost sight of its NAS.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.nas().is_silent() || self.seen() < self.nas().whole_since()
    }

    /// Whether both are the same life of the same session, be what is told of it another.
    pub(super) fn is(&self, other: &Session) -> bool {
        std::ptr::eq(self.head(), other.head())
            || (self.incarnation() == other.incarnation()
                && self.nas().number == other.nas().number
                && self.id_octets() == other.id_octets())
    }

    /// Whether this is its name.
    pub(super) fn is_called(&self, key: &SessionKey) -> bool {
        self.incarnation() == key.incarnation
            && self.id_octets() == key.id.octets()
            && self.nas().name == key.nas
    }

    /// Whether a line is another station's than this session's.
    pub(super) fn is_of_other_station(&self, line: &Line) -> bool {
        differ(self.words(order::CALLING_STATION).next().octets(), line.calling_station.as_ref())
    }

    /// Whether a line can't be this session's.
    pub(super) fn is_on_other_line(&self, line: &Line) -> bool {
        let mut words = self.words(order::CALLING_STATION);
        let (calling_station, port_id) = (words.next().octets(), words.next().octets());
        differ(calling_station, line.calling_station.as_ref()) || differ(port_id, line.port_id.as_ref())
    }

    pub(super) fn see(&self, at: Timestamp) {
        self.head().seen.fetch_max(at.millis(), Ordering::Relaxed);
    }

    pub(super) fn set_active(&self, active: bool) {
        self.head().certain.store(active, Ordering::Release);
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }
}

/// The number of an address space, and an address of it.
fn packed_inside(realm: Realm, address: IpAddr) -> SmallVec<[u8; 18]> {
    let mut octets = SmallVec::from_slice(&realm.number().to_be_bytes());
    match address {
        IpAddr::V4(address) => octets.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => octets.extend_from_slice(&address.octets()),
    }
    octets
}

fn inside_of(octets: &[u8]) -> Option<(Realm, IpAddr)> {
    let (realm, address) = octets.split_first_chunk()?;
    let v4 = || <[u8; 4]>::try_from(address).ok().map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(address).ok().map(IpAddr::from);
    Some((Realm::of_number(u16::from_be_bytes(*realm)), v4().or_else(v6)?))
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, seen, active) = (self.key(), self.seen(), self.is_active());
        f.debug_struct("Session").field("key", &key).field("seen", &seen).field("active", &active).finish()
    }
}

/// Two names for "the same subscriber": both known and equal.
pub(super) fn same_subscriber(a: Option<impl AsRef<[u8]>>, b: Option<impl AsRef<[u8]>>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a.as_ref() == b.as_ref())
}

/// What either side does not say does not differ.
pub(super) fn differ(a: Option<impl AsRef<[u8]>>, b: Option<impl AsRef<[u8]>>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a.as_ref() != b.as_ref())
}

#[cfg(test)]
mod tests {
    use super::super::nas::NasState;
    use super::*;

    fn nas(number: u32) -> Arc<Nas> {
        let name = Name::from("bras1");
        NasState::new(number, name.clone(), name, Timestamp::EARLIEST, Timestamp::EARLIEST).shared
    }

    fn saying() -> Saying {
        let name = |text: &str| Some(Name::from(text));
        Saying {
            id: Name::from("s1"),
            incarnation: Timestamp::from_millis(1_700_000_000_001),
            claimed: Timestamp::from_millis(1_700_000_000_002),
            subscriber: name("alice"),
            user_name: name("Alice@isp.example"),
            line: Line {
                port_id: name("ge-3/1/0.demux0.3221225522:100-200"),
                calling_station: name("ac:16:2d:75:9d:0a"),
                circuit_id: name("dslam7 atm 1/2"),
                remote_id: Some(Name::new(&[0xff; 300])),
            },
            inside: Some((Realm::of_number(7), IpAddr::from([100, 64, 0, 1]))),
        }
    }

    fn told(saying: &Saying) -> Session {
        Session::new(saying, nas(0), Timestamp::EARLIEST)
    }

    #[test]
    fn what_is_said_of_a_session_is_told_as_it_was_said() {
        let bare = Saying {
            id: Name::from(""),
            incarnation: Timestamp::EARLIEST,
            claimed: Timestamp::EARLIEST,
            subscriber: None,
            user_name: None,
            line: Line::default(),
            inside: None,
        };
        let same_name = || Saying { user_name: Some(Name::from("alice")), ..saying() };
        let unknown = || Saying { subscriber: None, ..saying() };
        for said in [bare, saying(), same_name(), unknown()] {
            let session = told(&said);
            assert_eq!(format!("{:?}", session.saying()), format!("{said:?}"));
            let (id, subscriber) = (session.id_octets(), session.subscriber_octets());
            assert_eq!((id, subscriber), (said.id.octets(), said.subscriber.as_ref().map(Name::octets)));
            assert!(session.is_called(&session.key()));
        }
    }

    #[test]
    fn a_session_is_the_same_by_its_nas_its_id_and_when_it_began_whatever_it_is_called() {
        let session = told(&saying());
        assert!(session.is(&session.clone()));
        assert!(session.is(&told(&Saying { subscriber: Some(Name::from("bob")), ..saying() })));
        assert!(!session.is(&told(&Saying { id: Name::from("s2"), ..saying() })));
        assert!(!session.is(&told(&Saying { incarnation: Timestamp::from_millis(7), ..saying() })));
        assert!(!session.is(&Session::new(&saying(), nas(1), Timestamp::EARLIEST)));
    }

    #[test]
    fn a_line_is_another_when_a_word_that_both_say_differs() {
        let session = told(&saying());
        let at = |calling: Option<&str>, port: Option<&str>| Line {
            calling_station: calling.map(Name::from),
            port_id: port.map(Name::from),
            ..Line::default()
        };
        for (line, station_differs, differs) in [
            (Line::default(), false, false),
            (at(Some("ac:16:2d:75:9d:0a"), None), false, false),
            (at(Some("ac:16:2d:75:9d:0b"), None), true, true),
            (at(None, Some("ge-3/1/0")), false, true),
        ] {
            let told = (session.is_of_other_station(&line), session.is_on_other_line(&line));
            assert_eq!(told, (station_differs, differs), "{line:?}");
        }
    }

    #[test]
    fn a_clone_is_seen_when_the_session_is() {
        let session = told(&saying());
        let clone = session.clone();
        session.see(Timestamp::from_millis(9));
        session.see(Timestamp::from_millis(8));
        session.set_active(false);
        assert_eq!((clone.seen(), clone.is_active()), (Timestamp::from_millis(9), false));
        session.set_active(true);
        assert_eq!((clone.seen(), clone.is_active()), (Timestamp::from_millis(9), true));
    }
}
