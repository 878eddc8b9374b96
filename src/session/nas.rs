//! One NAS: when it was heard, how often its sessions report, and whether its feed is whole.
//!
//! Knows: silence, lag, intervals, warm-up. Must not know: sessions' bindings or anybody's answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

use super::event::{ClockOffset, NasHold, Record, Rules, Span};
use super::spread::Spread;
use super::{Name, Timestamp};

/// A NAS is not called silent before this, whatever its sessions lead to expect.
pub(super) const SILENCE_AT_LEAST: Duration = Duration::from_secs(5 * 60);
/// A session is not called overdue before this when its limit is given in intervals.
pub(super) const OVERDUE_AT_LEAST: Duration = Duration::from_secs(15 * 60);
/// A record that is later than this shows that its NAS is catching up.
pub(super) const LAG: Duration = Duration::from_secs(2 * 60);
/// How long after the last such record the NAS counts as catching up.
pub(super) const LAG_LASTS: Duration = Duration::from_secs(5 * 60);
/// The interval assumed of a NAS that has neither announced nor shown one: longer than what operators configure,
/// because a warm-up that ends too early bounces mail.
pub(super) const INTERVAL_ASSUMED: Duration = Duration::from_secs(3600);
/// Milliseconds by which an offset of a NAS's clock must differ to be another one.
const CLOCK_NEWS: u64 = 2000;

/// A NAS as everybody may see it.
#[derive(Debug)]
pub struct Nas {
    /// Its name, as resolved at the edge.
    pub name: Name,
    /// The RADIUS client that speaks for it.
    pub client: Name,
    /// Its place in the order in which NASes were first heard.
    pub(super) number: u32,
    heard: AtomicI64,
    whole_since: AtomicI64,
    silent: AtomicBool,
    interval: AtomicU32,
    lagging_until: AtomicI64,
    hold: ArcSwapOption<NasHold>,
    /// Sessions that own or may own something.
    pub(super) active: AtomicU64,
    /// Sessions in doubt.
    pub(super) suspect: AtomicU64,
    /// Sessions without an address.
    pub(super) pending: AtomicU64,
    /// Records folded, refreshes not counted.
    pub(super) records: AtomicU64,
    /// Refreshes folded.
    pub(super) refreshes: AtomicU64,
    /// Claims dropped at the edge.
    pub(super) claims_dropped: AtomicU64,
    /// Records that were late by more than retransmissions explain.
    pub(super) late: AtomicU64,
    /// Sessions that ended without a Stop.
    pub(super) stops_missed: AtomicU64,
}

/// How many sessions of a NAS are in which state, and what it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NasCounts {
    /// Sessions that own something.
    pub active: u64,
    /// Sessions in doubt.
    pub suspect: u64,
    /// Sessions without an address.
    pub pending: u64,
    /// Records folded, refreshes not counted.
    pub records: u64,
    /// Refreshes folded.
    pub refreshes: u64,
    /// Claims dropped at the edge.
    pub claims_dropped: u64,
    /// Records that were late by more than retransmissions explain.
    pub late: u64,
    /// Sessions that ended without a Stop.
    pub stops_missed: u64,
}

impl Nas {
    /// When it was last heard, by arrival.
    #[must_use]
    pub fn heard(&self) -> Timestamp {
        Timestamp::from_millis(self.heard.load(Ordering::Relaxed))
    }

    /// Sessions last seen before this moment are known from before a gap.
    #[must_use]
    pub fn whole_since(&self) -> Timestamp {
        Timestamp::from_millis(self.whole_since.load(Ordering::Relaxed))
    }

    /// Whether it has said nothing for longer than its sessions lead to expect.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Until when its sessions are believed and its silence is no alarm, because staff said so.
    #[must_use]
    pub fn held_until(&self) -> Timestamp {
        self.hold.load().as_ref().map_or(Timestamp::EARLIEST, |hold| hold.until)
    }

    /// Who said so and why; also when that is over.
    #[must_use]
    pub fn hold(&self) -> Option<Arc<NasHold>> {
        self.hold.load_full()
    }

    /// Until when it counts as catching up on old records.
    #[must_use]
    pub fn lagging_until(&self) -> Timestamp {
        Timestamp::from_millis(self.lagging_until.load(Ordering::Relaxed))
    }

