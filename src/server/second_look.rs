//! Looks again at what suspensions and limits rest on. A record that came late, or an import, may have changed the past: then the
//! case says so, and a human decides. Nobody is released, and nobody else is held back.
//!
//! Knows: which orders came from a case, and the messages and addresses that speak for it: those of a complaint, and of a signal those
//! that were counted. Must not know: how an owner is found.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::http::api::{MessageRow, Who, parse_rfc3339};
use super::http::known_now::is_sure;
use super::http::scanned::ScannedRow;
use super::http::{Staff, Trouble};
use super::inbox::Inbox;
use crate::audit::rows::{MessageFilter, ScannedFilter};
use crate::clock;
use crate::log::entry::Entry;
use crate::relay::case::{Act, Action, Case, Evidence, Reported};
use crate::relay::scanned::Finding;
use crate::relay::signal::Signal;
use crate::relay::standing::Subject;
use crate::relay::trend::{Measure, begin_of_day};
use crate::session::{Name, Timestamp};
use crate::views::Shared;

/// So often, and as soon as the past can be asked after a start.
const EVERY: Duration = Duration::from_secs(3600);
/// When the past can't be asked.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How long an entry may take to be durable.
const COMMIT_WITHIN: Duration = Duration::from_secs(10);
/// So many of a signal's messages are looked through, the last ones.
const COUNTED_MOST: usize = 1000;
/// Who notes it, where others have their user.
const BY: &str = "relaywarden";

/// Address, port and moment: whose was it?
type Spot = (IpAddr, Option<u16>, Timestamp);

/// Whoever looks.
pub struct SecondLook<S> {
    /// Whom the past is asked of.
    pub staff: Arc<S>,
    /// Cases and standing.
    pub shared: Arc<Shared>,
    /// Where entries go.
    pub inbox: Arc<Inbox>,
}

impl<S: Staff> SecondLook<S> {
    /// Looks until told to stop.
    pub async fn run(self, mut stopping: watch::Receiver<bool>) {
        let looking = async {
            loop {
                let wait = if self.look().await.is_ok() { EVERY } else { AGAIN_AFTER };
                tokio::time::sleep(wait).await;
            }
        };
        tokio::select! {
            () = looking => {}
            _ = stopping.changed() => {}
        }
    }

    async fn look(&self) -> Result<(), Trouble> {
        for (subject, case) in self.held() {
            for words in self.differences(&subject, &case).await? {
                self.note(&case, &words).await;
            }
        }
        Ok(())
    }

    /// Subscribers who are suspended or limited from a case, with it.
    fn held(&self) -> Vec<(Subject, Arc<Case>)> {
        let standing = self.shared.standing.load();
        let from_case = standing.in_force(clock::now()).into_iter().filter_map(|(subject, _, order)| {
            subject.subscriber()?;
            Some((subject.clone(), self.shared.case(order.case?)?))
        });
        from_case.collect()
    }

    /// What of its evidence is surely another's by now, in words, if the case does not say so yet.
    async fn differences(&self, subject: &Subject, case: &Case) -> Result<BTreeSet<String>, Trouble> {
        let mut found = BTreeSet::new();
        for piece in &case.evidence {
            let spots = match piece {
                Evidence::Complaint(reported) => self.reported(reported).await?,
                Evidence::Signal(signal) if signal.subject == *subject => self.counted(signal).await?,
                Evidence::Signal(_) | Evidence::Listing(_) => continue,
            };
            for (address, port, at) in spots {
                // A private address is another's in each space that has it.
                let Some(realm) = self.staff.realm_of(address) else { continue };
                let who = self.staff.owner(realm, address, port, at).await?;
                let others = who.subscriber.as_deref().filter(|name| *name != subject.name().to_string());
                if let Some(other) = others.filter(|_| is_sure(&who)) {
                    found.insert(words(&who, other, subject));
                }
            }
        }
        found.retain(|words| !says(case, words));
        Ok(found)
    }

    /// What a complaint is about: where it names messages of ours, their addresses at their moments.
    async fn reported(&self, reported: &Reported) -> Result<Vec<Spot>, Trouble> {
        let mut spots = Vec::new();
        for (mta, queue_id) in &reported.messages {
            let filter =
                MessageFilter { queue_id: Some(queue_id.clone()), limit: 10, ..MessageFilter::default() };
            let rows = self.staff.messages(&filter).await?;
            let rows = rows.iter().filter(|row| row.mta == mta.to_string());
            spots.extend(rows.filter_map(|row| spot(row.address.as_ref(), row.port, &row.at)));
        }
        if let (true, Some(address), Some(at)) = (spots.is_empty(), reported.address, reported.arrival) {
            spots.push((address, reported.port, at));
        }
        Ok(spots)
    }

