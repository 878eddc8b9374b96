//! A life of a session, and whether a record is of it.
//!
//! Knows: one life. Must not know: others, or what anybody owns.

use std::time::Duration;

use relaywarden::session::event::{Kind, Record};
use relaywarden::session::{Name, Timestamp};

use super::{COPY, Life, SAME_MOMENT, SECONDS, State, Why, YEAR};

impl Life {
    pub(super) fn is_active(&self) -> bool {
        self.state == State::Active
    }

    pub(super) fn has_stopped(&self) -> bool {
        matches!(self.state, State::Doubt(Why::HeardAfterStop | Why::UndatedStart(_), _))
    }

    /// What either side does not say does not differ.
    pub(super) fn is_same_line(&self, record: &Record) -> bool {
        !differ(&self.subscriber, &record.subscriber)
            && !differ(&self.calling, &record.line.calling_station)
            && !differ(&self.port, &record.line.port_id)
    }

    pub(super) fn settled(&self) -> State {
        if self.wants.is_empty() { State::Pending } else { State::Active }
    }

    /// Whether the session time tells that the record is of a life that began after this one was last heard.
    pub(super) fn is_begun_since(&self, record: &Record) -> bool {
        let exact = record.dated || record.event.since(self.heard) >= COPY;
        record.session_time.is_some() && exact && began(record).plus(SAME_MOMENT) >= self.heard
    }

    /// Whether a Start is no copy of its first one, but of another life.
    pub(super) fn begins_again(&self, record: &Record) -> bool {
        let told =
            |started: Timestamp| record.session_time.is_some() && began(record) <= started.plus(SAME_MOMENT);
        !record.claims.is_empty()
            && record.event > self.heard
            && self.started.is_some_and(|started| !told(started) && record.event.since(started) > COPY)
    }

    /// An undated interim update that a younger one of the same life overtook happened when its session time tells.
    pub(super) fn overtaken_at(&self, record: &Record) -> Option<Timestamp> {
        let younger =
            self.lasted?.checked_sub(record.session_time?).filter(|younger| (1..=600).contains(younger))?;
        let late = record.kind == Kind::Interim && !record.dated && record.event >= self.heard;
        let mine = self.is_same_line(record) && !self.is_begun_since(record);
        (late && mine).then(|| self.heard.minus(SECONDS(younger.into())))
    }

    pub(super) fn is_elsewhere(&self, record: &Record) -> bool {
        differ(&self.subscriber, &record.subscriber)
            && (differ(&self.calling, &record.line.calling_station)
                || differ(&self.port, &record.line.port_id))
    }

    pub(super) fn reports_every(&self) -> Option<Duration> {
        self.interval.map(|seconds| SECONDS(seconds.into())).or(self.interval_of_nas)
    }
}

pub(super) fn differ(a: &Option<Name>, b: &Option<Name>) -> bool {
    a.is_some() && b.is_some() && a != b
}

/// When a record's session began, as far as its session time tells.
pub(super) fn began(record: &Record) -> Timestamp {
    let lasted = record.session_time.map(|seconds| SECONDS(seconds.into())).filter(|lasted| *lasted <= YEAR);
    record.event.minus(lasted.unwrap_or_default())
}
