//! Map, standing and the operator's rules to one ruling: the verdict, its reason, and whose message it would be.
//!
//! Knows: the order in which the rules hold. Must not know: any MTA's spelling, or what becomes of the ruling.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::Profile;
use super::message::Owner;
use super::standing::{Standing, Subject};
use super::verdict::{Reason, Verdict};
use crate::session::bindings::{Doubt, Found, LiveMap, Lookup, Session};
use crate::session::{Line, Name, Realm, Timestamp};

/// Who asks to send.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// The address space its address is of.
    pub realm: Realm,
    /// Its address.
    pub address: Option<IpAddr>,
    /// The client's source port, where the MTA tells it: what parts those who share an address.
    pub port: Option<u16>,
    /// Its SASL login.
    pub login: Option<&'a Name>,
    /// What the listener it came to is for.
    pub profile: Profile,
    /// Whether a login may relay on any listener (`relay.authenticated`).
    pub logins_relay: bool,
    /// Whether reports cannot be taken at the moment: what is known is old, and what is not known may be so.
    pub blind: bool,
}

/// A verdict with everything that led to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    /// Why; the verdict follows from it.
    pub reason: Reason,
    /// Whose the address is: one, several (nobody is accused), or none that we know.
    pub owners: Vec<Owner>,
    /// The suspension that holds, by its reference.
    pub suspension: Option<u64>,
}

impl Ruling {
    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.reason.verdict()
    }

    /// The same for a client that concerns these as well, such as the subscriber of its login: their standing holds wherever they
    /// send from, but for one of our own addresses, which never relays.
    #[must_use]
    pub fn beside(self, standing: &Standing, beside: &[Subject], now: Timestamp) -> Ruling {
        if standing.is_empty() || matches!(self.reason, Reason::Never | Reason::Suspended | Reason::Starting)
        {
            return self;
        }
        match beside.iter().find_map(|subject| standing.suspension(subject, now)) {
            Some(suspension) => {
                Ruling { reason: Reason::Suspended, suspension: Some(suspension.reference), ..self }
            }
            None => self,
        }
    }

    /// The only owner, if there is exactly one.
    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        match &self.owners[..] {
            // Of a conflict one may be known alone: that does not make him the owner.
            [owner] if self.reason != Reason::Conflict => Some(owner),
            _ => None,
        }
    }
}

/// A ruling without the words about its owners, which most who ask have no use for: there are ten names in them.
#[derive(Debug)]
pub struct Decision {
    /// Why; the verdict follows from it.
    pub reason: Reason,
    /// The suspension that holds, by its reference.
    pub suspension: Option<u64>,
    found: SmallVec<[Found; 1]>,
}

impl Decision {
    fn of(reason: Reason, found: SmallVec<[Found; 1]>) -> Self {
        Decision { reason, suspension: None, found }
    }

    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.reason.verdict()
    }

    /// The name of the only owner, if there is exactly one who has a name.
    #[must_use]
    pub fn subscriber(&self) -> Option<Name> {
        match &self.found[..] {
            // Of a conflict one may be known alone: that does not make him the owner.
            [found] if self.reason != Reason::Conflict => found.subscriber(),
            _ => None,
        }
    }
}

impl From<Decision> for Ruling {
    fn from(decision: Decision) -> Self {
        let Decision { reason, suspension, found } = decision;
        Ruling { reason, owners: found.iter().map(owner).collect(), suspension }
    }
}

/// May this client send now, and whose is it?
#[must_use]
pub fn rule(map: &LiveMap, standing: &Standing, client: Client<'_>, now: Timestamp) -> Ruling {
    decide(map, standing, client, now).into()
}

/// May this client send now?
#[must_use]
pub fn decide(map: &LiveMap, standing: &Standing, client: Client<'_>, now: Timestamp) -> Decision {
    if client.address.is_some_and(|address| map.is_never(address)) {
        return Decision::of(Reason::Never, SmallVec::new());
    }
    let lookup = client.address.map(|address| map.lookup(client.realm, address, client.port, now));
    let doubtful = lookup.as_ref().filter(|_| !standing.is_empty()).and_then(doubtful);
    let by_address = lookup
        .map_or(Decision::of(Reason::NoAddress, SmallVec::new()), |lookup| by_address(lookup, client.blind));
    // Standing comes before everything that permits, and holds for the login as for the address's owner; also for one
    // whose session is in doubt: a suspension accuses nobody of this message.
    if !standing.is_empty() {
        let owner = by_address.subscriber().or(doubtful);
        if let Some(reference) = suspended(standing, client.login, owner, now) {
            return Decision { reason: Reason::Suspended, suspension: Some(reference), ..by_address };
        }
    }
    match (client.profile, client.login) {
        (Profile::Submission, Some(_)) => Decision::of(Reason::Login, by_address.found),
        (Profile::Submission, None) => Decision::of(Reason::NoLogin, by_address.found),
        (Profile::Relay, Some(_)) if client.logins_relay => Decision::of(Reason::Login, by_address.found),
        (Profile::Relay | Profile::Mx, _) => by_address,
    }
}

