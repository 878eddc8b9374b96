//! Whose the messages were that a mail server logged while nobody asked us: attributed by what is known of the past.
//!
//! Knows: when a message is recorded already, and whom a confidence names. Must not know: HTTP, files, or how the past is
//! kept.

use std::collections::HashMap;
use std::time::Duration;

use super::http::api::parse_rfc3339;
use super::http::import::{Fate, Outcome};
use super::http::maillog::{MailChunk, MailRow};
use crate::audit::AuditError;
use crate::audit::past::{LastSeen, Past};
use crate::audit::rows::{Candidate, Confidence, MessageFilter, PastOwner};
use crate::config::Config;
use crate::relay::Profile;
use crate::relay::message::{Message, Owner};
use crate::relay::verdict::Reason;
use crate::session::{Name, Realm, Timestamp};

/// A queue id is used again some day, and two clocks differ: so near, it is the same message.
const SAME_WITHIN: Duration = Duration::from_secs(3600);
/// So many messages with one queue id are looked at.
const LOOKED_AT: usize = 100;
/// Of what a client or a log says so many octets are kept.
const OCTETS_MAX: usize = 1024;

/// A chunk, judged.
pub struct Judged {
    /// What is to be recorded, in order.
    pub messages: Vec<Message>,
    /// What becomes of each row.
    pub rows: Vec<Outcome>,
}

/// The VRF in which the private addresses lie of which this mail server tells.
#[must_use]
pub fn vrf(config: &Config, mta: &Name) -> Option<Name> {
    let known = config.mtas.iter().find(|known| known.name == *mta).and_then(|known| known.realm.as_ref());
    known.or(config.policy.listeners.realm.as_ref()).and_then(|realm| realm.vrf().cloned())
}

/// A chunk as it is written down beside what came of it: who imported it is kept with that.
#[must_use]
pub fn spelled(chunk: &MailChunk) -> Name {
    let line = |row: Option<&MailRow>| row.map_or(0, |row| row.line);
    let (first, last) = (line(chunk.rows.first()), line(chunk.rows.last()));
    Name::from(format!("/v1/import/messages?file={}&lines={first}-{last}", chunk.file).as_str())
}

/// Judges a chunk at this moment.
///
/// # Errors
/// The past can't be read.
pub fn judge(
    chunk: &MailChunk,
    realm: &dyn Fn(&Name) -> Realm,
    past: &Past,
    seen: LastSeen<'_>,
    now: Timestamp,
) -> Result<Judged, AuditError> {
    let mut judged = Judged { messages: Vec::new(), rows: Vec::with_capacity(chunk.rows.len()) };
    // A queue id, and when it was taken in this very chunk.
    let mut taken: HashMap<(Name, Name), Timestamp> = HashMap::new();
    for row in &chunk.rows {
        let fate = |outcome, reason: Option<String>| Outcome { line: row.line, outcome, reason };
        let ignored = |why: &str| fate(Fate::Ignored, Some(why.to_owned()));
        let mut message = match message(row, now) {
            Ok(message) => message,
            Err(why) => {
                judged.rows.push(fate(Fate::Rejected, Some(why.to_owned())));
                continue;
            }
        };
        let key = (message.mta.clone(), message.queue_id.clone());
        let twice = taken.get(&key).is_some_and(|at| near(*at, message.at));
        if twice || is_recorded(&message, past)? {
            judged.rows.push(ignored("recorded already"));
            continue;
        }
        let Some(address) = message.address.filter(|address| !address.is_loopback()) else {
            judged.rows.push(ignored("it came from the mail server itself"));
            continue;
        };
        let found = past.owner(realm(&message.mta), address, message.port, message.at, seen)?;
        let doubt = doubt(&found);
        message.owners = owners(found);
        taken.insert(key, message.at);
        judged.messages.push(message);
        judged.rows.push(fate(Fate::Accepted, doubt));
    }
    Ok(judged)
}

