//! The answer to "may it relay?" as two closed lists: three verdicts and the reasons for them.
//!
//! Knows: the words. Must not know: any MTA's spelling of them, or how a verdict was found.

use serde::{Deserialize, Serialize};

/// May a message leave?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Yes, and we know whose it is.
    Permit,
    /// No: we know that nobody who may send owns the address.
    Refuse,
    /// Not now: we do not know. Never folded into a refusal, which bounces mail.
    Defer,
}

impl Verdict {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Permit => "permit",
            Verdict::Refuse => "refuse",
            Verdict::Defer => "defer",
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal => $verdict:ident, $text:literal;)+) => {
        /// Why. A closed list: the same word stands in answers, entries, metrics and output.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// All of them, in the order in which they are documented.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)+];

            /// The word in output.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Reason::$variant => $word,)+ }
            }

            /// The verdict this reason stands for.
            #[must_use]
            pub fn verdict(self) -> Verdict {
                match self { $(Reason::$variant => Verdict::$verdict,)+ }
            }

            /// What a mail client's user may read: no names, no internals.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Reason::$variant => $text,)+ }
            }
        }
    };
}

// Reasons are written into the log and the index by their place: new ones go to the end.
reasons! {
    /// A live session of an identified subscriber owns the address.
    Online = "online" => Permit, "online";
    /// As `Online`, but the NAS was not heard since we last lost sight of it.
    FeedStale = "feed-stale" => Permit, "online when last heard of";
    /// A configured static prefix.
    Static = "static" => Permit, "static address";
    /// An authenticated login, where logins may relay.
    Login = "login" => Permit, "authenticated";
    /// The address changed hands between RCPT and the end of the message: let go, and nobody is accused.
    ChangedHands = "changed-hands" => Permit, "address changed hands";
    /// Nobody owns the address, and the feed is whole.
    NotOnline = "not-online" => Refuse, "this address is not in use by a subscriber";
    /// Subscriber or login is suspended.
    Suspended = "suspended" => Refuse, "sending mail is suspended for this connection";
    /// One of our own addresses, which never relay this way.
    Never = "never" => Refuse, "this address does not relay";
    /// A session owns the address but no rule names its subscriber.
    NoIdentity = "no-identity" => Refuse, "this connection has no known subscriber";
    /// A submission listener was asked about a client that has not logged in.
    NoLogin = "no-login" => Refuse, "authentication is required";
    /// The query named no address.
    NoAddress = "no-address" => Refuse, "no client address";
    /// The owner stopped moments ago; the next one's Start may be on its way.
    JustFreed = "just-freed" => Defer, "this address changed hands just now, try again";
    /// The session that owns it has become doubtful (interim overdue, NAS restarted, came back after its Stop).
    SessionSuspect = "session-suspect" => Defer, "this connection is being verified, try again";
    /// Live sessions of two subscribers claim it.
    Conflict = "conflict" => Defer, "this address is being verified, try again";
    /// The address is shared by ports and no port was told.
    PortRequired = "port-required" => Defer, "this address is shared, the source port is needed";
    /// We have not listened long enough since a gap to know.
    WarmUp = "warm-up" => Defer, "subscriber information is being gathered, try again";
    /// The NAS that would know has gone silent.
    NasSilent = "nas-silent" => Defer, "subscriber information is incomplete, try again";
    /// The NAS that would know is catching up on old records.
    NasLagging = "nas-lagging" => Defer, "subscriber information is late, try again";
    /// What is reported cannot be written down now, so it is not taken: who came online meanwhile is not known.
    FeedBlocked = "feed-blocked" => Defer, "subscriber information cannot be taken now, try again";
    /// We have just started and do not answer from half a map.
    Starting = "starting" => Defer, "starting, try again";
    /// The message could not be written down.
    Unrecorded = "unrecorded" => Defer, "this message cannot be recorded now, try again";
    /// Not decided by us: a mail server's log tells that it let the message go while we were away.
    Imported = "imported" => Permit, "imported from a mail server's log";
    /// More than a limit lets go now.
    Limited = "limited" => Defer, "too much mail from this connection, try again later";
    /// Larger than a limit ever lets go.
    TooLarge = "too-large" => Refuse, "this message is larger than this connection may send";
    /// Not decided by us: the mail server refused the recipient for good, and a milter client told of it.
    RecipientRefused = "recipient-refused" => Refuse, "the mail server refused this recipient";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_its_own_and_plain() {
        let mut words: Vec<_> = Reason::ALL.iter().map(|reason| reason.word()).collect();
        assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Reason::ALL.len());
    }
}
