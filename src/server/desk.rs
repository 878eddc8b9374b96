//! Answers mail servers: a ruling becomes the words of their protocol, and a message becomes an entry.
//!
//! Knows: which state of which profile gets which answer (the tables of the operator's contract). Must not know:
//! framing, sockets, how a ruling is found, or what limits say of it (`desk/limits.rs`).

mod beside;
mod limits;
mod milter;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::attempts::Gathering;
use super::health::Health;
use super::inbox::Inbox;
use super::mta::{Desk, Peer};
use super::scales::{Scales, reason};
use super::scanning::Scanning;
use super::seats::{Seat, Seats};
use super::secret_key::SecretKey;
use crate::clock;
use crate::config::Config;
use crate::log::entry::Entry;
use crate::mta::milter::{Ended, Heard, Terms};
use crate::mta::policy::{Action, Context};
use crate::mta::socketmap::{Key, Map, Reply};
use crate::mta::{policy, socketmap};
use crate::relay::attempts::{Reference, Tried};
use crate::relay::attribution::{Attribution, Attributions};
use crate::relay::message::{Message, Owner};
use crate::relay::reserved;
use crate::relay::ruling::{Client, Ruling, decide, rule};
use crate::relay::standing::Subject;
use crate::relay::verdict::{Reason, Verdict};
use crate::relay::written::Noted;
use crate::relay::{Profile, Query, Stage};
use crate::session::bindings::{Doubt, Lookup};
use crate::session::{Name, Timestamp};
use crate::views::Shared;

/// How long the end of a message waits for its entry to be durable. Less than the five seconds of our Postfix snippet,
/// so that the MTA hears from us rather than from its own default.
const COMMIT_WITHIN: Duration = Duration::from_millis(3500);

/// How often each reason was given, by protocol.
#[derive(Debug)]
pub struct Counters {
    socketmap: Vec<AtomicU64>,
    policy: Vec<AtomicU64>,
    /// Inbound mail that belongs to no subscriber.
    pub inbound: AtomicU64,
    /// Messages that could not be recorded in time.
    pub unrecorded: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        let zeros = || Reason::ALL.iter().map(|_| AtomicU64::new(0)).collect();
        let (inbound, unrecorded) = (AtomicU64::new(0), AtomicU64::new(0));
        Counters { socketmap: zeros(), policy: zeros(), inbound, unrecorded }
    }
}

