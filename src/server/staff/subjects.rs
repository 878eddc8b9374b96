//! Whom an order or a question is about: as staff typed it, and as it is kept.
//!
//! Knows: by what somebody is known. Must not know: what is ordered or asked.

use std::sync::Arc;

use super::{StaffDesk, blocking, opened};
use crate::relay::standing::Subject;
use crate::server::http::OrderError;
use crate::session::{Name, Timestamp};

impl StaffDesk {
    /// Staff types a name as the subscriber writes it; it is looked for as it is kept.
    pub(super) fn canonical(&self, name: &Name) -> Name {
        let canonical = self.config.load().identity.canonical;
        canonical.name(name.octets()).unwrap_or_else(|| name.clone())
    }

    /// Whether there is something to release.
    pub(super) fn check_held(&self, subject: &Subject, now: Timestamp) -> Result<(), OrderError> {
        let standing = self.shared.standing.load();
        match standing.suspension(subject, now).or(standing.limited(subject, now)) {
            Some(_) => Ok(()),
            None => Err(OrderError::NotSuspended),
        }
    }

    /// Whether an order about somebody of this name would be one about everybody in a range.
    pub(super) fn check_range(&self, subject: &Subject) -> Result<(), OrderError> {
        let config = self.config.load();
        let ranges = &mut config.relay.statics.iter();
        match subject.subscriber().is_some_and(|name| ranges.any(|(_, owner)| owner == name)) {
            true => Err(OrderError::StaticRange),
            false => Ok(()),
        }
    }

    /// Whether somebody of this name was ever seen.
    pub(super) async fn check_subject(&self, subject: &Subject) -> Result<(), OrderError> {
        // Of those within a trusted host memory has all there is.
        let is_whole = matches!(subject, Subject::Within(_)) || self.indexed().await;
        let (past, subject) = (Arc::clone(&self.past), subject.clone());
        let shared = Arc::clone(&self.shared);
        let known = blocking(move || match &subject {
            Subject::Subscriber(name) => opened(&past)?.known_subscriber(name),
            Subject::Login(name) => opened(&past)?.known_login(name),
            // Who sent within these days; nobody else is told apart.
            Subject::Within(_) => Ok(shared.usages.look(&subject, |usage| usage.is_some())),
        });
        known.await.map_err(|_| OrderError::Storage).and_then(|is_known| told(is_known, is_whole))
    }

    /// A subject as staff typed it, as it is kept.
    pub(super) fn kept_subject(&self, subject: Subject) -> Subject {
        match subject {
            Subject::Subscriber(name) => Subject::Subscriber(self.canonical(&name)),
            other @ (Subject::Login(_) | Subject::Within(_)) => other,
        }
    }
}

/// What a search for a name tells, in a past that has everything until now, or lacks the last of it. Who came online a moment ago and is
/// only in the log yet is nobody of whom it could be said that they were never seen.
fn told(is_known: bool, is_whole: bool) -> Result<(), OrderError> {
    match (is_known, is_whole) {
        (true, _) => Ok(()),
        (false, true) => Err(OrderError::UnknownSubject),
        (false, false) => Err(OrderError::Behind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_was_never_seen_by_a_past_that_lacks_the_last() {
        assert_eq!(told(false, false), Err(OrderError::Behind));
        assert_eq!(told(false, true), Err(OrderError::UnknownSubject));
        assert_eq!((told(true, false), told(true, true)), (Ok(()), Ok(())));
    }
}
