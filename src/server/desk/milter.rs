//! Answers milter clients: the same questions as policy delegation asks, and what a scanner wrote into headers.
//!
//! Where a milter attributes, no rule of the operator's follows that could refuse: what is refused is refused here. Where it only
//! reads headers, each message passes, whatever becomes of its verdict.
//!
//! Knows: which of a milter client's questions gets which answer. Must not know: the protocol, or how a verdict is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Follows, MailDesk};
use crate::clock;
use crate::config::Config;
use crate::mta::milter::{Ended, Terms};
use crate::mta::policy::Action;
use crate::relay::reserved;
use crate::relay::scanned::{By, Whose};
use crate::relay::{Query, message_id};
use crate::server::mta::Peer;
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
            message_id: config.milter.message_ids,
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
        self.give_back(&[], &self.held(query, known.as_ref(), config, clock::now()), message, false);
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