impl Counters {
    fn count(counters: &[AtomicU64], reason: Reason) {
        let place = Reason::ALL.iter().position(|each| *each == reason);
        if let Some(counter) = place.and_then(|place| counters.get(place)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reason, socketmap answers, policy answers.
    pub fn read(&self) -> impl Iterator<Item = (Reason, u64, u64)> + '_ {
        let counts = self.socketmap.iter().zip(&self.policy);
        Reason::ALL.iter().zip(counts).map(|(reason, (socketmap, policy))| {
            (*reason, socketmap.load(Ordering::Relaxed), policy.load(Ordering::Relaxed))
        })
    }
}

/// The desk where mail servers ask.
pub struct MailDesk {
    /// Reloaded as a whole.
    pub config: Arc<ArcSwap<Config>>,
    /// What may be read.
    pub shared: Arc<Shared>,
    /// Where entries go.
    pub inbox: Arc<Inbox>,
    /// Whether we know enough to answer.
    pub health: Arc<Health>,
    /// Recipient hashes and tokens.
    pub key: Arc<SecretKey>,
    /// What was ruled for messages under way.
    pub attributions: Mutex<Attributions>,
    /// What was not let go.
    pub attempts: Arc<Gathering>,
    /// Limits, and what is under way.
    pub scales: Arc<Scales>,
    /// What scanners find.
    pub scanning: Arc<Scanning>,
    /// SMTP sessions that are open.
    pub seats: Arc<Seats>,
    /// For the metrics.
    pub counters: Arc<Counters>,
}

impl Desk for MailDesk {
    fn socketmap(&self, peer: &Peer, request: &socketmap::Request) -> Reply {
        let Key { address, port } = request.key;
        let config = self.config.load();
        if request.map == Map::Unknown {
            let unknown = Reply::Temp("no such map: relay, access or subscriber");
            return if config.relay.observe { Reply::NotFound } else { unknown };
        }
        // A key that is no address is a host name that its owner chose: it decides nothing.
        let Some(address) = address else { return Reply::NotFound };
        let now = clock::now();
        if !self.health.is_ready() {
            return if config.relay.observe { Reply::NotFound } else { Reply::Temp("starting") };
        }
        if request.map == Map::Subscriber {
            let realm = self.shared.map.realm(peer.realm.as_ref());
            return match self.shared.map.lookup(realm, address, port, now) {
                _ if config.relay.observe => Reply::NotFound,
                Lookup::Found(found) => found.subscriber().map_or(Reply::NotFound, |name| found_as(&name)),
                Lookup::Absent if self.health.is_blind(now) => Reply::Temp(Reason::FeedBlocked.word()),
                Lookup::Absent => Reply::NotFound,
                Lookup::Ambiguous(_) => Reply::Temp("conflict"),
                Lookup::Unready(Doubt::PortRequired, _) => Reply::Temp(Reason::PortRequired.word()),
                Lookup::Unready(..) => Reply::Temp("not known at the moment"),
            };
        }
        let client = Client {
            realm: self.shared.map.realm(peer.realm.as_ref()),
            address: Some(address),
            port,
            login: None,
            profile: Profile::Relay,
            logins_relay: false,
            blind: self.health.is_blind(now),
        };
        let decision = decide(&self.shared.map, &self.shared.standing.load(), client, now);
        Counters::count(&self.counters.socketmap, decision.reason);
        match (decision.verdict(), request.map) {
            _ if config.relay.observe => Reply::NotFound,
            (Verdict::Permit, Map::Access) => Reply::Ok(Bytes::from_static(b"OK")),
            (Verdict::Permit, _) => decision.subscriber().map_or(Reply::NotFound, |name| found_as(&name)),
            (Verdict::Refuse, _) => Reply::NotFound,
            (Verdict::Defer, _) => Reply::Temp(decision.reason.word()),
        }
    }

    async fn policy(&self, peer: &Peer, request: policy::Request) -> Action {
        let config = self.config.load_full();
        let observe = config.relay.observe;
        let action = match &request.context {
            Context::Unknown(word) => {
                let word = Name::new(word);
                tracing::warn!(mta = %peer.mta, policy_context = %word, "no such profile: relay, submission or mx");
                Action::Misconfigured451 {
                    text: Cow::Borrowed("policy_context is none of relay, submission, mx"),
                }
            }
            Context::Known(_) => self.answer(peer, &request.query, &config, Follows::Rule).await,
        };
        // Observed, nothing is permitted nor refused by us: the operator's own rule decides.
        if observe { Action::Dunno } else { action }
    }

    fn milter_terms(&self) -> Terms {
        self.terms()
    }

    fn milter_heard(&self, peer: &Peer, seat: &mut Option<Seat>, heard: Heard) {
        self.heard_by_milter(peer, seat, heard);
    }

    async fn milter_recipient(&self, peer: &Peer, query: Query) -> Action {
        self.recipient_of_milter(peer, query).await
    }

    async fn milter_end(&self, peer: &Peer, ended: Ended) -> Action {
        self.end_of_milter(peer, ended).await
    }
}

/// What the MTA does about whoever is not permitted and not refused by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    /// A rule of the operator's refuses.
    Rule,
    /// Nothing does.
    Nothing,
}

