//! Where limits stand in the way of a message: at each recipient, and at its end.
//!
//! Knows: what is weighed when, and what the MTA hears of something that a limit does not let go. Must not know: what a limit is, or
//! what was sent.

use super::{Counters, MailDesk, referred};
use crate::config::Config;
use crate::mta::policy::Action;
use crate::relay::Query;
use crate::relay::attribution::Attribution;
use crate::relay::limit::{Exceeded, Limit, Measure};
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
        let payers = self.payers(peer, query, ruling, config, now);
        let message = reserved::Message { mta: &peer.mta, instance: &instance };
        let load = Load { payers: &payers, message, now };
        let recipient = (self.key.recipient(&query.recipient), query.size);
        self.scales.recipient(&config.limits, &self.shared.usages, load, recipient).held_back
    }

    /// What does not let a whole message go, or would not if it were enforced.
    pub(super) fn too_much<'c>(
        &self,
        query: &Query,
        ruling: &Ruling,
        payers: &[Payer],
        message: reserved::Message<'_>,
        config: &'c Config,
        now: Timestamp,
    ) -> Option<Exceeded<'c>> {
        if payers.is_empty() || ruling.verdict() != Verdict::Permit {
            return None;
        }
        let amount = Amount { messages: 1, recipients: query.recipient_count.into(), octets: query.size };
        let load = Load { payers, message, now };
        let weighed = self.scales.whole(&config.limits, &self.shared.usages, load, amount);
        weighed.held_back.or(weighed.observed)
    }

    /// Against whom a message counts; nobody, where nothing is weighed.
    pub(super) fn payers_of(
        &self,
        peer: &Peer,
        query: &Query,
        ruling: &Ruling,
        config: &Config,
        now: Timestamp,
    ) -> Vec<Payer> {
        if self.weighs(config) { self.payers(peer, query, ruling, config, now) } else { Vec::new() }
    }

    /// Against whom a recipient counted that was permitted before.
    pub(super) fn held(
        &self,
        peer: &Peer,
        query: &Query,
        known: Option<&Attribution>,
        config: &Config,
        now: Timestamp,
    ) -> Vec<Payer> {
        known.map_or_else(Vec::new, |known| self.payers(peer, query, &known.ruling, config, now))
    }

    /// Gives back what a message held: of those against whom it counts, and of whoever was permitted at RCPT.
    pub(super) fn give_back(
        &self,
        payers: &[Payer],
        held: &[Payer],
        message: reserved::Message<'_>,
        is_written: bool,
    ) {
        for (payers, is_written) in [(payers, is_written), (held, false)] {
            if !payers.is_empty() {
                self.scales.release(payers, message, is_written);
            }
        }
    }

    /// Whether any limit can hold for anybody: those of the limited need somebody who is.
    fn weighs(&self, config: &Config) -> bool {
        let for_all = config.limits.iter().any(|limit| !limit.kind.limited);
        for_all || !config.limits.is_empty() && self.shared.standing.load().limits_somebody()
    }

    fn payers(
        &self,
        peer: &Peer,
        query: &Query,
        ruling: &Ruling,
        config: &Config,
        now: Timestamp,
    ) -> Vec<Payer> {
        let standing = self.shared.standing.load();
        let is_limited = |subject: &Subject| standing.limited(subject, now).is_some();
        let login = query.login.as_deref().map(Name::new);
        let beside = MailDesk::beside(query, ruling, config);
        let mut payers = payers(ruling, login.as_ref(), beside, is_limited);
        // Most have no limit that asks for any of it.
        let asks = |of: &dyn Fn(&Limit) -> bool| config.limits.iter().any(of);
        let by_attribute = asks(&|limit| limit.kind.attribute.is_some());
        let by_refused = asks(&|limit| limit.has(Measure::Refused));
        let client = query.address.filter(|_| asks(&|limit| limit.has(Measure::Connections)));
        let client = client.map(|address| self.client(peer, address, query.port));
        let owner = ruling.owner().and_then(|owner| owner.subscriber.clone());
        if let (Some(client), Some(owner)) = (client, owner) {
            self.seats.claim(client, Subject::Subscriber(owner));
        }
        for payer in &mut payers {
            if by_attribute {
                let of = |name: &Name| self.shared.classes.of(name);
                payer.attributes = payer.subject.subscriber().map(of).unwrap_or_default();
            }
            if by_refused {
                payer.refused = self.attempts.refused(&payer.subject);
            }
            if let Some(client) = client {
                payer.connection = self.seats.place(client, &payer.subject);
            }
        }
        payers
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
