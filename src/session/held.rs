//! One session as the machine holds it: its claims, how sure we are of it, and when it must be looked at again.
//!
//! Knows: a session's own state and times. Must not know: other sessions, or what the map shows.
//!
//! ```text
//!              first usable address             overdue, NAS restarted, gap,
//!   Pending ───────────────────────► Active ◄──────── interim confirms ────────┐
//!      │                               │ └───── undated Start after Stop ───► Suspect
//!      └────────── Stop, expiry ───────┴──────────────────────────────────────┘
//!                       ▼
//!                   Tombstone
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::alive::{Session, differ};
use super::effect::{Effect, Remark};
use super::event::{Claim, ClaimSource, ClockOffset, Kind, Record, Release, Rules, Scope, Span};
use super::interval::Interval;
use super::nas::{INTERVAL_ASSUMED, NasState, OVERDUE_AT_LEAST, span};
use super::{Name, Place, Ports, Realm, Timestamp};

/// A Start that is not dated and follows its own session's Stop within this may be the session's old Start, sent
/// again by a NAS that does not count its delay: retransmissions are over by then.
pub(super) const UNDATED_START_DOUBT: Duration = Duration::from_secs(120);
/// Acct-Delay-Time and Acct-Session-Time count whole seconds: this much apart is still the same moment.
pub(super) const SAME_MOMENT: Duration = Duration::from_secs(2);
/// Sessions of a restarted NAS are given up this long after the next interim update that they may send.
pub(super) const RESTART_GRACE: Duration = Duration::from_secs(5 * 60);
/// No record is overtaken by more: retransmissions, and what is queued while nobody answers.
const OVERTAKEN_BY: Duration = Duration::from_secs(10 * 60);
/// No session lasts longer; a counter that says so has run over.
const SESSION_TIME_BELIEVED: Duration = Duration::from_secs(366 * 24 * 3600);
/// Stopped sessions are remembered at least this long.
const TOMBSTONE_AT_LEAST: Duration = Duration::from_secs(24 * 3600);

/// A session of one NAS, whichever life it is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Id {
    /// Number of the NAS, in the order in which they were first heard.
    pub(super) nas: u32,
    /// Acct-Session-Id.
    pub(super) session: Name,
}

/// How sure we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// No usable address yet.
    Pending,
    /// Owns what it claims.
    Active,
    /// In doubt, until confirmed or closed at this moment.
    Suspect { why: Suspicion, close_at: Timestamp },
}

/// Why a session is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Suspicion {
    /// Its interim update is overdue.
    Overdue,
    /// Its NAS began anew at this event time.
    Restarted { at: Timestamp },
    /// An interim update came after its Stop; a second one confirms.
    Revived,
    /// An undated Start soon after the Stop at this event time; an interim update that began later confirms.
    DoubtfulStart { stopped: Timestamp },
    /// We did not listen for longer than the stale limit.
    Unheard,
}

/// A prefix that a session asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeldClaim {
    pub(super) prefix: IpNet,
    pub(super) ports: Ports,
    pub(super) source: ClaimSource,
    /// Event time of the claim in force.
    pub(super) since: Timestamp,
    /// Whether the session has it.
    pub(super) hold: Hold,
}

/// What came of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Hold {
    /// The session owns the prefix, alone or in conflict.
    Owns,
    /// A newer claim won: claiming it again begins a conflict.
    Lost,
    /// It was claimed in doubt while somebody else had it. Once the doubt is over it is a first claim like any other.
    Waits,
    /// Another account of the same host owns it (row 23), and this one takes over when that one ends.
    Shares,
    /// The session gave it back at that time; what it claimed before comes too late.
    Left,
}

