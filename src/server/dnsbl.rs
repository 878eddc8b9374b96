//! Asks block lists about our own addresses, round after round.
//!
//! Each list proves itself before it is asked about us, and one that does not is asked no further. Lists are asked side by side, one
//! question at a time each, so that a slow one holds up nobody and none is flooded.
//!
//! Knows: when to ask, and who is told. Must not know: what an answer means (that is `watch`), or how the DNS is spoken.

mod resolver;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::Ipv4Net;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use self::resolver::Resolver;
use super::inbox::Inbox;
use crate::clock;
use crate::config::{BlockList, Config, Dnsbl, Sample};
use crate::log::entry::Entry;
use crate::relay::case::{Act, Action, Case, State as CaseState};
use crate::relay::signal::{Listing, Signal};
use crate::session::{Name, Timestamp};
use crate::views::Shared;
use crate::watch::dnsbl::{Answer, Failure, Family, Sanity, name, sample, text};
use crate::watch::listings::{Change, Listings, Look, Sampled};

/// What is in doubt is asked about again after this: resolvers have forgotten most answers by then.
const DOUBT: Duration = Duration::from_secs(60);
/// So many questions are open at once, to all lists together.
const AT_ONCE: usize = 16;
/// After so many questions that came to nothing, one after the other, a list is left alone until the next round.
const PATIENCE: usize = 3;
/// How long a listing may take to be durable before it is told again in the next round.
const COMMIT_WITHIN: Duration = Duration::from_secs(10);
/// By whom a case is told something that nobody has done.
const BY: &str = "relaywarden";
/// Who stands out in the time before a moment: they are who a listing may be about.
pub type Suspects = Box<dyn Fn(Timestamp) -> Vec<Signal> + Send + Sync>;

/// What is known, for whoever reads it.
#[derive(Default)]
pub struct Board {
    listings: ArcSwap<Listings>,
    again: Notify,
}

impl Board {
    /// As of the newest answer.
    #[must_use]
    pub fn listings(&self) -> Arc<Listings> {
        self.listings.load_full()
    }

    /// Begins a round at once, by the configuration that is in force now.
    pub fn look_again(&self) {
        self.again.notify_one();
    }
}

/// Whoever asks.
pub struct Watcher {
    /// Read anew for each round.
    pub config: Arc<ArcSwap<Config>>,
    /// Which cases are open.
    pub shared: Arc<Shared>,
    /// Where listings go.
    pub inbox: Arc<Inbox>,
    /// What is known.
    pub board: Arc<Board>,
    /// Who stands out.
    pub suspects: Suspects,
}

