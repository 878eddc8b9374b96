//! What waits, on the disk.

use std::time::Duration;

use super::event_of;
use super::outbox::Outbox;
use crate::config::{Receiver, Way};
use crate::notice::body::Body;
use crate::notice::{Kind, Notice};
use crate::relay::standing::{Order, Subject};
use crate::session::effect::{Alarm, Effect};
use crate::session::{Name, Timestamp};
use crate::views::{Cause, Folded, Outcome};

const AT: Timestamp = Timestamp::from_seconds(1_795_442_400);

fn receiver(name: &str, events: &[Kind]) -> Receiver {
    Receiver {
        name: Name::from(name),
        way: Way::Command(vec!["/bin/true".to_owned()]),
        events: events.to_vec(),
        report_at: jiff::civil::Time::midnight(),
        timeout: Duration::from_secs(1),
    }
}

fn suspended(sequence: u64) -> Folded {
    let notice = Notice {
        about: vec![Subject::Subscriber(Name::from("alice"))],
        order: Some(Order::Suspend { until: None }),
        ..Notice::bare(Kind::Suspended, Some(AT))
    };
    Folded { sequence, outcome: Outcome::Notice(Box::new(notice)) }
}

fn silent(sequence: u64, nas: &str) -> Folded {
    let alarm = Effect::Alarm(Alarm::NasSilent { nas: Name::from(nas) });
    Folded { sequence, outcome: Outcome::Effect(Cause::Deadline, alarm) }
}

/// Everything that waits for one, in order.
fn drained(outbox: &Outbox, name: &str) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(waiting) = outbox.first(name).unwrap() {
        outbox.done(name, waiting.number, false).unwrap();
        ids.push(waiting.id);
    }
    ids
}

#[test]
fn each_is_told_what_it_wants_from_when_it_was_there_and_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (portal, pager) = (receiver("portal", &[Kind::Suspended]), receiver("pager", &[Kind::FeedSilent]));
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.know(std::slice::from_ref(&portal), None, 6).unwrap();
    outbox.accept(&[suspended(6), suspended(7), silent(7, "bras1")], AT);
    outbox.know(&[portal.clone(), pager.clone()], None, 7).unwrap();
    outbox.accept(&[suspended(8), silent(8, "bras1"), silent(8, "bras2")], AT);
    assert_eq!((outbox.behind("portal").waiting, outbox.behind("pager").oldest), (2, Some(AT)));
    assert_eq!(drained(&outbox, "portal"), ["7-suspended", "8-suspended"]);
    // After a crash the log tells the last ones again, and of the last entry something new.
    drop(outbox);
    let outbox = Outbox::open(dir.path()).unwrap();
    assert_eq!(outbox.told(), 8);
    outbox.know(&[portal.clone(), pager], None, 8).unwrap();
    outbox.accept(&[suspended(7), suspended(8), silent(8, "bras1"), silent(8, "bras3"), suspended(9)], AT);
    assert_eq!(drained(&outbox, "portal"), ["9-suspended"]);
    assert_eq!(drained(&outbox, "pager").len(), 3, "bras1 and bras2 from before, bras3");
    assert_eq!(outbox.behind("portal").waiting, 0);
    // Whoever is configured no longer is forgotten with all that waits, and begins anew when he is back.
    outbox.accept(&[suspended(10)], AT);
    outbox.know(&[], None, 10).unwrap();
    outbox.know(&[portal], None, 10).unwrap();
    assert_eq!(drained(&outbox, "portal"), Vec::<String>::new());
}

#[test]
fn a_log_that_was_begun_anew_is_told_from_its_end_on() {
    let dir = tempfile::tempdir().unwrap();
    let portal = receiver("portal", &[Kind::Suspended]);
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.know(std::slice::from_ref(&portal), None, 500).unwrap();
    outbox.accept(&[suspended(501)], AT);
    assert_eq!(drained(&outbox, "portal"), ["501-suspended"]);
    drop(outbox);
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.begin(3);
    outbox.know(&[portal], None, 3).unwrap();
    outbox.accept(&[suspended(3), suspended(4)], AT);
    let ids = drained(&outbox, "portal");
    assert!(ids.len() == 1 && ids[0].starts_with("4-suspended-"), "{ids:?}");
    // After another start it goes on from there.
    drop(outbox);
    let outbox = Outbox::open(dir.path()).unwrap();
    assert_eq!(outbox.told(), 4);
}

