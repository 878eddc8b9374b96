//! Stories of senders: who is a signal, when, and who never is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::*;
use crate::relay::Profile;
use crate::relay::attempts::Reference;
use crate::relay::message::Owner;
use crate::relay::within::By;
use crate::session::Line;

/// 2026-11-02, a Monday.
const MONDAY: i64 = 1_793_577_600;
const DAY: i64 = 86_400;

fn at(day: i64, second: i64) -> Timestamp {
    Timestamp::from_seconds(MONDAY + day * DAY + second)
}

fn owner(name: &str) -> Owner {
    let subscriber = Some(Name::from(name));
    Owner { subscriber, session: None, since: Timestamp::EARLIEST, line: Line::default() }
}

fn message(at: Timestamp) -> Message {
    Message {
        owners: vec![owner("alice")],
        helo: Name::from("laptop"),
        sender: Name::from("alice@isp.example"),
        recipient_domains: vec![Name::from("example.org")],
        ..Message::plain(at)
    }
}

fn to(domain: i64, at: Timestamp) -> Message {
    let recipient_domains = vec![Name::from(format!("d{domain}.example").as_str())];
    Message { recipient_domains, ..message(at) }
}

fn alice() -> Subject {
    Subject::Subscriber(Name::from("alice"))
}

fn thresholds() -> Thresholds {
    Thresholds { learn: Duration::ZERO, ..Thresholds::default() }
}

/// As the daemon does: after each message its sender is looked at, and what is a signal is folded.
fn send(trends: &Trends, message: &Message) -> Vec<Signal> {
    trends.message(message.at, message);
    look(trends, &subject_of(message).unwrap(), message.at)
}

fn look(trends: &Trends, subject: &Subject, at: Timestamp) -> Vec<Signal> {
    let signals = trends.look(subject, &thresholds(), at);
    signals.iter().for_each(|signal| trends.signal(signal));
    signals
}

/// So many messages, four seconds apart, from this second of the day on. The words of the signals.
fn burst(trends: &Trends, day: i64, second: i64, count: i64) -> Vec<String> {
    let each = |number| send(trends, &message(at(day, second + 4 * number)));
    (0..count).flat_map(each).map(|signal| format!("{}: {}", signal.name, signal.words)).collect()
}

/// Four weeks of three to fourteen messages a day.
fn four_weeks(trends: &Trends) {
    for day in 0..28 {
        burst(trends, day, 9 * 3600, 3 + day % 12);
    }
}

#[test]
fn who_sends_ten_a_day_and_one_day_a_thousand_is_told_with_what_is_usual() {
    let trends = Trends::default();
    four_weeks(&trends);
    let words = burst(&trends, 28, 0, 1024);
    assert_eq!(
        words,
        [
            "messages: 600 messages today; 3 to 14 on the last 28 days",
            "hours: 600 messages today from 00:00 to 06:00 UTC; 0 on the last 28 days",
            "recipients: 1,000 recipients today; 3 to 14 on the last 28 days",
        ]
    );
}

#[test]
fn one_less_than_the_floor_is_no_signal_and_the_floor_is() {
    let trends = Trends::default();
    assert!(burst(&trends, 0, 0, 599).is_empty());
    assert_eq!(burst(&trends, 0, 4 * 599, 1).len(), 2, "of the day, and of its quarter");
}

#[test]
fn a_newsletter_on_every_monday_is_no_signal_in_its_fourth_week_and_the_same_on_a_tuesday_is() {
    let trends = Trends::default();
    let mut told = Vec::new();
    for day in 0..28 {
        let newsletter = if day % 7 == 0 { 800 } else { 0 };
        told.push(burst(&trends, day, 8 * 3600, 5 + newsletter).len());
    }
    assert!(told[0] > 0, "the first one is news");
    assert_eq!(told[1..].iter().sum::<usize>(), 0, "{told:?}");
    // Of whom 800 are known once a week, twice as much on another day is a signal.
    assert!(!burst(&trends, 29, 8 * 3600, 1300).is_empty());
}

#[test]
fn a_newsletter_once_a_month_is_news_only_the_first_time() {
    let trends = Trends::default();
    let mut told = Vec::new();
    for day in 0..100 {
        let newsletter = if day % 30 == 5 { 800 } else { 0 };
        if !burst(&trends, day, 8 * 3600, 5 + newsletter).is_empty() {
            told.push(day);
        }
    }
    assert_eq!(told, [5]);
}

