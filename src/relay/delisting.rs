//! Limits that end by themselves when one of our addresses leaves a block list.
//!
//! A limit of this kind is tied to the listing for which it was given. Who is limited for two listings has two ties, and goes on being
//! limited until both addresses are off their lists. A tie is over when the list says that the address is gone, and then waits for
//! the entry that unties it: so a restart between the two loses nothing, and whatever was ordered meanwhile has cut the tie.
//!
//! Knows: who is tied to what. Must not know: who asks block lists, or what a limit does.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::signal::Delisted;
use super::standing::Subject;
use crate::session::Name;

/// Why somebody is limited, and until when: as long as that list has that address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tie {
    /// The case from which it was ordered.
    pub case: u64,
    /// By whom; a rule.
    pub by: Name,
    /// The list.
    pub list: Name,
    /// The address that it has.
    pub address: IpAddr,
    /// It no longer has it.
    pub over: bool,
}

impl Tie {
    /// The listing, in words.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{} on {}", self.address, self.list)
    }
}

/// Who is limited until something is delisted. Part of a view.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ties {
    of: BTreeMap<Subject, Vec<Tie>>,
}

impl Ties {
    /// Those of one sender.
    #[must_use]
    pub fn of(&self, subject: &Subject) -> &[Tie] {
        self.of.get(subject).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether this sender is tied by this case.
    #[must_use]
    pub fn has(&self, subject: &Subject, case: u64) -> bool {
        self.of(subject).iter().any(|tie| tie.case == case)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&Subject, &Tie)> {
        self.of.iter().flat_map(|(subject, ties)| ties.iter().map(move |tie| (subject, tie)))
    }

    /// One more, or the one of this case anew.
    pub(super) fn tie(&mut self, subject: Subject, tie: Tie) {
        let ties = self.of.entry(subject).or_default();
        ties.retain(|other| other.case != tie.case);
        ties.push(tie);
    }

    /// One less; whether it was the last one.
    pub(super) fn untie(&mut self, subject: &Subject, case: u64) -> bool {
        let Some(ties) = self.of.get_mut(subject) else { return false };
        ties.retain(|tie| tie.case != case);
        let was_last = ties.is_empty();
        if was_last {
            self.of.remove(subject);
        }
        was_last
    }

    /// All of one sender, away from here.
    pub(super) fn take(&mut self, subject: &Subject) -> Vec<Tie> {
        self.of.remove(subject).unwrap_or_default()
    }

    /// Somebody ordered something else.
    pub(super) fn cut(&mut self, subject: &Subject) {
        self.of.remove(subject);
    }

    /// A list no longer has an address.
    pub(super) fn end(&mut self, delisted: &Delisted) {
        for tie in self.of.values_mut().flatten() {
            tie.over |= tie.address == delisted.address && tie.list == delisted.list;
        }
    }
}
