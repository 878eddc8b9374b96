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
        self.indexed().await;
        let (past, subject) = (Arc::clone(&self.past), subject.clone());
        let shared = Arc::clone(&self.shared);
        let known = blocking(move || match &subject {
            Subject::Subscriber(name) => opened(&past)?.known_subscriber(name),
            Subject::Login(name) => opened(&past)?.known_login(name),
            // Who sent within these days; nobody else is told apart.
            Subject::Within(_) => Ok(shared.usages.look(&subject, |usage| usage.is_some())),
        });
        match known.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(OrderError::UnknownSubject),
            Err(_) => Err(OrderError::Storage),
        }
    }

    /// A subject as staff typed it, as it is kept.
    pub(super) fn kept_subject(&self, subject: Subject) -> Subject {
        match subject {
            Subject::Subscriber(name) => Subject::Subscriber(self.canonical(&name)),
            other @ (Subject::Login(_) | Subject::Within(_)) => other,
        }
    }
}
