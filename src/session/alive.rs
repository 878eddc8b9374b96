//! A living session as everybody may see it. There are millions: whatever is told of one lies packed behind one pointer.
//!
//! Knows: what a session is called, whose it is, where its line ends, and when it was heard. Must not know: what it owns,
//! or why it lives.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use serde::{Deserialize, Serialize};
use triomphe::ThinArc;

use super::nas::Nas;
use super::{Line, Name, Realm, SessionKey, Timestamp};

/// A living session. What changes with every interim update is atomic; the rest is replaced. Cheap to clone; a clone is the
/// same session.
#[derive(Clone)]
pub struct Session(ThinArc<Head, u8>);

struct Head {
    nas: Arc<Nas>,
    seen: AtomicI64,
    certain: AtomicBool,
}

/// What is said of a session, before it is packed.
#[derive(Debug)]
pub(super) struct Saying {
    pub(super) id: Name,
    pub(super) incarnation: Timestamp,
    pub(super) subscriber: Option<Name>,
    pub(super) user_name: Option<Name>,
    pub(super) line: Line,
    pub(super) inside: Option<(Realm, IpAddr)>,
}

/// The same, packed: names are made of it when they are asked for. What is compared for every record comes first.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Packed<'a> {
    id: &'a [u8],
    subscriber: Option<&'a [u8]>,
    calling_station: Option<&'a [u8]>,
    port_id: Option<&'a [u8]>,
    incarnation: Timestamp,
    user_name: UserName<'a>,
    circuit_id: Option<&'a [u8]>,
    remote_id: Option<&'a [u8]>,
    inside: Option<(Realm, IpAddr)>,
}

/// Where the identity rules changes nothing about the User-Name, it is the subscriber.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
enum UserName<'a> {
    #[default]
    Untold,
    Subscriber,
    Another(&'a [u8]),
}

/// Octets for what is told of a session besides its longest names.
const USUALLY: usize = 64;

impl Session {
    /// # Panics
    /// Never: a vector takes every octet.
    pub(super) fn new(saying: &Saying, nas: Arc<Nas>, seen: Timestamp) -> Self {
        let Saying { id, incarnation, subscriber, user_name, line, inside } = saying;
        let packed = Packed {
            id: id.octets(),
            subscriber: subscriber.as_ref().map(Name::octets),
            calling_station: line.calling_station.as_ref().map(Name::octets),
            port_id: line.port_id.as_ref().map(Name::octets),
            incarnation: *incarnation,
            user_name: match user_name {
                None => UserName::Untold,
                same if same == subscriber => UserName::Subscriber,
                Some(another) => UserName::Another(another.octets()),
            },
            circuit_id: line.circuit_id.as_ref().map(Name::octets),
            remote_id: line.remote_id.as_ref().map(Name::octets),
            inside: *inside,
        };
        let names = [Some(id), subscriber.as_ref(), user_name.as_ref(), line.port_id.as_ref()];
        let names =
            names.iter().flatten().map(|name| name.octets().len()).fold(USUALLY, usize::saturating_add);
        let packed =
            postcard::to_extend(&packed, Vec::with_capacity(names)).expect("a vector takes every octet");
        let head = Head { nas, seen: AtomicI64::new(seen.millis()), certain: AtomicBool::new(true) };
        Session(ThinArc::from_header_and_slice(head, &packed))
    }

    fn packed(&self) -> Packed<'_> {
        postcard::from_bytes(&self.0.slice).unwrap_or_default()
    }

    /// Everything that is said of it, for a value that is to take its place.
    pub(super) fn saying(&self) -> Saying {
        Saying {
            id: self.id(),
            incarnation: self.incarnation(),
            subscriber: self.subscriber(),
            user_name: self.user_name(),
            line: self.line(),
            inside: self.inside(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        let Packed { id, incarnation, .. } = self.packed();
        SessionKey { nas: self.nas().name.clone(), id: Name::new(id), incarnation }
    }

    /// Acct-Session-Id.
    #[must_use]
    pub fn id(&self) -> Name {
        Name::new(self.id_octets())
    }

    pub(super) fn id_octets(&self) -> &[u8] {
        postcard::take_from_bytes(&self.0.slice).map_or(&[], |(id, _)| id)
    }

    /// Event time at which this life of it began.
    #[must_use]
    pub fn incarnation(&self) -> Timestamp {
        self.packed().incarnation
    }

    /// Whose it is.
    #[must_use]
    pub fn subscriber(&self) -> Option<Name> {
        self.subscriber_octets().map(Name::new)
    }

    pub(super) fn subscriber_octets(&self) -> Option<&[u8]> {
        type First<'a> = (&'a [u8], Option<&'a [u8]>);
        postcard::take_from_bytes::<First<'_>>(&self.0.slice).ok()?.0.1
    }

    /// User-Name as it came.
    #[must_use]
    pub fn user_name(&self) -> Option<Name> {
        match self.packed().user_name {
            UserName::Untold => None,
            UserName::Subscriber => self.subscriber(),
            UserName::Another(octets) => Some(Name::new(octets)),
        }
    }

    /// Where its line ends.
    #[must_use]
    pub fn line(&self) -> Line {
        let Packed { port_id, calling_station, circuit_id, remote_id, .. } = self.packed();
        Line {
            port_id: port_id.map(Name::new),
            calling_station: calling_station.map(Name::new),
            circuit_id: circuit_id.map(Name::new),
            remote_id: remote_id.map(Name::new),
        }
    }

    /// Which NAS reports it.
    #[must_use]
    pub fn nas(&self) -> &Arc<Nas> {
        &self.head().nas
    }

    /// Its blocks of ports belong to whoever owns this address, behind the translator that reports it.
    #[must_use]
    pub fn inside(&self) -> Option<(Realm, IpAddr)> {
        self.packed().inside
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
        let (ours, theirs) = (self.packed(), other.packed());
        std::ptr::eq(self.head(), other.head())
            || (self.nas().number == other.nas().number
                && ours.id == theirs.id
                && ours.incarnation == theirs.incarnation)
    }

    /// Whether this is its name.
    pub(super) fn is_called(&self, key: &SessionKey) -> bool {
        let Packed { id, incarnation, .. } = self.packed();
        self.nas().name == key.nas && id == key.id.octets() && incarnation == key.incarnation
    }

    /// Whether a line is another station's than this session's.
    pub(super) fn is_of_other_station(&self, line: &Line) -> bool {
        differ(self.packed().calling_station, line.calling_station.as_ref())
    }

    /// Whether a line can't be this session's.
    pub(super) fn is_on_other_line(&self, line: &Line) -> bool {
        let Packed { calling_station, port_id, .. } = self.packed();
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
