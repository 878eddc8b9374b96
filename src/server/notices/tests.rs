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
    assert_eq!(drained(&outbox, "portal"), ["4-suspended"]);
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
