//! Stories of addresses, from records through the machine to lines.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::audit::index::Index;
use crate::audit::past::Past;
use crate::audit::rows::SessionFilter;
use crate::log::entry::Entry;
use crate::session;
use crate::session::Ports;
use crate::session::event::{
    Applied, Claim, ClaimSource, Event, Kind, Record, Refresh, Release, Rules, Span, Translation,
};
use crate::views::{Folded, Views};

const ADDRESS: &str = "10.0.0.7";

fn at(minute: i64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + minute * 60)
}

struct World {
    _data: tempfile::TempDir,
    index: Index,
    past: Past,
    views: Views,
    sequence: u64,
}

impl World {
    fn new() -> World {
        let data = tempfile::tempdir().unwrap();
        let index = Index::open(data.path()).unwrap();
        let past = index.past().unwrap();
        let mut world = World { _data: data, index, past, views: Views::new(Arc::default()), sequence: 0 };
        world.apply(0, Applied::default());
        world
    }

    fn apply(&mut self, minute: i64, applied: Applied) {
        let rules = Rules { warm_up: Span::Fixed(Duration::ZERO), ..Rules::default() };
        let pools = vec![(Name::from("bras1"), Vec::new())];
        self.event(minute, Event::Applied(Box::new(Applied { rules, pools, ..applied })));
    }

    fn event(&mut self, minute: i64, event: Event) {
        self.sequence += 1;
        let mut folded: Vec<Folded> = Vec::new();
        self.views.fold(at(minute), self.sequence, &Entry::Session(event), &mut folded);
        self.index.apply(self.sequence, &folded).unwrap();
        if self.sequence.is_multiple_of(3) {
            self.index.sync(at(minute)).unwrap();
        }
    }

    /// A record of a moment that reaches us in another.
    fn tell(&mut self, minute: i64, arrival: i64, record: Record) {
        let record = Record { event: at(minute), arrival: at(arrival), ..record };
        self.event(arrival, Event::Record(Box::new(record)));
    }

    fn advance(&mut self, minute: i64) {
        let mut folded = Vec::new();
        self.views.advance(at(minute), &mut folded);
        self.index.apply(self.sequence, &folded).unwrap();
    }

    fn filter(&self) -> StoryFilter {
        let address = ADDRESS.parse().unwrap();
        StoryFilter {
            realm: Realm::PUBLIC,
            address,
            port: None,
            since: None,
            until: None,
            through: None,
            limit: 100,
        }
    }

    fn story(&self, filter: &StoryFilter) -> Vec<StoryRow> {
        self.past.story(filter).unwrap()
    }

    /// `record session subscriber what`, a line each.
    fn told(&self) -> Vec<String> {
        self.story(&self.filter()).iter().map(line).collect()
    }

    #[track_caller]
    fn ends_with(&self, expected: &[&str]) {
        let told = self.told();
        let tail = &told[told.len().saturating_sub(expected.len())..];
        assert_eq!(tail, expected, "{told:#?}");
    }
}

fn line(row: &StoryRow) -> String {
    let text = |name: Option<String>| name.unwrap_or_else(|| "-".to_owned());
    let session = text(row.session.as_ref().map(|session| session.id.to_string()));
    let subscriber = text(row.subscriber.as_ref().map(ToString::to_string));
    format!("{} {session} {subscriber} {}", row.cause.word(), row.what.word())
}

fn record(kind: Kind, id: &str, subscriber: &str) -> Record {
    Record {
        subscriber: Some(Name::from(subscriber)),
        claims: vec![Claim::whole(ADDRESS.parse::<IpAddr>().unwrap().into(), ClaimSource::FramedAddress)],
        ..Record::bare(kind, Name::from("bras1"), Name::from(id), at(0))
    }
}

use Kind::{Interim, On, Start, Stop};

