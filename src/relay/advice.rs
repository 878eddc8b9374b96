//! Each reason in words for the person who has the customer on the telephone: what it means, and what to do.
//!
//! Knows: sentences. Must not know: who asks, or about whom.

use super::verdict::Reason;

/// What to say about a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// What it means.
    pub meaning: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// What to say of attempts that were more than could be told apart.
pub const COUNTED: Advice = Advice {
    meaning: "more addresses tried within this minute than are told apart; these were only counted",
    remedy: "look at the rows of the minutes around it, and for where such a flood comes from",
};

impl Advice {
    /// About this reason.
    #[must_use]
    pub fn on(reason: Reason) -> Advice {
        let (meaning, remedy) = match reason {
            Reason::Online | Reason::FeedStale | Reason::Static | Reason::Login | Reason::Imported => {
                ("it was permitted", "nothing")
            }
            Reason::ChangedHands => {
                ("the address changed hands while the message was under way; it was let go", "nothing")
            }
            Reason::NotOnline => (
                "no subscriber was online with this address",
                "ask from where the mail was sent: another network needs authenticated submission; if it was this line, \
                 look with `relaywarden explain ADDRESS` whether its Start ever came",
            ),
            Reason::Suspended => (
                "this subscriber or login is suspended",
                "`relaywarden suspensions` has by whom and why; when that is settled, `relaywarden release`",
            ),
            Reason::Never => (
                "this is one of our own addresses, which never relay this way",
                "tell the mail administrators: a server or proxy of ours sends through the customers' relay",
            ),
            Reason::NoIdentity => (
                "the line was online, but no identity rule names its subscriber",
                "tell the AAA administrators: its records lack what `identity` of the configuration looks for",
            ),
            Reason::NoLogin => (
                "the client did not log in, and this listener takes mail only after a login",
                "have the customer turn on authentication for outgoing mail",
            ),
            Reason::NoAddress => (
                "the mail server did not tell the client's address",
                "tell the mail administrators: it asks without client_address",
            ),
            Reason::JustFreed => (
                "the address had just been given up; its next owner may not have been reported yet",
                "nothing: the mail server tries again, and a line that is online is permitted then",
            ),
            Reason::SessionSuspect => (
                "the line's session was in doubt: its reports had stopped, or its router had begun anew",
                "the next report settles it; if it lasts, have the customer connect anew and look at `relaywarden nas`",
            ),
            Reason::Conflict => (
                "two subscribers' live sessions claim this address",
                "tell the AAA administrators; `relaywarden explain ADDRESS` shows both, and it ends when one of them stops",
            ),
            Reason::PortRequired => (
                "the address is shared by ports, and the mail server did not tell the port",
                "tell the mail administrators: it must ask with client_port",
            ),
            Reason::WarmUp => (
                "we had not listened long enough to know who is online",
                "nothing: it passes by itself; `relaywarden nas` shows how long it may take",
            ),
            Reason::NasSilent => (
                "the router that would know had gone silent",
                "tell the AAA administrators; `relaywarden nas` says since when",
            ),
            Reason::NasLagging => (
                "the router that would know was catching up on old reports",
                "nothing, unless it lasts: then `relaywarden nas` says how far behind it is",
            ),
            Reason::FeedBlocked => (
                "reports could not be written down then, so who came online was not known",
                "tell whoever is on call: the disk of the daemon was full or failing; see /readyz",
            ),
            Reason::Limited | Reason::TooLarge | Reason::RecipientRefused => on_much_mail(reason),
            Reason::Starting => ("the daemon was starting", "nothing: the mail server tries again"),
            Reason::Unrecorded => (
                "the message could not be written down, so it was not let go",
                "tell whoever is on call: the disk of the daemon was full or failing; see /readyz",
            ),
        };
        Advice { meaning, remedy }
    }
}

/// What it means that somebody sends much, or to many who are not there.
fn on_much_mail(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::Limited => (
            "a limit was reached: so much mail in so short a time is not let go",
            "`relaywarden usage` shows which limit and how much; if the mail is wanted, give this kind of customer a \
             [[limit]] of its own; else look for a compromised machine or password",
        ),
        Reason::TooLarge => (
            "the message was larger than a limit lets go at any time",
            "have the customer send it in parts, or by other means; `relaywarden usage` shows the limit",
        ),
        _ => (
            "the mail server itself refused this recipient for good; it was not ours to decide",
            "have the customer check the address; many of them are somebody who tries addresses: look at \
             `relaywarden usage` and the subscriber's page",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_permitted_has_words_of_its_own() {
        use crate::relay::verdict::Verdict;
        let held_back = Reason::ALL.iter().filter(|reason| reason.verdict() != Verdict::Permit);
        let mut meanings: Vec<&str> = held_back.map(|reason| Advice::on(*reason).meaning).collect();
        meanings.push(COUNTED.meaning);
        let count = meanings.len();
        meanings.sort_unstable();
        meanings.dedup();
        assert_eq!(meanings.len(), count);
    }
}
