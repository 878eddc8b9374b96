//! Which of our addresses are on which list, as far as it is believed.
//!
//! A change is believed when two rounds say the same, each by a list that had proven itself. Who is listed stays so until the list
//! says otherwise: silence frees nobody. Who is not listed is so only as long as the list says it.
//!
//! Knows: what was answered, and when. Must not know: how it was asked, or who is told.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use super::dnsbl::{Answer, Failure, Family, Sanity};
use crate::config::Dnsbl;
use crate::relay::signal::{Delisted, Listing};
use crate::session::{Name, Timestamp};

/// Whether an address is on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Nobody knows.
    #[default]
    Unknown,
    /// It is not.
    Clean,
    /// It is.
    Listed,
}

impl State {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::Clean => "clean",
            State::Listed => "listed",
        }
    }
}

/// One address on one list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watched {
    /// Whether it is there.
    pub state: State,
    /// Since when; `None`: it was never asked about.
    pub since: Option<Timestamp>,
    /// The last round said otherwise; if the next one does, too, it is believed.
    pub doubted: bool,
    /// When it was asked about last.
    pub asked: Option<Timestamp>,
    /// Why that came to nothing.
    pub failure: Option<Failure>,
    /// What the list answered while it has it.
    pub answers: Vec<Ipv4Addr>,
    /// What it said beside.
    pub text: Option<Name>,
    /// It is listed, and that is not written down yet.
    untold: bool,
    /// Whether somebody tried to tell of it.
    handed_over: bool,
    /// It was listed until then, and that it no longer is is not written down yet.
    ended: Option<Timestamp>,
}

/// What a change came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A list shows itself in another way than before.
    Sanity(Family, Sanity),
    /// This address is on it now.
    Listed(IpAddr),
    /// It no longer is.
    Delisted(IpAddr),
}

/// One list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List {
    /// What it showed of itself last.
    pub sanity: BTreeMap<Family, Sanity>,
    /// Our addresses on it, or not.
    pub watched: BTreeMap<IpAddr, Watched>,
    /// Since the daemon's start.
    pub counts: Counts,
    /// What it said of customers, by range, since the daemon's start.
    pub sampled: BTreeMap<Ipv4Net, Sampled>,
}

/// What a list said of some addresses of a range. Each time one is asked about counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sampled {
    /// It has them.
    pub listed: u64,
    /// It does not.
    pub clean: u64,
}

/// What is counted of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Questions to it.
    pub queries: u64,
    /// Those that came to nothing.
    pub failures: u64,
    /// Addresses that came on it.
    pub listed: u64,
    /// Addresses that left it.
    pub delisted: u64,
}

/// What one list said in one round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Which.
    pub list: Name,
    /// What it showed of itself before.
    pub sanity: Vec<(Family, Sanity)>,
    /// What it said of our addresses, with a text; only of those whose family it proved itself for.
    pub answers: Vec<(IpAddr, Answer, Option<Name>)>,
    /// What it said of customers, by range; nothing where it did not prove itself.
    pub sampled: Vec<(Ipv4Net, Sampled)>,
    /// How often it was asked.
    pub queries: u64,
    /// How often nothing came of that.
    pub failures: u64,
}

/// All lists, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listings {
    lists: BTreeMap<Name, List>,
}