/// A session and what only the machine needs of it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) session: Session,
    pub(super) claims: Claims,
    /// What most sessions do not have.
    aside: Option<Box<Aside>>,
    /// Event time of the record that set the framed address: an older record does not move it back.
    pub(super) address_at: Timestamp,
    pub(super) session_time: Option<u32>,
    pub(super) interval: Interval,
    /// What the NAS's other sessions showed when this one was last heard: its deadline must not move by what others do. In
    /// seconds; 0: nothing.
    interval_of_nas: u32,
    /// Which part of the NAS it belongs to, but for the port.
    pub(super) scope: Arc<Scope>,
    pub(super) nas_port: Option<u32>,
    pub(super) realm: Realm,
    /// Attributes of which each record tells all that holds: an older record adds nothing.
    pub(super) whole: Sources,
    /// Whether a Start or a session time told when it began.
    pub(super) is_started: bool,
    is_pending: bool,
    /// Something was told against it at one of its places: its next claim must be folded.
    pub(super) doubted: bool,
    /// When it is looked at next. Deadlines queued for another moment are void.
    pub(super) due: Timestamp,
}

/// Nearly all sessions have an address and two prefixes at the most.
pub(super) type Claims = SmallVec<[HeldClaim; 3]>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Aside {
    born_after: Timestamp,
    host: Option<Name>,
    suspect: Option<(Suspicion, Timestamp)>,
}

const NOTHING_ASIDE: Aside = Aside { born_after: Timestamp::EARLIEST, host: None, suspect: None };

const _: () = assert!(size_of::<Option<Held>>() <= 184, "there may be millions");

/// A set of attributes that claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Sources(u8);

const _: () = assert!(ClaimSource::ALL.len() < 8, "each attribute has a bit, and so has the operator's list");

impl Sources {
    pub(super) fn insert(&mut self, source: ClaimSource) {
        self.0 |= 1 << source as u8;
    }

    pub(super) fn contains(self, source: ClaimSource) -> bool {
        self.0 & (1 << source as u8) != 0
    }
}

impl Held {
    /// A session that has nothing yet; `born_after` is when the life before it under the same id ended.
    pub(super) fn new(session: Session, state: State, born_after: Timestamp, scope: Arc<Scope>) -> Self {
        let mut held = Held {
            session,
            claims: Claims::new(),
            aside: None,
            address_at: Timestamp::EARLIEST,
            session_time: None,
            interval: Interval::default(),
            interval_of_nas: 0,
            scope,
            nas_port: None,
            realm: Realm::PUBLIC,
            whole: Sources::default(),
            is_started: false,
            is_pending: false,
            doubted: false,
            due: Timestamp::from_millis(i64::MAX),
        };
        if born_after != Timestamp::EARLIEST {
            held.change_aside(|aside| aside.born_after = born_after);
        }
        held.put_state(state);
        held
    }

    fn change_aside(&mut self, change: impl FnOnce(&mut Aside)) {
        let aside = self.aside.get_or_insert_with(|| Box::new(NOTHING_ASIDE));
        change(aside);
        if **aside == NOTHING_ASIDE {
            self.aside = None;
        }
    }

    pub(super) fn state(&self) -> State {
        match self.aside.as_ref().and_then(|aside| aside.suspect) {
            Some((why, close_at)) => State::Suspect { why, close_at },
            None if self.is_pending => State::Pending,
            None => State::Active,
        }
    }

    fn put_state(&mut self, state: State) {
        self.is_pending = state == State::Pending;
        let suspect = match state {
            State::Suspect { why, close_at } => Some((why, close_at)),
            State::Pending | State::Active => None,
        };
        if suspect.is_some() || self.aside.is_some() {
            self.change_aside(|aside| aside.suspect = suspect);
        }
    }

    /// A doubtful session is given up then and not before.
    pub(super) fn put_off(&mut self, until: Timestamp) {
        if let Some((_, close_at)) = self.aside.as_mut().and_then(|aside| aside.suspect.as_mut()) {
            *close_at = until;
        }
    }

    /// When the life before it under the same id ended: nothing from up to then concerns it.
    pub(super) fn born_after(&self) -> Timestamp {
        self.aside.as_ref().map_or(Timestamp::EARLIEST, |aside| aside.born_after)
    }

    /// Acct-Multi-Session-Id.
    pub(super) fn host(&self) -> Option<&Name> {
        self.aside.as_ref()?.host.as_ref()
    }