#[test]
fn who_sends_as_much_at_an_hour_at_which_it_never_did_is_a_signal_before_the_day_is_unusual() {
    let trends = Trends::default();
    for day in 0..28 {
        burst(&trends, day, 9 * 3600, 200);
    }
    assert!(burst(&trends, 28, 0, 599).is_empty());
    let words = burst(&trends, 28, 4 * 599, 1);
    assert_eq!(words, ["hours: 600 messages today from 00:00 to 06:00 UTC; 0 on the last 28 days"]);
}

#[test]
fn the_same_signal_comes_once_a_day_unless_it_has_doubled() {
    let trends = Trends::default();
    let each = |number| send(&trends, &to(number, at(0, 60 * number)));
    let told = (0..29).flat_map(each).filter(|signal| signal.name == Name::from("strangers"));
    assert_eq!(told.map(|signal| signal.value).collect::<Vec<_>>(), [9, 18]);
    assert!(trends.sender(&alice()).unwrap().today().odd);
}

#[test]
fn nine_strangers_of_a_newcomer_within_half_an_hour_are_a_signal_and_a_second_more_is_not() {
    for (last, expected) in [(1799, 1), (1800, 0)] {
        let trends = Trends::default();
        for number in 0..8 {
            assert!(send(&trends, &to(number, at(0, 10 * number))).is_empty());
        }
        let signals = send(&trends, &to(8, at(0, last)));
        assert_eq!(signals.len(), expected, "{last}");
        // To those who are known by now it may write as often as it likes.
        assert!(send(&trends, &to(3, at(0, last + 1))).is_empty());
    }
}

#[test]
fn one_letter_to_many_members_is_one_stranger() {
    let trends = Trends::default();
    let recipient_domains =
        (0..100).map(|number| Name::from(format!("m{number}.example").as_str())).collect();
    let letter = Message { recipient_domains, recipient_count: 100, ..message(at(0, 0)) };
    assert!(send(&trends, &letter).is_empty());
    let sender = trends.sender(&alice()).unwrap();
    let day = sender.today();
    assert_eq!((day.new_domains, day.domains, day.strangers, day.recipients), (1, 100, 1, 100));
}

#[test]
fn what_a_machine_did_while_it_was_infected_is_not_usual_for_it_until_somebody_says_so() {
    let infected = |trends: &Trends, day: i64| {
        let sender = Name::from(format!("{day}@bot.example").as_str());
        let each = |number| {
            let message = to(1000 * day + number, at(day, 60 * number));
            send(trends, &Message { sender: sender.clone(), ..message })
        };
        (0..24).flat_map(each).count()
    };
    let trends = Trends::default();
    four_weeks(&trends);
    assert_eq!(infected(&trends, 28), 3);
    assert_eq!(infected(&trends, 49), 3, "it came back after three weeks");
    trends.dismiss(&alice());
    assert_eq!(infected(&trends, 50), 0, "it is a shop now");
}

#[test]
fn what_may_be_several_peoples_counts_for_nobody() {
    let trends = Trends::default();
    let two = Message { owners: vec![owner("alice"), owner("bob")], ..message(at(0, 0)) };
    let disputed = Message { reason: Reason::Conflict, ..message(at(0, 0)) };
    let nameless = Owner { subscriber: None, ..owner("alice") };
    let unknown = Message { owners: vec![nameless], ..message(at(0, 0)) };
    let nobodys = Message { owners: Vec::new(), ..message(at(0, 0)) };
    for message in [two, disputed, unknown, nobodys] {
        trends.message(message.at, &message);
    }
    assert!(trends.is_empty());
}

#[test]
fn a_login_of_a_subscribers_name_is_somebody_else() {
    let trends = Trends::default();
    let login = Some(Name::from("alice"));
    let webmail = Message { owners: Vec::new(), login: login.clone(), ..message(at(0, 0)) };
    let home = Message { login, ..message(at(0, 0)) };
    for message in [&webmail, &webmail, &home] {
        trends.message(message.at, message);
    }
    let messages = |subject| trends.sender(&subject).unwrap().today().messages;
    assert_eq!((messages(Subject::Login(Name::from("alice"))), messages(alice())), (2, 1));
}

#[test]
fn many_names_of_one_day_are_a_signal() {
    let trends = Trends::default();
    let mut told = Vec::new();
    for number in 0..60 {
        let name = Name::from(format!("n{number}").as_str());
        let message = Message { sender: name.clone(), helo: name, ..message(at(0, 1400 * number)) };
        told.extend(
            send(&trends, &message).into_iter().map(|signal| (signal.name.to_string(), signal.value)),
        );
    }
    let told: Vec<_> = told.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(told, [("helo", 20), ("helo", 40), ("senders", 60)]);
}

