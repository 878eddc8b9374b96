//! Answers: who owns an address, or a port of it, now.
//!
//! Knows: what stands where, and whose feed is whole. Must not know: how it came to be so.

use std::net::IpAddr;

use relaywarden::session::{Name, Timestamp};

use super::claims::{Holder, Stand};
use super::{INTERVAL_ASSUMED, Life, Model, SECONDS, time};
use crate::answer::{Answer, Named, Question};

impl Model {
    pub(crate) fn answer(&self, question: Question, now: Timestamp) -> Answer {
        let blocks: Vec<&Stand> = self
            .stands
            .iter()
            .filter(|stand| !stand.place.ports.is_all() && stand.place.prefix.addr() == question.address)
            .collect();
        if !blocks.is_empty()
            && let Some(answer) = self.shared(&blocks, question, now)
        {
            return answer;
        }
        self.whole(question.address, now)
    }

    /// The longest prefix that is somebody's, or just was.
    fn whole(&self, address: IpAddr, now: Timestamp) -> Answer {
        let mut around: Vec<&Stand> = self
            .stands
            .iter()
            .filter(|stand| stand.place.ports.is_all() && stand.place.prefix.contains(&address))
            .collect();
        around.sort_by_key(|stand| std::cmp::Reverse(stand.place.prefix.prefix_len()));
        // Since when somebody may have a longer prefix who had lost it.
        let mut left: Option<Timestamp> = None;
        for stand in &around {
            match &stand.holders[..] {
                [] => match self.withheld(stand, now) {
                    Some("suspect") => left = left.or(stand.freed.as_ref().map(|freed| freed.claimed)),
                    Some(doubt) => return Answer::Unready(doubt, None),
                    None => {}
                },
                [owner] if left.is_some_and(|left| owner.since <= left) => {
                    return Answer::Unready("suspect", None);
                }
                [owner] => {
                    let life = self.life(&owner.key).unwrap();
                    if !self.is_believed(owner) {
                        return Answer::Unready("suspect", Some(self.named(owner)));
                    }
                    let newer = |wider: &&&Stand| {
                        wider.place.prefix.prefix_len() < stand.place.prefix.prefix_len()
                            && wider.holders.len() == 1
                            && wider.holders[0].since > life.heard
                            && !self.same(&wider.holders[0], owner)
                    };
                    return match around.iter().find(newer) {
                        Some(wider) => self.ambiguous(&[owner, &wider.holders[0]]),
                        None => Answer::Found(self.named(owner)),
                    };
                }
                several => return self.ambiguous(&several.iter().collect::<Vec<_>>()),
            }
        }
        if left.is_some() {
            return Answer::Unready("suspect", None);
        }
        self.nobodys(address, now)
    }