#[test]
fn what_begins_and_what_ends_is_told_with_the_record_that_did_it() {
    let mut world = World::new();
    world.tell(10, 10, record(Start, "1", "alice"));
    world.tell(20, 21, record(Stop, "1", "alice"));
    world.tell(30, 30, record(Start, "2", "bob"));
    world.tell(40, 40, record(Start, "3", "carol"));
    let told = [
        "start 1 alice bound",
        "stop 1 alice stopped",
        "start 2 bob bound",
        "start 2 bob superseded",
        "start 3 carol bound",
    ];
    assert_eq!(world.told(), told);
    let story = world.story(&world.filter());
    assert_eq!((story[1].at, story[1].cause), (at(20), Cause::Record(Stop, at(21))));
    assert_eq!(story[1].what, What::Unbound { how: Ended::Stopped, last_seen: at(10) });
    assert_eq!(story[0].nas, Some(Name::from("bras1")));
    assert!(story.windows(2).all(|pair| pair[0].sequence <= pair[1].sequence));
}

#[test]
fn a_record_that_came_too_late_is_told_though_it_did_nothing() {
    // Rows 17, 8 and 12: what was sent before the Stop, and the Stop once more.
    let mut world = World::new();
    world.tell(10, 10, record(Start, "1", "alice"));
    world.tell(20, 20, record(Stop, "1", "alice"));
    world.tell(15, 21, record(Start, "1", "alice"));
    world.tell(16, 22, record(Interim, "1", "alice"));
    world.tell(20, 23, record(Stop, "1", "alice"));
    world.ends_with(&["stop 1 alice stopped", "start 1 alice before-stop", "interim 1 alice before-stop"]);
    // Row 13: the Stop of an earlier session under this id.
    world.tell(30, 30, record(Start, "1", "alice"));
    world.tell(25, 31, record(Stop, "1", "alice"));
    world.ends_with(&["start 1 alice bound", "stop 1 alice before-start"]);
    // Row 31: older than the stale limit.
    world.tell(32, 132, record(Start, "9", "bob"));
    world.ends_with(&["start 9 bob past-noted"]);
}

#[test]
fn a_claim_that_loses_is_told_once() {
    let mut world = World::new();
    world.tell(20, 20, record(Start, "2", "bob"));
    world.tell(10, 21, record(Start, "1", "alice"));
    world.tell(11, 22, record(Interim, "1", "alice"));
    world.ends_with(&["start 2 bob bound", "start 1 alice outdone"]);
    // What was given and taken since is nobody's older claim's either.
    let mut world = World::new();
    world.tell(20, 20, record(Start, "2", "bob"));
    world.tell(22, 22, record(Stop, "2", "bob"));
    world.tell(10, 23, record(Start, "1", "alice"));
    world.ends_with(&["stop 2 bob stopped", "start 1 alice outdone"]);
}

#[test]
fn a_stop_of_what_is_somebody_elses_frees_nothing_and_says_so() {
    let mut world = World::new();
    world.tell(10, 10, record(Start, "1", "alice"));
    world.tell(20, 20, record(Start, "2", "bob"));
    world.tell(30, 30, record(Stop, "1", "alice"));
    world.ends_with(&["start 2 bob bound", "stop 1 alice nothing-to-free"]);
}

#[test]
fn a_doubt_is_told_when_it_begins_and_when_it_is_over() {
    // Row 9: heard after its Stop, confirmed by a second interim update.
    let mut world = World::new();
    world.tell(10, 10, record(Start, "1", "alice"));
    world.tell(20, 20, record(Stop, "1", "alice"));
    world.tell(22, 22, record(Interim, "1", "alice"));
    world.tell(30, 30, record(Interim, "1", "alice"));
    world.ends_with(&["interim 1 alice bound", "interim 1 alice revived", "interim 1 alice confirmed"]);
    // The same the other way round.
    let mut world = World::new();
    world.tell(10, 10, record(Start, "1", "alice"));
    world.tell(22, 22, record(Interim, "1", "alice"));
    world.tell(20, 23, record(Stop, "1", "alice"));
    world.ends_with(&["start 1 alice bound", "stop 1 alice overtaken"]);
    // In doubt it takes nothing from anybody.
    let mut world = World::new();
    world.tell(10, 10, record(Start, "1", "alice"));
    world.tell(20, 20, record(Stop, "1", "alice"));
    world.tell(21, 21, record(Start, "2", "bob"));
    world.tell(22, 22, record(Interim, "1", "alice"));
    world.ends_with(&["start 2 bob bound", "interim 1 alice past-noted", "interim 1 alice waits"]);
    // An undated Start soon after the Stop of a session that may have begun just before.
    let mut world = World::new();
    world.tell(20, 20, record(Stop, "1", "alice"));
    world.tell(21, 21, Record { dated: false, ..record(Start, "1", "alice") });
    world.ends_with(&["start 1 alice bound", "start 1 alice doubtful-start"]);
}