    /// It spoke then, to somebody else.
    pub(super) fn heard_before(&self, at: Timestamp) {
        self.heard.fetch_max(at.millis(), Ordering::Relaxed);
    }

    /// Its interim interval as announced or learned.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        match self.interval.load(Ordering::Relaxed) {
            0 => None,
            seconds => Some(Duration::from_secs(u64::from(seconds))),
        }
    }

    /// Its sessions and records in numbers.
    #[must_use]
    pub fn counts(&self) -> NasCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        NasCounts {
            active: read(&self.active),
            suspect: read(&self.suspect),
            pending: read(&self.pending),
            records: read(&self.records),
            refreshes: read(&self.refreshes),
            claims_dropped: read(&self.claims_dropped),
            late: read(&self.late),
            stops_missed: read(&self.stops_missed),
        }
    }
}

/// The machine's side of a NAS.
#[derive(Debug)]
pub(super) struct NasState {
    pub(super) shared: Arc<Nas>,
    /// Since when the feed is whole again; `EARLIEST` if it never was interrupted.
    pub(super) resumed: Timestamp,
    /// NASes of one group stand in for each other.
    pub(super) group: Option<Name>,
    /// It fell silent while it was held, and nobody was told.
    pub(super) hushed: bool,
    /// How many of its sessions have an interim interval of their own.
    pub(super) reporting: u64,
    /// How its sessions' reports are spread over time.
    pub(super) spread: Spread,
    /// How far its clock is from ours, for a process that begins anew.
    pub(super) clock_offset: Option<ClockOffset>,
    /// When silence is looked for next; `None`: nothing is expected of it.
    pub(super) due: Option<Timestamp>,
}

/// What a snapshot keeps of a NAS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct NasImage {
    name: Name,
    client: Name,
    heard: Timestamp,
    resumed: Timestamp,
    lagging_until: Timestamp,
    group: Option<Name>,
    silent: bool,
    hushed: bool,
    spread: Spread,
    hold: Option<NasHold>,
    interval: u32,
    clock_offset: Option<ClockOffset>,
    counts: [u64; 5],
}

impl NasState {
    pub(super) fn new(number: u32, name: Name, client: Name, heard: Timestamp, resumed: Timestamp) -> Self {
        let zero = || AtomicU64::new(0);
        let shared = Nas {
            name,
            client,
            number,
            heard: AtomicI64::new(heard.millis()),
            whole_since: AtomicI64::new(resumed.millis()),
            silent: AtomicBool::new(false),
            interval: AtomicU32::new(0),
            lagging_until: AtomicI64::new(Timestamp::EARLIEST.millis()),
            hold: ArcSwapOption::empty(),
            active: zero(),
            suspect: zero(),
            pending: zero(),
            records: zero(),
            refreshes: zero(),
            claims_dropped: zero(),
            late: zero(),
            stops_missed: zero(),
        };
        let shared = Arc::new(shared);
        NasState {
            shared,
            resumed,
            group: None,
            hushed: false,
            reporting: 0,
            spread: Spread::UNKNOWN,
            clock_offset: None,
            due: None,
        }
    }

    pub(super) fn image(&self) -> NasImage {
        let counts = self.shared.counts();
        NasImage {
            name: self.shared.name.clone(),
            client: self.shared.client.clone(),
            heard: self.shared.heard(),
            resumed: self.resumed,
            lagging_until: self.shared.lagging_until(),
            group: self.group.clone(),
            silent: self.shared.is_silent(),
            interval: self.shared.interval.load(Ordering::Relaxed),
            hushed: self.hushed,
            spread: self.spread,
            clock_offset: self.clock_offset,
            hold: self.shared.hold().map(Arc::unwrap_or_clone),
            counts: [
                counts.records,
                counts.refreshes,
                counts.claims_dropped,
                counts.late,
                counts.stops_missed,
            ],
        }
    }

