//! Who really held what, and how much of it a receiver has been told.
//!
//! Knows: lives, what they held and when, and what each record tells. Must not know: rules, or what anybody answers.

use std::collections::BTreeMap;

use relaywarden::session::Place;

/// Milliseconds since the day began, by a clock that is always right.
pub(crate) type Moment = i64;
/// Not before the day is over.
pub(crate) const NEVER: Moment = i64::MAX;

/// One session of one subscriber.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) subscriber: String,
    pub(crate) to: Moment,
}

/// A life had a place from one moment up to, and not including, another.
#[derive(Debug, Clone)]
pub(crate) struct Holding {
    pub(crate) life: usize,
    pub(crate) from: Moment,
    pub(crate) to: Moment,
}

/// What a record tells whoever hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    /// The life had the place at this moment.
    Held { life: usize, place: Place, at: Moment },
    /// The life is over.
    Over { life: usize },
    /// The life is over, because its id is another's.
    Reused { life: usize },
    /// The life goes on, if at all, without the place.
    Left { life: usize, place: Place },
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Truth {
    pub(crate) lives: Vec<Life>,
    pub(crate) places: BTreeMap<Place, Vec<Holding>>,
}

impl Truth {
    pub(crate) fn hold(&mut self, place: Place, life: usize, from: Moment, to: Moment) {
        self.places.entry(place).or_default().push(Holding { life, from, to });
    }

    /// Whether nobody holds the place between these moments, nor shortly before or after.
    pub(crate) fn is_free(&self, place: Place, from: Moment, to: Moment, pause: Moment) -> bool {
        self.places.get(&place).is_none_or(|all| {
            all.iter()
                .all(|held| held.to.saturating_add(pause) <= from || to.saturating_add(pause) <= held.from)
        })
    }

    /// The lives that hold the place.
    pub(crate) fn holders(&self, place: Place, at: Moment) -> impl Iterator<Item = &Holding> {
        let all = self.places.get(&place).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(move |held| held.from <= at && at < held.to)
    }

    pub(crate) fn owner(&self, place: Place, at: Moment) -> Option<&str> {
        self.holders(place, at).next().map(|held| self.lives[held.life].subscriber.as_str())
    }
}

/// What one receiver has acknowledged: of each life whether it is over and what it left, of each place who had it when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    over: Vec<usize>,
    left: Vec<(usize, Place)>,
    held: BTreeMap<Place, Vec<(usize, Moment)>>,
    /// When a life was last told to have a place, of which moment, and by which NAS.
    fresh: BTreeMap<(Place, usize), Fresh>,
    /// When a NAS was last told to begin anew.
    anew: BTreeMap<usize, Moment>,
}

/// How fresh the word is that a life has a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fresh {
    pub(crate) told: Moment,
    pub(crate) of: Moment,
    pub(crate) nas: usize,
}

/// What is to be thought of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    /// It was right until something happened of which nothing was acknowledged yet.
    Untold,
    /// Another's, or nobody's, and it was told.
    Wrong {
        owner: Option<String>,
    },
}

impl Told {
    /// A record was acknowledged; whether it claims what it names, or only tells of it.
    pub(crate) fn learn(&mut self, facts: &[Fact], nas: usize, claims: bool, now: Moment) {
        for fact in facts {
            match *fact {
                Fact::Held { life, place, at } => {
                    self.held.entry(place).or_default().push((life, at));
                    let fresh = Fresh { told: now, of: at, nas };
                    let known = self.fresh.get(&(place, life));
                    if claims && known.is_none_or(|known| known.of <= at) {
                        self.fresh.insert((place, life), fresh);
                    }
                }
                Fact::Over { life } | Fact::Reused { life } => self.over.push(life),
                Fact::Left { life, place } => self.left.push((life, place)),
            }
        }
    }

    /// An Accounting-On or -Off was acknowledged.
    pub(crate) fn began_anew(&mut self, nas: usize, now: Moment) {
        self.anew.insert(nas, now);
    }

    /// Judges a name that was given as the owner of a place.
    ///
    /// It may differ from the truth only as long as nothing was acknowledged that tells of the change: the window begins
    /// with the change itself and ends with the acknowledgement of the first record that tells of it, whichever that is
    /// (the session's Stop, its next record without the place, a record of the next owner that claims it, a restart of
    /// its NAS, its id used again). Nobody could know earlier. That the same subscriber had it by another session since
    /// is no other name.
    pub(crate) fn judge(&self, truth: &Truth, place: Place, name: &str, now: Moment) -> Verdict {
        let subscriber = |held: &Holding| truth.lives[held.life].subscriber.as_str();
        if truth.holders(place, now).any(|held| subscriber(held) == name) {
            return Verdict::Right;
        }
        let all = truth.places.get(&place).map(Vec::as_slice).unwrap_or_default();
        let mut former = all.iter().filter(|held| held.to <= now && subscriber(held) == name);
        let untold = |held: &Holding| {
            let since =
                |(life, at): &(usize, Moment)| *at >= held.to && truth.lives[*life].subscriber != name;
            !self.over.contains(&held.life)
                && !self.left.contains(&(held.life, place))
                && !self.held.get(&place).is_some_and(|told| told.iter().any(since))
        };
        match former.any(untold) {
            true => Verdict::Untold,
            false => Verdict::Wrong { owner: truth.owner(place, now).map(str::to_owned) },
        }
    }

    /// How fresh the word is that the present owner has the place; none, if its NAS was told to have begun anew since.
    pub(crate) fn of_owner(&self, truth: &Truth, place: Place, now: Moment) -> Option<Fresh> {
        let fresh = truth.holders(place, now).filter_map(|held| self.fresh.get(&(place, held.life)).copied());
        fresh.max().filter(|fresh| self.anew.get(&fresh.nas).is_none_or(|anew| *anew < fresh.told))
    }
}
