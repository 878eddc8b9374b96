//! What the API says, as plain values: the daemon writes them as JSON and the command line reads them again.
//!
//! Knows: field names (they are a contract) and how time and names are spelled. Must not know: HTTP, sockets, or how
//! an answer was found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::AccessRow;
use crate::relay::delisting::Tie;
use crate::relay::line::Lines;
use crate::relay::message::{Message, Owner};
use crate::relay::standing::{Held, Order, Standing, Subject, Suspension};
use crate::relay::verdict::Reason;
use crate::session::{Line, Name, SessionKey, Timestamp};

/// RFC 3339 in UTC with milliseconds; `None` for a moment that no calendar can spell ("since ever").
#[must_use]
pub fn rfc3339(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.millis()).ok()?;
    Some(format!("{at:.3}"))
}

/// Reads RFC 3339 with an offset; nothing shorter, because a moment without one means different things to each side.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let spelled = text.len() >= "2026-11-23T14:00:00Z".len() && !text.contains('[');
    let at: jiff::Timestamp = text.parse().ok().filter(|_| spelled)?;
    Some(Timestamp::from_millis(at.as_millisecond()))
}

/// Where the line ends.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct LineRow {
    /// NAS-Port-Id.
    pub port_id: Option<String>,
    /// Calling-Station-Id.
    pub calling_station: Option<String>,
    /// Circuit id of the access line.
    pub circuit_id: Option<String>,
    /// Remote id of the access line.
    pub remote_id: Option<String>,
}

impl From<&Line> for LineRow {
    fn from(line: &Line) -> Self {
        let spelled = |name: &Option<Name>| name.as_ref().map(Name::to_string);
        LineRow {
            port_id: spelled(&line.port_id),
            calling_station: spelled(&line.calling_station),
            circuit_id: spelled(&line.circuit_id),
            remote_id: spelled(&line.remote_id),
        }
    }
}

/// Who owns, or owned, an address: the answer to `who`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Who {
    /// The address that was asked about; `None` only for a message that told none.
    pub address: Option<String>,
    /// The source port that was asked about.
    pub port: Option<u16>,
    /// The VRF in which a private address was asked about; `None`: the public space.
    pub realm: Option<String>,
    /// The moment the answer is about.
    pub at: String,
    /// How far before and after that moment, in seconds; `None`: at that moment alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_seconds: Option<u64>,
    /// `permit`, `refuse` or `defer`; `None` for a past in which nothing was decided.
    pub verdict: Option<String>,
    /// The verdict's reason.
    pub reason: Option<String>,
    /// Whose it is, when it is one subscriber's.
    pub subscriber: Option<String>,
    /// By which session; `None` for a static prefix.
    pub session: Option<String>,
    /// The NAS of the session.
    pub nas: Option<String>,
    /// Since when.
    pub valid_from: Option<String>,
    /// Until when; `None` while it lasts.
    pub valid_until: Option<String>,
    /// `exact`, `until-last-interim`, `ambiguous` or `unknown`.
    pub confidence: String,
    /// Why the confidence is what it is, for people; only about the past, or a token that nobody had.
    pub because: Option<String>,
    /// Everybody it may have been, the one above included.
    pub candidates: Vec<Candidate>,
}

impl Who {
    /// Whether the answer names anybody.
    #[must_use]
    pub fn names_somebody(&self) -> bool {
        self.subscriber.is_some() || !self.candidates.is_empty()
    }

    /// Whose messages with one token are. Only one answer if all of them agree.
    #[must_use]
    pub fn of_messages(rows: &[MessageRow], asked_at: Timestamp) -> Who {
        let mut candidates: Vec<Candidate> = Vec::new();
        for candidate in rows.iter().flat_map(|row| &row.candidates) {
            if !candidates.contains(candidate) {
                candidates.push(candidate.clone());
            }
        }
        let Some(first) = rows.first() else {
            let at = rfc3339(asked_at).unwrap_or_default();
            let because = Some("no message with this token was written down".to_owned());
            return Who { at, confidence: "unknown".to_owned(), because, ..Who::default() };
        };
        let mut who = Who {
            address: first.address.clone(),
            port: first.port,
            at: first.at.clone(),
            verdict: Some(first.verdict.clone()),
            reason: Some(first.reason.clone()),
            confidence: if candidates.is_empty() { "unknown" } else { "ambiguous" }.to_owned(),
            ..Who::default()
        };
        // Of a conflict nobody is accused, even where one claimant alone is known.
        let conflict = rows.iter().any(|row| row.reason == Reason::Conflict.word());
        if let ([only], false) = (candidates.as_slice(), conflict) {
            who.subscriber.clone_from(&only.subscriber);
            who.session.clone_from(&only.session);
            who.nas.clone_from(&only.nas);
            who.valid_from.clone_from(&only.valid_from);
            who.valid_until.clone_from(&only.valid_until);
            // Let go on old knowledge: that it still was theirs is likely, and not known.
            let stale = rows.iter().any(|row| row.reason == Reason::FeedStale.word());
            let confidence = if stale { "until-last-interim" } else { "exact" };
            confidence.clone_into(&mut who.confidence);
        }
        who.candidates = candidates;
        who
    }
}

