//! Which attributes a subscriber's accounting says that they have, for limits that hold for a kind of contract: a fold over records.
//!
//! A record brings the attributes that the operator wants kept (`subscriber.keep`). Which of them tell kinds of contracts apart is
//! not known here, but an attribute of which nearly each subscriber has a value of their own does not: one with more than
//! a thousand values is forgotten. So memory grows with those who have a value, by a few octets each, and is none where
//! nothing is kept. Who has no session is forgotten after nine weeks.
//!
//! Knows: the newest word of a subscriber's records. Must not know: limits, or how a record is read.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::trend::{REMEMBERED, day_of};
use crate::session::event::{Kind, Record};
use crate::session::{Name, Timestamp};

/// An attribute with more values tells nobody's kind.
const VALUES_MAX: usize = 1000;
/// So many attributes are looked at.
const ATTRIBUTES_MAX: usize = 16;

/// Attribute and value by their numbers.
type Marks = SmallVec<[(u8, u16); 3]>;

/// An attribute and the values that were heard of; none: it had too many.
type Known = Vec<(Name, Vec<Name>)>;

/// What everybody may read of it.
#[derive(Debug, Default)]
pub struct Classes {
    of: DashMap<Name, (Timestamp, Marks), RandomState>,
    known: ArcSwap<Known>,
    /// The day on which was last looked for those who are to be forgotten.
    swept: AtomicU16,
}

/// The same at rest; part of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClassesAtRest {
    of: BTreeMap<Name, (Timestamp, Marks)>,
    known: Known,
    swept: u16,
}

impl Classes {
    /// The values of a subscriber, each with its attribute.
    #[must_use]
    pub fn of(&self, subscriber: &Name) -> Vec<(Name, Name)> {
        let Some(marks) = self.of.get(subscriber).map(|found| found.1.clone()) else { return Vec::new() };
        let known = self.known.load();
        let spelled = |(attribute, value): &(u8, u16)| {
            let (name, values) = known.get(usize::from(*attribute))?;
            Some((name.clone(), values.get(usize::from(*value))?.clone()))
        };
        marks.iter().filter_map(spelled).collect()
    }

    /// Folds a record; only the writer does. One that says nothing of attributes leaves those that are known, but for a Start: what
    /// it does not say is no more.
    pub fn fold(&self, record: &Record) {
        let Some(subscriber) = record.subscriber.as_ref().filter(|_| record.service.is_none()) else {
            return;
        };
        let says = match record.kind {
            Kind::Start => true,
            Kind::Interim => !record.kept.is_empty(),
            Kind::Stop | Kind::On | Kind::Off => false,
        };
        if !says || (record.kept.is_empty() && self.known.load().is_empty()) {
            return;
        }
        if self.of.get(subscriber).is_some_and(|known| known.0 > record.event) {
            return;
        }
        let marks: Marks = record.kept.iter().filter_map(|(name, value)| self.mark(name, value)).collect();
        if marks.is_empty() {
            self.of.remove(subscriber);
        } else {
            self.of.insert(subscriber.clone(), (record.event, marks));
        }
    }

    /// Forgets, once a day, who has no session and of whom nothing was heard for so long: names of Wi-Fi devices come and never
    /// come again. `lives` says of whom there are sessions.
    pub fn advance(&self, at: Timestamp, lives: impl Fn(&Name) -> bool) {
        let day = day_of(at);
        // There is one writer.
        if self.known.load().is_empty() || self.swept.load(Ordering::Relaxed) >= day {
            return;
        }
        self.swept.store(day, Ordering::Relaxed);
        let is_over = |heard: Timestamp| day.saturating_sub(day_of(heard)) > REMEMBERED;
        self.of.retain(|subscriber, (heard, _)| !is_over(*heard) || lives(subscriber));
        self.forget_values();
    }