fn message(row: &MailRow, now: Timestamp) -> Result<Message, &'static str> {
    let at = parse_rfc3339(&row.at).ok_or("its moment is not RFC 3339")?;
    if at > now {
        return Err("it is still to come; are --tz and --as-of right?");
    }
    let texts = [Some(&row.mta), Some(&row.queue_id), Some(&row.sender), row.login.as_ref()];
    if texts.iter().flatten().any(|text| text.len() > OCTETS_MAX) {
        return Err("a name in it is longer than any");
    }
    if row.queue_id.is_empty() || row.mta.is_empty() {
        return Err("without a queue id or a mail server it is no message");
    }
    let name = |text: &str| if text.is_empty() { Name::from("") } else { Name::from_text(text) };
    // What a mail server calls a message within itself is not logged; the Message-ID says more than nothing.
    let instance = row.message_id.as_deref().filter(|id| id.len() <= OCTETS_MAX).map_or(Name::from(""), name);
    Ok(Message {
        at,
        mta: name(&row.mta),
        profile: if row.login.is_some() { Profile::Submission } else { Profile::Relay },
        queue_id: name(&row.queue_id),
        instance,
        owners: Vec::new(),
        address: row.address.map(|address| address.to_canonical()),
        port: row.port.filter(|port| *port > 0),
        login: row.login.as_deref().map(name),
        helo: Name::from(""),
        sender: name(&row.sender),
        recipient_count: row.recipients,
        recipient_domains: Vec::new(),
        recipient_hashes: Vec::new(),
        size: row.size,
        token: None,
        reason: Reason::Imported,
        observed: false,
        message_id: None,
    })
}

fn near(a: Timestamp, b: Timestamp) -> bool {
    a.since(b).max(b.since(a)) <= SAME_WITHIN
}

/// Whether the mail server asked us about it, or an earlier import brought it. A log names its host as it likes: who has the
/// queue id and the client's address in common is the same message, too.
fn is_recorded(message: &Message, past: &Past) -> Result<bool, AuditError> {
    let filter = MessageFilter {
        queue_id: Some(message.queue_id.clone()),
        since: Some(message.at.minus(SAME_WITHIN)),
        until: Some(message.at.plus(SAME_WITHIN).plus(Duration::from_millis(1))),
        limit: LOOKED_AT,
        ..MessageFilter::default()
    };
    let address = message.address;
    let same = |known: &Message| {
        let from = known.address.map(|address| address.to_canonical());
        known.mta == message.mta || address.is_some() && from == address
    };
    Ok(past.messages(&filter)?.iter().any(same))
}

/// Whom a confidence names. Of an ambiguous answer with one candidate that one is not accused.
fn owners(found: PastOwner) -> Vec<Owner> {
    let owner = |candidate: Candidate| Owner {
        subscriber: candidate.subscriber,
        session: candidate.key,
        since: candidate.valid_from,
        line: candidate.line,
    };
    let candidates = found.candidates.into_iter().map(owner);
    match found.confidence {
        Confidence::Exact | Confidence::UntilLastInterim => candidates.take(1).collect(),
        Confidence::Ambiguous if candidates.len() > 1 => candidates.collect(),
        Confidence::Ambiguous | Confidence::Unknown => Vec::new(),
    }
}