/// One of those an address may have belonged to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// Who.
    pub subscriber: Option<String>,
    /// By which session.
    pub session: Option<String>,
    /// The NAS of the session.
    pub nas: Option<String>,
    /// Since when.
    pub valid_from: Option<String>,
    /// Until when.
    pub valid_until: Option<String>,
    /// Which ports of the address, `1024-2047`; `None`: all of them.
    pub ports: Option<String>,
    /// Where the line ends.
    pub line: LineRow,
}

/// A session, living or past.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct SessionRow {
    /// Its subscriber; `None` when no rule names one.
    pub subscriber: Option<String>,
    /// User-Name as it came.
    pub user_name: Option<String>,
    /// The addresses and prefixes it holds, or held last; a block of ports as `203.0.113.77:1024-2047`.
    pub addresses: Vec<String>,
    /// The VRF in which its private addresses lie; `None`: the public space.
    pub realm: Option<String>,
    /// The address for which a translator reports it: it belongs to whoever owns that one.
    pub inside: Option<String>,
    /// NAS, Acct-Session-Id and incarnation.
    pub session: String,
    /// The NAS.
    pub nas: String,
    /// `active`, `suspect`, `pending`, or how it ended.
    pub state: String,
    /// Since when.
    pub valid_from: Option<String>,
    /// Until when; `None` while it lasts.
    pub valid_until: Option<String>,
    /// When it was last heard of alive.
    pub last_seen: Option<String>,
    /// Where the line ends.
    pub line: LineRow,
    /// Further attributes that are kept for people, by name.
    pub kept: BTreeMap<String, String>,
}

/// A line of the story of an address: what came of one entry for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct StoryRow {
    /// Event time.
    pub at: Option<String>,
    /// When the record reached us; `None` for what is no record.
    pub arrival: Option<String>,
    /// Number of the entry; for a deadline, of the entry before it.
    pub sequence: u64,
    /// `start`, `stop`, `interim`, `on`, `off`, `refresh`, `configuration`, `resumed`, `deadline` or `retold`.
    pub record: String,
    /// The NAS.
    pub nas: Option<String>,
    /// NAS, Acct-Session-Id and incarnation.
    pub session: Option<String>,
    /// Whose the session, or the static prefix, was then.
    pub subscriber: Option<String>,
    /// The address for which a translator reports the session.
    pub inside: Option<String>,
    /// The address or prefix, with its ports.
    pub address: Option<String>,
    /// What came of it: a word of a closed list.
    pub what: String,
    /// From when a past was, or since when nothing was received.
    pub since: Option<String>,
    /// When a session that ended was last heard of alive.
    pub last_seen: Option<String>,
    /// Other sessions that are concerned; for a translation the inside prefix.
    pub others: Vec<String>,
}

/// A message that was let go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct MessageRow {
    /// When the MTA asked at its end.
    pub at: String,
    /// Which MTA.
    pub mta: String,
    /// What its listener is for.
    pub profile: String,
    /// The queue id; may be empty.
    pub queue_id: String,
    /// The MTA's name for this message.
    pub instance: String,
    /// Whose it is; `None` when nobody or more than one is named.
    pub subscriber: Option<String>,
    /// By which session.
    pub session: Option<String>,
    /// The NAS of the session.
    pub nas: Option<String>,
    /// The client's address.
    pub address: Option<String>,
    /// The client's port.
    pub port: Option<u16>,
    /// SASL login.
    pub login: Option<String>,
    /// HELO name.
    pub helo: String,
    /// Envelope sender.
    pub sender: String,
    /// How many recipients.
    pub recipient_count: u32,
    /// Their domains.
    pub recipient_domains: Vec<String>,
    /// Octets.
    pub size: u64,
    /// The token in its header.
    pub token: Option<String>,
    /// Its Message-ID without brackets, where a milter saw it.
    pub message_id: Option<String>,
    /// `permit`, `refuse` or `defer`.
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// Decided under `observe`.
    pub observed: bool,
    /// Everybody who owned the address at that time.
    pub candidates: Vec<Candidate>,
}

