//! Records that a NAS told somebody else, and that come to us out of that one's files: they warm an empty map and fill
//! the past.
//!
//! Knows: that a file says nothing about whether its NAS speaks now, and that what is history leaves no trace but in the
//! past. Must not know: files, or how old a record may be; its arrival says when it is to be judged as of.

use super::effect::Effect;
use super::event::{Kind, Record};
use super::held::{Id, SAME_MOMENT, began};
use super::machine::Machine;
use super::{SessionKey, Timestamp};

impl Machine {
    pub(super) fn import(&mut self, record: &Record, effects: &mut Vec<Effect>) {
        self.name_realm(record.realm.as_ref(), effects);
        let stale = self.is_stale(record);
        let id = match self.nas_numbers.get(&record.nas) {
            Some(&nas) => Id { nas, session: record.session_id.clone() },
            // A NAS of which there is nothing but history need not exist any more.
            None if stale => return self.tell_past(None, record, effects),
            None => Id { nas: self.meet(record, record.event), session: record.session_id.clone() },
        };
        if let Some(nas) = self.nases.get(id.nas as usize) {
            nas.shared.heard_before(record.event);
        }
        let past = match record.kind {
            _ if record.service.is_some() => false,
            Kind::Start | Kind::Interim => stale,
            // Row 32: a Stop ends a session that lives, however late it comes.
            Kind::Stop => self.sessions.get(&id).is_none_or(|held| held.stopped_before_it_began(record)),
            Kind::On | Kind::Off => false,
        };
        let told_below = record.kind == Kind::Stop && !stale && self.is_life_unheard(&id, record);
        if past && !told_below {
            self.tell_past(Some(&id), record, effects);
        }
        // Of a session that is long over no tombstone is needed: whatever it would keep out is history too. There may be
        // millions of them.
        if !past || (record.kind == Kind::Stop && !stale) {
            self.follow(id.nas, record, effects);
        }
    }

    /// What a record tells of a session that is over, or of the past of one that lives.
    fn tell_past(&self, id: Option<&Id>, record: &Record, effects: &mut Vec<Effect>) {
        let from = began(record);
        let known = id.and_then(|id| self.life_of(id, record));
        let lives = known.as_ref().is_some_and(|life| life.lives);
        let incarnation = known.map_or(from, |life| life.incarnation);
        let session = SessionKey { nas: record.nas.clone(), id: record.session_id.clone(), incarnation };
        match record.kind {
            Kind::Start | Kind::Interim | Kind::Stop if !lives => {
                self.tell_life(session, record, from, effects);
            }
            _ => self.tell_held(&session, record, from, effects),
        }
    }

    /// The life of a session, as far as we heard of it ourselves, that a record tells of. Ids are used again, by the same
    /// customer too; and who wrote the file may have had the beginning a second apart from us.
    fn life_of(&self, id: &Id, record: &Record) -> Option<Life> {
        let from = began(record);
        if let Some(held) = self.sessions.get(id)
            && held.same_identity(record)
            && from.plus(SAME_MOMENT) >= held.opened()
        {
            return Some(Life { incarnation: held.opened(), lives: true });
        }
        let incarnation = self.tombstones.get(id)?.incarnation;
        let same = from.since(incarnation).max(incarnation.since(from)) <= SAME_MOMENT;
        same.then_some(Life { incarnation, lives: false })
    }
}

struct Life {
    incarnation: Timestamp,
    lives: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::bindings::{LiveMap, Lookup};
    use crate::session::effect::Ended;
    use crate::session::event::{Applied, Claim, ClaimSource, Event, Span};
    use crate::session::{Name, Realm};
    use std::sync::Arc;
    use std::time::Duration;