impl MailDesk {
    async fn answer(&self, peer: &Peer, query: &Query, config: &Config, follows: Follows) -> Action {
        if query.stage == Stage::Other {
            return Action::Dunno;
        }
        let now = clock::now();
        let ruling = self.ruled(peer, query, config, now);
        match query.stage {
            Stage::Rcpt => {
                if let Some(exceeded) = self.too_many(peer, query, &ruling, config, now) {
                    return self.over_limit(peer, query, ruling, &exceeded, config, now);
                }
                Counters::count(&self.counters.policy, ruling.reason);
                self.note(peer, query, &ruling, now);
                let reference = self.attempted(peer, query, &ruling, config.relay.observe, now);
                spoken(&ruling, query.profile, config, reference, follows)
            }
            Stage::Data => self.header(peer, query, config),
            Stage::EndOfMessage => self.end_of_message(peer, query, ruling, config, follows, now).await,
            Stage::Other => Action::Dunno,
        }
    }

    /// What holds for whoever sends.
    fn ruled(&self, peer: &Peer, query: &Query, config: &Config, now: Timestamp) -> Ruling {
        if !self.health.is_ready() {
            return Ruling { reason: Reason::Starting, owners: Vec::new(), suspension: None };
        }
        let login = query.login.as_deref().map(Name::new);
        let client = Client {
            realm: self.shared.map.realm(peer.realm.as_ref()),
            address: query.address,
            port: query.port,
            login: login.as_ref(),
            profile: query.profile,
            logins_relay: config.relay.permit_authenticated,
            blind: self.health.is_blind(now),
        };
        let standing = self.shared.standing.load();
        let ruling = rule(&self.shared.map, &standing, client, now);
        let beside = MailDesk::beside(query, &ruling, config);
        ruling.beside(&standing, &beside, now)
    }

    /// Mail that is nobody's of ours is not kept in mind: a flood of it must not push out what is.
    fn note(&self, peer: &Peer, query: &Query, ruling: &Ruling, now: Timestamp) {
        if ruling.owners.is_empty() && query.login.is_none() {
            return;
        }
        let recipient = (!query.recipient.is_empty())
            .then(|| (domain_of(&query.recipient), self.key.recipient(&query.recipient)));
        self.attributions().note(&peer.mta, &Name::new(&query.instance), ruling, recipient, now);
    }

    /// Notes what is not let go, and says what it is called. On `mx` whoever is not suspended passes, so there it is none.
    fn attempted(
        &self,
        peer: &Peer,
        query: &Query,
        ruling: &Ruling,
        observed: bool,
        at: Timestamp,
    ) -> Option<Reference> {
        let holds = matches!(
            ruling.reason,
            Reason::Suspended | Reason::Limited | Reason::TooLarge | Reason::RecipientRefused
        );
        let passes = query.profile == Profile::Mx && !holds;
        if passes || ruling.verdict() == Verdict::Permit {
            return None;
        }
        let recipient_domain = domain_of(&query.recipient);
        let tried = Tried {
            at,
            mta: &peer.mta,
            profile: query.profile,
            address: query.address,
            port: query.port,
            login: query.login.as_deref(),
            helo: &query.helo,
            sender: &query.sender,
            recipient_domain: recipient_domain.octets(),
            ruling,
            observed,
        };
        Some(self.attempts.note(&tried, &self.key))
    }

    /// One header per message: at RCPT there would be one per recipient, at its end Postfix takes none.
    fn header(&self, peer: &Peer, query: &Query, config: &Config) -> Action {
        let Some(header) = config.policy.header.clone() else { return Action::Dunno };
        let instance = Name::new(&query.instance);
        let permitted = self
            .attributions()
            .recall(&peer.mta, &instance)
            .is_some_and(|known| known.ruling.verdict() == Verdict::Permit);
        if !permitted {
            return Action::Dunno;
        }
        let value = self.key.token(&peer.mta, &instance).to_string();
        Action::Prepend { header, value }
    }

