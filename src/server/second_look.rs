//! Looks again at what suspensions and limits rest on. A record that came late, or an import, may have changed the past: then the
//! case says so, and a human decides. Nobody is released, and nobody else is held back.
//!
//! Knows: which orders came from a case, and the messages and addresses that speak for it. Must not know: how an owner is found.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::http::api::{Who, parse_rfc3339};
use super::http::known_now::is_sure;
use super::http::{Staff, Trouble};
use super::inbox::Inbox;
use crate::audit::rows::MessageFilter;
use crate::clock;
use crate::log::entry::Entry;
use crate::relay::case::{Act, Action, Case, Evidence, Reported};
use crate::relay::standing::Subject;
use crate::session::{Name, Realm};
use crate::views::Shared;

/// So often, and as soon as the past can be asked after a start.
const EVERY: Duration = Duration::from_secs(3600);
/// When the past can't be asked.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How long an entry may take to be durable.
const COMMIT_WITHIN: Duration = Duration::from_secs(10);
/// Who notes it, where others have their user.
const BY: &str = "relaywarden";

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
            let Evidence::Complaint(reported) = piece else { continue };
            for who in self.owners(reported).await? {
                let others = who.subscriber.as_deref().filter(|name| *name != subject.name().to_string());
                if let Some(other) = others.filter(|_| is_sure(&who)) {
                    found.insert(words(&who, other, subject));
                }
            }
        }
        found.retain(|words| !says(case, words));
        Ok(found)
    }

    /// Whose the addresses of a complaint are known to have been: where it names messages of ours, at the moments of these.
    async fn owners(&self, reported: &Reported) -> Result<Vec<Who>, Trouble> {
        let mut spots = Vec::new();
        for (mta, queue_id) in &reported.messages {
            let filter =
                MessageFilter { queue_id: Some(queue_id.clone()), limit: 10, ..MessageFilter::default() };
            let rows = self.staff.messages(&filter).await?;
            for row in rows.into_iter().filter(|row| row.mta == mta.to_string()) {
                let address = row.address.and_then(|address| address.parse().ok());
                spots
                    .extend(address.zip(parse_rfc3339(&row.at)).map(|(address, at)| (address, row.port, at)));
            }
        }
        if let (true, Some(address), Some(at)) = (spots.is_empty(), reported.address, reported.arrival) {
            spots.push((address, reported.port, at));
        }
        let mut owners = Vec::new();
        for (address, port, at) in spots {
            owners.push(self.staff.owner(Realm::PUBLIC, address, port, at).await?);
        }
        Ok(owners)
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
