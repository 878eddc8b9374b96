//! What is looked at after every step: the model, the truth, and what must always hold.
//!
//! Knows: all three. Must not know: how the day came about.

use std::collections::BTreeSet;
use std::sync::Arc;

use relaywarden::log::entry::Entry;
use relaywarden::session::bindings::LiveMap;
use relaywarden::session::event::{Event, Kind};
use relaywarden::session::image::Image;
use relaywarden::session::machine::Machine;
use relaywarden::session::{Name, Place, Timestamp};
use relaywarden::views::{Shared, Views};

use crate::answer::{Answer, Question};
use crate::model::Model;
use crate::plan::{Day, MINUTE};
use crate::receiver::{self, Batch};
use crate::truth::{Fact, Moment, Told, Verdict};
use crate::world::{Post, Step, Witness};

/// Whoever was told of so recently is not refused.
const TOLD_LATELY: Moment = 14 * MINUTE;

/// What is known of one receiver.
#[derive(Default)]
struct File {
    told: Told,
    model: Model,
    /// The views of the process that was killed.
    killed: Option<Views>,
}

pub(crate) struct Court {
    questions: Vec<(Place, Question)>,
    /// Shared addresses, asked for without a port.
    shared: Vec<Question>,
    files: Vec<File>,
    pub(crate) tally: Tally,
}

/// What was answered about places that somebody has, when nothing in particular had happened.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) named: u64,
    /// The mail comes again later.
    pub(crate) deferred: u64,
    pub(crate) refused: u64,
    /// A former owner was named, and nothing had come yet that tells of its end.
    pub(crate) untold: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Tally) {
        self.named += other.named;
        self.deferred += other.deferred;
        self.refused += other.refused;
        self.untold += other.untold;
    }
}

impl Court {
    pub(crate) fn new(day: &Day) -> Court {
        let places: Vec<Place> = day.pools.iter().flat_map(|pool| pool.places.iter().copied()).collect();
        let places: BTreeSet<Place> = places.into_iter().collect();
        let shared: BTreeSet<_> =
            places.iter().filter(|place| !place.ports.is_all()).map(|place| place.prefix.addr()).collect();
        Court {
            questions: places.into_iter().map(|place| (place, Question::about(place))).collect(),
            shared: shared.into_iter().map(|address| Question { address, port: None }).collect(),
            files: (0..day.receivers).map(|_| File::default()).collect(),
            tally: Tally::default(),
        }
    }

    /// The map answers what the model answers; nobody is named for another's mail, and nobody refused who was told of.
    fn ask(
        &mut self,
        day: &Day,
        map: &LiveMap,
        receiver: usize,
        asked: Timestamp,
        now: Moment,
        count: bool,
    ) -> Result<(), String> {
        let File { told, model, .. } = &self.files[receiver];
        for (place, question) in &self.questions {
            let answer = Answer::of(map, *question, asked);
            same_answer(*question, &answer, &model.answer(*question, asked))?;
            if count && day.truth.owner(*place, now).is_some() {
                match answer {
                    Answer::Found(_) => self.tally.named += 1,
                    Answer::Absent => self.tally.refused += 1,
                    Answer::Ambiguous(_) | Answer::Unready(..) => self.tally.deferred += 1,
                }
            }
            match answer {
                Answer::Found(named) => {
                    let name = named.subscriber.as_ref().map_or(String::new(), ToString::to_string);
                    match told.judge(&day.truth, *place, &name, now) {
                        Verdict::Right => {}
                        Verdict::Untold => self.tally.untold += u64::from(count),
                        Verdict::Wrong { owner } => {
                            let owner = owner.as_deref().unwrap_or("nobody");
                            return Err(format!("WRONG: {place} is {owner}'s, not {name}'s"));
                        }
                    }
                }
                Answer::Absent => {
                    let lately = |moment| now - moment < TOLD_LATELY;
                    let fresh = told.of_owner(&day.truth, *place, now);
                    if fresh.is_some_and(|fresh| lately(fresh.told) && lately(fresh.of)) {
                        let owner = day.truth.owner(*place, now).unwrap_or_default();
                        return Err(format!("REFUSED: {place} is {owner}'s, and we were told"));
                    }
                }
                _ => {}
            }
        }
        for question in &self.shared {
            let answer = Answer::of(map, *question, asked);
            same_answer(*question, &answer, &model.answer(*question, asked))?;
            // Invariant I8.
            if let Answer::Found(_) = answer {
                return Err(format!(
                    "NAMED: {question:?} is shared, and without a port {answer:?} was named"
                ));
            }
        }
        Ok(())
    }

