//! What was not let go: attempts to send that were refused or deferred, gathered until they are written down.
//!
//! One customer's infected machine tries a thousand times a minute. Attempts of one minute that have address, reason, profile
//! and mail server in common are one row, with how many they were and what the last of them said. However many addresses
//! try, memory is bounded: what is beyond is counted in one row a minute that names no address.
//!
//! Knows: what is one row, and how many there may be. Must not know: what time it is, how a reference is made, or where rows
//! go.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Profile;
use super::message::Owner;
use super::ruling::Ruling;
use super::standing::Subject;
use super::verdict::Reason;
use crate::session::{Name, Timestamp};

/// Rows of one minute that are told apart.
pub const ROWS_A_MINUTE: usize = 50_000;
/// Rows that wait to be written down, of all minutes: a disk that refuses for an hour must not fill the memory.
const ROWS_WAITING: usize = 100_000;
/// Rows that are handed out at once: one entry of the log, for which everybody's commit waits.
const ROWS_AT_ONCE: usize = 10_000;
/// How long what a row is told apart by lasts.
pub const MINUTE: Duration = Duration::from_secs(60);
/// Of a name that the client chose so many octets are kept: RFC 5321, 4.5.3.1 allows no more.
const OCTETS_KEPT: usize = 255;
/// Different owners of an address within one minute that are kept.
const OWNERS_KEPT: usize = 4;

/// What a row is called in the text of a refusal: eight hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reference(pub u32);

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl Reference {
    /// The reference with this spelling, whatever its case; `None`: it is none.
    #[must_use]
    pub fn of(text: &str) -> Option<Reference> {
        let digits = text.len() == 8 && text.bytes().all(|octet| octet.is_ascii_hexdigit());
        u32::from_str_radix(text, 16).ok().filter(|_| digits).map(Reference)
    }
}

/// What attempts of one row have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Common {
    /// Its first moment.
    pub minute: Timestamp,
    /// Which MTA.
    pub mta: Name,
    /// What its listener is for.
    pub profile: Profile,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// Why it was not let go.
    pub reason: Reason,
    /// Who had logged in, where that says whose doing it was.
    pub login: Option<Name>,
}

/// What a reference is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept<'a> {
    /// A row of its own.
    Apart(&'a Common),
    /// The row of all others of this minute.
    Counted(Timestamp),
}

/// One attempt.
#[derive(Debug, Clone, Copy)]
pub struct Tried<'a> {
    /// When.
    pub at: Timestamp,
    /// At which MTA.
    pub mta: &'a Name,
    /// What its listener is for.
    pub profile: Profile,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The client's port.
    pub port: Option<u16>,
    /// SASL login.
    pub login: Option<&'a [u8]>,
    /// HELO name.
    pub helo: &'a [u8],
    /// Envelope sender.
    pub sender: &'a [u8],
    /// The recipient's domain.
    pub recipient_domain: &'a [u8],
    /// What was ruled.
    pub ruling: &'a Ruling,
    /// Decided under `observe`: the answer did not act on it.
    pub observed: bool,
}

/// Attempts that have something in common. Part of a log entry, so its fields are a file format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// What it is called in the text of the refusal.
    pub reference: Reference,
    /// When the first of them was.
    pub first: Timestamp,
    /// When the last of them was.
    pub last: Timestamp,
    /// How many they were: one for each recipient that was asked for.
    pub count: u64,
    /// Why; `None`: of all others of this minute, of which nothing else is known.
    pub reason: Option<Reason>,
    /// Which MTA.
    pub mta: Name,
    /// What its listener is for.
    pub profile: Profile,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The port of the last one.
    pub port: Option<u16>,
    /// Whose the address was. More than one: it changed hands within the minute, or is disputed.
    pub owners: Vec<Owner>,
    /// The login of the last one that had one.
    pub login: Option<Name>,
    /// The HELO name of the last one.
    pub helo: Name,
    /// The envelope sender of the last one.
    pub sender: Name,
    /// The domain of the last one's recipient.
    pub recipient_domain: Name,
    /// The suspension that held, by its reference.
    pub suspension: Option<u64>,
    /// Decided under `observe`.
    pub observed: bool,
}