    /// What a signal counted: messages of its day, or what scanners found. Of each session's address the first and the last: where it
    /// was another's for a while, that began earlier or ended later than was known.
    async fn counted(&self, signal: &Signal) -> Result<Vec<Spot>, Trouble> {
        let name = signal.subject.name();
        let (since, until) = (begin_of_day(signal.at), signal.at.plus(Duration::from_millis(1)));
        let measure = Measure::ALL.into_iter().find(|measure| signal.name == Name::from(measure.word()));
        let finding = match measure {
            Some(Measure::Spam) => Some(Finding::Spam),
            Some(Measure::Virus) => Some(Finding::Virus),
            // What was refused is no message, and of an address of a login it is not known how often it was used.
            None | Some(Measure::Refused | Measure::Addresses) => return Ok(Vec::new()),
            Some(_) => None,
        };
        let counted = if finding.is_some() {
            let (since, until, subscriber) = (Some(since), Some(until), Some(name.clone()));
            let filter = ScannedFilter {
                subscriber,
                finding,
                since,
                until,
                limit: COUNTED_MOST,
                ..ScannedFilter::default()
            };
            self.staff.scanned(&filter).await?.into_iter().map(Counted::from).collect::<Vec<_>>()
        } else {
            let (since, until, subscriber) = (Some(since), Some(until), Some(name.clone()));
            let filter =
                MessageFilter { subscriber, since, until, limit: COUNTED_MOST, ..MessageFilter::default() };
            self.staff.messages(&filter).await?.into_iter().map(Counted::from).collect()
        };
        Ok(ends(counted.into_iter().filter(|counted| counted.subscriber.as_ref() == Some(&name.to_string()))))
    }

    async fn note(&self, case: &Case, words: &str) {
        tracing::warn!(case = case.id, %words, "what is known of the past has changed under a suspension or limit: somebody must look");
        let action = Action {
            at: clock::now(),
            by: Name::from(BY),
            case: case.id,
            act: Act::Note,
            reason: Name::from(words),
            ticket: None,
        };
        if let Some(done) = self.inbox.submit(Entry::Case(action)) {
            let _ = tokio::time::timeout(COMMIT_WITHIN, done).await;
        }
    }
}

/// Something that a signal counted.
struct Counted {
    subscriber: Option<String>,
    session: Option<String>,
    spot: Option<Spot>,
}

impl From<MessageRow> for Counted {
    fn from(row: MessageRow) -> Counted {
        let spot = spot(row.address.as_ref(), row.port, &row.at);
        Counted { subscriber: row.subscriber, session: row.session, spot }
    }
}

impl From<ScannedRow> for Counted {
    fn from(row: ScannedRow) -> Counted {
        let spot = spot(row.address.as_ref(), row.port, &row.at);
        Counted { subscriber: row.subscriber, session: row.session, spot }
    }
}

fn spot(address: Option<&String>, port: Option<u16>, at: &str) -> Option<Spot> {
    Some((address?.parse().ok()?, port, parse_rfc3339(at)?))
}

/// The first and the last of each session's address.
fn ends(counted: impl Iterator<Item = Counted>) -> Vec<Spot> {
    let mut ends: BTreeMap<(Option<String>, IpAddr), (Spot, Spot)> = BTreeMap::new();
    for Counted { session, spot, .. } in counted {
        let Some(spot) = spot else { continue };
        let (first, last) = ends.entry((session, spot.0)).or_insert((spot, spot));
        if spot.2 < first.2 {
            *first = spot;
        }
        if spot.2 > last.2 {
            *last = spot;
        }
    }
    let both = |(first, last): (Spot, Spot)| if first == last { vec![last] } else { vec![first, last] };
    ends.into_values().flat_map(both).collect()
}

/// Whether it stands in the case already.
fn says(case: &Case, words: &str) -> bool {
    case.history.iter().any(|event| event.note == Some(Name::from(words)))
}

fn words(who: &Who, other: &str, held: &Subject) -> String {
    let address = who.address.as_deref().unwrap_or_default();
    let port = who.port.map(|port| format!(" port {port}")).unwrap_or_default();
    format!(
        "what is known now differs: {address}{port} at {} was {other}'s, and {} is held back",
        who.at,
        held.name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::case::{Cases, Opened};

    #[test]
    fn what_a_case_says_already_is_not_said_again() {
        let at = clock::now();
        let about = Subject::Subscriber(Name::from("alice"));
        let who = Who {
            address: Some("192.0.2.7".to_owned()),
            at: "2026-11-26T14:00:00.000Z".to_owned(),
            ..Who::default()
        };
        let bobs = words(&who, "bob", &about);
        assert_eq!(
            bobs,
            "what is known now differs: 192.0.2.7 at 2026-11-26T14:00:00.000Z was bob's, and alice is held back"
        );
        let mut cases = Cases::default();
        let (by, reason) = (Name::from("desk"), Name::from("so many"));
        cases.open(1, &Opened { at, by: by.clone(), about: about.clone(), reason, ticket: None });
        assert!(!says(cases.get(1).unwrap(), &bobs));
        let reason = Name::from(bobs.as_str());
        cases.act(2, &Action { at, by, case: 1, act: Act::Note, reason, ticket: None });
        let case = cases.get(1).unwrap();
        assert!(says(case, &bobs) && !says(case, &words(&who, "carol", &about)));
    }
}
