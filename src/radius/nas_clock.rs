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

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

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
/// Where so many stamps, over at least this time, made no offset, they are not those of one clock that goes on. A backlog of
/// that many is over by then.
const STAMPS_TRIED: u32 = 50;
const TRIED_FOR: Duration = Duration::from_secs(10 * 60);
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
    stamps: u32,
    /// When the first of them came.
    stamped_since: Option<Timestamp>,
    last_stamp: Option<Timestamp>,
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
        let stands_still = self.last_stamp.replace(stamp) == Some(stamp);
        self.stamps = self.stamps.saturating_add(1);
        let since = *self.stamped_since.get_or_insert(arrival);
        if live {
            let told = arrival.millis().saturating_sub(stamp.millis());
            self.least = Some(self.least.map_or(told, |least| least.min(told)));
        }
        let tried = self.stamps > STAMPS_TRIED && arrival.since(since) >= TRIED_FOR;
        self.least.filter(|_| !stands_still && !tried)
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
mod tests {
    use super::*;

    const NOW: u32 = 1_800_000_000;
    const LIVE: bool = true;

    fn at(second: u32) -> Timestamp {
        Timestamp::from_seconds(i64::from(NOW + second))
    }

    /// Five packets, three seconds apart, by a clock that is `slow` seconds behind.
    fn taught(slow: u32) -> NasClock {
        let mut clock = NasClock::default();
        for second in [0, 3, 6, 9, 12] {
            let _ = clock.moment(&OwnClock::default(), at(second), LIVE, None, Some(NOW + second - slow));
        }
        clock
    }

    #[test]
    fn without_an_offset_arrival_less_delay_counts() {
        let mut clock = NasClock::default();
        let moment = clock.moment(&OwnClock::default(), at(100), LIVE, Some(7), Some(NOW));
        assert_eq!((moment.event, moment.dated, moment.absurd), (at(93), false, false));
        assert_eq!(clock.moment(&OwnClock::default(), at(100), LIVE, None, None).event, at(100));
    }

    #[test]
    fn the_fifth_agreeing_packet_makes_the_offset_and_the_fourth_does_not() {
        let mut clock = NasClock::default();
        for second in [0, 5, 10, 15] {
            assert!(
                !clock.moment(&OwnClock::default(), at(second), LIVE, None, Some(NOW + second - 66)).dated
            );
        }
        let fifth = clock.moment(&OwnClock::default(), at(20), LIVE, None, Some(NOW + 20 - 66));
        assert_eq!(
            fifth,
            Moment { event: at(20), dated: true, offset: Some(ClockOffset::Known(66_000)), absurd: false }
        );
    }

    #[test]
    fn a_corrected_stamp_counts_alone_and_the_delay_is_not_taken_off_too() {
        let mut clock = taught(66);
        let moment = clock.moment(&OwnClock::default(), at(100), LIVE, Some(30), Some(NOW + 70 - 66));
        assert_eq!(
            moment,
            Moment { event: at(70), dated: true, offset: Some(ClockOffset::Known(66_000)), absurd: false }
        );
    }

    #[test]
    fn a_delay_that_is_not_incremented_does_no_harm_once_the_clock_is_known() {
        let mut clock = taught(0);
        assert_eq!(clock.moment(&OwnClock::default(), at(500), LIVE, Some(0), Some(NOW + 20)).event, at(20));
    }

    #[test]
    fn a_burst_of_old_records_is_not_taken_for_a_slow_clock() {
        let mut clock = NasClock::default();
        for _ in 0..1000 {
            assert!(!clock.moment(&OwnClock::default(), at(9), LIVE, None, Some(NOW - 86_400)).dated);
        }
    }

    #[test]
    fn ten_seconds_of_arrival_are_enough_and_a_millisecond_less_is_not() {
        for (last, dated) in [(9_999, false), (10_000, true)] {
            let mut clock = NasClock::default();
            for _ in 0..4 {
                let _ = clock.moment(&OwnClock::default(), at(0), LIVE, None, Some(NOW));
            }
            let arrival = Timestamp::from_millis(at(0).millis() + last);
            assert_eq!(clock.moment(&OwnClock::default(), arrival, LIVE, None, Some(NOW + 10)).dated, dated);
        }
    }