#[test]
fn what_is_given_up_is_counted_until_the_receiver_was_told_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.know(&[receiver("portal", &[Kind::Suspended])], None, 0).unwrap();
    outbox.accept(&[suspended(1), suspended(2), suspended(3)], AT);
    assert_eq!(outbox.lost("portal").unwrap(), None);
    for _ in 0..2 {
        let waiting = outbox.first("portal").unwrap().unwrap();
        outbox.done("portal", waiting.number, true).unwrap();
        outbox.done("portal", waiting.number, true).unwrap();
    }
    assert_eq!((outbox.lost("portal").unwrap(), outbox.behind("portal").lost), (Some((2, 2)), 2));
    outbox.lost_told("portal", 2).unwrap();
    assert_eq!((outbox.lost("portal").unwrap(), outbox.behind("portal").lost), (None, 2));
}

#[test]
fn a_day_is_noted_with_its_report_and_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path()).unwrap();
    assert_eq!(outbox.reported("morning").unwrap(), None, "nobody knows it");
    outbox.know(&[receiver("morning", &[Kind::Report])], None, 0).unwrap();
    assert_eq!(outbox.reported("morning").unwrap(), Some(None));
    let body = Body::report("2026-11-25", AT, "text".to_owned(), "<p>".to_owned());
    for _ in 0..2 {
        outbox.report("morning", "2026-11-25", &body, AT).unwrap();
    }
    assert_eq!(outbox.reported("morning").unwrap().flatten().as_deref(), Some("2026-11-25"));
    assert_eq!(outbox.behind("morning").waiting, 1);
    assert_eq!(drained(&outbox, "morning"), ["report-2026-11-25"]);
}

#[test]
fn a_damaged_outbox_is_set_aside_and_what_the_log_has_is_told_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notices.sqlite3");
    let portal = receiver("portal", &[Kind::Suspended]);
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.know(std::slice::from_ref(&portal), None, 5).unwrap();
    outbox.accept(&[suspended(7)], AT);
    assert_eq!(drained(&outbox, "portal"), ["7-suspended"]);
    drop(outbox);
    std::fs::write(&path, b"this is no file of ours, and no file of SQLite either").unwrap();
    let outbox = Outbox::open(dir.path()).unwrap();
    assert!(path.with_extension("damaged").exists());
    assert_eq!(outbox.told(), 0);
    outbox.know(&[portal], None, 9).unwrap();
    outbox.accept(&[suspended(7), suspended(9)], AT);
    assert_eq!(drained(&outbox, "portal"), ["7-suspended", "9-suspended"]);
}

/// A file of four megabytes, most of which is in no cache any more.
fn long(outbox: &Outbox, sequences: std::ops::Range<u64>) {
    let all: Vec<Folded> = sequences
        .map(|sequence| {
            let reason = Some(Name::from("x".repeat(1000).as_str()));
            let notice = Notice { reason, ..Notice::bare(Kind::Suspended, Some(AT)) };
            Folded { sequence, outcome: Outcome::Notice(Box::new(notice)) }
        })
        .collect();
    all.chunks(100).for_each(|some| outbox.accept(some, AT));
}

/// As a disk that brings back something else: all of it but its first pages.
fn spoil(path: &std::path::Path, from: u64) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    assert!(length > from);
    file.write_all_at(&vec![0xff; usize::try_from(length - from).unwrap()], from).unwrap();
}

#[test]
fn damage_where_nothing_is_read_at_a_start_is_found_there_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notices.sqlite3");
    let portal = receiver("portal", &[Kind::Suspended]);
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.know(std::slice::from_ref(&portal), None, 0).unwrap();
    long(&outbox, 1..100);
    drop(outbox);
    let length = std::fs::metadata(&path).unwrap().len();
    spoil(&path, length - 3 * 4096);
    let outbox = Outbox::open(dir.path()).unwrap();
    assert!(path.with_extension("damaged").exists());
    assert_eq!(outbox.told(), 0, "what the log has is told again");
}

