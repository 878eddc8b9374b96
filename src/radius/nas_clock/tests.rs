//! What stamps, delays and arrivals come to, by clocks of every kind, and by one of ours that is set.

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
        assert!(!clock.moment(&OwnClock::default(), at(second), LIVE, None, Some(NOW + second - 66)).dated);
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
    assert_eq!(clock.moment(&OwnClock::default(), at(50), LIVE, None, Some(NOW + 50 - 3600)).event, at(50));
}

#[test]
fn nothing_happens_after_its_arrival() {
    let mut clock = taught(0);
    let moment = clock.moment(&OwnClock::default(), at(100), LIVE, None, Some(NOW + 105));
    assert_eq!(
        moment,
        Moment { event: at(100), dated: true, offset: Some(ClockOffset::Known(0)), absurd: false }
    );
    // The clock was set: what its delay says is more than what its stamp does.
    for stamp in [106, 400] {
        let set = clock.moment(&OwnClock::default(), at(100), LIVE, Some(4), Some(NOW + stamp));
        assert_eq!(set, Moment { event: at(96), dated: false, offset: None, absurd: false });
    }
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
        assert_eq!(clock.moment(&OwnClock::default(), at(second), LIVE, None, Some(NOW)).event, at(second));
    }
}

// Of several NASes under one name the one whose clock is fastest would make history of what the others send.
#[test]
fn stamps_that_come_for_ten_minutes_and_agree_about_nothing_are_held_against_nobody() {
    // Of the hours in which nothing came, twelve seconds count.
    for (pause, pauses, old) in [
        (1, 599, true),
        (1, 600, false),
        (12, 49, true),
        (12, 50, false),
        (7200, 49, true),
        (7200, 50, false),
    ] {
        let mut clock = NasClock::default();
        let mut ago = |second, slow| {
            let stamp = Some(NOW + second - slow);
            at(second)
                .since(clock.moment(&OwnClock::default(), at(second), LIVE, None, stamp).event)
                .as_secs()
        };
        let _ = ago(0, 0);
        for nth in 1..pauses {
            let _ = ago(pause * nth, 100 * (nth % 2));
        }
        assert_eq!(ago(pause * pauses, 9000), if old { 9000 } else { 0 }, "{pauses} pauses of {pause} s");
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