impl From<&Owner> for Candidate {
    fn from(owner: &Owner) -> Self {
        Candidate {
            subscriber: owner.subscriber.as_ref().map(Name::to_string),
            session: owner.session.as_ref().map(SessionKey::to_string),
            nas: owner.session.as_ref().map(|session| session.nas.to_string()),
            valid_from: rfc3339(owner.since),
            valid_until: None,
            ports: None,
            line: LineRow::from(&owner.line),
        }
    }
}

impl From<&Message> for MessageRow {
    fn from(message: &Message) -> Self {
        let candidates: Vec<Candidate> = message.owners.iter().map(Candidate::from).collect();
        // More than one owner: nobody is accused. Of a conflict one claimant alone may be known.
        let only = match candidates.as_slice() {
            [only] if message.reason != Reason::Conflict => only.clone(),
            _ => Candidate::default(),
        };
        MessageRow {
            at: rfc3339(message.at).unwrap_or_default(),
            mta: message.mta.to_string(),
            profile: message.profile.word().to_owned(),
            queue_id: text(&message.queue_id),
            instance: text(&message.instance),
            subscriber: only.subscriber,
            session: only.session,
            nas: only.nas,
            address: message.address.map(|address| address.to_string()),
            port: message.port,
            login: message.login.as_ref().map(Name::to_string),
            helo: text(&message.helo),
            sender: text(&message.sender),
            recipient_count: message.recipient_count,
            recipient_domains: message.recipient_domains.iter().map(Name::to_string).collect(),
            size: message.size,
            token: message.token.as_ref().map(Name::to_string),
            message_id: message.message_id.as_ref().map(Name::to_string),
            verdict: message.reason.verdict().word().to_owned(),
            reason: message.reason.word().to_owned(),
            observed: message.observed,
            candidates,
        }
    }
}

/// What may be empty stays empty: the null sender, a queue id that is not told.
fn text(name: &Name) -> String {
    if name.octets().is_empty() { String::new() } else { name.to_string() }
}

/// An order in force that holds mail back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct SuspensionRow {
    /// `subscriber`, `login` or `within`.
    pub kind: String,
    /// Who.
    pub subject: String,
    /// `suspended` (no mail is let go) or `limited` (little is). Who is both is suspended.
    pub standing: String,
    /// What the refusal's text refers to.
    pub reference: u64,
    /// Since when.
    pub since: Option<String>,
    /// Until when; `None`: until released.
    pub until: Option<String>,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The case from which it was ordered.
    pub case: Option<u64>,
    /// What the access side was asked about their sessions, and said; left out where that is nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<AccessRow>,
    /// Of a limit that holds until something is delisted: the addresses of yours, each with its list, that must have left it; left
    /// out where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub until_delisted: Vec<String>,
}

impl SuspensionRow {
    /// An order in force as a row.
    #[must_use]
    pub fn new(subject: &Subject, held: Held, suspension: &Suspension) -> Self {
        SuspensionRow {
            kind: subject.kind().to_owned(),
            subject: subject.name().to_string(),
            standing: held.word().to_owned(),
            reference: suspension.reference,
            since: rfc3339(suspension.since),
            until: suspension.until.and_then(rfc3339),
            by: suspension.by.to_string(),
            reason: suspension.reason.to_string(),
            case: suspension.case,
            access: Vec::new(),
            until_delisted: Vec::new(),
        }
    }

    /// With what must be delisted before a limit ends.
    #[must_use]
    pub fn and_ties(self, subject: &Subject, standing: &Standing) -> Self {
        if self.is_suspended() {
            return self;
        }
        SuspensionRow { until_delisted: standing.ties().of(subject).iter().map(Tie::words).collect(), ..self }
    }

    /// Until what it holds, where that is no moment.
    #[must_use]
    pub fn until_what(&self) -> String {
        match self.until_delisted.as_slice() {
            [] => "until released".to_owned(),
            listings => format!("until delisted: {}", listings.join(", ")),
        }
    }

    /// With what the access side said about the lines of whom it is about.
    #[must_use]
    pub fn and_access(self, subject: &Subject, lines: &Lines) -> Self {
        let of = subject.subscriber().map(|name| lines.of(name)).unwrap_or_default();
        SuspensionRow { access: of.iter().map(|line| AccessRow::from(&line.told)).collect(), ..self }
    }

    /// Whether nothing is let go.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.standing == Held::Suspended.word()
    }
}