#[test]
fn damage_that_shows_while_it_is_written_is_set_aside_and_what_waited_is_said_to_be_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notices.sqlite3");
    let portal = receiver("portal", &[Kind::Suspended, Kind::FeedSilent]);
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.know(std::slice::from_ref(&portal), None, 0).unwrap();
    long(&outbox, 5000..9000);
    outbox.set_reported("portal", "2026-11-25").unwrap();
    spoil(&path, 20 * 4096);
    // In the order of the ids this one is before all others, where nothing was written for long.
    outbox.accept(&[suspended(10_000)], AT);
    assert!(path.with_extension("damaged").exists());
    assert!(outbox.is_durable());
    assert_eq!((outbox.lost("portal").unwrap(), outbox.behind("portal").lost), (Some((4000, 4000)), 4000));
    assert_eq!(outbox.reported("portal").unwrap().flatten().as_deref(), Some("2026-11-25"));
    outbox.accept(&[suspended(9000), silent(10_001, "bras1")], AT);
    assert_eq!(drained(&outbox, "portal").len(), 2, "what was told is known, and all goes on");
    drop(outbox);
    let outbox = Outbox::open(dir.path()).unwrap();
    assert_eq!((outbox.told(), outbox.behind("portal").lost), (10_001, 4000));
}

#[test]
fn damage_that_shows_while_it_is_read_is_set_aside_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notices.sqlite3");
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.know(&[receiver("portal", &[Kind::Suspended])], None, 0).unwrap();
    long(&outbox, 5000..9000);
    spoil(&path, 20 * 4096);
    let told = u64::try_from(drained(&outbox, "portal").len()).unwrap();
    assert!(path.with_extension("damaged").exists() && told < 4000);
    // The last one was sent, and then could not be taken out.
    let (lost, _) = outbox.lost("portal").unwrap().unwrap();
    assert!(lost == 4000 - told || lost == 4001 - told, "{told} {lost}");
}

#[test]
fn a_log_that_was_put_back_tells_of_its_own_entries_under_ids_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let portal = receiver("portal", &[Kind::Suspended, Kind::FeedSilent]);
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.know(std::slice::from_ref(&portal), None, 0).unwrap();
    outbox.accept(&[suspended(2), silent(2, "bras1")], AT);
    drop(outbox);
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.begin(1);
    outbox.know(std::slice::from_ref(&portal), None, 1).unwrap();
    outbox.accept(&[suspended(2), silent(2, "bras1")], AT);
    assert_eq!(outbox.behind("portal").waiting, 4, "two from before, and two that only look like them");
    drop(outbox);
    // And again after a crash.
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.begin(2);
    outbox.know(&[portal], None, 2).unwrap();
    outbox.accept(&[suspended(2), suspended(3)], AT);
    let ids = drained(&outbox, "portal");
    assert_eq!(ids.len(), 5, "{ids:?}");
    assert_eq!(ids[0], "2-suspended");
    let generation = ids[2].strip_prefix("2-suspended-").unwrap();
    assert_eq!(ids[4], format!("3-suspended-{generation}"));
    let events: Vec<_> = ids.iter().map(|id| event_of(id)).collect();
    assert_eq!(events, ["suspended", "feed-silent", "suspended", "feed-silent", "suspended"]);
}

#[test]
fn that_a_log_was_put_back_is_known_after_a_crash_before_anything_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let portal = receiver("portal", &[Kind::Suspended]);
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.know(std::slice::from_ref(&portal), None, 500).unwrap();
    outbox.accept(&[suspended(501)], AT);
    drop(outbox);
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.begin(3);
    outbox.know(std::slice::from_ref(&portal), None, 3).unwrap();
    drop(outbox);
    // Meanwhile the log has grown, of which nothing was told.
    let outbox = Outbox::open(dir.path()).unwrap();
    assert_eq!(outbox.told(), 3);
    outbox.begin(600);
    outbox.know(&[portal], None, 600).unwrap();
    outbox.accept(&[suspended(4)], AT);
    assert_eq!(outbox.behind("portal").waiting, 2);
}