    /// Why it can't be said of a place without an owner that nobody has it.
    fn withheld(&self, stand: &Stand, now: Timestamp) -> Option<&'static str> {
        let freed = stand.freed.as_ref()?;
        if now < freed.deferred_until {
            return Some("just-freed");
        }
        self.has_losers(stand.place).then_some("suspect")
    }

    fn all_withheld(&self, stands: &[&Stand], now: Timestamp) -> Option<&'static str> {
        let doubts: Vec<_> = stands.iter().filter_map(|stand| self.withheld(stand, now)).collect();
        if doubts.contains(&"just-freed") { Some("just-freed") } else { doubts.first().copied() }
    }

    /// Rows 36 and 37.
    fn shared(&self, blocks: &[&Stand], question: Question, now: Timestamp) -> Option<Answer> {
        let Some(port) = question.port else {
            if blocks.iter().any(|stand| !stand.holders.is_empty()) {
                return Some(Answer::Unready("port-required", None));
            }
            let doubt = self.all_withheld(blocks, now);
            return doubt.map(|doubt| Answer::Unready(doubt, None));
        };
        let whole =
            |stand: &&Stand| stand.place.ports.is_all() && stand.place.prefix == question.address.into();
        let with_port = blocks.iter().copied().filter(|stand| stand.place.ports.contains(port));
        let around: Vec<&Stand> = with_port.chain(self.stands.iter().filter(whole)).collect();
        if let Some(contested) = around.iter().find(|stand| stand.holders.len() > 1) {
            return Some(self.ambiguous(&contested.holders.iter().collect::<Vec<_>>()));
        }
        let owners: Vec<&Holder> = around.iter().flat_map(|stand| &stand.holders).collect();
        let Some(newest) = owners.iter().max_by_key(|owner| owner.since).copied() else {
            if let Some(doubt) = self.all_withheld(&around, now) {
                return Some(Answer::Unready(doubt, None));
            }
            let is_shared = blocks.iter().any(|stand| !stand.holders.is_empty());
            return is_shared.then(|| self.nobodys(question.address, now));
        };
        let mut rivals = vec![newest];
        let heard_since = |owner: &&&Holder| {
            owner.key != newest.key
                && !self.same(owner, newest)
                && self.life(&owner.key).unwrap().heard > newest.since
        };
        rivals.extend(owners.iter().filter(heard_since));
        if rivals.len() > 1 {
            return Some(self.ambiguous(&rivals));
        }
        Some(match self.is_believed(newest) {
            true => Answer::Found(self.named(newest)),
            false => Answer::Unready("suspect", Some(self.named(newest))),
        })
    }

    /// Whether a holder lives, and nothing newer than its own last word was told against it.
    fn is_believed(&self, holder: &Holder) -> bool {
        let life = self.life(&holder.key).unwrap();
        life.is_active() && holder.doubted == Timestamp::EARLIEST
    }

    fn same(&self, a: &Holder, b: &Holder) -> bool {
        let subscriber = |holder: &Holder| self.life(&holder.key).unwrap().subscriber.clone();
        subscriber(a).is_some() && subscriber(a) == subscriber(b)
    }

    fn ambiguous(&self, holders: &[&Holder]) -> Answer {
        let mut all: Vec<Named> = holders.iter().map(|holder| self.named(holder)).collect();
        all.sort();
        Answer::Ambiguous(all)
    }

    fn named(&self, holder: &Holder) -> Named {
        let life: &Life = self.life(&holder.key).unwrap();
        let nas = &self.nases[holder.key.0];
        Named {
            subscriber: life.subscriber.clone(),
            nas: nas.name.clone(),
            session: holder.key.1.clone(),
            since: holder.since,
            stale: nas.silent || life.heard < nas.resumed,
        }
    }

    /// "Coverage: may nobody be believed?"
    fn nobodys(&self, address: IpAddr, now: Timestamp) -> Answer {
        for (client, prefixes) in &self.pools {
            if !prefixes.is_empty() && !prefixes.iter().any(|prefix| prefix.contains(&address)) {
                continue;
            }
            let nases = || self.nases.iter().filter(|nas| nas.client == *client);
            let slowest = nases().filter_map(|nas| nas.interval).max();
            let warm = |resumed: Timestamp, interval: Option<u32>| {
                let interval = interval.map_or(INTERVAL_ASSUMED, |seconds| SECONDS(seconds.into()));
                resumed != Timestamp::EARLIEST && now < resumed.plus(time::span(self.rules.warm_up, interval))
            };
            let resumed = self.resumed.iter().find(|(known, _): &&(Name, _)| known == client);
            let untold = self.untold(client).iter().any(|prefix| prefix.contains(&address));
            if untold || resumed.is_some_and(|(_, at)| warm(*at, slowest)) {
                return Answer::Unready("warm-up", None);
            }
            for nas in nases() {
                if nas.silent && now < nas.heard.plus(self.rules.nas_silence_grace) {
                    return Answer::Unready("nas-silent", None);
                }
                if now < nas.late_until {
                    return Answer::Unready("nas-lagging", None);
                }
                if warm(nas.resumed, nas.interval) {
                    return Answer::Unready("warm-up", None);
                }
            }
        }
        Answer::Absent
    }
}
