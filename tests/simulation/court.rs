//! What is looked at after every step: the model, the truth, and what must always hold.
//!
//! Knows: all three. Must not know: how the day came about.

use std::collections::BTreeSet;
use std::sync::Arc;

use relaywarden::session::bindings::LiveMap;
use relaywarden::session::image::Image;
use relaywarden::session::machine::Machine;
use relaywarden::session::{Place, Timestamp};
use relaywarden::views::{Shared, Views};

use crate::answer::{Answer, Question};
use crate::model::Model;
use crate::plan::{Day, MINUTE};
use crate::receiver;
use crate::truth::{Moment, Verdict};
use crate::world::{Post, Step, Witness};

/// Whoever was told of so recently is not refused.
const TOLD_LATELY: Moment = 14 * MINUTE;

pub(crate) struct Court {
    questions: Vec<(Place, Question)>,
    /// Shared addresses, asked for without a port.
    shared: BTreeSet<std::net::IpAddr>,
    killed: Vec<Option<Views>>,
    models: Vec<Model>,
}

impl Court {
    pub(crate) fn new(day: &Day) -> Court {
        let places: Vec<Place> = day.pools.iter().flat_map(|pool| pool.places.iter().copied()).collect();
        let shared = places.iter().filter(|place| !place.ports.is_all()).map(|place| place.prefix.addr());
        Court {
            shared: shared.collect(),
            questions: places.into_iter().map(|place| (place, Question::about(place))).collect(),
            killed: (0..day.receivers).map(|_| None).collect(),
            models: (0..day.receivers).map(|_| Model::new()).collect(),
        }
    }

    /// Nobody is named for another's mail, and nobody is refused who was told of.
    fn judge(&self, day: &Day, post: &Post, map: &LiveMap, asked: Timestamp, now: Moment) -> Result<(), String> {
        for (place, question) in &self.questions {
            match Answer::of(map, *question, asked) {
                Answer::Found(named) => {
                    let name = named.subscriber.as_ref().map_or(String::new(), ToString::to_string);
                    if let Verdict::Wrong { owner } = post.told.judge(&day.truth, *place, &name, now) {
                        return Err(format!("WRONG: {place} is {}'s, not {name}'s", owner.as_deref().unwrap_or("nobody")));
                    }
                }
                Answer::Absent => {
                    let told = post.told.told_of_owner(&day.truth, *place, now);
                    if told.is_some_and(|(when, of)| now - when < TOLD_LATELY && when - of < TOLD_LATELY) {
                        let owner = day.truth.owner(*place, now).unwrap_or_default();
                        return Err(format!("REFUSED: {place} is {owner}'s, and we were told"));
                    }
                }
                _ => {}
            }
        }
        for address in &self.shared {
            let question = Question { address: *address, port: None };
            if let Answer::Found(named) = Answer::of(map, question, asked) {
                return Err(format!("NAMED: {address} is shared, and {:?} was named without a port", named.subscriber));
            }
        }
        Ok(())
    }

    /// The map answers what the model answers.
    fn compare(&self, map: &LiveMap, model: &Model, asked: Timestamp) -> Result<(), String> {
        let alone = self.shared.iter().map(|address| Question { address: *address, port: None });
        for question in self.questions.iter().map(|(_, question)| *question).chain(alone) {
            let (map, model) = (Answer::of(map, question, asked), model.answer(question, asked));
            if map != model {
                return Err(format!("MODEL: about {question:?} the map says {map:?}, the model {model:?}"));
            }
        }
        Ok(())
    }

    fn rest(&self, machine: &Machine, asked: Timestamp) -> Result<(), String> {
        let image = machine.image();
        let octets = postcard::to_stdvec(&image).unwrap();
        let read: Image = postcard::from_bytes(&octets).unwrap();
        let rested = Machine::restore(Arc::new(LiveMap::default()), read);
        same(&rested, machine, "image")?;
        for (place, question) in &self.questions {
            let (before, after) =
                (Answer::of(machine.map(), *question, asked), Answer::of(rested.map(), *question, asked));
            if before != after {
                return Err(format!("IMAGE: about {place} {before:?} became {after:?}"));
            }
        }
        Ok(())
    }
}

/// Compares two machines field by field.
fn same(a: &Machine, b: &Machine, what: &str) -> Result<(), String> {
    if a.image() == b.image() {
        return Ok(());
    }
    let (a, b) = (format!("{:#?}", a.image()), format!("{:#?}", b.image()));
    let differ: Vec<_> = a.lines().zip(b.lines()).filter(|(a, b)| a != b).take(6).collect();
    Err(format!("REPLAY: after {what} the state differs: {differ:?}"))
}

impl Witness for Court {
    fn see(&mut self, day: &Day, post: &mut Post, receiver: usize, now: Moment, step: &Step<'_>) -> Result<(), String> {
        let host = post.host(now);
        let asked = post.daemon.clock(host);
        match step {
            Step::Durable(batch) => self.models[receiver].fold(batch.at, &batch.entries),
            Step::Looked | Step::Rested => {
                let at = post.daemon.advance(host);
                self.models[receiver].advance(at);
            }
            Step::Started { recovered, batch } => {
                self.models[receiver].fold(batch.at, &batch.entries);
                if let Some(mut killed) = self.killed[receiver].take() {
                    let mut read = Views::restore(Arc::new(Shared::default()), recovered).expect("a snapshot");
                    killed.advance(batch.at, &mut Vec::new());
                    read.advance(batch.at, &mut Vec::new());
                    same(killed.machine(), read.machine(), "a crash")?;
                }
            }
        }
        let views = post.daemon.views().expect("it is up");
        if let Step::Rested = step {
            self.rest(views.machine(), asked)?;
            let mut anew = Views::new(Arc::new(Shared::default()));
            post.daemon.log().iter().for_each(|batch| receiver::fold(&mut anew, batch));
            anew.advance(asked, &mut Vec::new());
            same(anew.machine(), views.machine(), "a replay of everything")?;
        }
        let map = &post.daemon.shared().expect("it is up").map;
        self.compare(map, &self.models[receiver], asked)?;
        self.judge(day, post, map, asked, now)
    }

    fn killed(&mut self, receiver: usize, views: Views) {
        self.killed[receiver] = Some(views);
    }
}