#[test]
fn a_crash_while_the_log_is_read_again_after_damage_loses_nothing_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notices.sqlite3");
    let portal = receiver("portal", &[Kind::Suspended]);
    drop(Outbox::open(dir.path()).unwrap());
    std::fs::write(&path, b"this is no file of ours, and no file of SQLite either").unwrap();
    drop(Outbox::open(dir.path()).unwrap());
    let outbox = Outbox::open(dir.path()).unwrap();
    assert_eq!(outbox.told(), 0);
    outbox.know(std::slice::from_ref(&portal), None, 9).unwrap();
    outbox.accept(&[suspended(7)], AT);
    assert_eq!(drained(&outbox, "portal"), ["7-suspended"]);
    // From then on it is a file like any other.
    outbox.know(&[], None, 9).unwrap();
    drop(outbox);
    assert_eq!(Outbox::open(dir.path()).unwrap().told(), u64::MAX);
    // And a crash in which there was no time to make it anew.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(Outbox::open(dir.path()).unwrap().told(), 0);
}

#[test]
fn a_disk_that_refuses_leaves_who_is_told_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (portal, pager) = (receiver("portal", &[Kind::Suspended]), receiver("pager", &[Kind::Suspended]));
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.know(std::slice::from_ref(&portal), None, 0).unwrap();
    drop(outbox);
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.know(std::slice::from_ref(&portal), None, 0).unwrap();
    // Where the journal of a change should be.
    let journal = dir.path().join("notices.sqlite3-journal");
    std::fs::remove_file(&journal).unwrap();
    std::fs::create_dir(&journal).unwrap();
    assert!(outbox.know(std::slice::from_ref(&pager), None, 0).is_err());
    outbox.accept(&[suspended(1)], AT);
    assert!(!outbox.is_durable());
    std::fs::remove_dir(&journal).unwrap();
    outbox.accept(&[], AT);
    assert!(outbox.is_durable());
    assert_eq!(drained(&outbox, "portal"), ["1-suspended"]);
}

#[test]
fn what_is_too_old_goes_at_once_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.know(&[receiver("portal", &[Kind::Suspended])], None, 0).unwrap();
    let later = AT.plus(Duration::from_millis(1));
    outbox.accept(&[suspended(1), suspended(2)], AT);
    outbox.accept(&[suspended(3)], later);
    assert_eq!(outbox.expire("portal", AT).unwrap(), 2);
    let behind = outbox.behind("portal");
    assert_eq!((behind.waiting, behind.oldest, behind.lost), (1, Some(later), 2));
    assert_eq!(drained(&outbox, "portal"), ["3-suspended"]);
}

#[test]
fn of_a_long_log_that_is_told_at_once_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.know(&[receiver("portal", &[Kind::Suspended])], None, 0).unwrap();
    let all: Vec<Folded> = (1..=12_000).map(suspended).collect();
    outbox.accept(&all, AT);
    let behind = outbox.behind("portal");
    assert_eq!((behind.waiting, behind.lost), (12_000, 0));
}

#[test]
fn whoever_asks_for_more_is_told_of_that_what_happens_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let before = receiver("portal", &[Kind::Suspended]);
    let now = receiver("portal", &[Kind::Suspended, Kind::FeedSilent]);
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.know(&[before], None, 0).unwrap();
    outbox.know(std::slice::from_ref(&now), None, 10).unwrap();
    drop(outbox);
    // After a crash the log is told from its beginning.
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.know(&[now], None, 20).unwrap();
    outbox.accept(&[silent(5, "bras1"), suspended(6), silent(10, "bras1"), silent(11, "bras1")], AT);
    let told: Vec<_> = drained(&outbox, "portal").iter().map(|id| event_of(id)).collect();
    assert_eq!(told, ["suspended", "feed-silent"]);
}

#[test]
fn what_a_notice_is_of_stands_in_its_id() {
    for (id, event) in [
        ("4711-case-opened", "case-opened"),
        ("4711-suspended", "suspended"),
        ("7-feed-silent-0badcafe", "feed-silent"),
        ("report-2026-11-25", "report"),
        ("12-lost", "lost"),
        ("", ""),
    ] {
        assert_eq!(event_of(id), event);
    }
}