    pub(super) fn set_host(&mut self, host: Option<&Name>) {
        if host != self.host() {
            self.change_aside(|aside| aside.host = host.cloned());
        }
    }

    /// When it began, as far as a Start or a session time told.
    pub(super) fn started(&self) -> Option<Timestamp> {
        self.is_started.then(|| self.opened())
    }

    pub(super) fn interval_of_nas(&self) -> Option<Duration> {
        (self.interval_of_nas > 0).then(|| Duration::from_secs(self.interval_of_nas.into()))
    }

    pub(super) fn set_interval_of_nas(&mut self, interval: Option<Duration>) {
        let seconds = interval.map_or(0, |interval| interval.as_secs());
        self.interval_of_nas = u32::try_from(seconds).unwrap_or(u32::MAX);
    }

    /// Changes state, and with it what readers of the map and of the NAS's counts see.
    pub(super) fn enter(&mut self, state: State) {
        self.count_of(self.state()).fetch_sub(1, Ordering::Relaxed);
        self.put_state(state);
        self.count_of(self.state()).fetch_add(1, Ordering::Relaxed);
        self.session.set_active(self.is_active());
    }

    /// Begins to be counted in the state it has.
    pub(super) fn begin(&self) {
        self.count_of(self.state()).fetch_add(1, Ordering::Relaxed);
        self.session.set_active(self.is_active());
    }

    /// Ends being counted in the state it has.
    pub(super) fn uncount(&self) {
        self.count_of(self.state()).fetch_sub(1, Ordering::Relaxed);
    }

    /// That it exists, for people.
    pub(super) fn opened_effect(&self) -> Effect {
        let session = &self.session;
        Effect::SessionOpened {
            session: session.key(),
            subscriber: session.subscriber(),
            user_name: session.user_name(),
            line: session.line(),
            inside: session.inside(),
            kept: Vec::new(),
        }
    }

    /// How sure we are of it from here on, for whoever asks about what it owns.
    pub(super) fn remark(&self, at: Timestamp, why: Remark, effects: &mut Vec<Effect>) {
        let owned = self.claims.iter().filter(|claim| claim.hold == Hold::Owns);
        effects.extend(owned.map(|claim| {
            let session = self.session.key();
            Effect::Noted { session, place: self.place(claim.prefix, claim.ports), at, why }
        }));
    }

    /// Row 13: whether a Stop belongs to an earlier life. Undated event times of a quick Start and Stop may be
    /// rounded past each other; a Stop that is obeyed a second too early costs less than one that is not.
    pub(super) fn stopped_before_it_began(&self, record: &Record) -> bool {
        let slack = if record.dated { Duration::ZERO } else { SAME_MOMENT };
        // How old it is, is known at least only, and what came before it may be dated by less than that.
        if matches!(record.clock_offset, Some(ClockOffset::AtMost(_))) {
            return false;
        }
        // Undated, and of a life that lasted longer than this one was heard to: it is the end of this one, by a clock or a
        // delay that is wrong.
        let goes_on =
            matches!((record.session_time, self.session_time), (Some(now), Some(heard)) if now > heard);
        if !record.dated && goes_on && self.same_identity(record) {
            return false;
        }
        record.event <= self.born_after()
            || self.started().is_some_and(|started| record.event.plus(slack) < started)
    }

    /// Whether a record names another subscriber on another line: not this session under a new name, but another one
    /// under this id.
    pub(super) fn is_elsewhere(&self, record: &Record) -> bool {
        differ(self.session.subscriber_octets(), record.subscriber.as_ref())
            && self.session.is_on_other_line(&record.line)
    }

    /// Row 13, for NASes that do not count their delay: whether a Stop is that of the id's former subscriber, sent
    /// again when the id had been used anew.
    pub(super) fn is_stop_of_another(&self, record: &Record) -> bool {
        let began_before =
            self.started().is_some_and(|started| began(record).plus(UNDATED_START_DOUBT) < started);
        let lasted = record.session_time.is_some();
        self.is_elsewhere(record) || (lasted && began_before && !self.same_identity(record))
    }