    #[test]
    fn packets_that_differ_by_five_seconds_agree_and_by_six_do_not() {
        for (jitter, dated) in [(5, true), (6, false)] {
            let mut clock = NasClock::default();
            for second in [0, 5, 10, 15] {
                let _ = clock.moment(&OwnClock::default(), at(second), LIVE, None, Some(NOW + second - 10));
            }
            assert_eq!(
                clock.moment(&OwnClock::default(), at(20), LIVE, None, Some(NOW + 20 - 10 - jitter)).dated,
                dated
            );
        }
    }

    #[test]
    fn a_single_late_packet_does_not_unlearn_the_clock() {
        let mut clock = taught(0);
        assert_eq!(clock.moment(&OwnClock::default(), at(300), LIVE, None, Some(NOW + 100)).event, at(100));
        assert!(clock.moment(&OwnClock::default(), at(301), LIVE, None, Some(NOW + 301)).dated);
        assert_eq!(clock.offset, Some(0));
    }

    #[test]
    fn a_clock_that_was_set_anew_is_learned_again() {
        let mut clock = taught(0);
        for second in [20, 25, 30, 35, 40] {
            let _ = clock.moment(&OwnClock::default(), at(second), LIVE, None, Some(NOW + second - 3600));
        }
        assert_eq!(clock.offset, Some(3_600_000));
        assert_eq!(
            clock.moment(&OwnClock::default(), at(50), LIVE, None, Some(NOW + 50 - 3600)).event,
            at(50)
        );
    }

    #[test]
    fn nothing_happens_after_its_arrival() {
        let mut clock = taught(0);
        let moment = clock.moment(&OwnClock::default(), at(100), LIVE, None, Some(NOW + 400));
        assert_eq!(
            moment,
            Moment { event: at(100), dated: true, offset: Some(ClockOffset::Known(0)), absurd: false }
        );
        let ahead = clock.moment(&OwnClock::default(), at(100), LIVE, None, Some(NOW + 401));
        assert_eq!(ahead, Moment { event: at(100), dated: false, offset: None, absurd: true });
    }

    #[test]
    fn a_stamp_before_2015_is_absurd_and_one_of_2015_is_not() {
        let mut clock = NasClock::default();
        assert!(clock.moment(&OwnClock::default(), at(0), LIVE, None, Some(1_420_070_399)).absurd);
        assert!(!clock.moment(&OwnClock::default(), at(0), LIVE, None, Some(1_420_070_400)).absurd);
    }

    #[test]
    fn a_delay_of_seven_days_is_taken_and_a_second_more_ignored() {
        let mut clock = NasClock::default();
        let week = 7 * 24 * 3600;
        assert_eq!(
            clock.moment(&OwnClock::default(), at(0), LIVE, Some(week), None).event,
            at(0).minus(DELAY_MAX)
        );
        let absurd = clock.moment(&OwnClock::default(), at(0), LIVE, Some(week + 1), None);
        assert_eq!(absurd, Moment { event: at(0), dated: false, offset: None, absurd: true });
    }

    #[test]
    fn packets_that_were_held_back_do_not_teach() {
        let mut clock = NasClock::default();
        for second in [0, 5, 10, 15, 20, 25] {
            let _ = clock.moment(&OwnClock::default(), at(second), LIVE, Some(61), Some(NOW + second - 61));
        }
        assert_eq!(clock.offset, None);
    }

    #[test]
    fn a_backlog_teaches_nothing_and_a_record_that_waited_a_minute_in_its_file_does() {
        for (waited, offset) in [(60, Some(66_000)), (61, None)] {
            let mut clocks = NasClocks::default();
            let nas = Name::from("bras1");
            for second in [0, 3, 6, 9, 12] {
                let stamp = Some(NOW + second - 66);
                let _ = clocks.moment(&nas, at(second), at(second + waited), None, stamp);
            }
            assert_eq!(clocks.reading(&nas).offset_millis, offset, "{waited}");
        }
    }

    #[test]
    fn a_record_out_of_a_file_happened_before_its_server_received_it() {
        let mut clocks = NasClocks::default();
        let nas = Name::from("bras1");
        let mut moment =
            |received, arrival, delay, stamp| clocks.moment(&nas, at(received), at(arrival), delay, stamp);
        // The hour in the file is no delay of the NAS's.
        assert_eq!(moment(100, 3700, Some(7), None).event, at(93));
        for second in [200, 203, 206, 209, 212] {
            let _ = moment(second, second, None, Some(NOW + second - 66));
        }
        let old = moment(300, 3700, None, Some(NOW + 290 - 66));
        assert_eq!(
            old,
            Moment { event: at(290), dated: true, offset: Some(ClockOffset::Known(66_000)), absurd: false }
        );
        // Ahead of when it was received, though long ago by now.
        assert!(moment(300, 3700, None, Some(NOW + 601 - 66)).absurd);
        assert_eq!(moment(300, 3700, None, Some(NOW + 310 - 66)).event, at(300));
    }