    /// A machine that goes through its own image, and one that reads the whole log, are as this one is.
    fn rest(&self, post: &Post, asked: Timestamp) -> Result<(), String> {
        let machine = post.daemon.views().expect("it is up").machine();
        let octets = postcard::to_stdvec(&machine.image()).unwrap();
        let read: Image = postcard::from_bytes(&octets).unwrap();
        let rested = Machine::restore(Arc::new(LiveMap::default()), read);
        same_state(&rested, machine, "its own image")?;
        for (_, question) in &self.questions {
            let (before, after) = (machine.map(), rested.map());
            same_answer(
                *question,
                &Answer::of(before, *question, asked),
                &Answer::of(after, *question, asked),
            )?;
        }
        let mut anew = Views::new(Arc::new(Shared::default()));
        post.daemon.log().iter().for_each(|batch| receiver::fold(&mut anew, batch));
        anew.advance(asked, &mut Vec::new());
        same_state(anew.machine(), machine, "reading the whole log")
    }

    /// What the acknowledged records tell, as far as it is to be believed.
    fn learn(&mut self, day: &Day, receiver: usize, batch: Option<&Batch>, said: &[usize], now: Moment) {
        let File { told, model, .. } = &mut self.files[receiver];
        for said in said.iter().map(|said| &day.said[*said]) {
            if matches!(said.kind, Kind::On | Kind::Off) {
                told.began_anew(said.nas, now);
            }
            let nas = Name::from(day.nases[said.nas].name.as_str());
            let session = Name::from(said.session.as_str());
            let own = |entry: &Entry| match entry {
                Entry::Session(Event::Record(record)) => {
                    (record.nas == nas && record.session_id == session && record.kind == said.kind)
                        .then(|| model.is_news(record))
                }
                _ => None,
            };
            // What became a refresh said nothing new.
            let news = batch.into_iter().flat_map(|batch| &batch.entries).filter_map(own).all(|news| news);
            let mut facts = said.facts.clone();
            facts.retain(|fact| match fact {
                Fact::Over { .. } => true,
                Fact::Held { .. } | Fact::Left { .. } | Fact::Reused { .. } => news,
            });
            told.learn(&facts, said.nas, said.kind != Kind::Stop, now);
        }
    }
}

fn same_answer(question: Question, map: &Answer, model: &Answer) -> Result<(), String> {
    match map == model {
        true => Ok(()),
        false => Err(format!("MODEL: about {question:?} the map says {map:?}, the model {model:?}")),
    }
}

/// Compares two machines field by field.
fn same_state(a: &Machine, b: &Machine, what: &str) -> Result<(), String> {
    if a.image().in_order() == b.image().in_order() {
        return Ok(());
    }
    let told = |machine: &Machine| format!("{:#?}", machine.image().in_order());
    let (a, b) = (told(a), told(b));
    let differ: Vec<_> = a.lines().zip(b.lines()).filter(|(a, b)| a != b).take(6).collect();
    Err(format!("REPLAY: after {what} the state differs: {differ:?}"))
}

impl Witness for Court {
    fn see(
        &mut self,
        day: &Day,
        post: &mut Post,
        receiver: usize,
        now: Moment,
        step: &Step<'_>,
    ) -> Result<(), String> {
        let host = post.host(now);
        let asked = post.daemon.clock(host);
        let count = matches!(step, Step::Looked);
        match step {
            Step::Round { batch, said } => {
                match batch {
                    Some(batch) => self.files[receiver].model.fold(batch.at, &batch.entries),
                    None => self.files[receiver].model.advance(post.daemon.advance(host)),
                }
                self.learn(day, receiver, *batch, said, now);
            }
            Step::Looked | Step::Rested => {
                let at = post.daemon.advance(host);
                self.files[receiver].model.advance(at);
            }
            Step::Started { recovered, batch } => {
                let file = &mut self.files[receiver];
                file.model.fold(batch.at, &batch.entries);
                if let Some(mut killed) = file.killed.take() {
                    let mut read =
                        Views::restore(Arc::new(Shared::default()), recovered).expect("a snapshot");
                    killed.advance(batch.at, &mut Vec::new());
                    read.advance(batch.at, &mut Vec::new());
                    same_state(killed.machine(), read.machine(), "a crash")?;
                }
            }
        }
        if let Step::Rested = step {
            self.rest(post, asked)?;
        }
        self.ask(day, &post.daemon.shared().expect("it is up").map, receiver, asked, now, count)
    }

    fn killed(&mut self, receiver: usize, views: Views) {
        self.files[receiver].killed = Some(views);
    }
}
