//! One directory: which file is next, what is handed over, and how far everything before it is durable.
//!
//! Knows: files, the engine's door, the cursor. Must not know: how a record is spelled, or what it does to a session.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::counters::{Counters, count};
use super::cursor::{Cursor, Mark};
use super::files::{Followed, Listed, Listing, Step};
use super::{Receipt, Shared};
use crate::clock;
use crate::config::{Config, Detail};
use crate::radius::accounting::{self, Rules};
use crate::radius::detail::{self, Found, Tick};
use crate::server::complaints::Complaints;
use crate::server::radius;
use crate::session::Timestamp;
use crate::session::event::Record;

/// How often the directory is looked at while nothing is there to read.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long after the engine had no room it is asked again.
const TRY_AGAIN: Duration = Duration::from_millis(20);
/// Records that are handed over and not durable yet. Enough for the engine's group commits, and few enough to be read
/// again after a crash in no time.
const IN_FLIGHT: usize = 4096;
/// Steps of one turn, so that somebody who tells us to stop is heard between them.
const STEPS: u32 = 1000;
/// The cursor is stored at most as often.
const STORE_EVERY: Duration = Duration::from_millis(200);
/// A file that was not written to for so long is written to no more, once there is a newer one. FreeRADIUS keeps files
/// open for half a minute at most.
const QUIET: Duration = Duration::from_secs(60);
/// Listing and storing may take a twentieth of the time, however many files there are.
const RARELY: u32 = 20;

/// What a follower hears.
#[derive(Debug)]
pub(super) enum Told {
    /// These records are durable.
    Durable(Vec<u64>),
    /// There will be no more of them.
    End,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Everything that is there was handed over.
    Idle,
    /// There is more.
    More,
    /// As much is in flight as may be.
    Full,
    /// The engine has no room.
    Blocked,
}

/// A record that was handed over or left out.
#[derive(Debug)]
struct Flight {
    file: u64,
    end: u64,
    tick: Tick,
    received: Timestamp,
    durable: bool,
}

/// A record that the engine had no room for.
struct Refused {
    record: Box<Record>,
    file: u64,
    end: u64,
    tick: Tick,
    received: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Topic {
    Rejected,
    Ignored,
    Lines,
    Anew,
    NoClient,
    NotStored,
    NotRemoved,
    Unlisted,
    Closed,
}

/// See the file's head.
pub(super) struct Follower {
    number: u16,
    settings: Detail,
    shared: Shared,
    counters: Arc<Counters>,
    cursor: Cursor,
    /// From the last run, for files that were not seen yet.
    marks: Vec<Mark>,
    /// The oldest first.
    files: Vec<Followed>,
    next_key: u64,
    flights: VecDeque<Flight>,
    /// The ticket of the first of them.
    first_ticket: u64,
    refused: Option<Refused>,
    complaints: Complaints<Topic>,
    told_compressed: bool,
    look_at: Instant,
    store_at: Instant,
    /// Something is durable that is not stored.
    moved: bool,
    /// When the record was received that was read last.
    last_received: Option<Timestamp>,
}

impl Follower {
    pub(super) fn new(
        number: u16,
        settings: Detail,
        data_dir: &Path,
        shared: Shared,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let (cursor, marks) = Cursor::open(data_dir, &settings.directory)?;
        Ok(Follower {
            number,
            settings,
            shared,
            counters,
            cursor,
            marks,
            files: Vec::new(),
            next_key: 0,
            flights: VecDeque::new(),
            first_ticket: 0,
            refused: None,
            complaints: Complaints::default(),
            told_compressed: false,
            look_at: Instant::now(),
            store_at: Instant::now(),
            moved: false,
            last_received: None,
        })
    }