    pub(super) fn from_image(number: u32, image: NasImage) -> Self {
        let mut state = NasState::new(number, image.name, image.client, image.heard, image.resumed);
        state.lag(image.lagging_until);
        state.group = image.group;
        state.clock_offset = image.clock_offset;
        let shared = &state.shared;
        shared.silent.store(image.silent, Ordering::Relaxed);
        shared.interval.store(image.interval, Ordering::Relaxed);
        shared.hold.store(image.hold.map(Arc::new));
        let counters =
            [&shared.records, &shared.refreshes, &shared.claims_dropped, &shared.late, &shared.stops_missed];
        counters
            .iter()
            .zip(image.counts)
            .for_each(|(counter, count)| counter.store(count, Ordering::Relaxed));
        state.hushed = image.hushed;
        state.spread = image.spread;
        state
    }

    /// A record or refresh arrived. Returns whether a silence ended with it.
    pub(super) fn hear(&mut self, arrival: Timestamp) -> bool {
        self.shared.heard.fetch_max(arrival.millis(), Ordering::Relaxed);
        if !self.shared.silent.swap(false, Ordering::Relaxed) {
            return false;
        }
        self.resume(arrival);
        // Its reports are not spread any more as they were, or it would not have been silent.
        self.spread = Spread::UNKNOWN;
        true
    }

    /// Whether a record tells of its clock what must not be lost, as it would be were the record no more than a refresh. An
    /// offset that is nearly the same is no news: it is only known to within some seconds.
    pub(super) fn learns_clock(&self, record: &Record) -> bool {
        match (self.clock_offset, record.clock_offset) {
            (_, None) | (Some(ClockOffset::Known(_)), Some(ClockOffset::AtMost(_))) => false,
            (Some(ClockOffset::Known(before)), Some(ClockOffset::Known(now)))
            | (Some(ClockOffset::AtMost(before)), Some(ClockOffset::AtMost(now))) => {
                before.abs_diff(now) > CLOCK_NEWS
            }
            (None | Some(ClockOffset::AtMost(_)), Some(_)) => true,
        }
    }

    /// The feed begins anew here: what is known from before is old knowledge.
    pub(super) fn resume(&mut self, at: Timestamp) {
        self.resumed = at;
        self.shared.whole_since.store(at.millis(), Ordering::Relaxed);
    }

    /// Whether staff asked to believe it at this moment.
    pub(super) fn is_held(&self, at: Timestamp) -> bool {
        at < self.shared.held_until()
    }

    pub(super) fn hold(&mut self, hold: &NasHold) {
        self.shared.hold.store(Some(Arc::new(hold.clone())));
    }

    /// It is catching up on old records, until then.
    pub(super) fn lag(&mut self, until: Timestamp) {
        self.shared.lagging_until.store(until.millis(), Ordering::Relaxed);
    }

    pub(super) fn fall_silent(&mut self) {
        self.shared.silent.store(true, Ordering::Relaxed);
    }

    /// Takes over an interval announced or learned. Returns whether it is news: sessions that report a few seconds
    /// apart are not.
    pub(super) fn set_interval(&mut self, seconds: u32) -> bool {
        let before = self.shared.interval.load(Ordering::Relaxed);
        let news = before.abs_diff(seconds) > before / 10;
        if news {
            self.shared.interval.store(seconds, Ordering::Relaxed);
        }
        news
    }

    /// An interim update or a refresh arrived.
    pub(super) fn hear_report(&mut self, arrival: Timestamp) {
        if let Some(interval) = self.shared.interval() {
            self.spread.note(arrival, interval, self.resumed);
        }
    }

    /// How long it may say nothing: three times the longest pause that it was seen to make, and until that is known a little
    /// longer than one interval, or two and a half where a single session reports. A NAS that was never seen to send interim
    /// updates, or has no sessions, has nothing to say and is never called silent.
    pub(super) fn may_be_silent_for(&self) -> Option<Duration> {
        let counts = self.shared.counts();
        let sessions = counts.active.saturating_add(counts.suspect);
        // Those that are known to report, where that is known of any.
        let reporting = if self.reporting == 0 { sessions } else { sessions.min(self.reporting) };
        let interval = self.shared.interval()?;
        let spacing = interval.checked_div(u32::try_from(reporting).unwrap_or(u32::MAX))?.saturating_mul(3);
        // Called silent before its only session is overdue, or that would not be believed through the silence.
        let at_most = spacing.min(interval.saturating_mul(5) / 2).max(interval.saturating_mul(5) / 4);
        let seen = self.spread.longest().map_or(at_most, |longest| longest.saturating_mul(3));
        Some(SILENCE_AT_LEAST.max(at_most.min(seen)))
    }

