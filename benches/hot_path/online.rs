//! Subscribers who come online and go again, as the engine's batches show them to the views.
//!
//! Knows: entries in the order of their sequences and moments. Must not know: what of it is measured.

use std::sync::Arc;

use relaywarden::log::entry::Entry;
use relaywarden::session::event::{Event, Kind, Record};
use relaywarden::session::machine::Machine;
use relaywarden::session::{Name, Timestamp};
use relaywarden::views::{Folded, Shared, Views};

use super::subscribers::{moment, record, scattered};

/// Views, and how far time and numbers have come in them.
pub(super) struct Online {
    views: Views,
    /// Milliseconds since the first sessions began.
    now: u64,
    /// Interim updates of sessions that stay.
    turn: u64,
    /// Ids of sessions that come and go: they are always new, on addresses that those before them set free.
    fresh: u64,
    /// Sessions that stay; whoever comes and goes has the addresses above theirs.
    stay: u64,
}

impl Default for Online {
    fn default() -> Self {
        Online { views: Views::new(Arc::new(Shared::default())), now: 0, turn: 0, fresh: 0, stay: 0 }
    }
}

impl Online {
    /// So many sessions begin, and stay.
    pub(super) fn begin(&mut self, sessions: u64) -> Vec<Folded> {
        let starts: Vec<Entry> =
            (0..sessions).map(|number| entry(record(Kind::Start, number, self.at()))).collect();
        self.stay = sessions;
        self.fold(&starts)
    }

    /// Starts of so many sessions, or the Stops of the so many that were started last.
    pub(super) fn entries(&mut self, kind: Kind, count: usize) -> Vec<Entry> {
        // Later than whatever the addresses saw before.
        self.now += 1;
        let count = count as u64;
        if kind == Kind::Start {
            self.fresh += count;
        }
        let first = self.fresh - count;
        let records = (0..count).map(|place| {
            let session_id = Name::from(format!("fresh{:011x}", first + place).as_str());
            Record { session_id, ..record(kind, self.stay + place, self.at()) }
        });
        records.map(entry).collect()
    }

    /// Interim updates of so many sessions that stay, without news.
    pub(super) fn interims(&mut self, count: usize) -> Vec<Record> {
        self.now += 1;
        let turns = self.turn..self.turn + count as u64;
        self.turn = turns.end;
        turns.map(|turn| record(Kind::Interim, scattered(turn, self.stay), self.at())).collect()
    }

    /// What a batch of the log does.
    pub(super) fn fold(&mut self, batch: &[Entry]) -> Vec<Folded> {
        let (at, mut folded) = (self.at(), Vec::new());
        for entry in batch {
            let sequence = self.views.sequence() + 1;
            self.views.fold(at, sequence, entry, &mut folded);
        }
        folded
    }

    /// Of the last entry.
    pub(super) fn sequence(&self) -> u64 {
        self.views.sequence()
    }

    pub(super) fn machine(&self) -> &Machine {
        self.views.machine()
    }

    /// The numbers of something else would look just as good.
    pub(super) fn assert_as_in_the_beginning(&self) {
        assert_eq!(
            self.machine().sessions() as u64,
            self.stay,
            "whoever came is gone, and everybody else is not"
        );
    }

    fn at(&self) -> Timestamp {
        moment(self.now)
    }
}

fn entry(record: Record) -> Entry {
    Entry::Session(Event::Record(Box::new(record)))
}
