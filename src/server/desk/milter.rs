//! Answers milter clients: the same questions as policy delegation asks, and what a scanner wrote into headers.
//!
//! Where a milter attributes, no rule of the operator's follows that could refuse: what is refused is refused here. Where it only
//! reads headers, each message passes, whatever becomes of its verdict.
//!
//! Knows: which of a milter client's questions gets which answer. Must not know: the protocol, or how a verdict is read.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Follows, MailDesk};
use crate::clock;
use crate::config::Config;
use crate::mta::milter::{Ended, Heard, Terms};
use crate::mta::policy::Action;
use crate::relay::connections::Client;
use crate::relay::limit::Measure;
use crate::relay::reserved;
use crate::relay::ruling::Ruling;
use crate::relay::scanned::{By, Whose};
use crate::relay::standing::Subject;
use crate::relay::verdict::{Reason, Verdict};
use crate::relay::{Query, message_id};
use crate::server::mta::Peer;
use crate::server::seats::Seat;
use crate::session::Name;

/// Connections since the process began: with the time they are told apart by names that no other has.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

impl MailDesk {
    pub(super) fn terms(&self) -> Terms {
        let config = self.config.load();
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        Terms {
            name: format!("milter.{:x}.{number:x}", clock::now().millis()),
            profile: config.milter.profile,
            headers: config.scanned.names().into(),
            sessions: config.limits.iter().any(|limit| limit.has(Measure::Connections)),
            refused: config.limits.iter().any(|limit| limit.has(Measure::Refused)),
            message_id: config.milter.message_ids,
        }
    }

    /// Notes whose SMTP sessions are open, and which recipients the mail server refused.
    pub(super) fn heard_by_milter(&self, peer: &Peer, seat: &mut Option<Seat>, heard: Heard) {
        let config = self.config.load();
        match heard {
            Heard::Connected(query) => {
                // The one before is over: its place is free for this one.
                *seat = None;
                let Some(address) = query.address else { return };
                let ruling = self.ruled(peer, &query, &config, clock::now());
                let owner = ruling.owner().and_then(|owner| owner.subscriber.clone());
                let client = self.client(peer, address, query.port);
                *seat = Some(self.seats.take(client, owner.map(Subject::Subscriber)));
            }
            Heard::LoggedIn(login) => {
                let login = Name::new(&login);
                let Some(seat) = seat else { return };
                if let Some(subscriber) = config.logins.subscriber(&login) {
                    seat.is_of(Subject::Subscriber(subscriber));
                }
                seat.is_of(Subject::Login(login));
            }
            Heard::Refused(query) => self.refused_by_mta(peer, &query, &config),
            Heard::Gone => *seat = None,
        }
    }

    /// A public address is in no space of its own, whichever the listener that tells of it is for.
    pub(super) fn client(&self, peer: &Peer, address: IpAddr, port: Option<u16>) -> Client {
        let realm = self.shared.map.realm(peer.realm.as_ref()).around(address.to_canonical());
        Client { realm, address, port }
    }

    /// A recipient that the mail server refused is kept as what was not let go, where it is known whose doing it was.
    fn refused_by_mta(&self, peer: &Peer, query: &Query, config: &Config) {
        let now = clock::now();
        let ruling = self.ruled(peer, query, config, now);
        if ruling.verdict() == Verdict::Permit && (ruling.owner().is_some() || query.login.is_some()) {
            let ruling = Ruling { reason: Reason::RecipientRefused, ..ruling };
            self.attempted(peer, query, &ruling, false, now);
        }
    }

    pub(super) async fn recipient_of_milter(&self, peer: &Peer, query: Query) -> Action {
        let config = self.config.load_full();
        let action = self.answer(peer, &query, &config, Follows::Nothing).await;
        if config.relay.observe { Action::Dunno } else { action }
    }

    pub(super) async fn end_of_milter(&self, peer: &Peer, ended: Ended) -> Action {
        let config = self.config.load_full();
        let Ended { query, attributed, headers, message_id } = ended;
        let found = config.scanned.by_headers(&headers);
        // Before it is written down here: what is known by now was told by policy delegation, or by this client before.
        let told = self.scanning.recall(&Name::new(&query.queue_id), query.address);
        let answer = match (&told, attributed) {
            (None, true) => self.attributed(peer, &query, &config).await,
            (Some(_), true) => {
                self.let_go_of(peer, &query, &config);
                Action::Dunno
            }
            (_, false) => Action::Dunno,
        };
        if let Some(found) = found {
            let now = clock::now();
            let whose = told.unwrap_or_else(|| self.whose(peer, &query, &config));
            let scanned = whose.scanned(now, By::Header, found, Name::new(&query.queue_id), query.address);
            // Whatever becomes of it, the message is not held for it: together they could take longer than the client waits.
            let (scanning, inbox) = (Arc::clone(&self.scanning), Arc::clone(&self.inbox));
            tokio::spawn(async move { scanning.take(&inbox, scanned).await });
        }
        if let Some(id) = message_id.as_deref().and_then(message_id::read) {
            let (scanning, inbox) = (Arc::clone(&self.scanning), Arc::clone(&self.inbox));
            let (queue_id, address) = (Name::new(&query.queue_id), query.address);
            // By now the message is known if it was written down: as a verdict, it holds nothing up.
            tokio::spawn(async move { scanning.name(&inbox, &queue_id, address, id).await });
        }
        answer
    }

    /// Lets a message go, with its header, or says why not.
    async fn attributed(&self, peer: &Peer, query: &Query, config: &Config) -> Action {
        let answer = self.answer(peer, query, config, Follows::Nothing).await;
        match answer {
            _ if config.relay.observe => Action::Dunno,
            Action::Ok | Action::Dunno => self.header(peer, query, config),
            held_back => held_back,
        }
    }

    /// Gives back what a milter client's message held, which counts as that of policy delegation.
    fn let_go_of(&self, peer: &Peer, query: &Query, config: &Config) {
        let instance = Name::new(&query.instance);
        let known = self.attributions().recall(&peer.mta, &instance).cloned();
        let message = reserved::Message { mta: &peer.mta, instance: &instance };
        self.give_back(&[], &self.held(peer, query, known.as_ref(), config, clock::now()), message, false);
    }

    /// Whose a message is of which nothing was written down lately: as it was ruled at RCPT, or is now.
    fn whose(&self, peer: &Peer, query: &Query, config: &Config) -> Whose {
        let (queue_id, login) = (Name::new(&query.queue_id), query.login.as_deref().map(Name::new));
        if let Some(whose) = self.scanning.recall(&queue_id, query.address) {
            return whose;
        }
        let known = self.attributions().recall(&peer.mta, &Name::new(&query.instance)).cloned();
        let ruling =
            known.map_or_else(|| self.ruled(peer, query, config, clock::now()), |known| known.ruling);
        Whose::ruled(peer.mta.clone(), query.port, login, ruling)
    }
}