    /// Whether a Start of a session that lives is no copy of its first one, for it comes long after that: the NAS uses the id
    /// again for the same subscriber, and what it sent before concerns the old session.
    pub(super) fn begins_again(&self, record: &Record) -> bool {
        let copied = |started: Timestamp| {
            let told = record.session_time.is_some() && began(record) <= started.plus(SAME_MOMENT);
            told || record.event.since(started) <= UNDATED_START_DOUBT
        };
        // Some send it again when the customer authenticates anew, before the address is known.
        !record.claims.is_empty()
            && record.event > self.last()
            && self.started().is_some_and(|started| !copied(started))
    }

    /// Whether a Start is a new session after one that stopped and was then heard once more, rather than its old Start.
    pub(super) fn is_followed_by(&self, record: &Record) -> bool {
        let later = record.event > self.last();
        let soon = record.event.since(self.last()) < UNDATED_START_DOUBT;
        later && self.has_stopped() && (record.dated || record.stop_start || !soon)
    }

    /// Whether its Stop was heard, and only what came after it makes us hesitate.
    pub(super) fn has_stopped(&self) -> bool {
        matches!(
            self.state(),
            State::Suspect { why: Suspicion::Revived | Suspicion::DoubtfulStart { .. }, .. }
        )
    }

    /// The NAS's counter for sessions in this state.
    pub(super) fn count_of(&self, state: State) -> &AtomicU64 {
        match state {
            State::Pending => &self.session.nas().pending,
            State::Active => &self.session.nas().active,
            State::Suspect { .. } => &self.session.nas().suspect,
        }
    }

    /// Event time of the newest record.
    pub(super) fn last(&self) -> Timestamp {
        self.session.seen()
    }

    pub(super) fn opened(&self) -> Timestamp {
        self.session.incarnation()
    }