    const NOW: i64 = 1_800_000_000;
    const HOUR: i64 = 3600;
    const ADDRESS: &str = "192.0.2.7";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(NOW + second)
    }

    struct World {
        machine: Machine,
        effects: Vec<Effect>,
    }

    impl World {
        fn new() -> World {
            let mut applied =
                Applied { pools: vec![(Name::from("bras1"), Vec::new())], ..Applied::default() };
            applied.rules.warm_up = Span::Fixed(Duration::ZERO);
            let mut machine = Machine::new(Arc::new(LiveMap::default()));
            machine.fold(at(-10 * HOUR), &Event::Applied(Box::new(applied)), &mut Vec::new());
            World { machine, effects: Vec::new() }
        }

        fn fold(&mut self, event: &Event) {
            self.machine.fold(at(0), event, &mut self.effects);
        }

        /// Out of a file that tells of this moment: fresh records as they came, old ones as of now.
        fn import(&mut self, kind: Kind, subscriber: &str, second: i64, lasted: i64) {
            let mut record = record(kind, subscriber, second, lasted);
            if second < -HOUR {
                record.arrival = at(0);
            }
            self.fold(&Event::Imported(Box::new(record)));
        }

        fn hear(&mut self, kind: Kind, subscriber: &str, second: i64, lasted: i64) {
            self.fold(&Event::Record(Box::new(record(kind, subscriber, second, lasted))));
        }

        /// Who has the address, or why nobody.
        fn owner(&self) -> String {
            match self.machine.map().lookup(Realm::PUBLIC, ADDRESS.parse().unwrap(), None, at(0)) {
                Lookup::Found(found) => found.subscriber().map(|name| name.to_string()).unwrap_or_default(),
                Lookup::Absent => "nobody".to_owned(),
                Lookup::Ambiguous(_) => "several".to_owned(),
                Lookup::Unready(doubt, _) => doubt.word().to_owned(),
            }
        }

        /// What is told of the past, as `from..until`, with whether its end is known.
        fn past(&self) -> Vec<(i64, i64, bool)> {
            let told = |effect: &Effect| match effect {
                Effect::PastHeld { from, until, ended, .. } => {
                    Some((from.millis() / 1000 - NOW, until.millis() / 1000 - NOW, *ended))
                }
                _ => None,
            };
            self.effects.iter().filter_map(told).collect()
        }
    }

    fn record(kind: Kind, subscriber: &str, second: i64, lasted: i64) -> Record {
        let mut record = Record::bare(kind, Name::from("bras1"), Name::from("s1"), at(second));
        record.subscriber = Some(Name::from(subscriber));
        record.session_time = u32::try_from(lasted).ok().filter(|_| kind != Kind::Start);
        record.claims = vec![Claim::whole(
            ADDRESS.parse::<std::net::IpAddr>().unwrap().into(),
            ClaimSource::FramedAddress,
        )];
        record
    }

    #[test]
    fn a_stop_of_a_session_never_heard_of_tells_the_same_whether_it_is_read_or_received() {
        let told = |event: fn(Box<Record>) -> Event, lasted| {
            let mut world = World::new();
            // The NAS is known.
            let other = Record { session_id: Name::from("s2"), ..record(Kind::Start, "bob", -700, 0) };
            world.fold(&Event::Record(Box::new(other)));
            world.effects.clear();
            world.fold(&event(Box::new(record(Kind::Stop, "alice", -600, lasted))));
            world.effects
        };
        for lasted in [0, 3 * HOUR] {
            let live = told(Event::Record, lasted);
            assert_eq!(live, told(Event::Imported, lasted));
            assert!(
                matches!(
                    live.as_slice(),
                    [
                        Effect::SessionOpened { .. },
                        Effect::PastHeld { ended: true, .. },
                        Effect::SessionClosed { how: Ended::Stopped, .. },
                    ]
                ),
                "{live:#?}"
            );
        }
    }

    #[test]
    fn a_session_that_was_heard_of_lately_owns_its_address_also_when_it_began_long_before() {
        let mut world = World::new();
        world.import(Kind::Start, "alice", -5 * HOUR, 0);
        world.import(Kind::Interim, "alice", -600, 5 * HOUR - 600);
        assert_eq!(world.owner(), "alice");
        assert_eq!(world.past(), [(-5 * HOUR, -5 * HOUR, false), (-5 * HOUR, -600, false)]);
    }

    #[test]
    fn an_hour_without_a_word_is_as_long_as_a_session_may_be_silent_and_a_second_more_is_history() {
        for (last, owner) in [(-HOUR, "alice"), (-HOUR - 1, "nobody")] {
            let mut world = World::new();
            world.import(Kind::Start, "alice", -5 * HOUR, 0);
            world.import(Kind::Interim, "alice", last, 5 * HOUR + last);
            assert_eq!(world.owner(), owner, "{last}");
        }
    }

    #[test]
    fn a_stop_of_a_moment_ago_frees_and_one_of_yesterday_only_tells_of_the_past() {
        let mut world = World::new();
        world.import(Kind::Start, "alice", -600, 0);
        world.import(Kind::Stop, "alice", -60, 540);
        assert_eq!(world.owner(), "just-freed");
        // What was sent before it does not wake the session.
        world.hear(Kind::Interim, "alice", -100, 500);
        assert_eq!(world.owner(), "just-freed");

        let mut world = World::new();
        world.hear(Kind::On, "", -10 * HOUR, 0);
        world.import(Kind::Start, "alice", -24 * HOUR, 0);
        world.import(Kind::Stop, "alice", -23 * HOUR, HOUR);
        assert_eq!(world.owner(), "nobody");
        assert_eq!(world.past(), [(-24 * HOUR, -24 * HOUR, false), (-24 * HOUR, -23 * HOUR, true)]);
        assert_eq!(world.machine.tombstones.len(), 0, "a year's rows would be millions of them");
    }

    #[test]
    fn a_stop_ends_a_session_that_we_believe_in_however_old_it_is() {
        let mut world = World::new();
        world.import(Kind::Interim, "alice", -600, 5 * HOUR);
        let mut stop = record(Kind::Stop, "alice", -300, 5 * HOUR + 300);
        stop.arrival = at(3 * HOUR);
        world.fold(&Event::Imported(Box::new(stop)));
        assert_ne!(world.owner(), "alice");
    }

    #[test]
    fn the_stop_of_an_earlier_life_of_the_id_tells_of_that_life_alone() {
        let mut world = World::new();
        world.hear(Kind::Start, "bob", -60, 0);
        world.effects.clear();
        world.import(Kind::Start, "bob", -24 * HOUR, 0);
        world.import(Kind::Stop, "bob", -23 * HOUR, HOUR);
        assert_eq!(world.owner(), "bob");
        let opened: Vec<_> = world
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::SessionOpened { session, .. } => Some(session.incarnation),
                _ => None,
            })
            .collect();
        assert_eq!(opened, [at(-24 * HOUR), at(-24 * HOUR)], "one session of its own");
        assert_eq!(world.past(), [(-24 * HOUR, -24 * HOUR, false), (-24 * HOUR, -23 * HOUR, true)]);
    }

    #[test]
    fn what_we_heard_ourselves_is_told_of_the_same_session_though_the_file_is_a_second_off() {
        for (off, same) in [(-2, true), (2, true), (-3, false), (3, false)] {
            let mut world = World::new();
            world.hear(Kind::Start, "alice", -600, 0);
            world.hear(Kind::Stop, "alice", -60, 540);
            world.effects.clear();
            world.import(Kind::Stop, "alice", -60 + off, 540);
            let session = world.effects.iter().find_map(|effect| match effect {
                Effect::PastHeld { session, .. } => Some(session.incarnation),
                _ => None,
            });
            assert_eq!(session == Some(at(-600)), same, "{off}");
        }
    }

    #[test]
    fn the_live_feed_goes_on_with_what_was_imported() {
        let mut world = World::new();
        world.import(Kind::Interim, "alice", -600, 3000);
        world.hear(Kind::Interim, "alice", -1, 3599);
        assert_eq!((world.owner().as_str(), world.machine.sessions()), ("alice", 1));
        world.hear(Kind::Stop, "alice", 0, 3600);
        assert_eq!(world.owner(), "just-freed");
    }

    #[test]
    fn an_older_word_takes_nothing_from_whoever_came_after_it() {
        for turned in [false, true] {
            let mut world = World::new();
            let mut rows = [("old", "alice", -900), ("new", "bob", -300)];
            if turned {
                rows.reverse();
            }
            for (id, subscriber, second) in rows {
                let mut record = record(Kind::Interim, subscriber, second, 100);
                record.session_id = Name::from(id);
                world.fold(&Event::Imported(Box::new(record)));
            }
            assert_eq!(world.owner(), "bob");
        }
    }

    #[test]
    fn a_file_does_not_speak_for_its_nas() {
        let mut world = World::new();
        world.hear(Kind::Interim, "alice", -5 * HOUR, 100);
        let nas = |world: &World| world.machine.map().nases().first().cloned();
        world.import(Kind::Interim, "alice", -600, 100 + 5 * HOUR - 600);
        let known = nas(&world).unwrap();
        assert_eq!((known.heard(), known.counts().records), (at(-600), 1), "its last word, but none to us");
        world.import(Kind::Interim, "bob", -2 * HOUR, 100);
        assert_eq!(nas(&world).unwrap().heard(), at(-600), "when the file came does not matter");

        let mut world = World::new();
        world.import(Kind::Stop, "alice", -23 * HOUR, HOUR);
        assert!(nas(&world).is_none(), "a NAS of the past need not exist");
        world.import(Kind::Interim, "alice", -600, 100);
        assert_eq!(nas(&world).unwrap().heard(), at(-600));
    }

    #[test]
    fn the_same_file_twice_is_the_same_as_once() {
        let (mut once, mut twice) = (World::new(), World::new());
        for (world, turns) in [(&mut once, 1), (&mut twice, 2)] {
            for _ in 0..turns {
                world.import(Kind::Start, "alice", -5 * HOUR, 0);
                world.import(Kind::Interim, "alice", -600, 5 * HOUR - 600);
            }
        }
        assert_eq!((once.owner(), once.machine.sessions()), (twice.owner(), twice.machine.sessions()));
        let opened = |world: &World| {
            world.effects.iter().filter(|effect| matches!(effect, Effect::Bound { .. })).count()
        };
        assert_eq!((opened(&once), opened(&twice)), (1, 1));
    }
}