impl Watched {
    fn listed(listing: &Listing) -> Watched {
        let v4 = |address: &IpAddr| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        };
        Watched {
            state: State::Listed,
            since: Some(listing.at),
            answers: listing.answers.iter().filter_map(v4).collect(),
            text: listing.text.clone(),
            ..Watched::default()
        }
    }

    /// Takes what a proven list said; whether it is a change that is believed.
    fn see(&mut self, at: Timestamp, answer: Answer, text: Option<Name>) -> bool {
        self.asked = Some(at);
        self.failure = match answer {
            Answer::Unanswered(failure) => Some(failure),
            _ => None,
        };
        match (answer, self.state) {
            (Answer::Listed(answers), State::Listed) => {
                self.doubted = false;
                self.answers = answers;
                self.text = text.or_else(|| self.text.take());
                false
            }
            (Answer::Listed(answers), _) if self.doubted => {
                self.turn(State::Listed, at);
                (self.answers, self.text, self.untold) = (answers, text, true);
                true
            }
            (Answer::NotListed, State::Listed) if self.doubted => {
                self.turn(State::Clean, at);
                // Of what was never told the end need not be told either.
                self.ended = if self.untold && !self.handed_over { self.ended } else { Some(at) };
                (self.answers, self.text) = (Vec::new(), None);
                (self.untold, self.handed_over) = (false, false);
                true
            }
            (Answer::Listed(_), _) | (Answer::NotListed, State::Listed) => {
                self.doubted = true;
                false
            }
            (Answer::NotListed, _) => {
                self.doubted = false;
                self.turn(State::Clean, at);
                false
            }
            (Answer::Barred(_) | Answer::Foreign(_) | Answer::Unanswered(_), _) => {
                self.lose(at);
                false
            }
        }
    }

    /// Nothing was said that could be believed.
    fn lose(&mut self, at: Timestamp) {
        if self.state != State::Listed {
            self.turn(State::Unknown, at);
        }
    }

    fn turn(&mut self, state: State, at: Timestamp) {
        if self.state != state || self.since.is_none() {
            self.since = Some(at);
        }
        if state != self.state && state != State::Unknown {
            self.doubted = false;
        }
        self.state = state;
    }
}