#[test]
fn nothing_is_a_signal_before_a_week_was_learned() {
    let thresholds = Thresholds::default();
    let week = at(7, 0);
    for (now, is_signal) in [(week.minus(Duration::from_millis(1)), false), (week, true)] {
        let trends = Trends::default();
        trends.message(at(0, 0), &message(at(0, 0)));
        (0..600).for_each(|_| trends.message(now, &message(now)));
        assert_eq!(!trends.look(&alice(), &thresholds, now).is_empty(), is_signal);
        let off = Thresholds { signals: false, ..thresholds.clone() };
        assert!(trends.look(&alice(), &off, now).is_empty());
    }
}

#[test]
fn what_a_scanner_found_is_a_signal_from_the_first_virus_and_the_tenth_spam_on_whatever_was_learned() {
    let trends = Trends::default();
    let found = |is_virus| {
        trends.scanned(at(0, 9), at(0, 5), &alice(), is_virus);
        let signals = trends.look(&alice(), &Thresholds::default(), at(0, 9));
        signals.iter().for_each(|signal| trends.signal(signal));
        signals.iter().map(|signal| signal.words.to_string()).collect::<Vec<_>>()
    };
    let unknown = "nothing is known of the days before";
    assert_eq!(found(true), [format!("a scanner found a virus in 1 message today; {unknown}")]);
    for _ in 0..9 {
        assert!(found(false).is_empty());
    }
    assert_eq!(found(false), [format!("a scanner found spam in 10 messages today; {unknown}")]);
    assert_eq!(trends.sender(&alice()).unwrap().today().messages, 0, "it may never have been sent");
}

#[test]
fn a_login_that_is_used_from_twenty_addresses_on_a_day_is_a_signal_whoever_has_them() {
    let trends = Trends::default();
    let login = Subject::Login(Name::from("sales"));
    let used = |number: u8, address: IpAddr| {
        let owners = vec![owner(&format!("u{number}"))];
        let login = Some(Name::from("sales"));
        let message =
            Message { owners, login, address: Some(address), ..message(at(0, 60 * i64::from(number))) };
        trends.message(message.at, &message);
        look(&trends, &Subject::Login(Name::from("sales")), message.at)
    };
    for number in 0..40 {
        // All of one line.
        assert!(used(number, Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, number.into()).into()).is_empty());
    }
    let told: Vec<_> =
        (1..20).flat_map(|number| used(number, Ipv4Addr::new(192, 0, 2, number).into())).collect();
    let [signal] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&signal.subject, signal.value), (&login, 20));
    assert_eq!(
        signal.words,
        Name::from("used from 20 different addresses today; nothing is known of the days before")
    );
    assert_eq!(trends.sender(&login).unwrap().today().messages, 0, "they count for whose the lines are");
}

#[test]
fn a_new_address_of_its_own_that_writes_to_friends_is_no_stranger() {
    let new = |number| Message { sender: Name::from("new@isp.example"), ..to(number, at(28, 60 * number)) };
    for (friends, strangers, expected) in [(9, 6, 1), (10, 6, 0), (0, 5, 0), (0, 6, 1)] {
        let trends = Trends::default();
        four_weeks(&trends);
        (0..friends).for_each(|number| trends.message(at(27, 0), &to(number, at(27, 0))));
        let told = (0..friends + strangers).flat_map(|number| send(&trends, &new(number)));
        assert_eq!(told.count(), expected, "{friends} friends, {strangers} strangers");
    }
}

#[test]
fn what_a_file_tells_of_counts_on_its_own_day_and_never_in_the_future() {
    let trends = Trends::default();
    let now = at(10, 3600);
    trends.message(now, &message(now));
    for (day, second) in [(9, 0), (9, 5), (3, 0), (40, 0)] {
        let imported = Message { reason: Reason::Imported, ..message(at(day, second)) };
        trends.message(now, &imported);
    }
    let sender = trends.sender(&alice()).unwrap();
    let days: Vec<_> = sender.days().iter().map(|day| (day.day, day.messages)).collect();
    let day = |day| day_of(at(day, 0));
    assert_eq!(days, [(day(3), 1), (day(9), 2)]);
    assert_eq!((sender.today().day, sender.today().messages), (day(10), 2));
    assert_eq!(sender.usual(day(10), Measure::Messages, 0).days, 7, "known since then");
}