    /// Works until it is told the end.
    pub(super) fn run(mut self, told: &Receiver<Told>, stop: &AtomicBool) {
        loop {
            let reads = self.shared.health.is_ready() && !stop.load(Ordering::Acquire);
            let patience = match reads.then(|| self.turn(radius::follow_clock(&self.shared.clocks).now)) {
                Some(Turn::More) => Duration::ZERO,
                Some(Turn::Blocked) => TRY_AGAIN,
                Some(Turn::Idle | Turn::Full) | None => LOOK_EVERY,
            };
            if self.moved && Instant::now() >= self.store_at {
                self.store(clock::now());
            }
            self.tell(clock::now());
            let mut heard = told.recv_timeout(patience);
            loop {
                match heard {
                    Ok(Told::Durable(tickets)) => self.land(&tickets),
                    Ok(Told::End) | Err(RecvTimeoutError::Disconnected) => {
                        self.store(clock::now());
                        return;
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                }
                heard = told.recv_timeout(Duration::ZERO);
            }
        }
    }

    /// Hands over what is there, as far as it is taken.
    pub(super) fn turn(&mut self, now: Timestamp) -> Turn {
        let config = self.shared.config.load_full();
        // After a reload without its client nobody says by which rules a record is to be read. It can wait.
        if !config.radius.clients.iter().any(|client| client.name == self.settings.client) {
            if self.complaints.due(Topic::NoClient, now).is_some() {
                let (directory, client) = (&self.counters.directory, &self.settings.client);
                tracing::warn!(directory, %client, "not read: its client is not configured any more");
            }
            return Turn::Idle;
        }
        if let Some(refused) = self.refused.take()
            && !self.offer(refused, now)
        {
            return Turn::Blocked;
        }
        if Instant::now() >= self.look_at {
            self.look(now);
        }
        let mut position = 0;
        let mut steps = 0;
        while position < self.files.len() {
            if self.flights.len() >= IN_FLIGHT {
                return Turn::Full;
            }
            if steps >= STEPS {
                return Turn::More;
            }
            steps = steps.saturating_add(1);
            match self.step(position, &config, now) {
                Some(true) => {}
                Some(false) => return Turn::Blocked,
                None => position = position.saturating_add(1),
            }
        }
        Turn::Idle
    }

    /// One step in one file; false: the engine has no room for what was found. `None`: nothing more is there now.
    fn step(&mut self, position: usize, config: &Config, now: Timestamp) -> Option<bool> {
        let dictionary = self.shared.dictionary.load();
        let file = self.files.get_mut(position)?;
        match file.step(&dictionary) {
            Ok(Step::Found(found)) => {
                file.unreadable = false;
                let (key, modified) = (file.key, file.listed.modified);
                Some(self.take(key, modified, found, config, now))
            }
            Ok(Step::Piece) => {
                file.unreadable = false;
                Some(true)
            }
            Ok(Step::End) => {
                if !self.is_over(position, now) {
                    return None;
                }
                let file = self.files.get_mut(position)?;
                let (key, modified) = (file.key, file.listed.modified);
                let found = file.finish(&dictionary)?;
                Some(self.take(key, modified, found, config, now))
            }
            Ok(Step::Anew) => {
                self.begin_anew(position, now);
                None
            }
            // It was renamed or deleted since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                if !file.unreadable {
                    let path = file.listed.path.display();
                    tracing::warn!(%path, "this detail file cannot be read: {error}");
                }
                file.unreadable = true;
                None
            }
        }
    }

    /// Whether half a record at a file's end stays half.
    fn is_over(&self, position: usize, now: Timestamp) -> bool {
        let Some(file) = self.files.get(position) else { return false };
        file.has_half() && self.is_done(file, now) && file.unread() == 0
    }

    /// Whether nothing more will be written to a file: it has rested, and a newer one took its place.
    fn is_done(&self, file: &Followed, now: Timestamp) -> bool {
        let newer = |other: &Followed| {
            other.listed.path.parent() == file.listed.path.parent()
                && other.listed.modified > file.listed.modified
                && !other.gone
        };
        now.since(file.listed.modified) >= QUIET && (file.gone || self.files.iter().any(newer))
    }

