//! SMTP sessions that are open now, as milter clients tell of them, and whose they are.
//!
//! Each session has its place among those of its sender, by the order in which they began: a limit of ten lets the first ten go on
//! and holds back the eleventh, until one of the others ends. Whose a session is does not change while it lasts, whatever becomes
//! of its address meanwhile.
//!
//! Knows: sessions, from their first moment to their last. Must not know: limits, who tells of them, or how owners are found.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::net::IpAddr;

use foldhash::HashMap;

use super::standing::Subject;
use crate::session::Realm;

/// The client of an SMTP session. A mail server that asks by another protocol tells the same of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client {
    /// The address space its address is of.
    pub realm: Realm,
    /// Its address.
    pub address: IpAddr,
    /// Its port; `None`: the mail server tells none.
    pub port: Option<u16>,
}

/// Which session, by the order in which they began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Turn(u64);

#[derive(Debug)]
struct Open {
    client: Client,
    senders: Vec<Subject>,
}

/// All that are open.
#[derive(Debug, Default)]
pub struct Connections {
    last: u64,
    open: HashMap<Turn, Open>,
    /// Those of each client, of which the newest counts: two mail servers may see the same address and port.
    by_client: HashMap<Client, BTreeSet<Turn>>,
    by_sender: HashMap<Subject, BTreeSet<Turn>>,
}

impl Connections {
    /// A session has begun.
    pub fn begin(&mut self, client: Client, sender: Option<Subject>) -> Turn {
        self.last = self.last.saturating_add(1);
        let turn = Turn(self.last);
        self.open.insert(turn, Open { client, senders: Vec::new() });
        self.by_client.entry(client).or_default().insert(turn);
        sender.into_iter().for_each(|sender| self.is_of(turn, sender));
        turn
    }

    /// It is this sender's as well: it has logged in.
    pub fn is_of(&mut self, turn: Turn, sender: Subject) {
        let Some(open) = self.open.get_mut(&turn) else { return };
        if !open.senders.contains(&sender) {
            open.senders.push(sender.clone());
            self.by_sender.entry(sender).or_default().insert(turn);
        }
    }

    /// It has ended.
    pub fn end(&mut self, turn: Turn) {
        let Some(Open { client, senders }) = self.open.remove(&turn) else { return };
        remove(&mut self.by_client, &client, turn);
        senders.iter().for_each(|sender| remove(&mut self.by_sender, sender, turn));
    }

    /// It turns out whose the client's address is, if that was not known when its session began: a record came after it.
    pub fn claim(&mut self, client: Client, sender: Subject) {
        let Some(&turn) = self.newest(client) else { return };
        let is_known = |open: &Open| open.senders.iter().any(|sender| sender.subscriber().is_some());
        if self.open.get(&turn).is_some_and(|open| !is_known(open)) {
            self.is_of(turn, sender);
        }
    }

    fn newest(&self, client: Client) -> Option<&Turn> {
        self.by_client.get(&client)?.last()
    }

    /// The place of the client's session among those of this sender, from one on. None: nobody tells of its session, or it is not
    /// this sender's. Whose port is not told comes after all others.
    #[must_use]
    pub fn place(&self, client: Client, sender: &Subject) -> u64 {
        let Some(turns) = self.by_sender.get(sender) else { return 0 };
        let place = match (self.newest(client), client.port) {
            (Some(turn), Some(_)) if turns.contains(turn) => turns.range(..=*turn).count(),
            (_, None) => turns.len(),
            _ => 0,
        };
        u64::try_from(place).unwrap_or(u64::MAX)
    }