#[test]
fn silence_is_told_when_it_becomes_a_doubt_and_when_it_ends_the_session() {
    let mut world = World::new();
    world.tell(10, 10, Record { interval: Some(600), ..record(Start, "1", "alice") });
    world.advance(10 + 30 - 1);
    assert_eq!(world.told(), ["start 1 alice bound"]);
    world.advance(1000);
    world.ends_with(&["deadline 1 alice overdue", "deadline 1 alice expired"]);
    let expired = world.story(&world.filter()).pop().unwrap();
    assert_eq!(expired.cause, Cause::Deadline);
    assert_eq!(expired.what, What::Unbound { how: Ended::Expired, last_seen: at(10) });
}

#[test]
fn what_was_given_back_is_not_claimed_by_what_was_sent_before() {
    let block = Ports::new(1024, 2047).unwrap();
    let prefix = ADDRESS.parse::<IpAddr>().unwrap().into();
    let claim = Claim { prefix, ports: block, source: ClaimSource::PortBlock };
    let taking = || Record { claims: vec![claim], ..record(Interim, "1", "alice") };
    let giving = Record {
        claims: Vec::new(),
        releases: vec![Release::Only(prefix, block)],
        ..record(Interim, "1", "alice")
    };
    let mut world = World::new();
    world.tell(10, 10, Record { claims: vec![claim], ..record(Start, "1", "alice") });
    world.tell(20, 20, giving);
    world.tell(15, 21, taking());
    world.ends_with(&["interim 1 alice moved", "interim 1 alice given-back"]);
}

#[test]
fn a_refresh_tells_nothing() {
    let mut world = World::new();
    world.tell(10, 10, record(Start, "1", "alice"));
    for minute in 11..20 {
        let refresh = Refresh {
            nas: Name::from("bras1"),
            session_id: Name::from("1"),
            event: at(minute),
            arrival: at(minute),
            session_time: None,
        };
        world.event(minute, Event::Refreshes(vec![refresh]));
    }
    assert_eq!(world.told(), ["start 1 alice bound"]);
}

#[test]
fn another_name_is_told_as_one_and_each_line_has_the_name_of_its_time() {
    let mut world = World::new();
    world.tell(10, 10, record(Start, "1", "alice"));
    world.tell(20, 20, record(Interim, "1", "alicia"));
    world.tell(30, 30, record(Stop, "1", "alicia"));
    assert_eq!(world.told(), ["start 1 alice bound", "interim 1 alicia renamed", "stop 1 alicia stopped"]);
}

#[test]
fn a_nas_that_began_anew_is_told_to_whom_it_concerns_and_while_it_does() {
    let on = |nas: &str| Record {
        subscriber: None,
        claims: Vec::new(),
        ..Record::bare(On, Name::from(nas), Name::from(""), at(0))
    };
    let mut world = World::new();
    world.tell(5, 5, on("bras1"));
    world.tell(10, 10, record(Start, "1", "alice"));
    world.tell(15, 15, on("bras2"));
    world.tell(20, 20, on("bras1"));
    world.tell(21, 21, record(Interim, "1", "alice"));
    world.tell(30, 30, record(Stop, "1", "alice"));
    world.tell(40, 40, on("bras1"));
    let told =
        ["start 1 alice bound", "on - - nas-began-anew", "interim 1 alice confirmed", "stop 1 alice stopped"];
    assert_eq!(world.told(), told);
    assert_eq!(world.story(&world.filter())[1].nas, Some(Name::from("bras1")));
}