    fn begin_anew(&mut self, position: usize, now: Timestamp) {
        count(&self.counters.begun_anew);
        let key = self.key();
        let Some(file) = self.files.get_mut(position) else { return };
        if let Some(left_out) = self.complaints.due(Topic::Anew, now) {
            let path = file.listed.path.display();
            tracing::warn!(%path, left_out, "this detail file was cut or written anew; it is read from its beginning");
        }
        *file = Followed::new(key, file.listed.clone(), None);
    }

    fn key(&mut self) -> u64 {
        self.next_key = self.next_key.saturating_add(1);
        self.next_key
    }

    /// False: the engine had no room.
    fn take(&mut self, file: u64, written: Timestamp, found: Found, config: &Config, now: Timestamp) -> bool {
        let (end, tick) = (found.end, found.tick);
        let told = match found.record {
            Ok(record) => {
                let received = record.passage(now, written).received;
                self.read(&record, config, written, now).map(|record| Refused {
                    record,
                    file,
                    end,
                    tick,
                    received,
                })
            }
            Err(rejected) => {
                self.counters.count_rejected(rejected);
                self.complain(Topic::Rejected, found.begin, &rejected, now);
                None
            }
        };
        match told {
            Some(record) => self.offer(record, now),
            None => {
                self.flights.push_back(Flight { file, end, tick, received: now, durable: true });
                self.land(&[]);
                true
            }
        }
    }

    fn read(
        &mut self,
        record: &detail::Record,
        config: &Config,
        written: Timestamp,
        now: Timestamp,
    ) -> Option<Box<Record>> {
        let unknown = u64::try_from(record.unknown).unwrap_or(u64::MAX);
        self.counters.unknown_attributes.fetch_add(unknown, Ordering::Relaxed);
        let unreadable = u64::try_from(record.faults.len()).unwrap_or(u64::MAX);
        self.counters.unreadable_lines.fetch_add(unreadable, Ordering::Relaxed);
        if let Some(first) = record.faults.first() {
            self.complain(Topic::Lines, 0, first, now);
        }
        let client = config.radius.clients.iter().find(|client| client.name == self.settings.client)?;
        let rules = Rules {
            client,
            // Where each source address is a NAS, it is that of the packet which the server received.
            source: record.source.unwrap_or(client.address.addr()),
            identity: &config.identity,
            never: &config.relay.never,
        };
        // It was encoded a moment ago.
        let packet = record.packet().ok()?;
        let passage = record.passage(now, written);
        self.last_received = Some(passage.received);
        let outcome = {
            let mut clocks = self.shared.clocks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let outcome = accounting::read_relayed(&packet, &rules, passage, &mut clocks);
            self.shared.radius.absurd_time.store(clocks.absurd(), Ordering::Relaxed);
            outcome
        };
        match outcome {
            Ok(record) => {
                let held_back = accounting::was_held_back(&packet);
                self.shared.feeds.taken(&record.nas, &client.name, held_back, now);
                Some(record)
            }
            Err(ignored) => {
                let nas = accounting::nas_of(&packet, &rules, passage.origin);
                self.shared.feeds.useless(&nas, &client.name, ignored.into(), now);
                self.counters.count_ignored(ignored);
                self.complain(Topic::Ignored, 0, &ignored, now);
                None
            }
        }
    }

    fn offer(&mut self, Refused { mut record, file, end, tick, received }: Refused, now: Timestamp) -> bool {
        // It arrives when it is taken, however long it had to wait for that.
        record.arrival = now.max(record.arrival);
        let flying = u64::try_from(self.flights.len()).unwrap_or(u64::MAX);
        let receipt = Receipt { follower: self.number, ticket: self.first_ticket.saturating_add(flying) };
        match self.shared.inbox.offer_from_file(record, receipt) {
            Ok(()) => {
                count(&self.counters.accepted);
                self.flights.push_back(Flight { file, end, tick, received, durable: false });
                true
            }
            Err(record) => {
                self.refused = Some(Refused { record, file, end, tick, received });
                false
            }
        }
    }