/// What is to be told of a message that has no sure owner.
fn doubt(found: &PastOwner) -> Option<String> {
    match (found.confidence, found.candidates.is_empty()) {
        (Confidence::Exact | Confidence::UntilLastInterim, false) => None,
        (Confidence::Exact, true) => Some("recorded as nobody's: nobody had the address then".to_owned()),
        (Confidence::Ambiguous, _) => {
            Some(format!("recorded, and nobody is named: ambiguous, {}", found.because))
        }
        (Confidence::UntilLastInterim | Confidence::Unknown, _) => {
            Some(format!("recorded, and nobody is named: unknown, {}", found.because))
        }
    }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;
    use crate::access::{Asker, Role, Via};
    use crate::audit::index::Index;
    use crate::session::{Line, Ports};
    use crate::views::{Folded, Outcome as Came};

    const NOW: Timestamp = Timestamp::from_seconds(1_795_442_400);

    fn candidate(name: &str) -> Candidate {
        Candidate {
            subscriber: Some(Name::from(name)),
            session: None,
            key: None,
            nas: None,
            line: Line::default(),
            prefix: IpNet::from(std::net::IpAddr::from([192, 0, 2, 7])),
            ports: Ports::ALL,
            inside: None,
            valid_from: NOW,
            valid_until: None,
            last_seen: None,
            how: None,
            was_until: None,
            was_how: None,
            is_static: false,
        }
    }

    #[test]
    fn a_sure_owner_is_named_several_are_all_named_and_a_guess_is_not() {
        let named = |confidence, names: &[&str]| {
            let candidates = names.iter().map(|name| candidate(name)).collect();
            let found = PastOwner { confidence, candidates, because: "x" };
            let told = doubt(&found);
            let owners: Vec<String> =
                owners(found).iter().map(|owner| owner.subscriber.clone().unwrap().to_string()).collect();
            (owners.join(" "), told.is_none())
        };
        assert_eq!(named(Confidence::Exact, &["a"]), ("a".to_owned(), true));
        assert_eq!(named(Confidence::UntilLastInterim, &["a"]), ("a".to_owned(), true));
        assert_eq!(named(Confidence::Ambiguous, &["a", "b"]), ("a b".to_owned(), false));
        assert_eq!(
            named(Confidence::Ambiguous, &["a"]),
            (String::new(), false),
            "one alone may be the wrong one"
        );
        assert_eq!(named(Confidence::Unknown, &["a"]), (String::new(), false));
        assert_eq!(named(Confidence::Exact, &[]), (String::new(), false));
    }

    fn row(line: u64, at: &str, queue_id: &str) -> MailRow {
        MailRow {
            line,
            at: at.to_owned(),
            mta: "mail1".to_owned(),
            queue_id: queue_id.to_owned(),
            address: "192.0.2.7".parse().ok(),
            size: 1,
            recipients: 1,
            ..MailRow::default()
        }
    }

    #[test]
    fn what_is_recorded_already_or_came_twice_or_from_itself_or_is_none_is_not_recorded() {
        let data = tempfile::tempdir().unwrap();
        let mut index = Index::open(data.path()).unwrap();
        let known = |queue_id: &str, mta: &str| {
            let asked = MailRow { mta: mta.to_owned(), ..row(0, "2026-11-23T13:00:00Z", queue_id) };
            Came::Message(
                Box::new(Message { reason: Reason::Online, ..message(&asked, NOW).unwrap() }),
                Vec::new(),
            )
        };
        let folded = [(1, known("4bA", "mail1")), (2, known("4bB", "127.0.0.1")), (3, known("4bC", "other"))];
        let folded = folded.map(|(sequence, outcome)| Folded { sequence, outcome });
        index.apply(3, &folded).unwrap();
        let past = index.past().unwrap();
        let elsewhere = "198.51.100.9".parse().ok();
        let rows = vec![
            row(1, "2026-11-23T14:00:00Z", "4bA"),
            row(2, "2026-11-23T14:00:00.001Z", "4bA"),
            row(3, "2026-11-23T12:00:00Z", "4bB"),
            MailRow { address: elsewhere, ..row(4, "2026-11-23T13:00:00Z", "4bC") },
            row(5, "2026-11-23T12:00:00Z", "4bD"),
            row(6, "2026-11-23T13:00:00Z", "4bD"),
            MailRow { address: "127.0.0.1".parse().ok(), ..row(7, "2026-11-23T12:00:00Z", "4bE") },
            row(8, "2026-11-23T14:00:00.001Z", "4bF"),
            row(9, "yesterday", "4bG"),
            row(10, "2026-11-23T12:00:00Z", ""),
            MailRow { sender: "a".repeat(1025), ..row(11, "2026-11-23T12:00:00Z", "4bH") },
            row(12, "2026-11-23T11:59:59.999Z", "4bA"),
            row(13, "2026-11-23T13:00:00.001Z", "4bD"),
        ];
        let by =
            Asker { name: Name::from("root"), role: Role::Operator, via: Via::Socket, scopes: Vec::new() };
        let chunk = MailChunk { by, file: Name::from("mail.log"), dry_run: false, rows };
        let judged = judge(&chunk, &|_| Realm::PUBLIC, &past, &|_, _| None, NOW).unwrap();
        let fates: Vec<(u64, &str)> = judged.rows.iter().map(|row| (row.line, row.outcome.word())).collect();
        let expected = [
            (1, "ignored"),
            (2, "rejected"),
            (3, "ignored"),
            (4, "accepted"),
            (5, "accepted"),
            (6, "ignored"),
            (7, "ignored"),
            (8, "rejected"),
            (9, "rejected"),
            (10, "rejected"),
            (11, "rejected"),
            (12, "accepted"),
            (13, "accepted"),
        ];
        assert_eq!(fates, expected);
        assert!(judged.messages.iter().all(|message| message.reason == Reason::Imported));
        assert_eq!(spelled(&chunk).to_string(), "/v1/import/messages?file=mail.log&lines=1-13");
    }
}