#[test]
fn a_conflict_names_its_claimants_and_a_gap_lies_where_it_was() {
    let mut world = World::new();
    world.event(5, Event::Resumed { since: Some(at(1)) });
    world.tell(10, 10, record(Start, "1", "alice"));
    world.tell(20, 20, record(Start, "2", "bob"));
    world.tell(30, 30, record(Interim, "1", "alice"));
    world.event(40, Event::Resumed { since: Some(at(35)) });
    world.tell(50, 50, record(Stop, "2", "bob"));
    world.ends_with(&[
        "interim 1 alice bound",
        "interim - - conflict",
        "resumed - - gap",
        "stop 2 bob stopped",
        "stop - - conflict-over",
    ]);
    let story = world.story(&world.filter());
    let conflict = story.iter().find(|row| row.what == What::Conflict { over: false }).unwrap();
    let mut claimants: Vec<_> = conflict.others.iter().map(|key| key.id.to_string()).collect();
    claimants.sort();
    assert_eq!(claimants, ["1", "2"]);
    let gaps: Vec<_> = story.iter().filter(|row| matches!(row.what, What::Gap { .. })).collect();
    assert_eq!(gaps.len(), 1, "the one before anything was told of the address is not its own");
    assert_eq!((gaps[0].at, gaps[0].what), (at(40), What::Gap { since: at(35) }));
}

#[test]
fn configuration_is_told_where_it_changes_something() {
    let statics = |subscriber| vec![("10.0.0.0/29".parse().unwrap(), Name::from(subscriber))];
    let translation = Translation {
        realm: None,
        inside: "100.64.0.0/22".parse().unwrap(),
        outside: "10.0.0.0/28".parse().unwrap(),
        first_port: 1024,
        block: 1008,
    };
    let mut world = World::new();
    world.apply(10, Applied { statics: statics("office"), ..Applied::default() });
    world.apply(20, Applied { statics: statics("office"), ..Applied::default() });
    world.apply(30, Applied { statics: statics("shop"), ..Applied::default() });
    world.apply(40, Applied { translations: vec![translation.clone()], ..Applied::default() });
    world.apply(50, Applied::default());
    let told = [
        "configuration - office static",
        "configuration - shop static",
        "configuration - - static-over",
        "configuration - - translation",
        "configuration - - translation-over",
    ];
    assert_eq!(world.told(), told);
    let story = world.story(&world.filter());
    assert_eq!(story[3].what, What::Translation { inside: translation.inside, over: false });
}

#[test]
fn only_what_concerns_the_port_the_realm_and_the_time_is_told() {
    let ports = |first, last| Ports::new(first, last).unwrap();
    let prefix = ADDRESS.parse::<IpAddr>().unwrap().into();
    let block = |id, subscriber, ports| Record {
        claims: vec![Claim { prefix, ports, source: ClaimSource::PortBlock }],
        ..record(Start, id, subscriber)
    };
    let mut world = World::new();
    world.tell(10, 10, block("1", "alice", ports(1024, 2047)));
    world.tell(20, 20, block("2", "bob", ports(2048, 3071)));
    world.tell(30, 30, Record { realm: Some(Name::from("blue")), ..record(Start, "3", "carol") });
    world.tell(40, 45, record(Start, "4", "dora"));
    let told = |filter: StoryFilter| -> Vec<String> {
        world.story(&filter).iter().map(|row| row.subscriber.clone().unwrap().to_string()).collect()
    };
    let all = world.filter();
    assert_eq!(told(all.clone()), ["alice", "bob", "dora"]);
    assert_eq!(told(StoryFilter { port: Some(2047), ..all.clone() }), ["alice", "dora"]);
    assert_eq!(told(StoryFilter { port: Some(2048), ..all.clone() }), ["bob", "dora"]);
    assert_eq!(told(StoryFilter { realm: Realm::of_number(1), ..all.clone() }), ["carol"]);
    // It happened, or it reached us, within that time.
    assert_eq!(told(StoryFilter { since: Some(at(20)), ..all.clone() }), ["bob", "dora"]);
    assert_eq!(told(StoryFilter { since: Some(at(45)), ..all.clone() }), ["dora"]);
    assert!(told(StoryFilter { since: Some(at(46)), ..all.clone() }).is_empty());
    assert_eq!(told(StoryFilter { until: Some(at(20)), ..all.clone() }), ["alice"]);
    assert_eq!(told(StoryFilter { until: Some(at(41)), ..all.clone() }), ["alice", "bob", "dora"]);
    assert_eq!(told(StoryFilter { limit: 2, ..all.clone() }), ["bob", "dora"]);
    let elsewhere = StoryFilter { address: "10.0.0.8".parse().unwrap(), ..all };
    assert!(told(elsewhere).is_empty());
}