/// The owner of an address whose session is in doubt.
fn doubtful(lookup: &Lookup) -> Option<Name> {
    match lookup {
        Lookup::Unready(_, Some(found)) => found.subscriber(),
        _ => None,
    }
}

fn by_address(lookup: Lookup, blind: bool) -> Decision {
    match lookup {
        Lookup::Absent if blind => Decision::of(Reason::FeedBlocked, SmallVec::new()),
        Lookup::Absent => Decision::of(Reason::NotOnline, SmallVec::new()),
        Lookup::Ambiguous(all) => Decision::of(Reason::Conflict, SmallVec::from_vec(all)),
        Lookup::Unready(doubt, _) => {
            let reason = match doubt {
                Doubt::JustFreed => Reason::JustFreed,
                Doubt::Suspect => Reason::SessionSuspect,
                Doubt::WarmUp => Reason::WarmUp,
                Doubt::NasSilent => Reason::NasSilent,
                Doubt::NasLagging => Reason::NasLagging,
                Doubt::PortRequired => Reason::PortRequired,
                Doubt::Unjoined => Reason::SessionSuspect,
            };
            Decision::of(reason, SmallVec::new())
        }
        Lookup::Found(found) => {
            let reason = match &found.session {
                _ if found.subscriber_octets().is_none() => Reason::NoIdentity,
                None => Reason::Static,
                Some(session) if blind || session.is_stale() => Reason::FeedStale,
                Some(_) => Reason::Online,
            };
            Decision::of(reason, SmallVec::from_iter([found]))
        }
    }
}

/// Of several claimants none is the known owner, so none's standing is held against whoever it is.
fn suspended(standing: &Standing, login: Option<&Name>, owner: Option<Name>, now: Timestamp) -> Option<u64> {
    let login = login.map(|login| Subject::Login(login.clone()));
    let mut subjects = login.into_iter().chain(owner.map(Subject::Subscriber));
    subjects.find_map(|subject| standing.suspension(&subject, now).map(|suspension| suspension.reference))
}

fn owner(found: &Found) -> Owner {
    Owner {
        subscriber: found.subscriber(),
        session: found.session.as_ref().map(Session::key),
        since: found.since,
        line: found.session.as_ref().map_or_else(Line::default, Session::line),
    }
}

#[cfg(test)]
mod tests {
    use super::super::standing::{Command, Order};
    use super::*;
    use crate::session::event::{Applied, Claim, ClaimSource, Event, Kind, Record, Span};
    use crate::session::machine::Machine;
    use std::sync::Arc;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn world() -> Machine {
        let mut machine = Machine::new(Arc::new(LiveMap::default()));
        let mut applied = Applied {
            never: vec!["192.0.2.250/32".parse().unwrap()],
            statics: vec![("192.0.2.240/29".parse().unwrap(), Name::from("office"))],
            pools: vec![(Name::from("bras1"), Vec::new())],
            ..Applied::default()
        };
        applied.rules.warm_up = Span::Fixed(Duration::ZERO);
        machine.fold(NOW, &Event::Applied(Box::new(applied)), &mut Vec::new());
        for (id, subscriber, address) in [("1", Some("alice"), "192.0.2.7"), ("2", None, "192.0.2.8")] {
            let prefix = address.parse::<IpAddr>().unwrap().into();
            let record = Record {
                subscriber: subscriber.map(Name::from),
                claims: vec![Claim::whole(prefix, ClaimSource::FramedAddress)],
                ..Record::bare(Kind::Start, Name::from("bras1"), Name::from(id), NOW)
            };
            machine.fold(NOW, &Event::Record(Box::new(record)), &mut Vec::new());
        }
        machine
    }

    fn suspend(subject: Subject) -> Standing {
        let mut standing = Standing::default();
        let command = Command {
            at: NOW,
            by: Name::from("root"),
            subject,
            order: Order::Suspend { until: None },
            reason: Name::from("spam"),
        };
        standing.fold(42, &command);
        standing
    }