    /// What nobody has any more is not spelled any more. Its number is not given again: whoever reads goes by it.
    fn forget_values(&self) {
        let used: HashSet<(u8, u16)> =
            self.of.iter().flat_map(|each| each.value().1.iter().copied().collect::<Vec<_>>()).collect();
        let is_used = |attribute: usize, value: usize| {
            let mark = u8::try_from(attribute).ok().zip(u16::try_from(value).ok());
            mark.is_some_and(|mark| used.contains(&mark))
        };
        let mut known = self.known.load().as_ref().clone();
        for (attribute, (_, values)) in known.iter_mut().enumerate() {
            for (value, name) in values.iter_mut().enumerate() {
                if !is_used(attribute, value) {
                    *name = Name::new(b"");
                }
            }
        }
        self.known.store(Arc::new(known));
    }

    fn mark(&self, name: &Name, value: &Name) -> Option<(u8, u16)> {
        let known = self.known.load();
        let attribute = known.iter().position(|(other, _)| other == name);
        let values = attribute.and_then(|attribute| known.get(attribute)).map(|(_, values)| values);
        let place = match values {
            // It had too many.
            Some(values) if values.is_empty() => return None,
            Some(values) => values.iter().position(|other| other == value),
            None if known.len() >= ATTRIBUTES_MAX => return None,
            None => None,
        };
        if let (Some(attribute), Some(place)) = (attribute, place) {
            return Some((u8::try_from(attribute).ok()?, u16::try_from(place).ok()?));
        }
        let mut more = known.as_ref().clone();
        let attribute = attribute.unwrap_or_else(|| {
            more.push((name.clone(), Vec::new()));
            more.len().saturating_sub(1)
        });
        let values = more.get_mut(attribute).map(|(_, values)| values)?;
        let place = values.len();
        if place >= VALUES_MAX {
            values.clear();
        } else {
            values.push(value.clone());
        }
        self.known.store(Arc::new(more));
        (place < VALUES_MAX).then_some((u8::try_from(attribute).ok()?, u16::try_from(place).ok()?))
    }

    /// Everything as it is at rest.
    #[must_use]
    pub fn at_rest(&self) -> ClassesAtRest {
        let of = self.of.iter().map(|each| (each.key().clone(), each.value().clone())).collect();
        let swept = self.swept.load(Ordering::Relaxed);
        ClassesAtRest { of, known: self.known.load().as_ref().clone(), swept }
    }