    fn is_suspect(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| aside.suspect.is_some())
    }

    pub(super) fn is_active(&self) -> bool {
        !self.is_pending && !self.is_suspect()
    }

    pub(super) fn claim(&self, prefix: IpNet, ports: Ports) -> Option<&HeldClaim> {
        self.claims.iter().find(|claim| claim.prefix == prefix && claim.ports == ports)
    }

    /// The claim on a place in this session's realm.
    pub(super) fn claim_mut(&mut self, place: Place) -> Option<&mut HeldClaim> {
        self.claims.iter_mut().find(|claim| claim.prefix == place.prefix && claim.ports == place.ports)
    }

    /// Where a claim of this session lies.
    pub(super) fn place(&self, prefix: IpNet, ports: Ports) -> Place {
        Place::new(self.realm, prefix, ports)
    }

    /// Whether a record gives back something that the session has.
    pub(super) fn is_given_back(&self, claim: &HeldClaim, record: &Record) -> bool {
        if claim.hold == Hold::Left || claim.since > record.event {
            return false;
        }
        record.releases.iter().any(|release| match release {
            Release::Only(prefix, ports) => claim.prefix == *prefix && claim.ports == *ports,
            Release::All(source) => {
                let still = |asked: &Claim| asked.prefix == claim.prefix && asked.ports == claim.ports;
                claim.source == *source && !record.claims.iter().any(still)
            }
        })
    }

    /// Whether a record speaks of the same line and subscriber; what either side does not say does not differ.
    pub(super) fn same_identity(&self, record: &Record) -> bool {
        !differ(self.session.subscriber_octets(), record.subscriber.as_ref())
            && !self.session.is_on_other_line(&record.line)
    }

    /// Row 42: whether a record names a subscriber who is not the one known so far, or the first one.
    pub(super) fn is_named_anew(&self, record: &Record) -> bool {
        record.subscriber.is_some()
            && record.subscriber.as_ref().map(Name::octets) != self.session.subscriber_octets()
    }

    /// Whether a record's Acct-Session-Time can belong to this life: it only grows.
    pub(super) fn continues(&self, session_time: Option<u32>) -> bool {
        !matches!((session_time, self.session_time), (Some(now), Some(before)) if now < before)
    }

    /// When an interim update happened that came later than a younger one of the same life, where nothing but the session
    /// times tells so: it is not dated, and was sent again or is undelayed. `None`: it is in order, or of another life.
    pub(super) fn overtaken_at(&self, record: &Record) -> Option<Timestamp> {
        let (Some(now), Some(before)) = (record.session_time, self.session_time) else { return None };
        let younger = Duration::from_secs(before.checked_sub(now)?.into());
        // Nothing is on its way for longer: the counter began anew, or follows a clock that was set.
        if younger > OVERTAKEN_BY {
            return None;
        }
        let late = !record.dated && record.kind == Kind::Interim && record.event >= self.last();
        let mine = younger > Duration::ZERO && self.same_identity(record) && !self.is_begun_since(record);
        (late && mine).then(|| self.last().minus(younger))
    }

    /// Whether an interim update tells by its session time that it is of a life that began after this one was last heard. An
    /// undated one may have been on its way for as long as retransmissions last.
    pub(super) fn is_begun_since(&self, record: &Record) -> bool {
        let exact = record.dated || record.event.since(self.last()) >= UNDATED_START_DOUBT;
        record.session_time.is_some() && exact && began(record).plus(SAME_MOMENT) >= self.last()
    }

    /// What it is when nothing speaks against it.
    pub(super) fn settled(&self) -> State {
        if self.claims.is_empty() { State::Pending } else { State::Active }
    }

    /// Whether an On or Off speaks for this session: whatever attribute limits the scope must be the session's own.
    pub(super) fn in_scope(&self, scope: &Scope) -> bool {
        // A session that does not carry the NAS's name at all is still the NAS's; a port or station that it does not
        // carry is another part of the NAS.
        let name = match (&scope.nas_identifier, &self.scope.nas_identifier) {
            (Some(asked), Some(own)) => asked == own,
            _ => true,
        };
        name && (scope.called_station.is_none() || scope.called_station == self.scope.called_station)
            && (scope.nas_port.is_none() || scope.nas_port == self.nas_port)
            && (scope.context.is_none() || scope.context == self.scope.context)
    }

    /// The interval it reports at, from its own records or those of its NAS.
    pub(super) fn reports_every(&self) -> Option<Duration> {
        let own = self.interval.known().map(|seconds| Duration::from_secs(u64::from(seconds)));
        own.or(self.interval_of_nas())
    }

    /// How long without a record makes it overdue.
    pub(super) fn overdue_after(&self, rules: &Rules) -> Duration {
        let limit = span(rules.interim_overdue, self.reports_every().unwrap_or(INTERVAL_ASSUMED));
        match rules.interim_overdue {
            Span::Intervals { .. } => limit.max(OVERDUE_AT_LEAST),
            Span::Fixed(_) => limit,
        }
    }

    /// From when its silence counts: its last record, or the moment its NAS could be heard or is expected again.
    pub(super) fn silent_from(&self, nas: &NasState) -> Timestamp {
        self.last().max(nas.resumed).max(nas.shared.held_until())
    }

    /// When it must be looked at next.
    pub(super) fn deadline(&self, nas: &NasState, rules: &Rules) -> Timestamp {
        match self.state() {
            State::Suspect { close_at, .. } => close_at,
            State::Pending | State::Active => match self.reports_every() {
                Some(_) => self.silent_from(nas).plus(self.overdue_after(rules)),
                None => self.last().plus(rules.lifetime_without_interim).max(nas.shared.held_until()),
            },
        }
    }

    /// How long its tombstone stands.
    pub(super) fn tombstone_life(&self) -> Duration {
        let intervals = self.reports_every().map_or(Duration::ZERO, |interval| interval.saturating_mul(3));
        TOMBSTONE_AT_LEAST.max(intervals)
    }
}