    /// Takes note of what is durable, and moves on past everything that is so without a gap.
    pub(super) fn land(&mut self, tickets: &[u64]) {
        for ticket in tickets {
            let place = ticket.checked_sub(self.first_ticket).and_then(|place| usize::try_from(place).ok());
            if let Some(flight) = place.and_then(|place| self.flights.get_mut(place)) {
                flight.durable = true;
            }
        }
        let mut ends: Vec<Flight> = Vec::new();
        while let Some(flight) = self.flights.pop_front_if(|flight| flight.durable) {
            self.first_ticket = self.first_ticket.saturating_add(1);
            match ends.last_mut() {
                Some(last) if last.file == flight.file => *last = flight,
                _ => ends.push(flight),
            }
        }
        for Flight { file: key, end, tick, .. } in ends {
            // What was read of a file before it was cut says nothing about what it is now.
            if let Some(file) = self.files.iter_mut().find(|file| file.key == key) {
                (file.durable, file.durable_tick) = (end, tick);
                self.moved = true;
            }
        }
    }

    /// Looks at the directory.
    fn look(&mut self, now: Timestamp) {
        let began = Instant::now();
        match Listing::of(&self.settings.directory, &self.settings.files) {
            Ok(listing) => {
                self.counters.unlisted.store(false, Ordering::Relaxed);
                self.notice(&listing, now);
                self.match_with(listing, now);
            }
            Err(error) => {
                self.counters.unlisted.store(true, Ordering::Relaxed);
                if self.complaints.due(Topic::Unlisted, now).is_some() {
                    let directory = &self.counters.directory;
                    tracing::warn!(directory, "detail files are not read: {error}");
                }
            }
        }
        self.look_at = after(began, LOOK_EVERY);
    }

    fn notice(&mut self, listing: &Listing, now: Timestamp) {
        if let Some(path) = &listing.compressed
            && !self.told_compressed
        {
            self.told_compressed = true;
            let path = path.display();
            tracing::warn!(%path, "compressed files are not followed; `relaywarden import` reads them");
        }
        if let Some((below, error)) = listing.closed.first()
            && self.complaints.due(Topic::Closed, now).is_some()
        {
            tracing::warn!(directory = %below.display(), "detail files are not read: {error}");
        }
    }

    /// Brings what is followed to what is there.
    fn match_with(&mut self, listing: Listing, now: Timestamp) {
        let mut before = std::mem::take(&mut self.files);
        let mut files = Vec::new();
        for listed in listing.files {
            let known = before.iter().position(|file| file.listed.is(&listed));
            let file = match known.map(|position| before.swap_remove(position)) {
                Some(file) => file.seen_as(listed),
                None => {
                    let mark = self.mark(&listed);
                    Followed::new(self.key(), listed, mark.as_ref())
                }
            };
            files.push(file);
        }
        let unseen = |path: &Path| listing.closed.iter().any(|(closed, _)| path.starts_with(closed));
        for mut file in before {
            if !unseen(&file.listed.path) {
                // One that is open can still be written to, under a name that does not count, or under none.
                if !file.is_open() {
                    continue;
                }
                file.gone = true;
                file.look();
                let rests = now.since(file.listed.modified) >= QUIET && file.unread() == 0;
                if rests && !file.has_half() {
                    continue;
                }
            }
            self.files.push(file);
        }
        // What is gone is older than what is there.
        self.files.extend(files);
        if listing.closed.is_empty() {
            self.marks.clear();
        }
        for position in 0..self.files.len() {
            if self.files.get(position).is_some_and(Followed::is_cut) {
                self.begin_anew(position, now);
            }
        }
        self.tidy(now);
    }

