//! What was ruled at RCPT, kept until the end of the message: a message belongs to the session that was permitted,
//! not to whoever owns the address when its last octet arrives.
//!
//! Knows: rulings and recipients by MTA and instance, bounded in number and time. Must not know: who asks how.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::message::RECIPIENTS_KEPT;
use super::ruling::Ruling;
use super::verdict::Verdict;
use crate::session::{Name, Timestamp};

/// How long a message may take from its first recipient to its end.
const KEPT_FOR: Duration = Duration::from_secs(2 * 3600);
/// How many messages may be under way at once; beyond, the oldest are forgotten and ruled again at their end.
const KEPT: usize = 200_000;
/// How many different recipient domains of one message are kept.
const DOMAINS_KEPT: usize = 100;

/// What is known of a message under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    /// The first ruling that permitted, else the last one.
    pub ruling: Ruling,
    /// Recipient domains, each once.
    pub domains: Vec<Name>,
    /// Keyed hashes of the first hundred recipients.
    pub hashes: Vec<u64>,
}

/// Messages under way.
#[derive(Debug, Default)]
pub struct Attributions {
    under_way: HashMap<(Name, Name), Attribution>,
    in_order: VecDeque<(Timestamp, (Name, Name))>,
}

impl Attributions {
    /// Notes what was ruled for one recipient. Without an instance there is nothing to keep it by.
    pub fn note(
        &mut self,
        mta: &Name,
        instance: &Name,
        ruling: &Ruling,
        recipient: Option<(Name, u64)>,
        now: Timestamp,
    ) {
        if instance.octets().is_empty() {
            return;
        }
        self.forget_old(now);
        let key = (mta.clone(), instance.clone());
        let in_order = &mut self.in_order;
        let attribution = self.under_way.entry(key).or_insert_with_key(|key| {
            in_order.push_back((now, key.clone()));
            let (domains, hashes) = (Vec::new(), Vec::new());
            Attribution { ruling: ruling.clone(), domains, hashes }
        });
        if attribution.ruling.verdict() != Verdict::Permit {
            attribution.ruling = ruling.clone();
        }
        if let Some((domain, hash)) = recipient {
            if attribution.domains.len() < DOMAINS_KEPT && !attribution.domains.contains(&domain) {
                attribution.domains.push(domain);
            }
            if attribution.hashes.len() < RECIPIENTS_KEPT && !attribution.hashes.contains(&hash) {
                attribution.hashes.push(hash);
            }
        }
    }

    /// What is known of this message. It stays known: the MTA may ask again.
    #[must_use]
    pub fn recall(&self, mta: &Name, instance: &Name) -> Option<&Attribution> {
        self.under_way.get(&(mta.clone(), instance.clone()))
    }

    fn forget_old(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.in_order.front()
            && (now.since(*at) > KEPT_FOR || self.in_order.len() >= KEPT)
        {
            if let Some((_, key)) = self.in_order.pop_front() {
                self.under_way.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Reason;
    use super::*;

    fn ruling(reason: Reason) -> Ruling {
        Ruling { reason, owners: Vec::new(), suspension: None }
    }

    fn recipient(number: u64) -> Option<(Name, u64)> {
        Some((Name::from(format!("d{number}.example").as_str()), number))
    }

    #[test]
    fn the_first_permit_stays() {
        let (mta, instance) = (Name::from("m"), Name::from("i"));
        let mut kept = Attributions::default();
        for reason in [Reason::WarmUp, Reason::Online, Reason::NotOnline] {
            kept.note(&mta, &instance, &ruling(reason), None, Timestamp::from_seconds(0));
        }
        assert_eq!(kept.recall(&mta, &instance).map(|kept| kept.ruling.reason), Some(Reason::Online));
    }

    #[test]
    fn recipients_are_kept_once_and_up_to_a_hundred() {
        let (mta, instance) = (Name::from("m"), Name::from("i"));
        let mut kept = Attributions::default();
        for number in (0..101).chain(0..3) {
            let now = Timestamp::from_seconds(0);
            kept.note(&mta, &instance, &ruling(Reason::Online), recipient(number), now);
        }
        let kept = kept.recall(&mta, &instance).unwrap();
        assert_eq!((kept.hashes.len(), kept.domains.len()), (100, 100));
    }

    #[test]
    fn a_message_is_forgotten_after_two_hours_and_not_before() {
        let (mta, old, new) = (Name::from("m"), Name::from("old"), Name::from("new"));
        let mut kept = Attributions::default();
        kept.note(&mta, &old, &ruling(Reason::Online), None, Timestamp::from_seconds(0));
        kept.note(&mta, &new, &ruling(Reason::Online), None, Timestamp::from_seconds(7200));
        assert!(kept.recall(&mta, &old).is_some());
        kept.note(&mta, &new, &ruling(Reason::Online), None, Timestamp::from_seconds(7201));
        assert!(kept.recall(&mta, &old).is_none());
    }
}
