//! When it happened, on our clock: what a NAS says about time, and how far that is believed.
//!
//! Knows: arrival, Acct-Delay-Time (RFC 2866 section 5.2) and Event-Timestamp (RFC 2869 section 5.3) as
//! numbers. Must not know: what happened. Two facts are used, never both: a corrected Event-Timestamp, else
//! arrival less delay; but while it is not known how a stamp is to be corrected, it still says how old a record is at least.
//!
//! A record that another server wrote into a file arrives twice: there when its NAS sent it, here when the file is read.
//! What the NAS says about time is about the first; how old the record is by now is about the second.
//!
//! Known weakness: accounting has no protection against replay (RFC 3579 section 4.3.5). Who can replay a
//! NAS's packets in their old rhythm while the NAS itself is silent teaches a wrong offset; the NAS's own
//! next packets unlearn it.

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::HashMap;

use crate::session::event::ClockOffset;
use crate::session::{Name, Timestamp};

/// Before this no NAS that is in use was set: clocks without a battery begin in 1970 or at their firmware's
/// date.
const PLAUSIBLE_FROM: Timestamp = Timestamp::from_seconds(1_420_070_400);
/// A corrected stamp further ahead than this is not a matter of a few packets' delay.
const AHEAD_MAX: Duration = Duration::from_secs(5 * 60);
/// Detail-file replay on a NAS with a clock of 2008 claims fourteen years.
const DELAY_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// A packet that was held back longer than this tells of the queue it was in, not of the NAS's clock.
const LIVE_DELAY_MAX: Duration = Duration::from_secs(60);
/// How far the packets of one offset may differ: stamps have whole seconds, and packets are sent again.
const AGREEMENT: i64 = 5_000;
/// So many packets in a row make an offset.
const PACKETS: u32 = 5;
/// They must arrive over at least this time. Records of a backlog that is sent in one burst were often
/// written within one second too, agree with each other to the millisecond, and would pass for a clock that
/// is hours slow. Spread over time, only records that are as live as their arrival keep agreeing.
const SPREAD: Duration = Duration::from_secs(10);
/// Where stamps that came for so long made no offset, they are not those of one clock that goes on: a backlog is over by
/// then. Of each pause between them only so much counts, or the hours in which a NAS was cut off would speak against the
/// clock that it tells its backlog by.
const TRIED_FOR: Duration = Duration::from_secs(10 * 60);
const PAUSE_COUNTS: Duration = Duration::from_secs(12);
/// While it is ahead of the host's clock, our time runs more slowly by the fourth part.
const SLOWED_BY: i64 = 4;
/// Milliseconds within which one such time goes on in the next: leads are told in whole seconds, four of which they last.
const SLOWLY_SEEN: i64 = 10_000;
/// Nobody sets a clock more often within the time that a record is held back.
const MOVES_MAX: usize = 64;
/// Limits what a proxy that invents NAS names can make us remember.
const CLOCKS_MAX: usize = 65_536;

/// When something happened, and on whose word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Never later than the arrival.
    pub event: Timestamp,
    /// Whether it is the NAS's own stamp, corrected by a learned offset.
    pub dated: bool,
    /// How far the NAS's clock is from ours as far as that is known; a later process begins with it.
    pub offset: Option<ClockOffset>,
    /// Whether the packet said something about time that can't be true.
    pub absurd: bool,
}

/// What the NASes' clocks show when ours shows something else.
#[derive(Debug, Default)]
pub struct NasClocks {
    clocks: HashMap<Name, NasClock>,
    absurd: u64,
    ours: OwnClock,
}

impl NasClocks {
    /// What was known of a NAS's clock before this process began, unless more is known by now.
    pub fn seed(&mut self, nas: &Name, offset: ClockOffset) {
        if self.clocks.len() >= CLOCKS_MAX {
            return;
        }
        let clock = self.clocks.entry(nas.clone()).or_default();
        clock.stamped = true;
        match offset {
            ClockOffset::Known(offset) => {
                clock.offset.get_or_insert(offset);
            }
            ClockOffset::AtMost(offset) => {
                clock.least.get_or_insert(offset);
            }
        }
    }

    /// Puts the offsets right when our own clock was set: `lead` is how far it is ahead of one that nobody sets, in
    /// milliseconds.
    ///
    /// An offset is our time less a stamp, and no NAS's clock has moved by ours being set: so it grows by as much as the
    /// lead does, and shrinks with it while our time runs slowly because the clock was set back. Forgetting it would do for
    /// those who tell their delay; of the others nothing would be known until five live records have come, and what they
    /// held back would be dated by its arrival.
    pub fn follow(&mut self, lead: i64, now: Timestamp) {
        let by = self.ours.follow(lead, now);
        if by != 0 {
            self.clocks.values_mut().for_each(|clock| clock.shift(by));
        }
    }

