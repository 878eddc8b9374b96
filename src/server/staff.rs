//! Answers staff: the live map, the past and standing in the words of the API.
//!
//! Knows: which view answers which question, and how its values are spelled in the API. Must not know: HTTP, paths,
//! or tables.

mod cases;
mod complaints;
mod known;
mod numbers;
mod report;
mod reputation;
mod rows;
mod scanned;
mod subjects;
mod top;
mod window;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::tz::TimeZone;

use self::rows::{answer, kept, living, spelled, story_row};
use self::window::Window;
use super::attempts::Gathering;
use super::health::Health as Wellbeing;
use super::http::api::{
    Candidate, Instruction, LineRow, MessageRow, SessionRow, StoryRow, SuspensionRow, Who, rfc3339,
};
use super::http::attempts::AttemptRow;
use super::http::auth;
use super::http::coverage::{CoverageRow, GapRow};
use super::http::import::{Chunk, ImportAnswer};
use super::http::maillog::MailChunk;
use super::http::nas::{HoldOrder, NasRow};
use super::http::permitted::Permitted;
use super::http::questions::{ChainRow, QuestionRow};
use super::http::reputation::ReputationRow;
use super::http::scanned::{ScannedRow, VerdictBody, VerdictRow};
use super::http::top::{TopFilter, TopRow};
use super::http::usage::{Lately, UsageRow};
use super::http::{Health, OrderError, Ordered, Staff, Trouble};
use super::import::{self, Judged, NoSuchClient};
use super::inbox::{Import, Inbox};
use super::notices::Notices;
use super::reached::Reached;
use super::scales::Scales;
use super::scanning::Scanning;
use super::seats::Seats;
use super::secret_key::SecretKey;
use super::{coa, desk, detail, dnsbl, engine, feed_health, maillog, mta, radius, rules};
use crate::access::Asker;
use crate::access::preservation::{PreservationOrder, Preservations};
use crate::access::question::{Asked, Reply};
use crate::access::token::{TokenOrder, Tokens};
use crate::audit::AuditError;
use crate::audit::asked::AskedFilter;
use crate::audit::past::Past;
use crate::audit::rows::{
    self as past, AttemptFilter, Confidence, Listed, MessageFilter, SessionFilter, StoryFilter,
};
use crate::clock;
use crate::config::Config;
use crate::log::entry::Entry;
use crate::relay::Profile;
use crate::relay::message::Message;
use crate::relay::permitted::permitted;
use crate::relay::ruling::{Client, Ruling, rule};
use crate::relay::standing::{Command, Order, Subject};
use crate::relay::verdict::Reason;
use crate::session::bindings::{Doubt, Found, Lookup, Session};
use crate::session::event::{NasHold, Record};
use crate::session::{Name, Place, Realm, SessionKey, Timestamp};
use crate::views::Shared;

/// How long staff waits for an order or a question to be durable.
const COMMIT_WITHIN: Duration = Duration::from_secs(10);
/// How long a question about the past waits for the index to have what is committed.
const INDEX_WITHIN: Duration = Duration::from_secs(5);

/// So many entries may be committed and not indexed before more rows of a file are taken.
const IMPORT_AHEAD_MAX: u64 = 20_000;

/// Everything that staff's answers are made of.
pub struct StaffDesk {
    /// Reloaded as a whole.
    pub config: Arc<ArcSwap<Config>>,
    /// The present.
    pub shared: Arc<Shared>,
    /// The past.
    pub past: Arc<OnceLock<Past>>,
    /// How far the past is filled.
    pub reached: Arc<Reached>,
    /// Where orders and questions go.
    pub inbox: Arc<Inbox>,
    /// What is well.
    pub health: Arc<Wellbeing>,
    /// The feed: clocks by NAS.
    pub radius: Arc<radius::Running>,
    /// The feed through files.
    pub details: Arc<detail::Running>,
    /// Numbers for the metrics.
    pub counters: Counters,
    /// Recipient hashes.
    pub key: Arc<SecretKey>,
    /// What became of rows of files.
    pub imported: import::Counters,
    /// What was not let go, and is not written down yet.
    pub attempts: Arc<Gathering>,
    /// Limits, and what is under way.
    pub scales: Arc<Scales>,
    /// What scanners find.
    pub scanning: Arc<Scanning>,
    /// SMTP sessions that are open.
    pub seats: Arc<Seats>,
    /// Which of our own addresses are on which block list.
    pub reputation: Arc<dnsbl::Board>,
    /// Who is told what happens.
    pub notices: Arc<Notices>,
}