impl Watcher {
    /// Asks until it is told to stop. The log has been read: which listings are known stands in the open cases.
    pub async fn run(self, mut stopping: watch::Receiver<bool>) {
        let rounds = async {
            let (mut listings, mut watched) = (Listings::default(), None);
            loop {
                let dnsbl = self.config.load().dnsbl.clone();
                if dnsbl != watched {
                    match &dnsbl {
                        Some(dnsbl) => listings.watch(dnsbl, &remembered(&self.shared)),
                        None => listings = Listings::default(),
                    }
                    self.show(&listings);
                    watched.clone_from(&dnsbl);
                    self.say_forgotten(&listings).await;
                }
                let next = match &dnsbl {
                    Some(dnsbl) => {
                        self.round(dnsbl, &mut listings).await;
                        if listings.is_in_doubt() { dnsbl.every.min(DOUBT) } else { dnsbl.every }
                    }
                    None => Duration::MAX,
                };
                // However long it is: whoever wants a round sooner says so.
                let _ = tokio::time::timeout(next, self.board.again.notified()).await;
            }
        };
        tokio::select! {
            () = rounds => {}
            // Whoever could say so has gone.
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }

    async fn round(&self, dnsbl: &Dnsbl, listings: &mut Listings) {
        self.tell(listings).await;
        let resolver = match Resolver::of(dnsbl, Arc::new(Semaphore::new(AT_ONCE))) {
            Ok(resolver) => Some(Arc::new(resolver)),
            Err(error) => {
                tracing::warn!(%error, "no resolver for block lists");
                None
            }
        };
        // By the clock, so that a daemon that is restarted often does not ask about the same ones again and again.
        let every = i64::try_from(dnsbl.every.as_millis()).unwrap_or(i64::MAX).max(1);
        let round = u64::try_from(clock::now().millis() / every).unwrap_or_default();
        let sampled = |of: &Sample| (of.prefix, sample(of, round));
        let mut looks = JoinSet::new();
        for list in &dnsbl.lists {
            let addresses: Vec<_> = dnsbl.addresses_of(list).collect();
            let customers = dnsbl.sample.iter().map(sampled).collect();
            looks.spawn(look(resolver.clone(), list.clone(), addresses, customers));
        }
        while let Some(look) = looks.join_next().await {
            // One that panicked has nothing to say.
            let Ok(look) = look else { continue };
            let (list, now) = (look.list.clone(), clock::now());
            let changes = listings.look(now, look);
            changes.iter().for_each(|change| say(&list, *change));
            if changes.iter().any(|change| matches!(change, Change::Listed(_) | Change::Delisted(_))) {
                self.tell(listings).await;
            }
            self.show(listings);
        }
    }

    /// Writes down what is listed, and what no longer is. What could not be is told again in the next round.
    async fn tell(&self, listings: &mut Listings) {
        for delisted in listings.ended() {
            let (list, address) = (delisted.list.clone(), delisted.address);
            if !self.write(Entry::Delisted(Box::new(delisted))).await {
                return;
            }
            listings.told_end(&list, address);
        }
        for listing in listings.untold() {
            let (list, address) = (listing.list.clone(), listing.address);
            listings.hand_over(&list, address);
            let suspects = (self.suspects)(listing.at);
            let entry = Entry::Listing(Box::new(Listing { suspects, ..listing }));
            if !self.write(entry).await {
                return;
            }
            listings.told(&list, address);
        }
    }

    /// Has it said in the case where somebody is limited until an address leaves a list that is not asked about it any more.
    async fn say_forgotten(&self, listings: &Listings) {
        let standing = self.shared.standing.load_full();
        let forgotten = standing.ties().all().map(|(_, tie)| tie);
        let mut forgotten: Vec<_> =
            forgotten.filter(|tie| !tie.over && !listings.watches(&tie.list, tie.address)).collect();
        forgotten.dedup_by_key(|tie| tie.case);
        for tie in forgotten {
            let words = format!(
                "whether {} is still on {} is not asked any more: whoever is limited until then stays so until released",
                tie.address, tie.list
            );
            let reason = Name::from(words.as_str());
            let case = self.shared.case(tie.case);
            if case.is_none_or(|case| case.history.iter().any(|event| event.note.as_ref() == Some(&reason))) {
                continue;
            }
            tracing::warn!(case = tie.case, %words, "somebody must look at this case");
            let (at, by) = (clock::now(), Name::from(BY));
            let action = Action { at, by, case: tie.case, act: Act::Note, reason, ticket: None };
            self.write(Entry::Case(action)).await;
        }
    }

    /// Whether it is durable.
    async fn write(&self, entry: Entry) -> bool {
        let Some(done) = self.inbox.submit(entry) else { return false };
        matches!(tokio::time::timeout(COMMIT_WITHIN, done).await, Ok(Ok(_)))
    }

    fn show(&self, listings: &Listings) {
        self.board.listings.store(Arc::new(listings.clone()));
    }
}

/// What an open case is about is no news, nor is that until whose end somebody is limited, whatever became of its case.
fn remembered(shared: &Shared) -> Listings {
    let is_open = |case: &&Arc<Case>| case.state == CaseState::Open;
    let cases = shared.cases();
    let mut listings: Vec<Listing> =
        cases.iter().filter(is_open).filter_map(|case| case.is_listed().cloned()).collect();
    for (_, tie) in shared.standing.load().ties().all().filter(|(_, tie)| !tie.over) {
        let (address, list) = (tie.address, tie.list.clone());
        if listings.iter().any(|known| known.address == address && known.list == list) {
            continue;
        }
        let of_case = shared.case(tie.case).and_then(|case| case.listing().cloned());
        let (at, answers, text, suspects) = (Timestamp::EARLIEST, Vec::new(), None, Vec::new());
        listings.push(of_case.unwrap_or(Listing { at, address, list, answers, text, suspects }));
    }
    Listings::remembering(listings.iter())
}

fn say(list: &Name, change: Change) {
    match change {
        Change::Sanity(family, Sanity::Sane) => {
            tracing::info!(%list, ?family, "a block list has proven itself and is believed");
        }
        Change::Sanity(family, sanity) => {
            tracing::warn!(%list, ?family, "a block list is not believed: {sanity}");
        }
        Change::Listed(address) => tracing::warn!(%list, %address, "one of our addresses is listed"),
        Change::Delisted(address) => {
            tracing::info!(%list, %address, "one of our addresses is listed no longer");
        }
    }
}

/// Asks one list: first about what proves it, then about us, then about some of our customers.
async fn look(
    resolver: Option<Arc<Resolver>>,
    list: BlockList,
    addresses: Vec<IpAddr>,
    customers: Vec<(Ipv4Net, Vec<Ipv4Addr>)>,
) -> Look {
    let mut asking = Asking { resolver, zone: &list.zone, queries: 0, failures: 0, in_a_row: 0 };
    let mut families: Vec<_> = addresses.iter().copied().map(Family::of).collect();
    families.extend(customers.first().map(|_| Family::Ipv4));
    families.sort_unstable();
    families.dedup();
    let mut sanity = Vec::new();
    for family in families {
        let always = asking.about(family.always_listed()).await;
        let never = match always {
            // Whoever does not answer the one need not be waited for again.
            Answer::Unanswered(failure) => Answer::Unanswered(failure),
            _ => asking.about(family.never_listed()).await,
        };
        sanity.push((family, Sanity::of(&always, &never)));
    }
    let mut answers = Vec::new();
    for address in addresses {
        if !sanity.contains(&(Family::of(address), Sanity::Sane)) {
            continue;
        }
        let answer = asking.about(address).await;
        let text = match answer {
            Answer::Listed(_) => asking.text(address).await,
            _ => None,
        };
        answers.push((address, answer, text));
    }
    let mut sampled = Vec::new();
    let is_sane = sanity.contains(&(Family::Ipv4, Sanity::Sane));
    for (prefix, addresses) in customers.into_iter().filter(|_| is_sane) {
        let mut sum = Sampled::default();
        for address in addresses {
            match asking.about(address.into()).await {
                Answer::Listed(_) => sum.listed = sum.listed.saturating_add(1),
                Answer::NotListed => sum.clean = sum.clean.saturating_add(1),
                Answer::Barred(_) | Answer::Foreign(_) | Answer::Unanswered(_) => {}
            }
        }
        sampled.push((prefix, sum));
    }
    let Asking { queries, failures, .. } = asking;
    Look { list: list.name, sanity, answers, sampled, queries, failures }
}

/// The questions of one round to one list.
struct Asking<'a> {
    resolver: Option<Arc<Resolver>>,
    zone: &'a str,
    queries: u64,
    failures: u64,
    in_a_row: usize,
}

impl Asking<'_> {
    async fn about(&mut self, address: IpAddr) -> Answer {
        let Some(resolver) = &self.resolver else { return Answer::Unanswered(Failure::Unreachable) };
        if self.in_a_row >= PATIENCE {
            return Answer::Unanswered(Failure::Timeout);
        }
        self.queries = self.queries.saturating_add(1);
        let answer = resolver.addresses(name(address, self.zone)).await;
        match answer {
            Answer::Unanswered(_) => {
                self.failures = self.failures.saturating_add(1);
                self.in_a_row = self.in_a_row.saturating_add(1);
            }
            _ => self.in_a_row = 0,
        }
        answer
    }

    /// What the list says beside; a listing counts without it, too.
    async fn text(&mut self, address: IpAddr) -> Option<Name> {
        let resolver = self.resolver.as_ref()?;
        self.queries = self.queries.saturating_add(1);
        text(&resolver.text(name(address, self.zone)).await?)
    }
}