    async fn end_of_message(
        &self,
        peer: &Peer,
        query: &Query,
        ruling: Ruling,
        config: &Config,
        follows: Follows,
        now: Timestamp,
    ) -> Action {
        let known = self.attributions().recall(&peer.mta, &Name::new(&query.instance)).cloned();
        let ruling = settle(known.as_ref(), ruling);
        let nobodys = ruling.owners.is_empty() && query.login.is_none();
        if query.profile == Profile::Mx && nobodys {
            self.counters.inbound.fetch_add(1, Ordering::Relaxed);
            return Action::Dunno;
        }
        let action = match spoken(&ruling, query.profile, config, None, follows) {
            Action::Ok => Action::Dunno,
            other => other,
        };
        let instance = Name::new(&query.instance);
        let message = reserved::Message { mta: &peer.mta, instance: &instance };
        let payers = self.payers_of(peer, query, &ruling, config, now);
        if action != Action::Dunno && !config.relay.observe {
            self.give_back(&payers, &self.held(peer, query, known.as_ref(), config, now), message, false);
            Counters::count(&self.counters.policy, ruling.reason);
            let reference = self.attempted(peer, query, &ruling, false, now);
            return spoken(&ruling, query.profile, config, reference, follows);
        }
        if let Some(exceeded) = self.too_much(query, &ruling, &payers, message, config, now) {
            if exceeded.limit.enforced && !config.relay.observe {
                return self.over_limit(peer, query, ruling, &exceeded, config, now);
            }
            let would = Ruling { reason: reason(&exceeded), ..ruling.clone() };
            self.attempted(peer, query, &would, true, now);
        }
        let owners = ruling.owners.clone();
        let changed_hands = known.as_ref().filter(|_| ruling.reason == Reason::ChangedHands).cloned();
        // By the rules of this moment: what counts must not change with them.
        let beside = MailDesk::beside(query, &ruling, config);
        let written = self.message(peer, query, known, ruling, config, now);
        let recorded = self.record(written, beside, !config.milter.listeners.listen.is_empty()).await;
        let held = self.held(peer, query, changed_hands.as_ref(), config, now);
        self.give_back(&payers, &held, message, recorded);
        if recorded {
            return action;
        }
        self.counters.unrecorded.fetch_add(1, Ordering::Relaxed);
        if config.relay.permit_unrecorded {
            return action;
        }
        Counters::count(&self.counters.policy, Reason::Unrecorded);
        let ruling = Ruling { reason: Reason::Unrecorded, owners, suspension: None };
        let reference = self.attempted(peer, query, &ruling, config.relay.observe, now);
        Action::Defer451 { text: referred(Reason::Unrecorded.text(), reference) }
    }

    /// Whether the message is durable now; one that a milter client may ask about is known from then on. One that is not
    /// durable, after all this time, is not written down later either unless its commit has begun: the engine passes over
    /// entries whose asker is gone. Then, and only then, a message that was deferred is written as well, and its next
    /// attempt once more.
    async fn record(&self, message: Message, beside: Vec<Subject>, is_asked_about: bool) -> bool {
        if self.health.is_blind(clock::now()) {
            return false;
        }
        // Only a milter client speaks of it so soon that the index may not have it yet.
        let noted = is_asked_about.then(|| Noted::of(&message));
        let entry = match beside.is_empty() {
            true => Entry::Message(Box::new(message)),
            false => Entry::SentFor(Box::new(message), beside),
        };
        let Some(done) = self.inbox.submit(entry) else { return false };
        let durable = matches!(tokio::time::timeout(COMMIT_WITHIN, done).await, Ok(Ok(_)));
        if let Some(noted) = noted.filter(|_| durable) {
            self.scanning.note(noted);
        }
        durable
    }