    /// The reverse.
    pub fn restore(&self, rest: ClassesAtRest) {
        self.known.store(Arc::new(rest.known));
        self.swept.store(rest.swept, Ordering::Relaxed);
        for (subscriber, marks) in rest.of {
            self.of.insert(subscriber, marks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: Kind, subscriber: &str, kept: &[(&str, &str)], second: i64) -> Record {
        let at = Timestamp::from_seconds(second);
        let kept = kept.iter().map(|(name, value)| (Name::from(*name), Name::from(*value))).collect();
        let subscriber = Some(Name::from(subscriber));
        Record { subscriber, kept, ..Record::bare(kind, Name::from("bras1"), Name::from("s1"), at) }
    }

    fn of(classes: &Classes, subscriber: &str) -> Vec<(String, String)> {
        let of = classes.of(&Name::from(subscriber));
        of.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn pair(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn the_newest_record_says_which_values_a_subscriber_has() {
        let classes = Classes::default();
        classes.fold(&record(Kind::Start, "bob", &[], 0));
        classes.fold(&record(Kind::Start, "alice", &[("Class", "gold")], 1));
        classes.fold(&record(Kind::Interim, "alice", &[], 2));
        assert_eq!(
            of(&classes, "alice"),
            pair("Class", "gold"),
            "an update that says nothing changes nothing"
        );
        classes.fold(&record(Kind::Interim, "alice", &[("Class", "silver")], 3));
        classes.fold(&record(Kind::Start, "alice", &[("Class", "gold")], 2));
        assert_eq!(of(&classes, "alice"), pair("Class", "silver"), "an older one is history");
        classes.fold(&record(Kind::Stop, "alice", &[], 4));
        assert_eq!(of(&classes, "alice"), pair("Class", "silver"));
        let again = Classes::default();
        again.restore(classes.at_rest());
        assert_eq!((of(&again, "alice"), again.at_rest()), (pair("Class", "silver"), classes.at_rest()));
        classes.fold(&record(Kind::Start, "alice", &[], 5));
        assert_eq!((of(&classes, "alice"), classes.of.len()), (Vec::new(), 0));
    }

    #[test]
    fn an_attribute_of_a_thousand_values_tells_kinds_apart_and_one_of_more_is_forgotten() {
        let classes = Classes::default();
        for number in 0..VALUES_MAX {
            let own = number.to_string();
            classes.fold(&record(Kind::Start, &own, &[("Class", "gold"), ("Circuit", &own)], 1));
        }
        assert_eq!(of(&classes, "7").len(), 2);
        classes.fold(&record(Kind::Start, "new", &[("Class", "gold"), ("Circuit", "new")], 1));
        for subscriber in ["7", "new"] {
            assert_eq!(of(&classes, subscriber), pair("Class", "gold"), "{subscriber}");
        }
        classes.fold(&record(Kind::Start, "8", &[("Circuit", "8")], 2));
        assert_eq!(of(&classes, "8"), []);
    }

    #[test]
    fn who_has_no_session_and_was_not_heard_of_for_nine_weeks_is_forgotten() {
        const DAY: i64 = 86_400;
        let classes = Classes::default();
        for subscriber in ["gone", "online"] {
            classes.fold(&record(Kind::Start, subscriber, &[("Class", "gold")], DAY));
        }
        let there = |day: i64| {
            classes.advance(Timestamp::from_seconds(day * DAY), |name| *name == Name::from("online"));
            ["gone", "online"].map(|subscriber| !of(&classes, subscriber).is_empty())
        };
        assert_eq!(there(64), [true, true]);
        assert_eq!(there(65), [false, true]);
        let again = Classes::default();
        again.restore(classes.at_rest());
        assert_eq!(again.at_rest(), classes.at_rest());
    }

    #[test]
    fn no_more_than_sixteen_attributes_are_looked_at() {
        let classes = Classes::default();
        for number in 0..=ATTRIBUTES_MAX {
            let name = format!("a{number}");
            classes.fold(&record(Kind::Start, &name, &[(&name, "x")], 1));
        }
        assert_eq!((of(&classes, "a15").len(), of(&classes, "a16").len()), (1, 0));
    }

    #[test]
    fn a_value_that_nobody_has_any_more_is_forgotten_and_its_number_is_nobody_elses() {
        let classes = Classes::default();
        let day = |days: i64| days * 24 * 3600;
        classes.fold(&record(Kind::Start, "gone", &[("Class", "zinc")], day(1)));
        classes.fold(&record(Kind::Start, "alice", &[("Class", "gold")], day(1)));
        let spelled = |classes: &Classes| postcard::to_allocvec(&classes.at_rest()).unwrap();
        let holds = |classes: &Classes, value: &[u8]| {
            spelled(classes).windows(value.len()).any(|octets| octets == value)
        };
        let lives = |name: &Name| *name == Name::from("alice");
        classes.advance(Timestamp::from_seconds(day(64)), lives);
        assert!(holds(&classes, b"zinc"));
        classes.advance(Timestamp::from_seconds(day(66)), lives);
        assert!(!holds(&classes, b"zinc") && !holds(&classes, b"gone"));
        classes.fold(&record(Kind::Start, "bob", &[("Class", "silver")], day(66)));
        assert_eq!(
            [of(&classes, "alice"), of(&classes, "bob")],
            [pair("Class", "gold"), pair("Class", "silver")]
        );
        classes.advance(Timestamp::from_seconds(day(200)), |_| false);
        assert!(!holds(&classes, b"gold") && !holds(&classes, b"silver"));
    }
}