/// Everybody's counters.
#[derive(Clone, Default)]
pub struct Counters {
    /// RADIUS.
    pub radius: Arc<radius::counters::Counters>,
    /// MTA connections.
    pub mta: Arc<mta::Counters>,
    /// Answers to MTAs.
    pub desk: Arc<desk::Counters>,
    /// Commits.
    pub engine: Arc<engine::Counters>,
    /// Who came in, and who did not.
    pub gate: Arc<auth::Counters>,
    /// What rules did.
    pub rules: Arc<rules::Counters>,
    /// What NASes were asked and said.
    pub coa: Arc<coa::Counters>,
}

impl Staff for StaffDesk {
    /// While the log is being read no name means anything yet; the answer then is that we are starting.
    fn realm(&self, name: &Name) -> Option<Realm> {
        let realm = self.shared.map.realm(Some(name));
        (realm != Realm::NOWHERE || !self.health.is_ready()).then_some(realm)
    }

    fn realm_of(&self, address: IpAddr) -> Option<Realm> {
        self.space_of(address)
    }

    fn lookup(&self, realm: Realm, address: IpAddr, port: Option<u16>) -> Who {
        let now = clock::now();
        let mut who = Who {
            address: Some(address.to_string()),
            port,
            at: rfc3339(now).unwrap_or_default(),
            ..Who::default()
        };
        let ruling = self.ruling(realm, address, port, now);
        who.verdict = Some(ruling.verdict().word().to_owned());
        who.reason = Some(ruling.reason.word().to_owned());
        let blind = self.health.is_blind(now);
        let (confidence, found) = match self.shared.map.lookup(realm, address, port, now) {
            _ if !self.health.is_ready() => (Confidence::Unknown, Vec::new()),
            // What is known from before we lost sight of its NAS is as old as its last interim update.
            Lookup::Found(found)
                if blind || found.session.as_ref().is_some_and(|session| session.is_stale()) =>
            {
                (Confidence::UntilLastInterim, vec![found])
            }
            Lookup::Found(found) => (Confidence::Exact, vec![found]),
            Lookup::Absent if blind => (Confidence::Unknown, Vec::new()),
            Lookup::Absent => (Confidence::Exact, Vec::new()),
            Lookup::Ambiguous(all) => (Confidence::Ambiguous, all),
            Lookup::Unready(Doubt::Suspect, Some(found)) => (Confidence::UntilLastInterim, vec![found]),
            Lookup::Unready(Doubt::PortRequired, _) => {
                let candidates = self.sharers(realm, address, now);
                let nobody = candidates.is_empty();
                let confidence = if nobody { Confidence::Unknown } else { Confidence::Ambiguous };
                return answer(who, candidates, confidence);
            }
            Lookup::Unready(..) => (Confidence::Unknown, Vec::new()),
        };
        let ports = |found: &Found| {
            let session = found.session.as_ref().map(Session::key);
            // A static prefix is somebody's with all its ports.
            let whole = session.is_none() && found.prefix.contains(&address);
            self.shared.map.block_around(realm, address, port.filter(|_| !whole)?, session.as_ref())
        };
        let candidates = found.iter().map(|found| living(found, ports(found))).collect();
        answer(who, candidates, confidence)
    }

    async fn owner(
        &self,
        realm: Realm,
        address: IpAddr,
        port: Option<u16>,
        at: Timestamp,
    ) -> Result<Who, Trouble> {
        let asked = Who {
            address: Some(address.to_string()),
            port,
            at: rfc3339(at).unwrap_or_default(),
            ..Who::default()
        };
        // Whoever has the address now need not have it then.
        if at > clock::now() {
            let because = Some("this moment is yet to come".to_owned());
            return Ok(answer(Who { because, ..asked }, Vec::new(), Confidence::Unknown));
        }
        let known = self.known().await;
        let past = Arc::clone(&self.past);
        let shared = Arc::clone(&self.shared);
        let owner =
            blocking(move || opened(&past)?.owner(realm, address, port, at, &known.last_seen(&shared)))
                .await?;
        Ok(self.as_known(asked, owner, at, known))
    }