    fn message(
        &self,
        peer: &Peer,
        query: &Query,
        known: Option<Attribution>,
        ruling: Ruling,
        config: &Config,
        at: Timestamp,
    ) -> Message {
        let (mut domains, mut hashes) =
            known.map_or((Vec::new(), Vec::new()), |known| (known.domains, known.hashes));
        if hashes.is_empty() && !query.recipient.is_empty() {
            domains.push(domain_of(&query.recipient));
            hashes.push(self.key.recipient(&query.recipient));
        }
        let instance = Name::new(&query.instance);
        let tokened =
            config.policy.header.is_some() && ruling.verdict() == Verdict::Permit && !config.relay.observe;
        Message {
            at,
            mta: peer.mta.clone(),
            profile: query.profile,
            queue_id: Name::new(&query.queue_id),
            token: tokened.then(|| self.key.token(&peer.mta, &instance)),
            instance,
            owners: ruling.owners,
            address: query.address,
            port: query.port,
            login: query.login.as_deref().map(Name::new),
            helo: Name::new(&query.helo),
            sender: Name::new(&query.sender),
            recipient_count: query.recipient_count,
            recipient_domains: domains,
            recipient_hashes: hashes,
            size: query.size,
            reason: ruling.reason,
            observed: config.relay.observe,
            message_id: None,
        }
    }

    fn attributions(&self) -> std::sync::MutexGuard<'_, Attributions> {
        self.attributions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose a message is at its end: the session that was permitted at RCPT. If another subscriber has the address by
/// now, both may have sent it, and nobody is accused.
fn settle(known: Option<&Attribution>, now: Ruling) -> Ruling {
    let Some(Attribution { ruling: then, .. }) = known else { return now };
    if then.verdict() != Verdict::Permit || now.reason == Reason::Suspended {
        return now;
    }
    let newcomers: Vec<Owner> = now
        .owners
        .into_iter()
        .filter(|owner| !then.owners.iter().any(|known| same_person(known, owner)))
        .collect();
    if newcomers.is_empty() || then.reason == Reason::Login {
        return then.clone();
    }
    let owners = then.owners.iter().cloned().chain(newcomers).collect();
    Ruling { reason: Reason::ChangedHands, owners, suspension: None }
}

fn same_person(a: &Owner, b: &Owner) -> bool {
    match (&a.subscriber, &b.subscriber) {
        (Some(a), Some(b)) => a == b,
        _ => a.session.is_some() && a.session == b.session,
    }
}

/// A ruling in the words of a policy answer. On `mx`, whoever is not suspended passes untouched: it is no relay, and
/// inbound mail must flow whatever state we are in.
fn spoken(
    ruling: &Ruling,
    profile: Profile,
    config: &Config,
    reference: Option<Reference>,
    follows: Follows,
) -> Action {
    match (ruling.verdict(), profile) {
        _ if ruling.reason == Reason::Suspended => {
            Action::Reject550 { text: referred(&suspended(ruling, config), reference) }
        }
        (_, Profile::Mx) => Action::Dunno,
        (Verdict::Refuse, _) if follows == Follows::Nothing => {
            Action::Refuse554 { text: referred(ruling.reason.text(), reference) }
        }
        (Verdict::Refuse, _) => Action::Dunno,
        (Verdict::Permit, _) => Action::Ok,
        (Verdict::Defer, _) => Action::Defer451 { text: referred(ruling.reason.text(), reference) },
    }
}

fn suspended(ruling: &Ruling, config: &Config) -> String {
    let number = ruling.suspension.unwrap_or_default();
    let contact = config.policy.contact.as_deref().map_or(String::new(), |contact| format!(", {contact}"));
    format!("{} (reference {number}{contact})", Reason::Suspended.text())
}

/// A text that ends with what the attempt is called: the sender's help desk finds it by that.
fn referred(text: &str, reference: Option<Reference>) -> Cow<'static, str> {
    Cow::Owned(match reference {
        Some(reference) => format!("{text} (ref {reference})"),
        None => text.to_owned(),
    })
}

fn found_as(subscriber: &Name) -> Reply {
    Reply::Ok(Bytes::from(subscriber.to_string()))
}

fn domain_of(recipient: &[u8]) -> Name {
    let domain = recipient.iter().rposition(|&octet| octet == b'@').and_then(|at| recipient.get(at + 1..));
    Name::new(&domain.unwrap_or_default().to_ascii_lowercase())
}
