//! Who had an address at any moment of a span: for a time that is known to the minute only.
//!
//! The past is asked at both ends, wherever a session that held the address began or ended in between, and at moments spread
//! over the span, as what is not about a session (a gap, a static prefix) may begin in between as well.
//!
//! | at all moments that were asked | confidence |
//! |---|---|
//! | one subscriber had it, exactly | exact |
//! | one subscriber had it, at some of them by what was last heard of it | until-last-interim |
//! | nobody had it, exactly | exact, nobody |
//! | nobody is known, and it is not known that nobody was | unknown |
//! | anything else | ambiguous, everybody who had it or may have had |
//!
//! Knows: which moments to ask about, and what their answers come to. Must not know: how the past finds an answer.

use std::net::IpAddr;

use crate::audit::AuditError;
use crate::audit::past::{LastSeen, Past};
use crate::audit::rows::{Candidate, Confidence, PastOwner, SessionFilter, SessionRow};
use crate::session::{Realm, Timestamp};

/// So many sessions of one address are looked at; more within a day at most are a flood.
const SESSIONS_MAX: usize = 200;
/// So many parts of a span have a moment of their own.
const PARTS: i64 = 8;

/// The span from one moment to another, both included.
pub(super) struct Window {
    pub(super) realm: Realm,
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
}

impl Window {
    pub(super) fn owners(&self, past: &Past, seen: LastSeen<'_>) -> Result<PastOwner, AuditError> {
        let sessions = past.sessions(&SessionFilter {
            subscriber: None,
            prefix: Some(self.address.to_canonical().into()),
            realm: self.realm,
            since: Some(self.since),
            until: Some(Timestamp::from_millis(self.until.millis().saturating_add(1))),
            limit: SESSIONS_MAX,
        })?;
        let mut owners = Vec::new();
        for at in self.moments(&sessions) {
            owners.push(past.owner(self.realm, self.address, self.port, at, seen)?);
        }
        let mut judged = judge(owners);
        if sessions.len() >= SESSIONS_MAX {
            judged.confidence = judged.confidence.max(Confidence::Ambiguous);
            judged.because = "it changed hands more often than is looked at; narrow the span";
        }
        Ok(judged)
    }

    /// In order, each once.
    fn moments(&self, sessions: &[SessionRow]) -> Vec<Timestamp> {
        let (since, until) = (self.since.millis(), self.until.millis());
        let part = until.saturating_sub(since).checked_div(PARTS).unwrap_or(0);
        let mut moments: Vec<i64> =
            (1..PARTS).map(|index| since.saturating_add(part.saturating_mul(index))).collect();
        moments.extend([since, until]);
        let bindings = sessions.iter().flat_map(|session| &session.bindings);
        for binding in bindings.filter(|binding| binding.place.prefix.contains(&self.address.to_canonical()))
        {
            // When it changed hands, and the last moment before.
            for at in [Some(binding.valid_from), binding.valid_until].into_iter().flatten() {
                moments.extend([at.millis(), at.millis().saturating_sub(1)]);
            }
        }
        moments.retain(|at| (since..=until).contains(at));
        moments.sort_unstable();
        moments.dedup();
        moments.into_iter().map(Timestamp::from_millis).collect()
    }
}