#[test]
fn refused_recipients_count_for_whom_it_surely_was() {
    let row = |names: &[&str], reason, count| Attempt {
        reference: Reference(1),
        first: at(0, 0),
        last: at(0, 0),
        count,
        reason: Some(reason),
        mta: Name::from("mx1"),
        profile: Profile::Relay,
        address: None,
        port: None,
        owners: names.iter().map(|name| owner(name)).collect(),
        login: None,
        helo: Name::from("h"),
        sender: Name::from("s"),
        recipient_domain: Name::from("d"),
        suspension: None,
        observed: false,
    };
    let trends = Trends::default();
    let rows = [
        row(&["alice"], Reason::Suspended, 199),
        row(&["alice", "bob"], Reason::Suspended, 9),
        row(&["alice"], Reason::SessionSuspect, 9),
        row(&[], Reason::NotOnline, 9),
    ];
    trends.attempts(at(0, 1), &rows);
    assert!(look(&trends, &alice(), at(0, 0)).is_empty() && trends.len() == 1);
    trends.attempts(at(0, 1), &[row(&["alice"], Reason::Suspended, 1)]);
    let signals = look(&trends, &alice(), at(0, 0));
    assert_eq!(
        signals[0].words,
        Name::from("200 recipients refused today; nothing is known of the days before")
    );
}

#[test]
fn those_who_did_more_than_ever_stand_out_the_worst_first() {
    let trends = Trends::default();
    let by = |name: &str, day: i64, count: i64| {
        for number in 0..count {
            let message = Message { owners: vec![owner(name)], ..message(at(day, 60 * number)) };
            trends.message(message.at, &message);
        }
    };
    for (name, usual, today) in [("steady", 90, 90), ("alice", 5, 100), ("bob", 5, 400), ("quiet", 1, 9)] {
        (0..10).for_each(|day| by(name, day, usual));
        by(name, 10, today);
    }
    by("mallory", 9, 700);
    let names = |day, limit| -> Vec<_> {
        let all = trends.standing_out(at(day, DAY - 1), limit);
        all.iter().map(|signal| signal.subject.name().to_string()).collect()
    };
    assert_eq!(names(10, 9), ["mallory", "bob", "alice"]);
    assert_eq!(names(10, 2), ["mallory", "bob"]);
    assert_eq!(names(11, 9), ["bob", "alice"], "yesterday counts, and the day before it does not");
    let words = trends.standing_out(at(11, 0), 1).remove(0).words;
    assert_eq!(words, Name::from("400 messages on the day before; 5 on the last 10 days"));
}

#[test]
fn a_sender_takes_no_more_memory_whatever_it_does() {
    let trends = Trends::default();
    for day in 0..70 {
        for number in 0..600 {
            let name = Name::from(format!("{day}.{number}").as_str());
            let helo = name.clone();
            let message = Message { sender: name, helo, ..to(1000 * day + number, at(day, number)) };
            send(&trends, &message);
        }
    }
    let sender = trends.sender(&alice()).unwrap();
    assert_eq!((sender.days().len(), sender.domains()), (usize::from(DAYS), DOMAINS_MOST));
    let octets = size_of::<Sender>()
        + size_of_val(sender.days())
        + sender.domains() * 8
        + WINDOW_MOST * 16
        + 3 * NAMES_MOST * 4
        + Measure::ALL.len() * 16;
    assert!(octets < 11 * 1024, "{octets}");
    assert_eq!(size_of::<Day>(), 36);
}

#[test]
fn who_sends_nothing_for_nine_weeks_is_forgotten_and_a_day_before_is_not() {
    let trends = Trends::default();
    trends.message(at(0, 0), &message(at(0, 0)));
    trends.advance(at(63, DAY - 1));
    assert_eq!(trends.len(), 1);
    trends.advance(at(64, 0));
    assert!(trends.is_empty());
    trends.message(at(64, 0), &message(at(0, 0)));
    assert!(trends.is_empty(), "a file that tells of then changes nothing");
}

#[test]
fn what_was_at_rest_goes_on_as_if_nothing_had_been() {
    let (whole, before) = (Trends::default(), Trends::default());
    four_weeks(&whole);
    four_weeks(&before);
    let octets = postcard::to_stdvec(&before.image()).unwrap();
    let after = Trends::default();
    after.message(at(0, 0), &Message { owners: vec![owner("gone")], ..message(at(0, 0)) });
    after.restore(postcard::from_bytes(&octets).unwrap());
    for trends in [&whole, &after] {
        assert_eq!(burst(trends, 28, 0, 600).len(), 2);
    }
    assert_eq!(after.image(), whole.image());
}

