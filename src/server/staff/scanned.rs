//! From what a scanner tells of a message to its sender.
//!
//! | way | what it rests on |
//! |---|---|
//! | queue id | a message that was written down lately, from the same address |
//! | address | who has it at this moment, where that is exact |
//! | login | what the mail server knows of its client; it is held to the login, whosever the address is |
//!
//! A message that is rejected never reaches the queue, but where policy delegation was asked at its end it was written down before.
//!
//! Knows: the table above. Must not know: HTTP, or how a verdict is judged.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{StaffDesk, blocking, opened};
use crate::audit::rows::{Candidate, Confidence, MessageFilter, ScannedFilter};
use crate::clock;
use crate::config::NamedRealm;
use crate::relay::message::Owner;
use crate::relay::scanned::{By, Whose};
use crate::relay::scanner::Told;
use crate::relay::verdict::Reason;
use crate::server::http::Trouble;
use crate::server::http::api::Who;
use crate::server::http::scanned::{ScannedRow, VerdictBody, VerdictRow};
use crate::server::scanning::Fate;
use crate::session::{Name, Realm, Timestamp};

/// A scanner is at work for seconds; queue ids are used again after days.
const SAME_WITHIN: Duration = Duration::from_secs(3600);
/// What rspamd writes where it knows nothing.
const UNKNOWN: &str = "unknown";
/// No name of somebody's is longer.
const NAME_OCTETS_MAX: usize = 1024;

impl StaffDesk {
    pub(super) async fn found_in(&self, filter: &ScannedFilter) -> Result<Vec<ScannedRow>, Trouble> {
        self.indexed().await;
        let subscriber = filter.subscriber.as_ref().map(|name| self.canonical(name));
        let filter = ScannedFilter { subscriber, ..filter.clone() };
        let past = Arc::clone(&self.past);
        let rows = blocking(move || opened(&past)?.scanned(&filter)).await?;
        Ok(rows.iter().map(ScannedRow::from).collect())
    }

    pub(super) async fn take_verdict(&self, body: VerdictBody) -> Result<VerdictRow, Trouble> {
        if !self.health.is_ready() {
            return Err(Trouble::NotReady);
        }
        let symbols: Vec<(&str, &str)> =
            body.symbols.iter().map(|symbol| (symbol.name.as_str(), symbol.group.as_str())).collect();
        let told = Told { action: &body.action, score: body.score, symbols: &symbols };
        let Some(found) = self.config.load().scanned.by_rspamd(&told) else {
            let because = "neither its action nor a symbol says spam or virus".to_owned();
            return Ok(VerdictRow { finding: None, outcome: "clean".to_owned(), because });
        };
        let now = clock::now();
        let address = body.ip.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let queue_id = known(&body.qid).unwrap_or_else(|| Name::from(""));
        let (whose, because) = self.whose(&body, address, &queue_id, now).await?;
        let finding = found.finding;
        let scanned = whose.scanned(now, By::Scanner, found, queue_id, address);
        let fate = self.scanning.take(&self.inbox, scanned).await;
        let because = match fate {
            Fate::Unrecorded => return Err(Trouble::Unrecorded),
            Fate::Nobodys if because == BY_QUEUE_ID => format!("{because}, and it is not sure whose"),
            _ => because,
        };
        Ok(VerdictRow { finding: Some(finding.word().to_owned()), outcome: fate.word().to_owned(), because })
    }

    /// Whose the message is, and how we know.
    async fn whose(
        &self,
        body: &VerdictBody,
        address: Option<IpAddr>,
        queue_id: &Name,
        now: Timestamp,
    ) -> Result<(Whose, String), Trouble> {
        if let Some(whose) = self.scanning.recall(queue_id, address) {
            return Ok((whose, BY_QUEUE_ID.to_owned()));
        }
        // Without the address a queue id may be that of another mail server's message.
        if !queue_id.octets().is_empty() && address.is_some() {
            let filter = MessageFilter {
                queue_id: Some(queue_id.clone()),
                address,
                since: Some(now.minus(SAME_WITHIN)),
                limit: 1,
                ..MessageFilter::default()
            };
            self.indexed().await;
            let past = Arc::clone(&self.past);
            let messages = blocking(move || opened(&past)?.messages(&filter)).await?;
            if let Some(message) = messages.first() {
                return Ok((Whose::of(message), BY_QUEUE_ID.to_owned()));
            }
        }
        let login = known(&body.user);
        let nobody = |login| {
            let (mta, port) = (Name::from(""), body.port);
            Whose { mta, port, owners: Vec::new(), login, reason: Reason::NoAddress }
        };
        let Some(address) = address else {
            return Ok((nobody(login), "it tells no address".to_owned()));
        };
        let Some(realm) = self.space_of(address) else {
            return Ok((nobody(login), "mail servers have it in different address spaces".to_owned()));
        };
        let port = body.port.filter(|port| *port > 0);
        let seen = self.known().await;
        let (past, shared) = (Arc::clone(&self.past), Arc::clone(&self.shared));
        let owner =
            blocking(move || opened(&past)?.owner(realm, address, port, now, &seen.last_seen(&shared)))
                .await?;
        let who = self.as_known(Who::default(), owner.clone(), now, seen);
        let because = who.because.clone().unwrap_or_default();
        let exact = who.confidence == Confidence::Exact.word();
        match owner.candidates.into_iter().next().filter(|_| exact && who.subscriber.is_some()) {
            Some(candidate) => {
                let reason = if candidate.is_static { Reason::Static } else { Reason::Online };
                let owners = vec![as_owner(candidate)];
                Ok((Whose { owners, reason, port, ..nobody(login) }, because))
            }
            None => Ok((nobody(login), because)),
        }
    }
}

impl StaffDesk {
    /// In which address space an address lies of which is not told whose client it was: the one of all mail servers, as far as that address
    /// can lie in several.
    pub(super) fn space_of(&self, address: IpAddr) -> Option<Realm> {
        let config = self.config.load();
        let listeners = [&config.policy.listeners, &config.milter.listeners];
        let listening = listeners.into_iter().filter(|listeners| !listeners.listen.is_empty());
        let mut realms: Vec<Option<Name>> = listening
            .flat_map(|listeners| {
                let of = |realm: Option<&NamedRealm>| realm.and_then(|realm| realm.vrf().cloned());
                let own = of(listeners.realm.as_ref());
                let known =
                    config.mtas.iter().map(move |mta| of(mta.realm.as_ref().or(listeners.realm.as_ref())));
                known.chain([own])
            })
            .collect();
        realms.sort_unstable();
        realms.dedup();
        let around = |vrf: &Option<Name>| self.shared.map.realm(vrf.as_ref()).around(address.to_canonical());
        let mut spaces = realms.iter().map(around);
        let first = spaces.next().unwrap_or(Realm::PUBLIC);
        spaces.all(|space| space == first).then_some(first)
    }
}

const BY_QUEUE_ID: &str = "a message with this queue id from this address was written down";

fn as_owner(candidate: Candidate) -> Owner {
    Owner {
        subscriber: candidate.subscriber,
        session: candidate.key,
        since: candidate.valid_from,
        line: candidate.line,
    }
}

/// A name that is told, in the spelling in which it is kept.
fn known(text: &str) -> Option<Name> {
    let is_told = !text.is_empty() && !text.eq_ignore_ascii_case(UNKNOWN) && text.len() <= NAME_OCTETS_MAX;
    is_told.then(|| Name::new(text.as_bytes()))
}
