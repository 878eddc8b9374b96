//! Looks at whoever sent something in a group commit: what of it is a signal becomes an entry of the next one.
//!
//! Knows: what came of a commit, and the thresholds that hold now. Must not know: what is usual, or what follows from a signal.

use foldhash::{HashMap, HashMapExt};

use crate::relay::signal::Signal;
use crate::relay::standing::Subject;
use crate::relay::trend::{Thresholds, Trends, subject_of, subject_of_attempt};
use crate::relay::verdict::Reason;
use crate::session::Timestamp;
use crate::views::{Folded, Outcome};

/// The signals of those who sent, or tried to, in what was folded up to this moment; each only once, however much they sent.
pub(super) fn seen(
    trends: &Trends,
    thresholds: &Thresholds,
    folded: &[Folded],
    until: Timestamp,
) -> Vec<Signal> {
    let mut latest: HashMap<Subject, Timestamp> = HashMap::new();
    let mut note = |subject: Option<Subject>, at: Timestamp| {
        if let Some(subject) = subject {
            let latest = latest.entry(subject).or_insert(Timestamp::EARLIEST);
            *latest = at.min(until).max(*latest);
        }
    };
    if !thresholds.signals {
        return Vec::new();
    }
    for Folded { outcome, .. } in folded {
        match outcome {
            // Nobody need be called because a file was read.
            Outcome::Message(message, beside) if message.reason != Reason::Imported => {
                note(subject_of(message), message.at);
                note(message.login.clone().map(Subject::Login), message.at);
                beside.iter().for_each(|subject| note(Some(subject.clone()), message.at));
            }
            Outcome::Attempts(attempts) => {
                for attempt in attempts {
                    note(subject_of_attempt(attempt), attempt.last);
                }
            }
            Outcome::Scanned(scanned) => {
                scanned.subjects().for_each(|subject| note(Some(subject), scanned.at));
            }
            _ => {}
        }
    }
    let mut signals: Vec<Signal> =
        latest.iter().flat_map(|(subject, at)| trends.look(subject, thresholds, *at)).collect();
    // The order of a hash map is another one each time.
    signals.sort_by(|left, right| (&left.subject, &left.name).cmp(&(&right.subject, &right.name)));
    signals
}