    /// When the record happened that this NAS sent. `received`: when it came from the NAS, here or to the server that had
    /// it first; `arrival`: when it came to us. Learns from it, unless it is old by now.
    pub fn moment(
        &mut self,
        nas: &Name,
        received: Timestamp,
        arrival: Timestamp,
        delay: Option<u32>,
        stamp: Option<u32>,
    ) -> Moment {
        // Who wrote down a backlog may have had another clock then.
        let live = arrival.since(received) <= LIVE_DELAY_MAX;
        let moment = if let Some(clock) = self.clocks.get_mut(nas) {
            let moment = clock.moment(&self.ours, received, live, delay, stamp);
            clock.note(&moment, delay, stamp);
            moment
        } else {
            let mut clock = NasClock::default();
            let moment = clock.moment(&self.ours, received, live, delay, stamp);
            clock.note(&moment, delay, stamp);
            if self.clocks.len() < CLOCKS_MAX {
                self.clocks.insert(nas.clone(), clock);
            }
            moment
        };
        self.absurd = self.absurd.saturating_add(u64::from(moment.absurd));
        moment
    }

    /// How many records said something about time that can't be true.
    #[must_use]
    pub fn absurd(&self) -> u64 {
        self.absurd
    }

    /// What a NAS says about time; nothing of one that was not heard.
    #[must_use]
    pub fn reading(&self, nas: &Name) -> Reading {
        let Some(clock) = self.clocks.get(nas) else { return Reading::default() };
        let state = match clock.offset {
            _ if clock.absurd_last => State::Absurd,
            Some(_) => State::Known,
            None if clock.stamped => State::Learning,
            None => State::Undated,
        };
        Reading { state, offset_millis: clock.offset, absurd_records: clock.absurd }
    }
}

/// What a NAS says about time, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// In a word.
    pub state: State,
    /// What is to be added to its stamps, once it is known.
    pub offset_millis: Option<i64>,
    /// How many of its records said something about time that can't be true.
    pub absurd_records: u64,
}

/// How far a NAS's clock is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// It never told an Event-Timestamp: arrival counts.
    #[default]
    Undated,
    /// It tells them, and packets did not agree for long enough yet.
    Learning,
    /// Its stamps are corrected by the offset.
    Known,
    /// What it said last about time can't be true.
    Absurd,
}

impl State {
    /// The word for it in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            State::Undated => "undated",
            State::Learning => "learning",
            State::Known => "known",
            State::Absurd => "absurd",
        }
    }
}

/// One NAS's clock.
#[derive(Debug, Default)]
struct NasClock {
    /// Milliseconds from its stamps to our time.
    offset: Option<i64>,
    candidate: Option<Candidate>,
    /// The least time that was seen between a stamp and its arrival. The offset is not more than that.
    least: Option<i64>,
    /// The last stamp, and when it came.
    last_stamp: Option<(Timestamp, Timestamp)>,
    /// For how long they have been coming.
    tried: Duration,
    stamped: bool,
    absurd: u64,
    absurd_last: bool,
}

/// How our own clock moved, against one that nobody sets.
///
/// What is told by a delay, or by a stamp and the offset as it is now, is told as if our time had always run as it does now.
/// What came before a move was written down by the clock as it was: by its measure the next owner of an address may have come
/// before the last one left.
#[derive(Debug, Default)]
struct OwnClock {
    lead: Option<i64>,
    /// The latest last.
    moves: VecDeque<Move>,
}

/// Our time went forward by so much at once, or back by a quarter of the time in which it ran slowly. By the clock that nobody
/// sets, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Move {
    from: i64,
    to: i64,
    by: i64,
}

impl OwnClock {
    /// By how much it moved since it was followed last.
    fn follow(&mut self, lead: i64, now: Timestamp) -> i64 {
        let by = lead.saturating_sub(self.lead.replace(lead).unwrap_or(lead));
        let to = now.millis().saturating_sub(lead);
        let from = to.saturating_add(by.min(0).saturating_mul(SLOWED_BY));
        match self.moves.back_mut() {
            _ if by == 0 => {}
            // It still runs slowly: where the last of it ended was seen to within a second or so.
            Some(last) if by < 0 && last.by < 0 && from <= last.to.saturating_add(SLOWLY_SEEN) => {
                (last.to, last.by) = (to, last.by.saturating_add(by));
            }
            _ => self.moves.push_back(Move { from, to, by }),
        }
        while self.moves.len() > MOVES_MAX {
            self.moves.pop_front();
        }
        by
    }

    /// What it showed then, when by what it shows now it was this moment.
    fn then(&self, moment: Timestamp) -> Timestamp {
        let elapsed = moment.millis().saturating_sub(self.lead.unwrap_or_default());
        let mut since = 0_i64;
        for &Move { from, to, by } in self.moves.iter().rev() {
            let length = to.saturating_sub(from);
            let part = match to.saturating_sub(elapsed) {
                ..=0 => break,
                after if after >= length => by,
                after => i64::try_from(i128::from(by) * i128::from(after) / i128::from(length)).unwrap_or(by),
            };
            since = since.saturating_add(part);
        }
        Timestamp::from_millis(moment.millis().saturating_sub(since))
    }
}