    async fn owner_within(
        &self,
        realm: Realm,
        address: IpAddr,
        port: Option<u16>,
        at: Timestamp,
        within: Duration,
    ) -> Result<Who, Trouble> {
        let asked = Who {
            address: Some(address.to_string()),
            port,
            at: rfc3339(at).unwrap_or_default(),
            within_seconds: Some(within.as_secs()),
            ..Who::default()
        };
        let (since, until) = (at.minus(within), at.plus(within).min(clock::now()));
        if since > until {
            let because = Some("these moments are yet to come".to_owned());
            return Ok(answer(Who { because, ..asked }, Vec::new(), Confidence::Unknown));
        }
        let known = self.known().await;
        let past = Arc::clone(&self.past);
        let shared = Arc::clone(&self.shared);
        let owner = blocking(move || {
            let seen = known.last_seen(&shared);
            Window { realm, address, port, since, until }.owners(opened(&past)?, &seen)
        })
        .await?;
        Ok(self.as_known(asked, owner, until, known))
    }

    async fn by_token(&self, token: &Name) -> Result<Vec<MessageRow>, Trouble> {
        let filter = MessageFilter { token: Some(token.clone()), limit: 100, ..MessageFilter::default() };
        self.messages_by(filter).await
    }

    async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRow>, Trouble> {
        self.indexed().await;
        let subscriber = filter.subscriber.as_ref().map(|name| self.canonical(name));
        let filter = SessionFilter { subscriber, ..filter.clone() };
        let past = Arc::clone(&self.past);
        let rows = blocking(move || opened(&past)?.sessions(&filter)).await?;
        Ok(rows.into_iter().map(|row| self.session_row(row)).collect())
    }

    async fn explain(&self, filter: &StoryFilter) -> Result<Vec<StoryRow>, Trouble> {
        self.indexed().await;
        let (past, filter) = (Arc::clone(&self.past), filter.clone());
        let rows = blocking(move || opened(&past)?.story(&filter)).await?;
        Ok(rows.into_iter().map(story_row).collect())
    }

    fn recipient(&self, recipient: &Name) -> u64 {
        self.key.recipient(recipient.octets())
    }

    async fn messages(&self, filter: &MessageFilter) -> Result<Vec<MessageRow>, Trouble> {
        let subscriber = filter.subscriber.as_ref().map(|name| self.canonical(name));
        let filter = MessageFilter { subscriber, ..filter.clone() };
        self.messages_by(filter).await
    }

    async fn top(&self, filter: &TopFilter) -> Result<Vec<TopRow>, Trouble> {
        self.indexed().await;
        let (past, filter) = (Arc::clone(&self.past), *filter);
        blocking(move || top::top(opened(&past)?, &filter)).await
    }