/// What an order came to, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct OrderRow {
    /// `suspend`, `limit` or `release`.
    pub order: String,
    /// `subscriber` or `login`.
    pub kind: String,
    /// Who.
    pub subject: String,
    /// Sequence of the entry: what the refusal's text refers to.
    pub reference: u64,
    /// When.
    pub at: Option<String>,
    /// Until when.
    pub until: Option<String>,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What a client sends to suspend, to limit or to release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderBody {
    /// Who; `0x...` for octets that are not printable text.
    pub subject: String,
    /// `subscriber` (the default) or `login`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Why.
    pub reason: String,
    /// RFC 3339; not for a release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Also for a subject that was never seen, or a static range.
    #[serde(default)]
    pub force: bool,
}

/// An order as it is handed on: who gives it, about whom, what and why. Whoever takes it stamps the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// The Unix user behind the socket.
    pub by: Name,
    /// About whom, as typed: whoever takes it brings a subscriber into canonical form.
    pub subject: Subject,
    /// What.
    pub order: Order,
    /// Why.
    pub reason: Name,
    /// Also for a subject that was never seen, or a static range.
    pub force: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::verdict::Reason;

    #[test]
    fn time_is_written_with_milliseconds_in_utc_and_read_back() {
        let at = Timestamp::from_millis(1_795_442_405_007);
        let text = rfc3339(at).expect("in the calendar");
        assert_eq!(text, "2026-11-23T14:00:05.007Z");
        assert_eq!(parse_rfc3339(&text), Some(at));
        assert_eq!(parse_rfc3339("2026-11-23T15:00:05.007+01:00"), Some(at));
    }

    #[test]
    fn since_ever_has_no_spelling() {
        assert_eq!(rfc3339(Timestamp::EARLIEST), None);
    }

    #[test]
    fn a_moment_without_an_offset_is_refused() {
        for text in
            ["2026-11-23T14:00:05", "2026-11-23", "14:00", "", "2026-11-23T14:00:05+01:00[Europe/Berlin]"]
        {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    fn owner(subscriber: &str) -> Owner {
        let nas = Name::from("bras1");
        let session = SessionKey { nas, id: Name::from("s1"), incarnation: Timestamp::from_seconds(1) };
        Owner {
            subscriber: Some(Name::from(subscriber)),
            session: Some(session),
            since: Timestamp::from_seconds(2),
            line: Line::default(),
        }
    }

    fn written(owners: Vec<Owner>) -> Message {
        Message {
            queue_id: Name::from(""),
            owners,
            helo: Name::from("x\u{1b}"),
            sender: Name::from(""),
            size: 9,
            reason: Reason::Conflict,
            ..Message::plain(Timestamp::from_seconds(3))
        }
    }

    #[test]
    fn a_message_names_its_subscriber_only_when_there_is_one() {
        let online = Message { reason: Reason::Online, ..written(vec![owner("alice")]) };
        let row = MessageRow::from(&online);
        assert_eq!(row.subscriber.as_deref(), Some("alice"));
        assert_eq!((row.session.as_deref(), row.nas.as_deref()), (Some("bras1/s1/1000"), Some("bras1")));
        let row = MessageRow::from(&written(vec![owner("alice"), owner("bob")]));
        assert_eq!((row.subscriber, row.session, row.candidates.len()), (None, None, 2));
        assert_eq!((row.verdict.as_str(), row.reason.as_str()), ("defer", "conflict"));
        let row = MessageRow::from(&written(vec![owner("alice")]));
        assert_eq!((row.subscriber, row.candidates.len()), (None, 1), "of a conflict one alone may be known");
    }

    #[test]
    fn what_was_empty_stays_empty_and_what_is_harmful_is_hex() {
        let row = MessageRow::from(&written(Vec::new()));
        assert_eq!((row.sender.as_str(), row.queue_id.as_str(), row.helo.as_str()), ("", "", "0x781b"));
    }

    fn message(subscriber: &str) -> MessageRow {
        let owner = Candidate { subscriber: Some(subscriber.to_owned()), ..Candidate::default() };
        MessageRow {
            at: "2026-11-23T14:00:05.007Z".to_owned(),
            candidates: vec![owner],
            ..MessageRow::default()
        }
    }

    #[test]
    fn a_token_names_a_subscriber_only_if_all_its_messages_agree() {
        let now = Timestamp::from_millis(0);
        let one = Who::of_messages(&[message("alice"), message("alice")], now);
        assert_eq!((one.subscriber.as_deref(), one.confidence.as_str()), (Some("alice"), "exact"));
        let two = Who::of_messages(&[message("alice"), message("bob")], now);
        assert_eq!((two.subscriber.as_deref(), two.confidence.as_str()), (None, "ambiguous"));
        assert!(two.names_somebody());
        assert!(!Who::of_messages(&[], now).names_somebody());
    }
}