/// Consecutive packets that agree about an offset.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    since: Timestamp,
    packets: u32,
    lowest: i64,
    highest: i64,
}

impl NasClock {
    fn moment(
        &mut self,
        ours: &OwnClock,
        arrival: Timestamp,
        live: bool,
        delay: Option<u32>,
        stamp: Option<u32>,
    ) -> Moment {
        let claimed = Duration::from_secs(delay.unwrap_or(0).into());
        let too_long = claimed > DELAY_MAX;
        let delay = if too_long { Duration::ZERO } else { claimed };
        let sent = arrival.minus(delay);
        // What was received long ago, by somebody else, was so by another clock.
        let sent_then = if live { ours.then(sent) } else { sent };
        let undated = |absurd| Moment { event: sent_then, dated: false, offset: None, absurd };

        let Some(stamp) = stamp else { return undated(too_long) };
        let stamp = Timestamp::from_seconds(stamp.into());
        if stamp < PLAUSIBLE_FROM {
            return undated(true);
        }
        if live && !too_long && delay <= LIVE_DELAY_MAX {
            self.learn(arrival, sent.millis().saturating_sub(stamp.millis()));
        }
        let least = self.bound(arrival, live, stamp);
        let stamped = |offset| ours.then(Timestamp::from_millis(stamp.millis().saturating_add(offset)));
        let Some(offset) = self.offset else {
            let Some(least) = least else { return undated(too_long) };
            let event = sent_then.min(stamped(least));
            return Moment { event, offset: Some(ClockOffset::AtMost(least)), ..undated(too_long) };
        };
        let event = stamped(offset);
        if event > arrival.plus(AHEAD_MAX) {
            return undated(true);
        }
        // Its clock was set and is not learned yet: the stamp says nothing about the order of its records.
        if event.millis().saturating_sub(arrival.millis()) > AGREEMENT {
            return undated(too_long);
        }
        let offset = Some(ClockOffset::Known(offset));
        Moment { event: event.min(arrival), dated: true, offset, absurd: too_long }
    }

    /// What people are told. A record that says nothing about time changes nothing of it.
    fn note(&mut self, moment: &Moment, delay: Option<u32>, stamp: Option<u32>) {
        self.stamped |= stamp.is_some();
        self.absurd = self.absurd.saturating_add(u64::from(moment.absurd));
        if stamp.is_some() || delay.is_some() {
            self.absurd_last = moment.absurd;
        }
    }

    /// What the offset is not more than: whatever delay is claimed, nothing arrives before it happened. So while the offset
    /// is not known, stamps tell the order of a backlog, and how old each record of it is at least.
    ///
    /// Nothing, where that would be held against a NAS whose stamps are no clock's: one that stands still, or several under
    /// one name. All that they send would become history.
    fn bound(&mut self, arrival: Timestamp, live: bool, stamp: Timestamp) -> Option<i64> {
        let last = self.last_stamp.replace((stamp, arrival));
        let stands_still = last.is_some_and(|(last, _)| last == stamp);
        let pause = last.map_or(Duration::ZERO, |(_, came)| arrival.since(came));
        self.tried = self.tried.saturating_add(pause.min(PAUSE_COUNTS));
        if live {
            let told = arrival.millis().saturating_sub(stamp.millis());
            self.least = Some(self.least.map_or(told, |least| least.min(told)));
        }
        self.least.filter(|_| !stands_still && self.tried < TRIED_FOR)
    }

    /// Our own clock moved by so many milliseconds against everything else.
    fn shift(&mut self, by: i64) {
        self.offset = self.offset.map(|offset| offset.saturating_add(by));
        self.least = self.least.map(|least| least.saturating_add(by));
        self.candidate = self.candidate.map(|candidate| Candidate {
            since: Timestamp::from_millis(candidate.since.millis().saturating_add(by)),
            lowest: candidate.lowest.saturating_add(by),
            highest: candidate.highest.saturating_add(by),
            ..candidate
        });
    }

    /// Every packet counts for the next offset, also while one holds: so drift is followed, and a clock that
    /// was set anew is noticed, by the same rule as the first.
    fn learn(&mut self, arrival: Timestamp, offset: i64) {
        let fresh = Candidate { since: arrival, packets: 1, lowest: offset, highest: offset };
        let candidate = self.candidate.and_then(|candidate| candidate.with(offset)).unwrap_or(fresh);
        if candidate.packets >= PACKETS && arrival.since(candidate.since) >= SPREAD {
            // The packet that was on its way for the shortest time tells most about the clock.
            self.offset = Some(candidate.lowest);
            self.candidate = None;
        } else {
            self.candidate = Some(candidate);
        }
    }
}

impl Candidate {
    /// One packet more, if it agrees with those before.
    fn with(self, offset: i64) -> Option<Self> {
        let lowest = self.lowest.min(offset);
        let highest = self.highest.max(offset);
        let agrees = highest.saturating_sub(lowest) <= AGREEMENT;
        agrees.then_some(Candidate { packets: self.packets.saturating_add(1), lowest, highest, ..self })
    }
}

#[cfg(test)]
mod tests;