#[test]
fn a_part_of_a_story_tells_what_the_whole_tells_there() {
    let mut world = World::new();
    world.tell(10, 10, record(Start, "1", "alice"));
    // Another name, a restart while it is somebody's, a time in which nothing was heard.
    world.tell(20, 20, record(Interim, "1", "bob"));
    world.event(25, Event::Resumed { since: Some(at(22)) });
    world.tell(30, 30, Record { session_id: Name::from(""), ..record(On, "", "") });
    world.tell(40, 40, record(Start, "2", "carol"));
    world.tell(50, 50, record(Stop, "2", "carol"));
    world.tell(60, 60, record(Start, "3", "dora"));
    world.tell(70, 70, record(Start, "4", "erin"));
    world.tell(80, 80, record(Stop, "4", "erin"));
    world.tell(90, 90, record(Interim, "3", "fred"));
    let whole = world.story(&world.filter());
    let words: Vec<String> = whole.iter().map(line).collect();
    for what in ["renamed", "gap", "restarted"] {
        assert!(words.iter().any(|line| line.contains(what)), "{what}: {words:#?}");
    }
    for (index, row) in whole.iter().enumerate() {
        let ends_here = whole.get(index + 1).is_none_or(|next| next.sequence > row.sequence);
        for limit in (1..=whole.len()).filter(|_| ends_here) {
            let part = world.story(&StoryFilter { through: Some(row.sequence), limit, ..world.filter() });
            assert_eq!(part, whole[(index + 1).saturating_sub(limit)..=index], "{limit} up to {index}");
        }
    }
}

#[test]
fn a_prefix_around_the_address_belongs_to_its_story() {
    let route = Record {
        claims: vec![Claim::whole("10.0.0.0/28".parse().unwrap(), ClaimSource::FramedRoute)],
        ..record(Start, "1", "alice")
    };
    let mut world = World::new();
    world.tell(10, 10, route);
    world.tell(20, 20, record(Start, "2", "bob"));
    assert_eq!(world.told(), ["start 1 alice bound", "start 2 bob bound"]);
    let prefixes: Vec<_> =
        world.story(&world.filter()).iter().map(|row| row.place.unwrap().prefix.to_string()).collect();
    assert_eq!(prefixes, ["10.0.0.0/28", "10.0.0.7/32"]);
}

#[test]
fn of_a_session_that_only_its_stop_tells_of_staff_sees_all_that_the_stop_says() {
    let mut world = World::new();
    let line = session::Line { port_id: Some(Name::from("pon 1")), ..session::Line::default() };
    let stop = |id, lasted| Record {
        session_time: lasted,
        line: line.clone(),
        user_name: Some(Name::from("Alice")),
        ..record(Stop, id, "alice")
    };
    world.tell(10, 10, record(Start, "other", "bob"));
    world.tell(60, 60, stop("long", Some(3000)));
    world.tell(70, 70, stop("short", None));
    let mut sessions = world.past.sessions(&SessionFilter { limit: 10, ..SessionFilter::default() }).unwrap();
    sessions.retain(|session| session.subscriber == Some(Name::from("alice")));
    let [short, long] = sessions.as_slice() else { panic!("{sessions:#?}") };
    for (session, from, until) in [(long, at(10), at(60)), (short, at(70), at(70))] {
        assert_eq!((session.key.incarnation, session.valid_until), (from, Some(until)));
        assert_eq!(session.how.map(crate::audit::rows::How::word), Some("stopped"));
        assert_eq!((&session.line, &session.user_name), (&line, &Some(Name::from("Alice"))));
        let [binding] = session.bindings.as_slice() else { panic!("{session:#?}") };
        assert!(binding.valid_from == from && binding.valid_until >= Some(until), "{binding:?}");
    }
    world.ends_with(&["stop long alice past-noted", "stop short alice past-noted"]);
}
