//! Where limits stand in the way of a message: at each recipient, and at its end.
//!
//! Knows: what is weighed when, and what the MTA hears of something that a limit does not let go. Must not know: what a limit is, or
//! what was sent.

use super::{Counters, MailDesk, referred};
use crate::config::Config;
use crate::mta::policy::Action;
use crate::relay::Query;
use crate::relay::attribution::Attribution;
use crate::relay::limit::Exceeded;
use crate::relay::reserved;
use crate::relay::ruling::Ruling;
use crate::relay::standing::Subject;
use crate::relay::usage::Amount;
use crate::relay::verdict::Verdict;
use crate::server::mta::Peer;
use crate::server::scales::{Load, Payer, payers, reason};
use crate::session::{Name, Timestamp};

impl MailDesk {
    /// What does not let one recipient more go. Without any limit there is nothing to weigh.
    pub(super) fn too_many<'c>(
        &self,
        peer: &Peer,
        query: &Query,
        ruling: &Ruling,
        config: &'c Config,
        now: Timestamp,
    ) -> Option<Exceeded<'c>> {
        if config.relay.observe || !self.weighs(config) || ruling.verdict() != Verdict::Permit {
            return None;
        }
        let instance = Name::new(&query.instance);
        let payers = self.payers(query, ruling, now);
        let message = reserved::Message { mta: &peer.mta, instance: &instance };
        let load = Load { payers: &payers, message, now };
        let recipient = (self.key.recipient(&query.recipient), query.size);
        self.scales.recipient(&config.limits, &self.shared.usages, load, recipient).held_back
    }

    /// What does not let a whole message go, or would not if it were enforced. One that was written down already was let go.
    pub(super) fn too_much<'c>(
        &self,
        query: &Query,
        ruling: &Ruling,
        is_repeat: bool,
        message: reserved::Message<'_>,
        config: &'c Config,
        now: Timestamp,
    ) -> Option<Exceeded<'c>> {
        if is_repeat || !self.weighs(config) || ruling.verdict() != Verdict::Permit {
            return None;
        }
        let payers = self.payers(query, ruling, now);
        let amount = Amount { messages: 1, recipients: query.recipient_count.into(), octets: query.size };
        let load = Load { payers: &payers, message, now };
        let weighed = self.scales.whole(&config.limits, &self.shared.usages, load, amount);
        weighed.held_back.or(weighed.observed)
    }

    /// Who may have something of a message under way: whoever was permitted at RCPT, and whoever has the address now.
    pub(super) fn under_way(
        &self,
        query: &Query,
        known: Option<&Attribution>,
        ruling: &Ruling,
        config: &Config,
        now: Timestamp,
    ) -> Vec<Payer> {
        if !self.weighs(config) {
            return Vec::new();
        }
        let rulings = known.map(|known| &known.ruling).into_iter().chain([ruling]);
        rulings.flat_map(|ruling| self.payers(query, ruling, now)).collect()
    }

    /// Whether any limit can hold for anybody: those of the limited need somebody who is.
    fn weighs(&self, config: &Config) -> bool {
        let for_all = config.limits.iter().any(|limit| !limit.kind.limited);
        for_all || !config.limits.is_empty() && self.shared.standing.load().limits_somebody()
    }

    fn payers(&self, query: &Query, ruling: &Ruling, now: Timestamp) -> Vec<Payer> {
        let standing = self.shared.standing.load();
        let is_limited = |subject: &Subject| standing.limited(subject, now).is_some();
        payers(ruling, query.login.as_deref().map(Name::new).as_ref(), is_limited)
    }

    /// What the MTA hears of something that a limit does not let go.
    pub(super) fn over_limit(
        &self,
        peer: &Peer,
        query: &Query,
        ruling: Ruling,
        exceeded: &Exceeded<'_>,
        config: &Config,
        now: Timestamp,
    ) -> Action {
        let ruling = Ruling { reason: reason(exceeded), ..ruling };
        Counters::count(&self.counters.policy, ruling.reason);
        let reference = self.attempted(peer, query, &ruling, false, now);
        let text = exceeded.limit.text.as_deref().unwrap_or(ruling.reason.text());
        let contact =
            config.policy.contact.as_deref().map_or(String::new(), |contact| format!(", {contact}"));
        let text = referred(&format!("{text}{contact}"), reference);
        match ruling.verdict() {
            Verdict::Refuse => Action::TooLarge552 { text },
            Verdict::Permit | Verdict::Defer => Action::Limited450 { text },
        }
    }
}