    async fn minutes(
        &self,
        subscriber: &Name,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<(Timestamp, past::Sum)>, Trouble> {
        self.indexed().await;
        let subject = Subject::Subscriber(self.canonical(subscriber));
        let past = Arc::clone(&self.past);
        blocking(move || opened(&past)?.minutes(&subject, since, until)).await
    }

    fn zone(&self) -> TimeZone {
        self.config.load().http.zone.clone().unwrap_or_else(TimeZone::system)
    }

    async fn coverage(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<CoverageRow, Trouble> {
        self.indexed().await;
        let past = Arc::clone(&self.past);
        let (since, until) =
            (since.unwrap_or(Timestamp::EARLIEST), until.unwrap_or(Timestamp::from_millis(i64::MAX)));
        let known = move || {
            let past = opened(&past)?;
            Ok((past.known_from()?, past.gaps(since, until)?))
        };
        let ((known_from, lost_from), gaps) = blocking(known).await?;
        let gap = |(since, until)| Some(GapRow { since: rfc3339(since), until: rfc3339(until)? });
        Ok(CoverageRow {
            retention: self.config.load().retention.into(),
            known_from: known_from.and_then(rfc3339),
            lost_from: lost_from.and_then(rfc3339),
            gaps: gaps.into_iter().filter_map(gap).collect(),
        })
    }

    async fn scanned(&self, filter: &past::ScannedFilter) -> Result<Vec<ScannedRow>, Trouble> {
        self.found_in(filter).await
    }

    async fn verdict(&self, told: VerdictBody) -> Result<VerdictRow, Trouble> {
        self.take_verdict(told).await
    }

    async fn attempts(&self, filter: &AttemptFilter) -> Result<Vec<AttemptRow>, Trouble> {
        let subscriber = filter.subscriber.as_ref().map(|name| self.canonical(name));
        let filter = AttemptFilter { subscriber, ..filter.clone() };
        // Whoever calls the help desk at once asks about a minute that is not over.
        let mut found = self.attempts.gathered(&filter);
        found.sort_by_key(|attempt| std::cmp::Reverse((attempt.first, attempt.reference)));
        let known: HashSet<_> = found.iter().map(|attempt| (attempt.reference, attempt.first)).collect();
        self.indexed().await;
        let (past, limit) = (Arc::clone(&self.past), filter.limit);
        let written = blocking(move || opened(&past)?.attempts(&filter)).await?;
        // Handed over meanwhile, it is in both.
        found.extend(
            written.into_iter().filter(|attempt| !known.contains(&(attempt.reference, attempt.first))),
        );
        found.sort_by_key(|attempt| std::cmp::Reverse(attempt.first));
        found.truncate(limit);
        Ok(found.iter().map(AttemptRow::from).collect())
    }

    fn nas(&self) -> Vec<NasRow> {
        feed_health::rows(&self.shared.map, &self.radius, &self.config.load(), clock::now())
    }

    fn reputation(&self) -> Vec<ReputationRow> {
        reputation::rows(&self.reputation.listings(), &self.shared.cases())
    }

    async fn permitted(&self) -> Result<Permitted, Trouble> {
        if !self.health.is_ready() {
            return Err(Trouble::NotReady);
        }
        let at = clock::now();
        let (blind, observed) = (self.health.is_blind(at), self.config.load().relay.observe);
        let shared = Arc::clone(&self.shared);
        // A million addresses take a second: off the threads that serve connections.
        let prefixes = tokio::task::spawn_blocking(move || {
            permitted(&shared.map, &shared.standing.load(), Realm::PUBLIC, blind, at)
        });
        let prefixes = prefixes.await.map_err(|_| Trouble::Storage)?;
        Ok(Permitted { at, observed, prefixes })
    }

    async fn import(&self, chunk: Chunk) -> Result<ImportAnswer, Trouble> {
        if !self.health.is_ready() {
            return Err(Trouble::NotReady);
        }
        let now = clock::now();
        if !chunk.dry_run {
            if self.health.is_blind(now) {
                return Err(Trouble::Unrecorded);
            }
            if !self.has_kept_up().await {
                return Err(Trouble::Behind);
            }
        }
        let judged = import::judge(&chunk, &self.config.load_full(), now);
        let Judged { records, rows } = judged.map_err(|NoSuchClient| Trouble::NoSuchClient)?;
        if chunk.dry_run || records.is_empty() {
            if !chunk.dry_run {
                self.imported.count(&rows);
            }
            return Ok(ImportAnswer { reference: 0, rows });
        }
        let (by, what) = (chunk.by.clone(), import::spelled(&chunk));
        let reference = self.take_import(by, what, rows.len(), records, Vec::new()).await?;
        self.imported.count(&rows);
        Ok(ImportAnswer { reference, rows })
    }

    async fn import_mail(&self, chunk: MailChunk) -> Result<ImportAnswer, Trouble> {
        let now = clock::now();
        if !self.health.is_ready() {
            return Err(Trouble::NotReady);
        }
        if self.health.is_blind(now) {
            return Err(Trouble::Unrecorded);
        }
        // What the chunk before brought must be found, or it would be taken twice.
        if !self.indexed().await {
            return Err(Trouble::Behind);
        }
        let (past, shared, config) =
            (Arc::clone(&self.past), Arc::clone(&self.shared), self.config.load_full());
        let (by, what, dry_run) = (chunk.by.clone(), maillog::spelled(&chunk), chunk.dry_run);
        let judged = blocking(move || {
            let seen = |key: &SessionKey, place: Place| {
                let holder = shared.map.holder(place, key)?;
                let known = holder.is_believed() && !holder.session.is_stale();
                Some(if known { now } else { holder.session.seen() })
            };
            let realm = |mta: &Name| shared.map.realm(maillog::vrf(&config, mta).as_ref());
            maillog::judge(&chunk, &realm, opened(&past)?, &seen, now)
        });
        let maillog::Judged { messages, rows } = judged.await?;
        if dry_run || messages.is_empty() {
            if !dry_run {
                self.imported.count(&rows);
            }
            return Ok(ImportAnswer { reference: 0, rows });
        }
        let reference = self.take_import(by, what, rows.len(), Vec::new(), messages).await?;
        self.imported.count(&rows);
        Ok(ImportAnswer { reference, rows })
    }

    fn usage(&self, subject: Subject) -> Vec<UsageRow> {
        let subject = self.kept_subject(subject);
        let now = clock::now();
        let limited = self.shared.standing.load().limited(&subject, now).is_some();
        let lately = Lately {
            usage: self.shared.usages.of(&subject),
            usages: &self.shared.usages,
            unwritten: self.attempts.refused(&subject),
            connections: self.seats.count(&subject),
            subject: &subject,
            now,
        };
        UsageRow::of(&self.config.load().limits, &subject, limited, &lately)
    }

    fn lost(&self, listed: Listed, since: Option<Timestamp>, until: Option<Timestamp>) -> Option<Timestamp> {
        self.past.get().and_then(|past| past.lost(listed, since, until))
    }

    fn suspensions(&self) -> Vec<SuspensionRow> {
        let standing = self.shared.standing.load();
        let in_force = standing.in_force(clock::now());
        let lines = self.shared.lines.load();
        let row = |(subject, held, one)| {
            SuspensionRow::new(subject, held, one).and_access(subject, &lines).and_ties(subject, &standing)
        };
        in_force.into_iter().map(row).collect()
    }

    async fn order(&self, instruction: Instruction) -> Result<Ordered, OrderError> {
        let subject = self.kept_subject(instruction.subject);
        let now = clock::now();
        if matches!(instruction.order, Order::Release) {
            self.check_held(&subject, now)?;
        } else if !instruction.force {
            self.check_range(&subject)?;
            self.check_subject(&subject).await?;
        }
        let command = Command {
            at: now,
            by: instruction.by,
            subject,
            order: instruction.order,
            reason: instruction.reason,
        };
        let reference = self.commit(Entry::Command(command)).await.ok_or(OrderError::Storage)?;
        Ok(Ordered { reference, at: now })
    }

    async fn hold(&self, order: HoldOrder) -> Result<Ordered, OrderError> {
        let at = clock::now();
        let nases = self.shared.map.nases();
        let nas = nases.iter().find(|nas| nas.name == order.nas).ok_or(OrderError::UnknownNas)?;
        if order.until.is_none() && nas.held_until() <= at {
            return Err(OrderError::NotHeld);
        }
        let HoldOrder { by, nas, until, reason } = order;
        let hold = NasHold { at, by, nas, until: until.unwrap_or(at), reason };
        let reference = self.commit(Entry::Hold(hold)).await.ok_or(OrderError::Storage)?;
        Ok(Ordered { reference, at })
    }

    /// While nothing can be written, the on-call engineer must still be able to ask: the question goes to the system's
    /// journal instead, by name.
    async fn asked(&self, asked: Asked) -> Result<(), Trouble> {
        if !self.health.is_blind(clock::now()) {
            let recorded = self.commit(Entry::Asked(Box::new(asked))).await;
            return recorded.map(|_| ()).ok_or(Trouble::Unrecorded);
        }
        let Asked { by, via, what, purpose, .. } = asked;
        let purpose = purpose.map(|purpose| purpose.to_string()).unwrap_or_default();
        tracing::warn!(%by, %via, %what, purpose, "this question could not be written to the log; it is noted here only");
        Ok(())
    }

    async fn questions(&self, filter: &AskedFilter) -> Result<Vec<QuestionRow>, Trouble> {
        self.indexed().await;
        let (past, filter) = (Arc::clone(&self.past), filter.clone());
        let rows = blocking(move || opened(&past)?.questions(&filter)).await?;
        Ok(rows.into_iter().map(QuestionRow::from).collect())
    }

    async fn chain(&self) -> Result<ChainRow, Trouble> {
        let (sequence, link) = **self.shared.link.load();
        self.indexed().await;
        let past = Arc::clone(&self.past);
        let (chain, there) = blocking(move || opened(&past)?.chain(sequence)).await?;
        // Whoever cuts off the end of the list leaves a chain that fits in itself.
        let newest_is_known = sequence == 0 || there == Some(link);
        Ok(ChainRow {
            whole: chain.broken_at.is_none() && newest_is_known,
            rows: chain.rows,
            first: chain.first,
            last: chain.last.map(|(sequence, _)| sequence),
            broken_at: chain.broken_at,
            newest_is_known,
        })
    }

    fn purpose_required(&self) -> bool {
        self.config.load().require_purpose
    }

    fn canonical(&self, name: &Name) -> Name {
        StaffDesk::canonical(self, name)
    }

    fn preserved(&self) -> Arc<Preservations> {
        self.shared.preserved.load_full()
    }

    async fn preserve(&self, order: PreservationOrder) -> Result<Ordered, OrderError> {
        let at = order.at;
        let reference = self.commit(Entry::Preservation(Box::new(order))).await.ok_or(OrderError::Storage)?;
        Ok(Ordered { reference, at })
    }

    fn tokens(&self) -> Arc<Tokens> {
        self.shared.tokens.load_full()
    }

    async fn token(&self, order: TokenOrder) -> Result<Ordered, OrderError> {
        let at = order.at;
        let reference = self.commit(Entry::Token(Box::new(order))).await.ok_or(OrderError::Storage)?;
        Ok(Ordered { reference, at })
    }

    fn health(&self) -> Health {
        let now = clock::now();
        let mut reasons = self.health.complaints(now);
        reasons.extend(self.details.counters().iter().flat_map(|counters| counters.complaints(now)));
        reasons.extend(self.notices.complaints(now));
        let failing = self.health.is_blind(now);
        Health { ready: self.health.is_ready() && !failing && !self.health.is_stopping(), reasons }
    }

    fn metrics(&self) -> String {
        self.exposition().finish()
    }
}

impl StaffDesk {
    /// Makes what came out of a file durable, with who brought it; the sequence of that entry.
    async fn take_import(
        &self,
        by: Asker,
        what: Name,
        rows: usize,
        records: Vec<Record>,
        messages: Vec<Message>,
    ) -> Result<u64, Trouble> {
        let by = Entry::Asked(Box::new(Asked {
            at: clock::now(),
            by: by.name,
            role: Some(by.role),
            via: by.via,
            what,
            about: Vec::new(),
            purpose: None,
            reply: Reply::Rows(u64::try_from(rows).unwrap_or(u64::MAX)),
        }));
        let import = Import { by, records, messages };
        let done = self.inbox.submit_import(import).ok_or(Trouble::Behind)?;
        let committed = tokio::time::timeout(COMMIT_WITHIN, done).await;
        committed.ok().and_then(Result::ok).ok_or(Trouble::Unrecorded)
    }

    /// Everybody who shares an address, as far as is known: nobody of them is named for it.
    fn sharers(&self, realm: Realm, address: IpAddr, now: Timestamp) -> Vec<Candidate> {
        let map = &self.shared.map;
        let mut candidates = Vec::new();
        for (ports, found) in map.sharers(realm, address) {
            let inside = found.session.as_ref().and_then(|session| session.inside());
            let owners = match inside.map(|(realm, inside)| map.lookup(realm, inside, None, now)) {
                Some(Lookup::Found(owner) | Lookup::Unready(_, Some(owner))) => vec![owner],
                Some(Lookup::Ambiguous(all)) => all,
                Some(Lookup::Absent | Lookup::Unready(_, None)) | None => vec![found],
            };
            candidates.extend(owners.iter().map(|owner| living(owner, Some(ports))));
        }
        candidates
    }

    fn ruling(&self, realm: Realm, address: IpAddr, port: Option<u16>, now: Timestamp) -> Ruling {
        if !self.health.is_ready() {
            let (owners, suspension) = (Vec::new(), None);
            return Ruling { reason: Reason::Starting, owners, suspension };
        }
        let client = Client {
            realm,
            address: Some(address),
            port,
            login: None,
            profile: Profile::Relay,
            logins_relay: false,
            blind: self.health.is_blind(now),
        };
        rule(&self.shared.map, &self.shared.standing.load(), client, now)
    }

    async fn commit(&self, entry: Entry) -> Option<u64> {
        let done = self.inbox.submit(entry)?;
        tokio::time::timeout(COMMIT_WITHIN, done).await.ok()?.ok()
    }

    /// Waits until the index has what was committed when the question came. Late answers say so by what they lack;
    /// an index that fails is on `/readyz`.
    async fn indexed(&self) -> bool {
        self.reached.wait_for(self.shared.committed(), INDEX_WITHIN).await
    }

    /// Waits until the index is not far behind: a file must not fill the queue before it, for which the engine, and with
    /// it everybody's records, would have to wait.
    async fn has_kept_up(&self) -> bool {
        let wanted = self.shared.committed().saturating_sub(IMPORT_AHEAD_MAX);
        self.reached.wait_for(wanted, INDEX_WITHIN).await
    }

    async fn messages_by(&self, filter: MessageFilter) -> Result<Vec<MessageRow>, Trouble> {
        self.indexed().await;
        let past = Arc::clone(&self.past);
        let messages = blocking(move || opened(&past)?.messages(&filter)).await?;
        Ok(messages.iter().map(MessageRow::from).collect())
    }

    fn session_row(&self, row: past::SessionRow) -> SessionRow {
        let held: Vec<_> = row
            .bindings
            .iter()
            .filter(|binding| match (binding.valid_until, row.valid_until) {
                (None, _) => true,
                // What was held for a moment only has a millisecond.
                (Some(held), Some(ended)) => held >= ended,
                (Some(_), None) => false,
            })
            .collect();
        let live = held
            .iter()
            .find_map(|binding| self.shared.map.holder(binding.place, &row.key))
            .map(|holder| holder.session);
        let state = match (row.how, &live) {
            (Some(how), _) => how.word().to_owned(),
            (None, Some(session)) if session.is_active() => "active".to_owned(),
            (None, Some(_)) => "suspect".to_owned(),
            (None, None) if row.bindings.is_empty() => "pending".to_owned(),
            (None, None) => "superseded".to_owned(),
        };
        SessionRow {
            subscriber: row.subscriber.map(|name| name.to_string()),
            user_name: row.user_name.map(|name| name.to_string()),
            addresses: held.iter().map(|binding| spelled(binding.place)).collect(),
            realm: row.realm.map(|name| name.to_string()),
            inside: row.inside.map(|address| address.to_string()),
            session: row.session,
            nas: row.nas.to_string(),
            state,
            valid_from: rfc3339(row.valid_from),
            valid_until: row.valid_until.and_then(rfc3339),
            last_seen: live.map(|session| session.seen()).or(row.last_seen).and_then(rfc3339),
            line: LineRow::from(&row.line),
            kept: kept(&row.kept),
        }
    }
}

/// The past, once the log is read.
fn opened(past: &OnceLock<Past>) -> Result<&Past, AuditError> {
    past.get().ok_or_else(|| AuditError::Storage {
        file: "audit".into(),
        error: "not open yet: the log is being read".to_owned(),
    })
}

/// A question to the index, off the threads that serve connections.
async fn blocking<T: Send + 'static>(
    question: impl FnOnce() -> Result<T, AuditError> + Send + 'static,
) -> Result<T, Trouble> {
    let answer = tokio::task::spawn_blocking(question).await.map_err(|_| Trouble::Storage)?;
    answer.map_err(|error| {
        tracing::error!(%error, "the audit index cannot be read");
        match error {
            AuditError::Damaged { .. } => Trouble::Damaged,
            AuditError::TooNew { .. } | AuditError::Storage { .. } => Trouble::Storage,
        }
    })
}