    #[test]
    fn a_clock_is_absurd_until_its_next_plausible_word() {
        let mut clocks = NasClocks::default();
        let nas = Name::from("bras1");
        let mut state = |delay, stamp| {
            let _ = clocks.moment(&nas, at(0), at(0), delay, stamp);
            let reading = clocks.reading(&nas);
            (reading.state, reading.absurd_records)
        };
        assert_eq!(state(None, None), (State::Undated, 0));
        assert_eq!(state(None, Some(86_400)), (State::Absurd, 1));
        assert_eq!(state(None, None), (State::Absurd, 1), "it said nothing new about time");
        assert_eq!(state(None, Some(NOW)), (State::Learning, 1));
        assert_eq!(clocks.reading(&Name::from("unheard")), Reading::default());
        for second in [0, 3, 6, 9, 12] {
            let _ = clocks.moment(&nas, at(second), at(second), None, Some(NOW + second));
        }
        assert_eq!(clocks.reading(&nas).state, State::Known);
    }

    #[test]
    fn each_nas_has_its_own_clock() {
        let mut clocks = NasClocks::default();
        for second in [0, 3, 6, 9, 12] {
            let _ = clocks.moment(&Name::from("slow"), at(second), at(second), None, Some(NOW + second - 66));
            let _ = clocks.moment(&Name::from("right"), at(second), at(second), None, Some(NOW + second));
        }
        assert_eq!(clocks.reading(&Name::from("slow")).offset_millis, Some(66_000));
        assert_eq!(clocks.reading(&Name::from("right")).offset_millis, Some(0));
        assert_eq!(clocks.reading(&Name::from("unheard")).offset_millis, None);
    }

    #[test]
    fn what_was_known_before_we_began_counts_until_more_is_known() {
        let mut clocks = NasClocks::default();
        let nas = Name::from("bras1");
        clocks.seed(&nas, ClockOffset::Known(66_000));
        assert_eq!(clocks.reading(&nas).state, State::Known);
        let backlog = clocks.moment(&nas, at(3600), at(3600), None, Some(NOW - 66));
        assert_eq!(
            backlog,
            Moment { event: at(0), dated: true, offset: Some(ClockOffset::Known(66_000)), absurd: false }
        );
        for second in [4000, 4003, 4006, 4009, 4012] {
            let _ = clocks.moment(&nas, at(second), at(second), None, Some(NOW + second));
        }
        assert_eq!(clocks.reading(&nas).offset_millis, Some(0));
        clocks.seed(&nas, ClockOffset::Known(66_000));
        assert_eq!(clocks.reading(&nas).offset_millis, Some(0));
    }

    #[test]
    fn offsets_follow_our_own_clock_when_it_is_set() {
        let mut clocks = NasClocks::default();
        let nas = Name::from("bras1");
        clocks.follow(7_000_000, at(0));
        for second in [0, 3, 6, 9, 12] {
            let _ = clocks.moment(&nas, at(second), at(second), None, Some(NOW + second - 66));
        }
        for (lead, ours) in [(7_000_000, 0), (10_660_000, 3660), (8_000_000, 1000), (8_000_000, 1000)] {
            clocks.follow(lead, at(100 + ours));
            assert_eq!(clocks.reading(&nas).offset_millis, Some(66_000 + i64::from(ours) * 1000));
            // It was held back for half a minute, and does not say so.
            let late = clocks.moment(&nas, at(130 + ours), at(130 + ours), None, Some(NOW + 100 - 66));
            assert_eq!((late.event, late.dated), (at(100 + ours), true), "{lead}");
        }
    }

    #[test]
    fn what_is_being_learned_is_not_lost_when_our_own_clock_is_set() {
        for (led, known) in [(3_600_000, Some(66_000 + 3_600_000)), (0, None)] {
            let mut clocks = NasClocks::default();
            let nas = Name::from("bras1");
            clocks.follow(0, at(0));
            for (second, ours) in [(0, 0), (3, 0), (6, 0), (9, 3600), (12, 3600)] {
                clocks.follow(if ours == 0 { 0 } else { led }, at(second + ours));
                let arrival = at(second + ours);
                let _ = clocks.moment(&nas, arrival, arrival, None, Some(NOW + second - 66));
            }
            assert_eq!(clocks.reading(&nas).offset_millis, known);
        }
    }