    /// A file from the last run. After a restart of the machine its device may have another number.
    fn mark(&self, listed: &Listed) -> Option<Mark> {
        let inode = |mark: &&Mark| mark.inode == listed.inode;
        let device = |mark: &&Mark| mark.device == listed.device;
        let mut same = self.marks.iter().filter(inode);
        self.marks.iter().filter(inode).find(device).or_else(|| same.next()).cloned()
    }

    /// Closes what rests, and deletes what was read where that is wanted.
    fn tidy(&mut self, now: Timestamp) {
        for position in 0..self.files.len() {
            let Some(file) = self.files.get(position) else { continue };
            if file.unread() > 0 || now.since(file.listed.modified) < QUIET {
                continue;
            }
            let wanted = self.settings.remove && !file.gone && file.behind() == 0 && file.listed.length > 0;
            // The cursor is past it on disk too, or a crash would leave nothing to read again.
            if wanted && !self.moved && self.is_done(file, now) && file.is_in_place() {
                let path = file.listed.path.clone();
                match std::fs::remove_file(&path) {
                    Ok(()) => {
                        count(&self.counters.removed);
                        tracing::info!(path = %path.display(), "this detail file was read, and is deleted");
                    }
                    Err(error) => {
                        if self.complaints.due(Topic::NotRemoved, now).is_some() {
                            tracing::warn!(path = %path.display(), "this detail file cannot be deleted: {error}");
                        }
                    }
                }
            }
            if let Some(file) = self.files.get_mut(position) {
                file.close();
            }
        }
    }

    /// Stores how far everything is durable.
    pub(super) fn store(&mut self, now: Timestamp) {
        if !self.moved {
            return;
        }
        let began = Instant::now();
        let marks = self.files.iter().filter(|file| !file.gone && file.durable > 0).map(Followed::mark);
        match self.cursor.store(marks.collect()) {
            Ok(()) => self.moved = false,
            Err(error) => {
                if self.complaints.due(Topic::NotStored, now).is_some() {
                    let directory = &self.counters.directory;
                    tracing::warn!(directory, "how far these files were read cannot be stored: {error}");
                }
            }
        }
        self.store_at = after(began, STORE_EVERY);
    }

    /// Tells the metrics how far it is.
    pub(super) fn tell(&self, now: Timestamp) {
        let behind: u64 = self.files.iter().map(Followed::behind).sum();
        let unreadable = self.files.iter().filter(|file| file.unreadable).count();
        let unread = self.files.iter().any(|file| file.unread() > 0);
        // What is read next was received after what was read last; of the first nothing is known.
        let waiting = self.refused.as_ref().map(|refused| refused.received);
        let next = if unread { Some(self.last_received.unwrap_or(now)) } else { None };
        let oldest = self.flights.front().map(|flight| flight.received).or(waiting).or(next);
        let oldest = oldest.map_or(i64::MAX, Timestamp::millis);
        self.counters.bytes_behind.store(behind, Ordering::Relaxed);
        self.counters
            .unreadable_files
            .store(u64::try_from(unreadable).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.counters.oldest.store(oldest, Ordering::Relaxed);
    }

    fn complain(&mut self, topic: Topic, offset: u64, why: &dyn std::fmt::Display, now: Timestamp) {
        if let Some(left_out) = self.complaints.due(topic, now) {
            let directory = &self.counters.directory;
            let what = match topic {
                Topic::Rejected => "a record of a detail file is no record",
                Topic::Lines => "a line of a detail file cannot be read and is left out",
                _ => "accounting record ignored",
            };
            tracing::warn!(directory, offset, left_out, "{what}: {why}");
        }
    }
}

/// When something may be done again that took from `began` until now.
fn after(began: Instant, at_least: Duration) -> Instant {
    let now = Instant::now();
    let pause = now.duration_since(began).saturating_mul(RARELY).max(at_least);
    now.checked_add(pause).unwrap_or(now)
}

#[cfg(test)]
mod tests;