impl Listings {
    /// What was known before: the newest listing of each address and list counts.
    #[must_use]
    pub fn remembering<'a>(listings: impl Iterator<Item = &'a Listing>) -> Listings {
        let mut remembered = Listings::default();
        for listing in listings {
            let list = remembered.lists.entry(listing.list.clone()).or_default();
            let known = list.watched.get(&listing.address).and_then(|watched| watched.since);
            if known.is_none_or(|known| known < listing.at) {
                list.watched.insert(listing.address, Watched::listed(listing));
            }
        }
        remembered
    }

    /// Watches what is configured, and forgets what no longer is. What is new is as it was known before.
    pub fn watch(&mut self, dnsbl: &Dnsbl, known: &Listings) {
        let mut before = std::mem::take(&mut self.lists);
        for configured in &dnsbl.lists {
            let mut list = before.remove(&configured.name).unwrap_or_default();
            let mut watched = std::mem::take(&mut list.watched);
            let known = known.lists.get(&configured.name).map(|list| &list.watched);
            for address in dnsbl.addresses_of(configured) {
                let kept = watched.remove(&address);
                let kept = kept.or_else(|| known?.get(&address).cloned());
                list.watched.insert(address, kept.unwrap_or_default());
            }
            let families: Vec<_> = list.watched.keys().copied().map(Family::of).collect();
            list.sanity.retain(|family, _| families.contains(family));
            list.sampled.retain(|prefix, _| dnsbl.sample.iter().any(|sample| sample.prefix == *prefix));
            self.lists.insert(configured.name.clone(), list);
        }
    }

    /// Takes what a list said in a round, and says what is another than before. A list that is not watched any more says
    /// nothing.
    pub fn look(&mut self, at: Timestamp, look: Look) -> Vec<Change> {
        let Some(list) = self.lists.get_mut(&look.list) else { return Vec::new() };
        let mut changes = Vec::new();
        list.counts.queries = list.counts.queries.saturating_add(look.queries);
        list.counts.failures = list.counts.failures.saturating_add(look.failures);
        for (family, sanity) in look.sanity {
            if list.sanity.insert(family, sanity) != Some(sanity) {
                changes.push(Change::Sanity(family, sanity));
            }
            for (_, watched) in list.watched.iter_mut().filter(|(address, _)| Family::of(**address) == family)
            {
                if !sanity.is_sane() {
                    watched.asked = Some(at);
                    watched.failure = None;
                    watched.lose(at);
                }
            }
        }
        for (prefix, sampled) in look.sampled {
            let sum = list.sampled.entry(prefix).or_default();
            sum.listed = sum.listed.saturating_add(sampled.listed);
            sum.clean = sum.clean.saturating_add(sampled.clean);
        }
        for (address, answer, text) in look.answers {
            let is_proven = list.sanity.get(&Family::of(address)).is_some_and(|sanity| sanity.is_sane());
            let Some(watched) = list.watched.get_mut(&address).filter(|_| is_proven) else { continue };
            if !watched.see(at, answer, text) {
                continue;
            }
            if watched.state == State::Listed {
                list.counts.listed = list.counts.listed.saturating_add(1);
                changes.push(Change::Listed(address));
            } else {
                list.counts.delisted = list.counts.delisted.saturating_add(1);
                changes.push(Change::Delisted(address));
            }
        }
        changes
    }

    /// What is listed and not written down yet, as it is to be, but for who stood out.
    #[must_use]
    pub fn untold(&self) -> Vec<Listing> {
        let listing = |(list, address, watched): (&Name, IpAddr, &Watched)| Listing {
            at: watched.since.unwrap_or_default(),
            address,
            list: list.clone(),
            answers: watched.answers.iter().copied().map(IpAddr::V4).collect(),
            text: watched.text.clone(),
            suspects: Vec::new(),
        };
        self.all().filter(|(_, _, watched)| watched.untold).map(listing).collect()
    }

    /// Says that a listing is written down.
    pub fn told(&mut self, list: &Name, address: IpAddr) {
        self.change(list, address, |watched| (watched.untold, watched.handed_over) = (false, false));
    }

    /// Says that a listing is about to be written down. Whether it was may not be known for long, so its end is told in any case.
    pub fn hand_over(&mut self, list: &Name, address: IpAddr) {
        self.change(list, address, |watched| watched.handed_over = true);
    }

    fn change(&mut self, list: &Name, address: IpAddr, change: impl FnOnce(&mut Watched)) {
        let list = self.lists.get_mut(list);
        if let Some(watched) = list.and_then(|list| list.watched.get_mut(&address)) {
            change(watched);
        }
    }

    /// What is no longer listed, where that is not written down yet.
    #[must_use]
    pub fn ended(&self) -> Vec<Delisted> {
        let ended = |(list, address, watched): (&Name, IpAddr, &Watched)| {
            Some(Delisted { at: watched.ended?, address, list: list.clone() })
        };
        self.all().filter_map(ended).collect()
    }

    /// Says that the end of a listing is written down.
    pub fn told_end(&mut self, list: &Name, address: IpAddr) {
        self.change(list, address, |watched| watched.ended = None);
    }

    /// Whether this address is asked about at this list.
    #[must_use]
    pub fn watches(&self, list: &Name, address: IpAddr) -> bool {
        self.lists.get(list).is_some_and(|list| list.watched.contains_key(&address))
    }

    /// Whether another round would make something certain.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.all().any(|(_, _, watched)| watched.doubted || watched.untold || watched.ended.is_some())
    }

    /// All lists, by name.
    pub fn lists(&self) -> impl Iterator<Item = (&Name, &List)> {
        self.lists.iter()
    }

    fn all(&self) -> impl Iterator<Item = (&Name, IpAddr, &Watched)> {
        self.lists.iter().flat_map(|(name, list)| {
            list.watched.iter().map(move |(address, watched)| (name, *address, watched))
        })
    }
}

