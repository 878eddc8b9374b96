//! What others are told of: a portal, a ticket system, a pager.
//!
//! A notice is derived from an entry when that is folded, so the log is where it comes from, and a replay comes to the same ones
//! under the same ids.
//!
//! Knows: which entries tell of what (`told`), how that is spelled (`body`), signed (`signature`) and tried again (`schedule`).
//! Must not know: who is told, sockets, files, or what time it is.

pub mod address;
pub mod body;
pub mod schedule;
pub mod signature;
pub mod told;

use std::fmt::Write as _;

use crate::relay::case::{Evidence, Kind as CaseKind};
use crate::relay::standing::{Order, Subject};
use crate::session::{Name, Timestamp};

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal;)+) => {
        /// What can be told.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Kind {
            /// The word in the configuration and in what is sent.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Kind::$variant => $word,)+ }
            }

            /// All of them.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)+];
        }
    };
}

kinds! {
    /// A case was opened.
    CaseOpened = "case-opened";
    /// A case was closed or dismissed.
    CaseClosed = "case-closed";
    /// Somebody sends as they never did.
    Signal = "signal";
    /// A complaint was taken.
    Complaint = "complaint";
    /// A block list has one of our own addresses.
    Listing = "listing";
    /// A block list no longer has one of our own addresses.
    Delisted = "delisted";
    /// Somebody's mail is let go no longer.
    Suspended = "suspended";
    /// Little of somebody's mail is let go.
    Limited = "limited";
    /// Somebody was released.
    Released = "released";
    /// A suspension or a limit is over by its own time.
    Ended = "ended";
    /// A rule has given too many orders, and a human is called for this one.
    RuleCalled = "rule-called";
    /// A rule that is only watched would have given an order.
    RuleObserved = "rule-observed";
    /// A NAS is silent.
    FeedSilent = "feed-silent";
    /// A NAS is heard again.
    FeedHeard = "feed-heard";
    /// The report of a day.
    Report = "report";
    /// Something could not be told; nobody chooses it, and everybody is told of it.
    Lost = "lost";
    /// Somebody tries whether it arrives.
    Test = "test";
}

impl Kind {
    /// The words that may be chosen, in the order of [`Kind::ALL`].
    pub const CHOICES: &'static [&'static str] = &[
        "case-opened",
        "case-closed",
        "signal",
        "complaint",
        "listing",
        "delisted",
        "suspended",
        "limited",
        "released",
        "ended",
        "rule-called",
        "rule-observed",
        "feed-silent",
        "feed-heard",
        "report",
    ];

    /// The one that may be chosen by this word.
    #[must_use]
    pub fn chosen(word: &str) -> Option<Kind> {
        let place = Kind::CHOICES.iter().position(|choice| *choice == word)?;
        Kind::ALL.get(place).copied()
    }
}

/// Something to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What.
    pub kind: Kind,
    /// When it happened; `None`: when it was noticed.
    pub at: Option<Timestamp>,
    /// The case that it belongs to, and by what that was opened where that is known.
    pub case: Option<(u64, Option<CaseKind>)>,
    /// Whom it is about.
    pub about: Vec<Subject>,
    /// Who did it.
    pub by: Option<Name>,
    /// Why.
    pub reason: Option<Name>,
    /// The ticket that goes with it elsewhere.
    pub ticket: Option<Name>,
    /// The order that was given, or would have been.
    pub order: Option<Order>,
    /// What speaks for it.
    pub evidence: Option<Evidence>,
    /// The NAS that it is about.
    pub nas: Option<Name>,
    /// The entry that it goes back to, where that is not the one after which it happened.
    pub order_entry: Option<u64>,
}

impl Notice {
    /// One of which no more is known.
    #[must_use]
    pub fn bare(kind: Kind, at: Option<Timestamp>) -> Notice {
        let (about, by, reason, ticket) = (Vec::new(), None, None, None);
        let (order, evidence, nas, order_entry) = (None, None, None, None);
        Notice { kind, at, case: None, about, by, reason, ticket, order, evidence, nas, order_entry }
    }

    /// What the receiver knows it again by: the entry that it came of, and what of it. A log that was begun anew or put back numbers
    /// its entries as another one did, and is told apart by its `generation`; the first one is 0.
    #[must_use]
    pub fn id(&self, sequence: u64, generation: u32) -> String {
        // Several orders may end after the same entry.
        let mut id = format!("{}-{}", self.order_entry.unwrap_or(sequence), self.kind.word());
        if let Some(nas) = &self.nas {
            // Several may fall silent after the same entry.
            let _ = write!(id, "-{:08x}", crc32fast::hash(nas.octets()));
        }
        if generation > 0 {
            let _ = write!(id, "-{generation:08x}");
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_chosen_is_everything_but_what_nobody_chooses() {
        for (word, kind) in Kind::CHOICES.iter().zip(Kind::ALL) {
            assert_eq!(*word, kind.word());
            assert_eq!(Kind::chosen(word), Some(*kind));
        }
        let left: Vec<_> = Kind::ALL.iter().skip(Kind::CHOICES.len()).collect();
        assert_eq!(left, [&Kind::Lost, &Kind::Test]);
        assert!(["lost", "test", "", "Suspended"].iter().all(|word| Kind::chosen(word).is_none()));
    }

    #[test]
    fn two_nases_that_fall_silent_after_the_same_entry_have_two_ids() {
        let silent = |nas: &str| {
            let notice = Notice { nas: Some(Name::from(nas)), ..Notice::bare(Kind::FeedSilent, None) };
            notice.id(7, 0)
        };
        assert_ne!(silent("bras1"), silent("bras2"));
        assert_eq!(silent("bras1"), silent("bras1"));
        assert_eq!(Notice::bare(Kind::Suspended, None).id(7, 0), "7-suspended");
        assert_eq!(Notice::bare(Kind::Suspended, None).id(7, 0xbad), "7-suspended-00000bad");
    }
}