    /// From when its silence counts: when it was heard, or could be again.
    pub(super) fn expected_from(&self) -> Timestamp {
        self.shared.heard().max(self.resumed)
    }

    /// Whether reporting is what its sessions do. RADIUS servers hand out intervals by subscriber: one of a thousand with
    /// an interval says nothing about the others.
    pub(super) fn is_reporting(&self) -> bool {
        let counts = self.shared.counts();
        self.reporting.saturating_mul(2) >= counts.active.saturating_add(counts.suspect)
    }

    /// Until when its feed counts as incomplete after the last interruption.
    pub(super) fn warm_until(&self, rules: &Rules) -> Timestamp {
        if self.resumed == Timestamp::EARLIEST {
            return Timestamp::EARLIEST;
        }
        self.resumed.plus(span(rules.warm_up, self.shared.interval().unwrap_or(INTERVAL_ASSUMED)))
    }
}

/// A span in time, given the interval it may be counted in.
pub(super) fn span(span: Span, interval: Duration) -> Duration {
    match span {
        Span::Fixed(duration) => duration,
        Span::Intervals { tenths } => interval.saturating_mul(tenths) / 10,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Realm;
    use super::super::bindings::{LiveMap, Lookup};
    use super::super::effect::{Alarm, Effect};
    use super::super::event::{Applied, Claim, ClaimSource, Event, Kind, NasHold, Record};
    use super::super::machine::Machine;
    use super::*;

    fn nas(interval: u32, active: u64) -> NasState {
        let mut state = NasState::new(
            0,
            Name::from("bras1"),
            Name::from("bras1"),
            Timestamp::from_millis(0),
            Timestamp::EARLIEST,
        );
        state.set_interval(interval);
        state.shared.active.store(active, Ordering::Relaxed);
        state
    }

    #[test]
    fn reports_that_are_spread_make_silence_audible_sooner_but_not_before_five_minutes() {
        let patience = |sessions, pause| {
            let mut nas = nas(600, sessions);
            for second in (0..=1200).step_by(pause) {
                nas.hear_report(Timestamp::from_seconds(i64::from(second) + 1));
            }
            nas.may_be_silent_for().unwrap().as_secs()
        };
        assert_eq!(patience(1000, 1), 300);
        assert_eq!(patience(6, 100), 300);
        assert_eq!(patience(5, 120), 360);
        // All in one burst, or a few.
        assert_eq!(patience(1000, 600), 750);
        assert_eq!(patience(1000, 200), 600);
        assert_eq!(patience(1, 600), 1500);
    }

    #[test]
    fn how_reports_are_spread_is_known_after_two_intervals_and_not_before() {
        for (last, expected) in [(1199, 750), (1200, 300)] {
            let mut nas = nas(600, 1000);
            (0..=last).for_each(|second| nas.hear_report(Timestamp::from_seconds(second + 1)));
            assert_eq!(nas.may_be_silent_for(), Some(Duration::from_secs(expected)), "{last}");
        }
    }

    #[test]
    fn a_silence_or_a_gap_of_ours_is_no_pause_of_the_nas() {
        let mut nas = nas(600, 1000);
        (0..=1200).for_each(|second| nas.hear_report(Timestamp::from_seconds(second + 1)));
        nas.resume(Timestamp::from_seconds(5000));
        nas.hear_report(Timestamp::from_seconds(5000));
        assert_eq!(nas.may_be_silent_for(), Some(Duration::from_secs(300)));
    }

    #[test]
    fn a_nas_of_which_nothing_is_expected_is_never_silent() {
        assert_eq!(nas(0, 1000).may_be_silent_for(), None);
        assert_eq!(nas(600, 0).may_be_silent_for(), None);
    }

    #[test]
    fn warm_up_counts_in_the_intervals_of_the_nas_and_assumes_an_hour_when_it_knows_none() {
        let rules = Rules::default();
        let mut known = nas(600, 1);
        assert_eq!(known.warm_until(&rules), Timestamp::EARLIEST);
        known.resume(Timestamp::from_seconds(1000));
        assert_eq!(known.warm_until(&rules), Timestamp::from_seconds(1000 + 1800));
        let mut unknown = nas(0, 0);
        unknown.resume(Timestamp::from_seconds(1000));
        assert_eq!(unknown.warm_until(&rules), Timestamp::from_seconds(1000 + 3 * 3600));
    }

    #[test]
    fn hearing_a_silent_nas_begins_a_new_whole_time() {
        let mut state = nas(600, 1);
        state.fall_silent();
        assert!(state.hear(Timestamp::from_seconds(9)));
        assert_eq!(state.shared.whole_since(), Timestamp::from_seconds(9));
        assert!(!state.hear(Timestamp::from_seconds(10)));
    }

    /// A machine whose NAS reports every ten minutes, with one session on it.
    fn reporting() -> Machine {
        let mut machine = Machine::new(Arc::new(LiveMap::default()));
        let mut applied = Applied { pools: vec![(Name::from("bras1"), Vec::new())], ..Applied::default() };
        applied.rules.warm_up = Span::Fixed(Duration::ZERO);
        applied.rules.nas_silence_grace = Duration::from_secs(1800);
        machine.fold(at(0), &Event::Applied(Box::new(applied)), &mut Vec::new());
        let start = Record {
            interval: Some(600),
            claims: vec![Claim::whole("192.0.2.7/32".parse().unwrap(), ClaimSource::FramedAddress)],
            subscriber: Some(Name::from("alice")),
            ..Record::bare(Kind::Start, Name::from("bras1"), Name::from("1"), at(0))
        };
        machine.fold(at(0), &Event::Record(Box::new(start)), &mut Vec::new());
        machine
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + second)
    }

    fn hold(second: i64, until: i64) -> NasHold {
        let (by, reason) = (Name::from("root"), Name::from("new line card"));
        NasHold { at: at(second), by, nas: Name::from("bras1"), until: at(until), reason }
    }

    /// Until this second: the alarms, and whether the session is still found.
    fn lived(machine: &mut Machine, second: i64) -> (Vec<Alarm>, bool) {
        let mut effects = Vec::new();
        machine.advance(at(second), &mut effects);
        let alarms = effects.into_iter().filter_map(|effect| match effect {
            Effect::Alarm(alarm) => Some(alarm),
            _ => None,
        });
        let address = "192.0.2.7".parse().unwrap();
        let found = machine.map().lookup(Realm::PUBLIC, address, None, at(second));
        (alarms.collect(), matches!(found, Lookup::Found(_)))
    }

    #[test]
    fn a_silent_nas_is_told_of_and_its_sessions_are_believed_for_their_grace() {
        let silent = vec![Alarm::NasSilent { nas: Name::from("bras1") }];
        let mut machine = reporting();
        assert_eq!(lived(&mut machine, 1499), (Vec::new(), true));
        assert_eq!(lived(&mut machine, 1500), (silent, true));
        assert_eq!(lived(&mut machine, 1799), (Vec::new(), true));
        assert_eq!(lived(&mut machine, 1800), (Vec::new(), false));
    }

    #[test]
    fn a_nas_that_is_held_may_be_silent_until_the_hold_is_over() {
        let silent = vec![Alarm::NasSilent { nas: Name::from("bras1") }];
        let mut machine = reporting();
        machine.hold_nas(at(60), &hold(60, 9000), &mut Vec::new());
        assert_eq!(lived(&mut machine, 8999), (Vec::new(), true));
        let mut restored = Machine::restore(Arc::new(LiveMap::default()), machine.image());
        assert_eq!(lived(&mut restored, 9000), (silent.clone(), true));
        assert_eq!(lived(&mut machine, 9000), (silent, true));
        // From then on its sessions have as long to report as ever.
        assert_eq!(lived(&mut machine, 9000 + 1799), (Vec::new(), true));
        assert_eq!(lived(&mut machine, 9000 + 1800), (Vec::new(), false));
    }

    #[test]
    fn a_hold_that_is_lifted_tells_at_once_what_it_kept_back() {
        let mut machine = reporting();
        machine.hold_nas(at(60), &hold(60, 9000), &mut Vec::new());
        assert_eq!(lived(&mut machine, 5000), (Vec::new(), true));
        machine.hold_nas(at(5000), &hold(5000, 5000), &mut Vec::new());
        assert_eq!(lived(&mut machine, 5000).0, [Alarm::NasSilent { nas: Name::from("bras1") }]);
    }

    #[test]
    fn a_hold_is_remembered_with_whoever_gave_it() {
        let mut machine = reporting();
        machine.hold_nas(at(60), &hold(60, 9000), &mut Vec::new());
        let restored = Machine::restore(Arc::new(LiveMap::default()), machine.image());
        for machine in [machine, restored] {
            let nas = Arc::clone(&machine.map().nases()[0]);
            assert_eq!(nas.held_until(), at(9000));
            assert_eq!(nas.hold().as_deref(), Some(&hold(60, 9000)));
        }
    }

    fn told(machine: &mut Machine, second: i64, kind: Kind, session: &str, subscriber: &str) {
        let record = Record {
            claims: vec![Claim::whole("192.0.2.7/32".parse().unwrap(), ClaimSource::FramedAddress)],
            subscriber: Some(Name::from(subscriber)),
            ..Record::bare(kind, Name::from("bras1"), Name::from(session), at(second))
        };
        machine.fold(at(second), &Event::Record(Box::new(record)), &mut Vec::new());
    }

    #[test]
    fn how_far_its_clock_is_off_is_remembered_as_far_as_its_own_records_tell() {
        use ClockOffset::{AtMost, Known};
        let mut machine = reporting();
        let tell = |machine: &mut Machine, clock_offset, imported: bool| {
            let (bras1, session) = (Name::from("bras1"), Name::from("1"));
            let record = Record { clock_offset, ..Record::bare(Kind::Interim, bras1, session, at(60)) };
            let refresh = machine.as_refresh(&record).is_some();
            let record = Box::new(record);
            let event = if imported { Event::Imported(record) } else { Event::Record(record) };
            machine.fold(at(60), &event, &mut Vec::new());
            let restored = Machine::restore(Arc::new(LiveMap::default()), machine.image());
            let offsets = restored.clock_offsets().map(|(_, offset)| offset).collect::<Vec<_>>();
            assert_eq!(offsets, machine.clock_offsets().map(|(_, offset)| offset).collect::<Vec<_>>());
            (refresh, offsets)
        };
        for (told, imported, refresh, remembered) in [
            (None, false, true, vec![]),
            (Some(Known(0)), true, false, vec![]),
            (Some(AtMost(90_000)), false, false, vec![AtMost(90_000)]),
            (Some(AtMost(70_000)), false, false, vec![AtMost(70_000)]),
            (Some(Known(66_000)), false, false, vec![Known(66_000)]),
            (Some(AtMost(70_000)), false, true, vec![Known(66_000)]),
            (Some(Known(68_000)), false, true, vec![Known(66_000)]),
            (Some(Known(68_001)), false, false, vec![Known(68_001)]),
            (None, false, true, vec![Known(68_001)]),
        ] {
            assert_eq!(tell(&mut machine, told, imported), (refresh, remembered), "{told:?}");
        }
    }

    fn missed(machine: &Machine) -> u64 {
        machine.map().nases()[0].counts().stops_missed
    }

    #[test]
    fn a_session_that_ends_without_a_stop_counts_as_a_stop_that_was_missed() {
        let mut machine = reporting();
        lived(&mut machine, 100_000);
        assert_eq!(missed(&machine), 1);
        let mut machine = reporting();
        told(&mut machine, 60, Kind::Stop, "1", "alice");
        lived(&mut machine, 100_000);
        assert_eq!(missed(&machine), 0);
    }

    #[test]
    fn a_session_that_lost_its_address_first_and_is_given_up_later_is_one_missed_stop() {
        let mut machine = reporting();
        told(&mut machine, 60, Kind::Start, "2", "bob");
        assert_eq!(missed(&machine), 0, "its own Stop may still come");
        let mut stopped = reporting();
        told(&mut stopped, 60, Kind::Start, "2", "bob");
        told(&mut stopped, 70, Kind::Stop, "1", "alice");
        for (machine, expected) in [(&mut machine, 1), (&mut stopped, 0)] {
            told(machine, 80, Kind::Stop, "2", "bob");
            lived(machine, 100_000);
            assert_eq!(missed(machine), expected);
        }
    }
}