impl Attempt {
    fn new(reference: Reference, tried: &Tried<'_>) -> Attempt {
        let mut attempt = Attempt {
            reason: Some(tried.ruling.reason),
            mta: tried.mta.clone(),
            profile: tried.profile,
            address: tried.address,
            ..Attempt::counted(reference, tried.at)
        };
        attempt.add(tried);
        attempt
    }

    /// One of which only its number will be known.
    fn counted(reference: Reference, at: Timestamp) -> Attempt {
        Attempt {
            reference,
            first: at,
            last: at,
            count: 0,
            reason: None,
            mta: Name::from(""),
            profile: Profile::default(),
            address: None,
            port: None,
            owners: Vec::new(),
            login: None,
            helo: Name::from(""),
            sender: Name::from(""),
            recipient_domain: Name::from(""),
            suspension: None,
            observed: false,
        }
    }

    /// So many of a moment, and nothing else of them.
    #[cfg(test)]
    pub(super) fn of_many(at: Timestamp, count: u64) -> Attempt {
        Attempt { count, ..Attempt::counted(Reference(0), at) }
    }

    fn count(&mut self, at: Timestamp) {
        self.count = self.count.saturating_add(1);
        self.first = self.first.min(at);
        self.last = self.last.max(at);
    }

    fn add(&mut self, tried: &Tried<'_>) {
        self.count(tried.at);
        self.port = tried.port;
        self.helo = cut(tried.helo);
        self.sender = cut(tried.sender);
        self.recipient_domain = cut(tried.recipient_domain);
        self.login = tried.login.map(cut).or_else(|| self.login.take());
        self.suspension = tried.ruling.suspension.or(self.suspension);
        self.observed = tried.observed;
        for owner in &tried.ruling.owners {
            let same = |known: &Owner| known.subscriber == owner.subscriber && known.session == owner.session;
            if self.owners.len() < OWNERS_KEPT && !self.owners.iter().any(same) {
                self.owners.push(owner.clone());
            }
        }
    }

    /// Whose doing a refused recipient was: the address's only owner's, else whoever's who had logged in; and his who had logged in at a
    /// static host, which sends for many. `None`: it was something else that was not let go, or is nobody's for sure.
    #[must_use]
    pub fn refused_for(&self) -> Option<Subject> {
        if self.reason != Some(Reason::RecipientRefused) {
            return None;
        }
        match self.owner() {
            Some(Owner { session: None, .. }) if self.login.is_some() => {
                self.login.clone().map(Subject::Login)
            }
            Some(owner) => owner.subscriber.clone().map(Subject::Subscriber),
            None => self.login.clone().filter(|_| self.owners.is_empty()).map(Subject::Login),
        }
    }

    /// The only owner, if it is surely one: several sessions of one subscriber are one owner.
    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        let first = self.owners.first().filter(|_| self.reason != Some(Reason::Conflict))?;
        let others = self.owners.get(1..).unwrap_or_default();
        let alike = |other: &Owner| first.subscriber.is_some() && other.subscriber == first.subscriber;
        others.iter().all(alike).then_some(first)
    }
}

fn cut(octets: &[u8]) -> Name {
    Name::new(octets.get(..OCTETS_KEPT).unwrap_or(octets))
}

/// The first moment of the minute around this one.
#[must_use]
pub fn minute_of(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis().saturating_sub(at.millis().rem_euclid(60_000)))
}

#[derive(Debug, Default)]
struct Minute {
    apart: HashMap<Common, Attempt>,
    counted: Option<Attempt>,
    /// Recipients that were refused, by whose doing that was.
    refused: HashMap<Subject, u64>,
}

impl Minute {
    fn refused_once_more(&mut self, sender: Option<Subject>) {
        if let Some(sender) = sender {
            let refused = self.refused.entry(sender).or_default();
            *refused = refused.saturating_add(1);
        }
    }
}

/// What has gathered.
#[derive(Debug, Default)]
pub struct Attempts {
    minutes: BTreeMap<Timestamp, Minute>,
    /// Of minutes that are over.
    over: VecDeque<Attempt>,
    /// Rows in all.
    rows: usize,
}