    #[test]
    fn before_a_clock_is_known_its_stamps_tell_the_order_of_a_backlog() {
        let mut clocks = NasClocks::default();
        let nas = Name::from("bras1");
        let mut event = |arrival, stamp: u32| {
            let moment = clocks.moment(&nas, at(arrival), at(arrival), None, Some(stamp));
            assert!(!moment.dated);
            moment.event
        };
        // An hour slow, and what it sends is ten minutes old: nobody can know.
        assert_eq!(event(4200, NOW), at(4200));
        assert_eq!(event(4201, NOW - 300), at(3900));
        // Something live: the ten minutes are told.
        assert_eq!(event(4202, NOW + 602), at(4202));
        assert_eq!(event(4203, NOW - 299), at(3301));
    }

    #[test]
    fn how_old_something_is_at_least_is_known_from_before_we_began() {
        let nas = Name::from("bras1");
        for (seed, expected) in [(Some(ClockOffset::AtMost(100)), NOW), (None, NOW + 3600)] {
            let mut clocks = NasClocks::default();
            seed.into_iter().for_each(|offset| clocks.seed(&nas, offset));
            let moment = clocks.moment(&nas, at(3600), at(3600), None, Some(NOW));
            assert_eq!(moment.event.millis() / 1000, i64::from(expected));
            assert!(!moment.dated);
        }
    }

    #[test]
    fn a_clock_that_stands_still_makes_nothing_old() {
        let mut clock = NasClock::default();
        for second in [0, 600, 1200, 7200] {
            assert_eq!(
                clock.moment(&OwnClock::default(), at(second), LIVE, None, Some(NOW)).event,
                at(second)
            );
        }
    }

    // Of several NASes under one name the one whose clock is fastest would make history of what the others send.
    #[test]
    fn fifty_stamps_in_ten_minutes_that_agree_about_nothing_are_held_against_nobody() {
        for (first, stamps, old) in [(0, 50, true), (0, 51, false), (1, 51, true)] {
            let mut clock = NasClock::default();
            let mut ago = |second, slow| {
                at(second)
                    .since(
                        clock
                            .moment(&OwnClock::default(), at(second), LIVE, None, Some(NOW + second - slow))
                            .event,
                    )
                    .as_secs()
            };
            let _ = ago(first, 0);
            for second in 2..stamps {
                let _ = ago(second, 100 * (second % 2));
            }
            assert_eq!(ago(600, 7200), if old { 7200 } else { 0 }, "{first} {stamps}");
        }
    }

    #[test]
    fn what_happened_before_our_clock_was_set_is_dated_by_the_clock_as_it_was() {
        let nas = Name::from("bras1");
        let known = |lead: i64| {
            let mut clocks = NasClocks::default();
            clocks.follow(0, at(0));
            clocks.seed(&nas, ClockOffset::Known(0));
            // An hour forward at the hundredth second, or seen to be ahead by a minute after four in which it ran slowly.
            clocks.follow(lead, if lead > 0 { at(3700) } else { at(280) });
            clocks
        };
        for (lead, arrival, ago, expected) in [
            (3_600_000, 3760, 60, 3700),
            (3_600_000, 3760, 61, 99),
            (3_600_000, 3760, 160, 0),
            (-60_000, 300, 20, 280),
            (-60_000, 300, 140, 190),
            (-60_000, 300, 260, 100),
            (-60_000, 300, 280, 80),
        ] {
            for (delay, stamped) in [(Some(ago), false), (None, true)] {
                let stamp = NOW + arrival - ago - u32::try_from(lead.max(0) / 1000).unwrap()
                    + u32::try_from((-lead).max(0) / 1000).unwrap();
                let stamp = stamped.then_some(stamp);
                let moment = known(lead).moment(&nas, at(arrival), at(arrival), delay, stamp);
                assert_eq!(moment.event, at(expected), "{lead} {ago} {stamped}");
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_again_and_again_is_remembered_for_some_time_and_not_for_ever() {
        let mut clocks = NasClocks::default();
        for second in 0..1000 {
            clocks.follow(i64::from(second) * 10_000, at(second * 11));
        }
        assert_eq!(clocks.ours.moves.len(), MOVES_MAX);
        // One slow time, however often it is looked at.
        let mut clocks = NasClocks::default();
        for second in 0..1000 {
            clocks.follow(-1000 * i64::from(second), at(second * 3));
        }
        assert_eq!(clocks.ours.moves.len(), 1);
    }
}