    fn reason(
        standing: &Standing,
        address: &str,
        login: Option<&str>,
        profile: Profile,
        logins_relay: bool,
    ) -> Reason {
        let login = login.map(Name::from);
        let client = Client {
            realm: Realm::PUBLIC,
            address: address.parse().ok(),
            port: None,
            login: login.as_ref(),
            profile,
            logins_relay,
            blind: false,
        };
        rule(world().map(), standing, client, NOW).reason
    }

    #[test]
    fn the_address_decides_on_a_relay() {
        let none = Standing::default();
        let by = |address| reason(&none, address, None, Profile::Relay, false);
        assert_eq!(by("192.0.2.7"), Reason::Online);
        assert_eq!(by("192.0.2.8"), Reason::NoIdentity);
        assert_eq!(by("192.0.2.9"), Reason::NotOnline);
        assert_eq!(by("192.0.2.241"), Reason::Static);
        assert_eq!(by("192.0.2.250"), Reason::Never);
        assert_eq!(by("unknown"), Reason::NoAddress);
    }

    #[test]
    fn the_login_decides_on_submission_and_where_logins_may_relay() {
        let none = Standing::default();
        assert_eq!(reason(&none, "198.51.100.1", Some("bob"), Profile::Submission, false), Reason::Login);
        assert_eq!(reason(&none, "192.0.2.7", None, Profile::Submission, false), Reason::NoLogin);
        assert_eq!(reason(&none, "198.51.100.1", Some("bob"), Profile::Relay, true), Reason::Login);
        assert_eq!(reason(&none, "198.51.100.1", Some("bob"), Profile::Relay, false), Reason::NotOnline);
        assert_eq!(reason(&none, "192.0.2.250", Some("bob"), Profile::Relay, true), Reason::Never);
    }

    #[test]
    fn while_reports_cannot_be_taken_nobody_is_refused_for_being_unknown() {
        let ask = |address: &str| {
            let address = address.parse().ok();
            let profile = Profile::Relay;
            let client = Client {
                realm: Realm::PUBLIC,
                address,
                port: None,
                login: None,
                profile,
                logins_relay: false,
                blind: true,
            };
            rule(world().map(), &Standing::default(), client, NOW).reason
        };
        assert_eq!(ask("192.0.2.9"), Reason::FeedBlocked);
        assert_eq!(ask("192.0.2.7"), Reason::FeedStale);
        assert_eq!(ask("192.0.2.241"), Reason::Static);
    }

    #[test]
    fn the_only_one_known_of_a_conflict_is_not_its_owner() {
        let alice =
            Owner { subscriber: Some(Name::from("alice")), session: None, since: NOW, line: Line::default() };
        let ruling = |reason| Ruling { reason, owners: vec![alice.clone()], suspension: None };
        assert_eq!(ruling(Reason::Online).owner(), Some(&alice));
        assert_eq!(ruling(Reason::Conflict).owner(), None);
    }

    #[test]
    fn the_standing_of_whoever_a_client_concerns_beside_holds_from_wherever_it_comes() {
        let subscriber = |name| [Subject::Subscriber(Name::from(name))];
        let standing = suspend(subscriber("bob")[0].clone());
        let ruling = |reason| Ruling { reason, owners: Vec::new(), suspension: None };
        let held = |reason, beside: &[Subject]| ruling(reason).beside(&standing, beside, NOW);
        let suspended = held(Reason::Login, &subscriber("bob"));
        assert_eq!((suspended.reason, suspended.suspension), (Reason::Suspended, Some(42)));
        assert_eq!(held(Reason::Login, &subscriber("alice")).reason, Reason::Login);
        assert_eq!(held(Reason::Login, &[]).reason, Reason::Login);
        assert_eq!(held(Reason::Never, &subscriber("bob")).reason, Reason::Never);
        let none = Standing::default();
        assert_eq!(ruling(Reason::Login).beside(&none, &subscriber("bob"), NOW).reason, Reason::Login);
    }

    #[test]
    fn a_suspension_of_login_or_owner_holds_on_every_profile() {
        let alice = suspend(Subject::Subscriber(Name::from("alice")));
        let bob = suspend(Subject::Login(Name::from("bob")));
        for profile in [Profile::Relay, Profile::Submission, Profile::Mx] {
            assert_eq!(reason(&alice, "192.0.2.7", Some("bob"), profile, true), Reason::Suspended);
            assert_eq!(reason(&bob, "198.51.100.1", Some("bob"), profile, true), Reason::Suspended);
        }
        assert_eq!(reason(&bob, "192.0.2.7", None, Profile::Relay, false), Reason::Online);
        assert_eq!(reason(&alice, "198.51.100.1", Some("alice"), Profile::Submission, false), Reason::Login);
    }
}