impl Attempts {
    /// Notes an attempt. The reference of its row, and whether that is one of its own.
    pub fn note(
        &mut self,
        tried: &Tried<'_>,
        reference: impl Fn(Kept<'_>) -> Reference,
    ) -> (Reference, bool) {
        let start = minute_of(tried.at);
        let minute = self.minutes.entry(start).or_default();
        let common = Common {
            minute: start,
            mta: tried.mta.clone(),
            profile: tried.profile,
            address: tried.address,
            reason: tried.ruling.reason,
            login: tried.login.filter(|_| tried.ruling.reason == Reason::RecipientRefused).map(cut),
        };
        if let Some(row) = minute.apart.get_mut(&common) {
            row.add(tried);
            let refused_for = row.refused_for();
            let reference = row.reference;
            minute.refused_once_more(refused_for);
            return (reference, true);
        }
        if minute.apart.len() < ROWS_A_MINUTE && self.rows < ROWS_WAITING {
            let reference = reference(Kept::Apart(&common));
            let row = Attempt::new(reference, tried);
            minute.refused_once_more(row.refused_for());
            minute.apart.insert(common, row);
            self.rows = self.rows.saturating_add(1);
            return (reference, true);
        }
        let counted =
            minute.counted.get_or_insert_with(|| Attempt::counted(reference(Kept::Counted(start)), tried.at));
        counted.count(tried.at);
        (counted.reference, false)
    }

    /// Some rows of minutes that are over, oldest first; of all minutes where there will be no later call.
    pub fn take(&mut self, now: Option<Timestamp>) -> Vec<Attempt> {
        while let Some(minute) = self.minutes.first_entry()
            && now.is_none_or(|now| minute.key().plus(MINUTE) <= now)
        {
            let Minute { apart, counted, .. } = minute.remove();
            let mut rows: Vec<Attempt> = apart.into_values().chain(counted).collect();
            rows.sort_by_key(|row| (row.first, row.reference));
            self.over.extend(rows);
        }
        let taken: Vec<Attempt> = self.over.drain(..self.over.len().min(ROWS_AT_ONCE)).collect();
        self.rows = self.rows.saturating_sub(taken.iter().filter(|row| row.reason.is_some()).count());
        taken
    }

    /// How many recipients of this sender were refused in minutes that nobody has taken yet.
    #[must_use]
    pub fn refused(&self, sender: &Subject) -> u64 {
        let minutes = self.minutes.values().filter_map(|minute| minute.refused.get(sender));
        minutes.fold(0, |sum, refused| sum.saturating_add(*refused))
    }

    /// Takes rows back that could not be handed on.
    pub fn take_back(&mut self, rows: Vec<Attempt>) {
        self.rows = self.rows.saturating_add(rows.iter().filter(|row| row.reason.is_some()).count());
        rows.into_iter().rev().for_each(|row| self.over.push_front(row));
    }

    /// All that is here, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Attempt> {
        let minutes = self.minutes.values().flat_map(|minute| minute.apart.values().chain(&minute.counted));
        self.over.iter().chain(minutes)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::session::{Line, SessionKey};

    /// The first moment of a minute.
    const AT: Timestamp = Timestamp::from_seconds(1_795_442_400);

    fn ruling(reason: Reason, subscribers: &[&str]) -> Ruling {
        let owner = |name: &&str| Owner {
            subscriber: Some(Name::from(*name)),
            session: None,
            since: AT,
            line: Line::default(),
        };
        Ruling { reason, owners: subscribers.iter().map(owner).collect(), suspension: None }
    }

    fn tried<'a>(at: Timestamp, mta: &'a Name, address: u32, ruling: &'a Ruling) -> Tried<'a> {
        Tried {
            at,
            mta,
            profile: Profile::Relay,
            address: Some(IpAddr::V4(Ipv4Addr::from(address))),
            port: None,
            login: None,
            helo: b"laptop",
            sender: b"a@isp.example",
            recipient_domain: b"b.example",
            ruling,
            observed: false,
        }
    }

    /// References by what is apart, so that a wrong one shows.
    fn reference(kept: Kept<'_>) -> Reference {
        match kept {
            Kept::Apart(common) => Reference(match common.address {
                Some(IpAddr::V4(address)) => u32::from(address),
                _ => 1,
            }),
            Kept::Counted(_) => Reference(u32::MAX),
        }
    }

    #[test]
    fn refused_recipients_are_told_apart_by_login_and_known_until_their_minute_is_taken() {
        let (mut attempts, mta) = (Attempts::default(), Name::from("mx1"));
        let (mut owned, nobodys) =
            (ruling(Reason::RecipientRefused, &["alice"]), ruling(Reason::RecipientRefused, &[]));
        let (at_static, not_online) = (owned.clone(), ruling(Reason::NotOnline, &["alice"]));
        let session = SessionKey { nas: Name::from("bras1"), id: Name::from("s-1"), incarnation: AT };
        owned.owners[0].session = Some(session);
        let note = |attempts: &mut Attempts, ruling, login| {
            let tried = Tried { login, ..tried(AT, &mta, 7, ruling) };
            attempts.note(&tried, |_| Reference(1));
        };
        note(&mut attempts, &owned, None);
        note(&mut attempts, &owned, None);
        note(&mut attempts, &nobodys, Some(&b"sales"[..]));
        note(&mut attempts, &nobodys, Some(&b"office"[..]));
        note(&mut attempts, &not_online, None);
        let of = |attempts: &Attempts| {
            let login = |name| Subject::Login(Name::from(name));
            [Subject::Subscriber(Name::from("alice")), login("sales"), login("office")]
                .map(|sender| attempts.refused(&sender))
        };
        assert_eq!(of(&attempts), [2, 1, 1]);
        assert_eq!(attempts.take(Some(AT.plus(MINUTE))).len(), 4, "one login's is not the other's");
        assert_eq!(of(&attempts), [0, 0, 0]);
        // At a static host it is whoever logged in there, where that is told: the host sends for many.
        note(&mut attempts, &at_static, Some(&b"sales"[..]));
        note(&mut attempts, &at_static, None);
        note(&mut attempts, &owned, Some(&b"office"[..]));
        assert_eq!(of(&attempts), [2, 1, 0]);
    }

    #[test]
    fn attempts_of_one_minute_with_all_in_common_are_one_row_with_what_the_last_one_said() {
        let (mta, other, refused) = (Name::from("mx1"), Name::from("mx2"), ruling(Reason::NotOnline, &[]));
        let mut attempts = Attempts::default();
        let first = attempts.note(&tried(AT, &mta, 7, &refused), reference);
        let end = AT.plus(Duration::from_millis(59_999));
        let last =
            Tried { port: Some(4711), helo: b"other", login: Some(b"bob"), ..tried(end, &mta, 7, &refused) };
        assert_eq!(attempts.note(&last, reference), first, "one reference finds them all");
        for (at, mta, address, reason) in [
            (AT, &other, 7, Reason::NotOnline),
            (AT, &mta, 8, Reason::NotOnline),
            (AT, &mta, 7, Reason::JustFreed),
            (AT.plus(MINUTE), &mta, 7, Reason::NotOnline),
        ] {
            attempts.note(&tried(at, mta, address, &ruling(reason, &[])), reference);
        }
        let rows = attempts.take(None);
        assert_eq!(rows.len(), 5);
        let row = rows.iter().find(|row| row.count == 2).unwrap();
        assert_eq!((row.first, row.last, row.reference), (AT, end, Reference(7)));
        assert_eq!(
            (row.port, &row.helo, &row.login),
            (Some(4711), &Name::from("other"), &Some(Name::from("bob")))
        );
    }

    #[test]
    fn a_minute_is_handed_out_when_it_is_over_and_not_before() {
        let (mta, refused) = (Name::from("mx1"), ruling(Reason::NotOnline, &[]));
        let mut attempts = Attempts::default();
        attempts.note(&tried(AT.plus(Duration::from_secs(30)), &mta, 7, &refused), reference);
        assert!(attempts.take(Some(AT.plus(Duration::from_millis(59_999)))).is_empty());
        assert_eq!(attempts.iter().count(), 1);
        assert_eq!(attempts.take(Some(AT.plus(MINUTE))).len(), 1);
        assert_eq!((attempts.iter().count(), attempts.rows), (0, 0));
    }

    #[test]
    fn what_is_more_than_can_be_told_apart_is_counted_in_one_row_without_address() {
        let (mta, refused) = (Name::from("mx1"), ruling(Reason::NotOnline, &[]));
        let mut attempts = Attempts::default();
        let count = u32::try_from(ROWS_A_MINUTE).unwrap();
        for address in 0..count {
            assert!(attempts.note(&tried(AT, &mta, address, &refused), reference).1);
        }
        let beyond =
            [count, count + 1].map(|address| attempts.note(&tried(AT, &mta, address, &refused), reference));
        assert_eq!(beyond, [(Reference(u32::MAX), false); 2]);
        assert!(attempts.note(&tried(AT, &mta, 0, &refused), reference).1, "who is known already still is");
        let mut rows = Vec::new();
        loop {
            let some = attempts.take(None);
            if some.is_empty() {
                break;
            }
            assert!(some.len() <= ROWS_AT_ONCE);
            rows.extend(some);
        }
        assert_eq!(rows.len(), ROWS_A_MINUTE + 1);
        let counted: Vec<_> = rows.iter().filter(|row| row.reason.is_none()).collect();
        assert_eq!(counted.len(), 1);
        assert_eq!((counted[0].count, counted[0].address), (2, None));
    }

    #[test]
    fn rows_that_are_not_written_take_no_more_memory_than_two_full_minutes() {
        let (mta, refused) = (Name::from("mx1"), ruling(Reason::NotOnline, &[]));
        let mut attempts = Attempts::default();
        let count = u32::try_from(ROWS_A_MINUTE).unwrap();
        for minute in 0..3 {
            for address in 0..count {
                attempts.note(&tried(AT.plus(MINUTE * minute), &mta, address, &refused), reference);
            }
        }
        assert_eq!(attempts.iter().count(), ROWS_WAITING + 1);
        let taken = attempts.take(None);
        assert!(attempts.note(&tried(AT.plus(MINUTE * 9), &mta, 1, &refused), reference).1, "there is room");
        attempts.take_back(taken.clone());
        assert!(
            !attempts.note(&tried(AT.plus(MINUTE * 9), &mta, 2, &refused), reference).1,
            "and none again"
        );
        assert_eq!(attempts.take(Some(AT))[..9], taken[..9], "what was taken back comes first");
    }

    #[test]
    fn whose_an_attempt_is_is_said_when_it_is_surely_one() {
        let mta = Name::from("mx1");
        let owner = |reason, owners: &[&[&str]]| {
            let mut attempts = Attempts::default();
            for owners in owners {
                attempts.note(&tried(AT, &mta, 7, &ruling(reason, owners)), reference);
            }
            let row = attempts.take(None).remove(0);
            row.owner().map(|owner| owner.subscriber.clone().unwrap().to_string())
        };
        assert_eq!(owner(Reason::Suspended, &[&["alice"]]).as_deref(), Some("alice"));
        assert_eq!(owner(Reason::Suspended, &[&["alice"], &["alice"]]).as_deref(), Some("alice"));
        assert_eq!(owner(Reason::Suspended, &[&["alice"], &["bob"]]), None, "it changed hands");
        assert_eq!(owner(Reason::Conflict, &[&["alice"]]), None, "of a conflict one alone may be known");
        assert_eq!(owner(Reason::NotOnline, &[&[]]), None);
    }

    #[test]
    fn no_name_is_kept_longer_than_mail_allows() {
        let (mta, refused) = (Name::from("mx1"), ruling(Reason::NotOnline, &[]));
        let mut attempts = Attempts::default();
        let long = [b'a'; 8000];
        let tried = Tried { helo: &long, sender: &long[..255], ..tried(AT, &mta, 7, &refused) };
        attempts.note(&tried, reference);
        let row = attempts.take(None).remove(0);
        assert_eq!((row.helo.octets().len(), row.sender.octets().len()), (255, 255));
    }

    #[test]
    fn a_reference_is_eight_hex_digits() {
        assert_eq!(Reference::of("1A2b3c4d"), Some(Reference(0x1a2b_3c4d)));
        assert_eq!(Reference(0x2b).to_string(), "0000002b");
        for text in ["", "1a2b3c4", "1a2b3c4d5", "+a2b3c4d", "1a2b3c4g", " 1a2b3c4"] {
            assert_eq!(Reference::of(text), None, "{text}");
        }
    }
}