    /// How many this sender has.
    #[must_use]
    pub fn count(&self, sender: &Subject) -> u64 {
        self.by_sender.get(sender).map_or(0, |turns| u64::try_from(turns.len()).unwrap_or(u64::MAX))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

fn remove<K: Eq + Hash>(turns_of: &mut HashMap<K, BTreeSet<Turn>>, key: &K, turn: Turn) {
    if let Some(turns) = turns_of.get_mut(key) {
        turns.remove(&turn);
        if turns.is_empty() {
            turns_of.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::session::Name;

    fn client(host: u8, port: u16) -> Client {
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, host));
        Client { realm: Realm::default(), address, port: Some(port) }
    }

    #[test]
    fn an_older_session_from_the_same_port_stays_when_the_one_at_another_server_ends() {
        let mut connections = Connections::default();
        let first = connections.begin(client(1, 1000), Some(alice()));
        let _second = connections.begin(client(1, 2000), Some(alice()));
        let elsewhere = connections.begin(client(1, 2000), Some(alice()));
        assert_eq!(connections.place(client(1, 2000), &alice()), 3);
        connections.end(elsewhere);
        assert_eq!(connections.place(client(1, 2000), &alice()), 2, "or whoever can do that has no limit");
        connections.end(first);
        assert_eq!(connections.place(client(1, 2000), &alice()), 1);
    }

    #[test]
    fn a_session_of_nobody_known_is_his_to_whom_it_turns_out_to_belong_and_nobody_elses_after_that() {
        let bob = Subject::Subscriber(Name::from("bob"));
        let mut connections = Connections::default();
        let early = connections.begin(client(1, 1000), None);
        connections.is_of(early, Subject::Login(Name::from("sales")));
        assert_eq!(connections.place(client(1, 1000), &alice()), 0);
        connections.claim(client(1, 1000), alice());
        connections.claim(client(1, 1000), bob.clone());
        connections.claim(client(9, 1000), bob.clone());
        assert_eq!((connections.place(client(1, 1000), &alice()), connections.count(&bob)), (1, 0));
        connections.end(early);
        assert_eq!((connections.count(&alice()), connections.is_empty()), (0, true));
    }

    fn alice() -> Subject {
        Subject::Subscriber(Name::from("alice"))
    }

    #[test]
    fn each_session_keeps_its_place_and_moves_up_when_one_before_it_ends() {
        let mut connections = Connections::default();
        let clients = [client(7, 1000), client(8, 1000), client(7, 1001)];
        let turns = clients.map(|client| connections.begin(client, Some(alice())));
        let other = connections.begin(client(9, 1000), Some(Subject::Subscriber(Name::from("bob"))));
        let places = |connections: &Connections| clients.map(|client| connections.place(client, &alice()));
        assert_eq!((places(&connections), connections.count(&alice())), ([1, 2, 3], 3));
        assert_eq!(connections.place(client(9, 1000), &alice()), 0, "it is bob's");
        assert_eq!(connections.place(client(7, 1002), &alice()), 0, "nobody told of it");
        connections.end(turns[0]);
        connections.end(turns[0]);
        assert_eq!(places(&connections), [0, 1, 2]);
        for turn in [turns[1], turns[2], other] {
            connections.end(turn);
        }
        assert!(
            connections.is_empty() && connections.by_client.is_empty() && connections.by_sender.is_empty()
        );
    }

    #[test]
    fn whoever_logs_in_has_a_place_of_his_own_among_those_of_his_login() {
        let (mut connections, login) = (Connections::default(), Subject::Login(Name::from("sales")));
        let (first, second) = (client(7, 1), client(8, 1));
        let turns = [first, second].map(|client| connections.begin(client, Some(alice())));
        connections.is_of(turns[1], login.clone());
        connections.is_of(turns[1], login.clone());
        assert_eq!([first, second].map(|client| connections.place(client, &login)), [0, 1]);
        assert_eq!([first, second].map(|client| connections.place(client, &alice())), [1, 2]);
        connections.end(turns[1]);
        connections.is_of(turns[1], login.clone());
        assert_eq!(connections.count(&login), 0, "it is over");
    }

    #[test]
    fn a_client_without_a_port_comes_last_and_the_same_one_at_two_servers_is_two() {
        let mut connections = Connections::default();
        let without = Client { port: None, ..client(7, 1) };
        let turns =
            [without, client(7, 2), client(7, 2)].map(|client| connections.begin(client, Some(alice())));
        assert_eq!(connections.place(without, &alice()), 3);
        assert_eq!(connections.place(client(7, 2), &alice()), 3);
        connections.end(turns[1]);
        assert_eq!((connections.place(client(7, 2), &alice()), connections.len()), (2, 2));
    }
}