impl List {
    /// How many of our addresses it has.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.watched.values().filter(|watched| watched.state == State::Listed).count()
    }

    /// Whether it was asked, and did not prove itself for some of our addresses.
    #[must_use]
    pub fn is_insane(&self) -> bool {
        self.sanity.values().any(|sanity| !sanity.is_sane())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::BlockList;

    const OURS: &str = "192.0.2.25";
    const OURS_V6: &str = "2001:db8::25";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn at(round: i64) -> Timestamp {
        Timestamp::from_seconds(1_795_442_400 + round * 900)
    }

    fn dnsbl(addresses: &[&str], ipv6: bool) -> Dnsbl {
        Dnsbl {
            addresses: addresses.iter().map(|text| ip(text)).collect(),
            lists: vec![BlockList { name: Name::from("zen"), zone: "zen.example".to_owned(), ipv6 }],
            every: Duration::from_secs(900),
            sample: Vec::new(),
            resolvers: Vec::new(),
            timeout: Duration::from_secs(5),
        }
    }

    fn watching() -> Listings {
        let mut listings = Listings::default();
        listings.watch(&dnsbl(&[OURS], false), &Listings::default());
        listings
    }

    fn listed() -> Answer {
        Answer::Listed(vec![Ipv4Addr::new(127, 0, 0, 4)])
    }

    fn look(sanity: Sanity, answer: Option<Answer>) -> Look {
        let text = matches!(answer, Some(Answer::Listed(_))).then(|| Name::from("see https://zen.example"));
        Look {
            list: Name::from("zen"),
            sanity: vec![(Family::Ipv4, sanity)],
            answers: answer.map(|answer| (ip(OURS), answer, text)).into_iter().collect(),
            sampled: Vec::new(),
            queries: 3,
            failures: 0,
        }
    }

    fn watched(listings: &Listings) -> &Watched {
        &listings.lists[&Name::from("zen")].watched[&ip(OURS)]
    }

    /// One round: what was answered, the state after it, and whether that is a change that is believed.
    enum Round {
        Says(Answer),
        Insane(Sanity),
    }

    fn play(listings: &mut Listings, round: i64, what: &Round) -> bool {
        let look = match what {
            Round::Says(answer) => look(Sanity::Sane, Some(answer.clone())),
            Round::Insane(sanity) => look(*sanity, None),
        };
        let changes = listings.look(at(round), look);
        changes.iter().any(|change| !matches!(change, Change::Sanity(..)))
    }

    #[test]
    fn a_change_is_believed_when_two_rounds_say_so() {
        use Round::{Insane, Says};
        use State::{Clean, Listed, Unknown};
        let on = || Says(listed());
        let off = || Says(Answer::NotListed);
        let lost = || Says(Answer::Unanswered(Failure::Timeout));
        let dead = || Insane(Sanity::Everything);
        let tales: [&[(Round, State, bool)]; 9] = [
            &[(off(), Clean, false), (off(), Clean, false)],
            &[(off(), Clean, false), (on(), Clean, false), (on(), Listed, true), (on(), Listed, false)],
            &[(on(), Unknown, false), (on(), Listed, true)],
            // One answer that nobody repeats.
            &[(off(), Clean, false), (on(), Clean, false), (off(), Clean, false), (on(), Clean, false)],
            &[(on(), Unknown, false), (off(), Clean, false), (on(), Clean, false), (on(), Listed, true)],
            &[(on(), Unknown, false), (on(), Listed, true), (off(), Listed, false), (on(), Listed, false)],
            &[(on(), Unknown, false), (on(), Listed, true), (off(), Listed, false), (off(), Clean, true)],
            // Silence says neither.
            &[
                (on(), Unknown, false),
                (lost(), Unknown, false),
                (on(), Listed, true),
                (lost(), Listed, false),
            ],
            &[
                (off(), Clean, false),
                (lost(), Unknown, false),
                (off(), Clean, false),
                (dead(), Unknown, false),
            ],
        ];
        for (number, tale) in tales.iter().enumerate() {
            let mut listings = watching();
            for (round, (what, state, change)) in (0..).zip(*tale) {
                assert_eq!(play(&mut listings, round, what), *change, "tale {number}, round {round}");
                assert_eq!(watched(&listings).state, *state, "tale {number}, round {round}");
            }
        }
    }

    #[test]
    fn a_list_that_is_not_sane_lists_and_frees_nobody() {
        let code = Ipv4Addr::new(127, 255, 255, 254);
        for sanity in [
            Sanity::Empty,
            Sanity::Everything,
            Sanity::Barred(code),
            Sanity::Foreign(Ipv4Addr::new(203, 0, 113, 1)),
            Sanity::Unanswered(Failure::ServerFailure),
        ] {
            let mut listings = watching();
            for round in 0..4 {
                // Even if somebody asked it all the same.
                listings.look(at(round), look(sanity, Some(listed())));
            }
            assert_eq!(watched(&listings).state, State::Unknown, "{sanity:?}");
            listings.look(at(4), look(Sanity::Sane, Some(listed())));
            assert!(watched(&listings).doubted && listings.is_in_doubt());
            listings.look(at(5), look(sanity, None));
            listings.look(at(6), look(Sanity::Sane, Some(listed())));
            assert_eq!(watched(&listings).state, State::Listed, "{sanity:?}");
            for round in 7..11 {
                listings.look(at(round), look(sanity, Some(Answer::NotListed)));
            }
            let found = watched(&listings);
            assert_eq!((found.state, found.since), (State::Listed, Some(at(6))), "{sanity:?}");
        }
    }

    #[test]
    fn an_answer_that_is_none_is_no_listing_though_the_list_is_sane() {
        let mut listings = watching();
        let codes =
            [Answer::Barred(Ipv4Addr::new(127, 255, 255, 255)), Answer::Foreign(Ipv4Addr::UNSPECIFIED)];
        for (round, answer) in (0..).zip(codes.iter().cycle().take(6)) {
            assert!(!play(&mut listings, round, &Round::Says(answer.clone())));
        }
        assert_eq!((watched(&listings).state, watched(&listings).doubted), (State::Unknown, false));
    }

    #[test]
    fn what_changed_of_a_list_is_said_once() {
        let mut listings = watching();
        let mut said = |round, sanity| listings.look(at(round), look(sanity, None));
        let timeout = Sanity::Unanswered(Failure::Timeout);
        assert_eq!(said(0, Sanity::Sane), [Change::Sanity(Family::Ipv4, Sanity::Sane)]);
        assert_eq!(said(1, Sanity::Sane), []);
        assert_eq!(said(2, timeout), [Change::Sanity(Family::Ipv4, timeout)]);
        assert_eq!(said(3, timeout), []);
        assert_eq!(said(4, Sanity::Empty), [Change::Sanity(Family::Ipv4, Sanity::Empty)]);
        let list = listings.lists().next().unwrap().1;
        assert_eq!((list.is_insane(), list.counts.queries), (true, 15));
    }

    #[test]
    fn a_listing_is_to_be_told_until_it_is_and_says_what_the_list_said() {
        let mut listings = watching();
        for round in 0..2 {
            listings.look(at(round), look(Sanity::Sane, Some(listed())));
        }
        let untold = listings.untold();
        assert_eq!(untold.len(), 1);
        assert_eq!((untold[0].at, untold[0].address), (at(1), ip(OURS)));
        assert_eq!(untold[0].answers, [ip("127.0.0.4")]);
        assert_eq!(untold[0].text, Some(Name::from("see https://zen.example")));
        assert!(listings.is_in_doubt(), "somebody must try again");
        listings.told(&untold[0].list, untold[0].address);
        assert!(listings.untold().is_empty() && !listings.is_in_doubt());
        // It is gone before it could be written down: then nothing is left to tell.
        let mut listings = watching();
        for (round, answer) in (0..).zip([listed(), listed(), Answer::NotListed, Answer::NotListed]) {
            listings.look(at(round), look(Sanity::Sane, Some(answer)));
        }
        assert!(listings.untold().is_empty() && listings.ended().is_empty());
        let counts = listings.lists().next().unwrap().1.counts;
        assert_eq!((counts.listed, counts.delisted), (1, 1));
        // Where somebody tried, it may be written down yet, and limit somebody until its end is.
        let mut listings = watching();
        for (round, answer) in (0..).zip([listed(), listed()]) {
            listings.look(at(round), look(Sanity::Sane, Some(answer)));
        }
        listings.hand_over(&Name::from("zen"), ip(OURS));
        for round in [2, 3] {
            listings.look(at(round), look(Sanity::Sane, Some(Answer::NotListed)));
        }
        assert_eq!((listings.untold().len(), listings.ended().len()), (0, 1));
    }

    #[test]
    fn the_end_of_a_listing_is_to_be_told_until_it_is_though_it_is_listed_again() {
        let mut listings = watching();
        let mut rounds = 0..;
        let mut say = |listings: &mut Listings, answer: &Answer| {
            for _ in 0..2 {
                listings.look(at(rounds.next().unwrap()), look(Sanity::Sane, Some(answer.clone())));
            }
        };
        say(&mut listings, &listed());
        assert!(listings.ended().is_empty());
        listings.told(&Name::from("zen"), ip(OURS));
        say(&mut listings, &Answer::NotListed);
        let expected = Delisted { at: at(3), address: ip(OURS), list: Name::from("zen") };
        assert_eq!(listings.ended(), std::slice::from_ref(&expected));
        assert!(listings.is_in_doubt(), "somebody must try again");
        say(&mut listings, &listed());
        assert_eq!((listings.ended(), listings.untold().len()), (vec![expected], 1), "both are to be told");
        listings.told_end(&Name::from("zen"), ip(OURS));
        listings.told(&Name::from("zen"), ip(OURS));
        assert!(listings.ended().is_empty() && !listings.is_in_doubt());
    }

    #[test]
    fn what_was_known_before_a_restart_is_no_news() {
        let listing = |round, code| Listing {
            at: at(round),
            address: ip(OURS),
            list: Name::from("zen"),
            answers: vec![ip(code)],
            text: None,
            suspects: Vec::new(),
        };
        let other = Listing { list: Name::from("gone"), ..listing(1, "127.0.0.9") };
        let known = [listing(2, "127.0.0.4"), listing(1, "127.0.0.2"), other];
        let mut listings = Listings::default();
        listings.watch(&dnsbl(&[OURS], false), &Listings::remembering(known.iter()));
        assert_eq!(listings.lists().count(), 1, "a list that is no longer named is forgotten");
        let found = watched(&listings);
        assert_eq!((found.state, found.since), (State::Listed, Some(at(2))));
        assert_eq!(found.answers, [Ipv4Addr::new(127, 0, 0, 4)]);
        for round in 3..6 {
            assert!(!play(&mut listings, round, &Round::Says(listed())));
        }
        assert!(listings.untold().is_empty());
    }

    #[test]
    fn a_reload_keeps_what_is_known_of_what_stays_and_forgets_the_rest() {
        let mut listings = watching();
        for round in 0..2 {
            listings.look(at(round), look(Sanity::Sane, Some(listed())));
        }
        let known = Listing { at: at(9), ..listings.untold()[0].clone() };
        listings.watch(&dnsbl(&[OURS, "192.0.2.26", OURS_V6], false), &Listings::remembering([known].iter()));
        let list = listings.lists().next().unwrap().1.clone();
        assert_eq!(list.watched.len(), 2, "an IPv6 address is not asked about where there are none");
        assert_eq!((list.listed(), list.watched[&ip("192.0.2.26")].state), (1, State::Unknown));
        assert_eq!(list.watched[&ip(OURS)].since, Some(at(1)), "what is watched already is known better");
        listings.watch(&dnsbl(&[OURS_V6], true), &Listings::default());
        let list = listings.lists().next().unwrap().1.clone();
        assert_eq!((list.watched.len(), list.listed(), list.sanity.len()), (1, 0, 0));
        // A late answer about what is not watched any more.
        assert!(!play(&mut listings, 3, &Round::Says(listed())));
    }

    #[test]
    fn each_family_proves_itself() {
        let mut listings = Listings::default();
        listings.watch(&dnsbl(&[OURS, OURS_V6], true), &Listings::default());
        for round in 0..2 {
            let look = Look {
                sanity: vec![(Family::Ipv4, Sanity::Sane), (Family::Ipv6, Sanity::Empty)],
                answers: vec![(ip(OURS), listed(), None), (ip(OURS_V6), listed(), None)],
                ..look(Sanity::Sane, None)
            };
            listings.look(at(round), look);
        }
        let list = listings.lists().next().unwrap().1;
        assert_eq!(list.watched[&ip(OURS)].state, State::Listed);
        assert_eq!(list.watched[&ip(OURS_V6)].state, State::Unknown);
    }
}