/// A message of this sender by way of the host `web`, which tells senders apart by their domain; what of it is a signal of whom.
fn by_way_of_web(trends: &Trends, domain: &str, message: &Message) -> Vec<(String, String)> {
    let sender = Name::from(format!("www@{domain}").as_str());
    let message = Message { owners: vec![owner("web")], sender, ..message.clone() };
    let beside = [within::subject(&Name::from("web"), By::SenderDomain, message.sender.octets())];
    trends.message(message.at, &message);
    trends.message_within(message.at, &message, &beside);
    let host = Subject::Subscriber(Name::from("web"));
    let signals = [&host, &beside[0]].into_iter().flat_map(|subject| look(trends, subject, message.at));
    signals.map(|signal| (signal.subject.name().to_string(), signal.name.to_string())).collect()
}

fn site(domain: &str) -> Subject {
    Subject::Within(Name::from(format!("web/{domain}").as_str()))
}

#[test]
fn a_site_that_sends_as_never_before_is_a_signal_by_its_name_and_its_neighbour_is_none() {
    let trends = Trends::default();
    let send = |domain: &str, day: i64, count: i64| -> Vec<(String, String)> {
        (0..count).flat_map(|each| by_way_of_web(&trends, domain, &message(at(day, 36_000 + each)))).collect()
    };
    for day in 0..28 {
        // The host as a whole is busy every day.
        assert!(send("busy.example", day, 300 + day).iter().all(|(whom, _)| whom != "web/shop.example"));
        send("shop.example", day, 5);
    }
    let told = send("shop.example", 28, 700);
    let of = |whom: &str| told.iter().filter(|(name, _)| name == whom).count();
    assert_eq!((of("web/shop.example"), of("web")), (2, 0), "the messages, and their quarter: {told:?}");
    assert!(send("busy.example", 28, 300).iter().all(|(whom, _)| whom != "web/busy.example"));
    assert_eq!(trends.sender(&site("busy.example")).unwrap().days().len(), 28);
    assert_eq!(trends.sender(&Subject::Subscriber(Name::from("web"))).unwrap().today().messages, 1000);
}

#[test]
fn whoever_is_not_within_a_host_is_not_counted_twice() {
    let trends = Trends::default();
    let beside = [Subject::Subscriber(Name::from("carol")), site("shop.example")];
    trends.message_within(at(0, 0), &message(at(0, 0)), &beside);
    assert_eq!(
        (trends.len(), trends.sender(&site("shop.example")).map(|one| one.today().messages)),
        (1, Some(1))
    );
    // A file that tells of what is long ago changes nothing.
    trends.message_within(at(90, 0), &message(at(0, 0)), &[site("old.example")]);
    assert_eq!(trends.len(), 1);
}

#[test]
fn a_client_that_makes_up_senders_is_no_signal_and_fills_neither_memory_nor_the_place_of_others() {
    let trends = Trends::default();
    by_way_of_web(&trends, "shop.example", &message(at(0, 0)));
    by_way_of_web(&trends, "shop.example", &message(at(1, 0)));
    for number in 0..=WITHIN_MAX {
        let second = i64::try_from(number).unwrap();
        let told = by_way_of_web(&trends, &format!("d{number}.example"), &message(at(1, second)));
        assert!(told.iter().all(|(whom, _)| whom == "web"), "{told:?}");
    }
    assert_eq!(trends.len(), WITHIN_MAX + 1, "and the host");
    assert!(trends.sender(&site("d20000.example")).is_none());
    let beside = [Subject::Within(Name::from("mail/shop.example"))];
    trends.message_within(at(1, 0), &message(at(1, 0)), &beside);
    assert_eq!(trends.len(), WITHIN_MAX + 2, "another host has its own room");
    // What is at rest keeps the bound, and those of one day go after three more.
    let after = Trends::default();
    after.restore(trends.image());
    by_way_of_web(&after, "late.example", &message(at(1, DAY - 1)));
    assert!(after.sender(&site("late.example")).is_none());
    after.advance(at(4, DAY - 1));
    assert_eq!(after.len(), WITHIN_MAX + 2);
    after.advance(at(5, 0));
    by_way_of_web(&after, "late.example", &message(at(5, 0)));
    assert!(after.sender(&site("late.example")).is_some(), "there is room again");
    assert!(after.sender(&site("shop.example")).is_some(), "who was there on two days is kept");
    assert!(after.sender(&beside[0]).is_some(), "and who is one of few");
    assert_eq!(after.len(), 4);
}