/// What answers about several moments, in order, come to.
fn judge(owners: Vec<PastOwner>) -> PastOwner {
    let worst = owners.iter().map(|owner| owner.confidence).max().unwrap_or(Confidence::Unknown);
    let because = owners.iter().find(|owner| owner.confidence == worst).map_or("", |owner| owner.because);
    let somebody = owners.iter().any(|owner| !owner.candidates.is_empty());
    let throughout = owners.iter().all(|owner| !owner.candidates.is_empty());
    let mut candidates: Vec<Candidate> = Vec::new();
    for candidate in owners.into_iter().flat_map(|owner| owner.candidates) {
        let same = |known: &&mut Candidate| {
            (&known.session, &known.subscriber, known.valid_from, known.ports)
                == (&candidate.session, &candidate.subscriber, candidate.valid_from, candidate.ports)
        };
        match candidates.iter_mut().find(same) {
            // What is told of it last is what came of it.
            Some(known) => *known = candidate,
            None => candidates.push(candidate),
        }
    }
    // A session that no rule could name is somebody else than any other.
    let one = candidates.split_first().is_some_and(|(first, others)| {
        others.is_empty()
            || first.subscriber.is_some() && others.iter().all(|other| other.subscriber == first.subscriber)
    });
    let (confidence, because) = match worst {
        Confidence::Exact | Confidence::UntilLastInterim if throughout && one => (worst, because),
        Confidence::Exact if !somebody => (worst, because),
        Confidence::Exact | Confidence::UntilLastInterim if !one => {
            (Confidence::Ambiguous, "it changed hands within this span")
        }
        Confidence::Exact | Confidence::UntilLastInterim => {
            (Confidence::Ambiguous, "for a part of this span nobody had it")
        }
        Confidence::Unknown if somebody => {
            (Confidence::Ambiguous, "for a part of this span it is not known who had it")
        }
        Confidence::Ambiguous | Confidence::Unknown => (worst, because),
    };
    PastOwner { confidence, candidates, because }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Line, Name, Ports};

    fn had(subscriber: Option<&str>, from: i64) -> Candidate {
        Candidate {
            subscriber: subscriber.map(Name::from),
            session: Some(format!("bras1/s{from}/{from}")),
            key: None,
            nas: Some(Name::from("bras1")),
            line: Line::default(),
            prefix: "192.0.2.7/32".parse().unwrap(),
            ports: Ports::ALL,
            inside: None,
            valid_from: Timestamp::from_seconds(from),
            valid_until: None,
            last_seen: None,
            how: None,
            was_until: None,
            was_how: None,
            is_static: false,
        }
    }

    fn owner(confidence: Confidence, candidates: &[Candidate]) -> PastOwner {
        PastOwner { confidence, candidates: candidates.to_vec(), because: "" }
    }

    #[test]
    fn one_owner_throughout_is_exact_and_two_or_a_part_without_are_ambiguous() {
        use Confidence::{Ambiguous, Exact, Unknown, UntilLastInterim};
        let (alice, again, bob) = (had(Some("alice"), 1), had(Some("alice"), 5), had(Some("bob"), 5));
        let nameless = had(None, 5);
        let alice = &[alice];
        for (owners, confidence, count) in [
            (vec![owner(Exact, alice), owner(Exact, alice)], Exact, 1),
            (vec![owner(Exact, alice), owner(Exact, std::slice::from_ref(&again))], Exact, 2),
            (vec![owner(Exact, alice), owner(UntilLastInterim, alice)], UntilLastInterim, 1),
            (vec![owner(Exact, alice), owner(Exact, std::slice::from_ref(&bob))], Ambiguous, 2),
            (vec![owner(UntilLastInterim, alice), owner(Exact, std::slice::from_ref(&bob))], Ambiguous, 2),
            (vec![owner(Exact, alice), owner(Exact, &[nameless])], Ambiguous, 2),
            (vec![owner(Exact, alice), owner(Exact, &[])], Ambiguous, 1),
            (vec![owner(Exact, alice), owner(Unknown, &[])], Ambiguous, 1),
            (vec![owner(Exact, &[]), owner(Unknown, &[])], Unknown, 0),
            (vec![owner(Exact, &[]), owner(Exact, &[])], Exact, 0),
            (vec![owner(Ambiguous, &[alice[0].clone(), bob]), owner(Exact, alice)], Ambiguous, 2),
        ] {
            let judged = judge(owners);
            assert_eq!((judged.confidence, judged.candidates.len()), (confidence, count));
        }
    }

    #[test]
    fn the_past_is_asked_at_both_ends_and_on_both_sides_of_each_change() {
        let window = Window {
            realm: Realm::PUBLIC,
            address: "192.0.2.7".parse().unwrap(),
            port: None,
            since: Timestamp::from_seconds(100),
            until: Timestamp::from_seconds(100),
        };
        assert_eq!(window.moments(&[]), [Timestamp::from_seconds(100)], "a span of nothing is a moment");
        let wide = Window { until: Timestamp::from_seconds(180), ..window };
        let moments = wide.moments(&[]);
        assert_eq!(moments.len(), 9);
        assert_eq!((moments.first(), moments.last()), (Some(&wide.since), Some(&wide.until)));
    }
}