/// A session that stopped: it must not be woken by what was sent before its Stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tombstone {
    /// Event time of the Stop, or of the NAS's restart.
    pub(super) stopped: Timestamp,
    /// When that reached us.
    pub(super) arrival: Timestamp,
    /// Acct-Session-Time of the Stop.
    pub(super) session_time: Option<u32>,
    /// The life that ended.
    pub(super) incarnation: Timestamp,
    /// Whether the session was known when it stopped, so that what it says of itself later was judged already.
    pub(super) known: bool,
    /// When it is forgotten.
    pub(super) until: Timestamp,
}

impl Tombstone {
    pub(super) const LIFE: Duration = TOMBSTONE_AT_LEAST;

    /// Whether an undated Start may be the old session's own, sent again by a NAS that does not count its delay: it can only
    /// while retransmissions of that one last.
    ///
    /// While we did not answer nothing was over: `resumed` is when we could again.
    pub(super) fn may_be_of(&self, record: &Record, resumed: Timestamp) -> bool {
        let began_is_told = self.known || self.session_time.is_some();
        let tried_since = self.incarnation.max(resumed);
        let long_gone = began_is_told && record.event.since(tried_since) >= UNDATED_START_DOUBT;
        record.arrival.since(self.arrival) < UNDATED_START_DOUBT && !long_gone
    }

    /// Whether a Stop is that of a later life under the id, of which nothing else was heard.
    pub(super) fn is_before(&self, record: &Record) -> bool {
        // Undated within moments it may be the same Stop again.
        let exact = record.dated || record.event.since(self.stopped) >= UNDATED_START_DOUBT;
        exact && record.session_time.is_some() && began(record).plus(SAME_MOMENT) >= self.stopped
    }

    /// What an interim update for a stopped session can be.
    pub(super) fn judge(&self, record: &Record) -> AfterStop {
        if record.event <= self.stopped {
            return AfterStop::Late;
        }
        // A session that began after the Stop is another one whose Start was lost. Only a dated record shows that
        // within seconds; an undated one may itself have been delayed by as long as retransmissions last. Once these are
        // over it says as much as a dated one. Were it measured by the old session's time only, the customer would be
        // kept out for as long as the old session had lasted.
        let exact = record.dated || record.arrival.since(self.arrival) >= UNDATED_START_DOUBT;
        let needed = match exact {
            true => self.stopped.minus(SAME_MOMENT),
            false => self.stopped.plus(UNDATED_START_DOUBT),
        };
        if record.session_time.is_some() && began(record) >= needed {
            return AfterStop::AnotherLife;
        }
        match (record.session_time, self.session_time) {
            (Some(now), Some(stopped)) if now <= stopped => AfterStop::Late,
            _ => AfterStop::Revived,
        }
    }
}

/// When the session of a record began, as far as the record tells. A session time beyond belief tells nothing.
pub(super) fn began(record: &Record) -> Timestamp {
    let told = record.session_time.map(|seconds| Duration::from_secs(seconds.into()));
    record.event.minus(told.filter(|time| *time <= SESSION_TIME_BELIEVED).unwrap_or_default())
}

/// What an interim update for a stopped session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterStop {
    /// Sent before the Stop, or no younger than it: nothing.
    Late,
    /// The same session, alive after its Stop.
    Revived,
    /// A later session under the same id.
    AnotherLife,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(gaps: &[u64]) -> Option<u32> {
        let mut interval = Interval::default();
        gaps.iter().for_each(|&gap| interval.learn(Duration::from_secs(gap)));
        interval.known()
    }

    #[test]
    fn an_interval_is_learned_when_two_gaps_agree() {
        assert_eq!(learned(&[600]), None);
        assert_eq!(learned(&[600, 601]), Some(601));
        assert_eq!(learned(&[120, 3480, 3600]), Some(3600));
        assert_eq!(learned(&[3, 600, 600]), Some(600));
    }

    #[test]
    fn an_announced_interval_is_not_unlearned() {
        let mut interval = Interval::default();
        interval.announce(300);
        interval.learn(Duration::from_secs(900));
        interval.learn(Duration::from_secs(900));
        assert_eq!(interval.known(), Some(300));
    }
}
