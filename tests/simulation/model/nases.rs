//! What NASes show of themselves: that they speak, how often their sessions report, that they begin anew.
//!
//! Knows: NASes and intervals. Must not know: who owns what.

use std::time::Duration;

use relaywarden::session::Timestamp;
use relaywarden::session::event::Record;

use super::{Key, LATE, LATE_LASTS, Model, Nas, RESTART_GRACE, SECONDS, State, Why};
use relaywarden::session::event::Kind;

impl Model {
    /// The NAS speaks, perhaps for the first time, perhaps after a silence, perhaps of what is long past.
    pub(super) fn hear(&mut self, record: &Record) -> usize {
        let known = self.nases.iter().position(|nas| nas.name == record.nas);
        let number = known.unwrap_or(self.nases.len());
        if known.is_none() {
            if !self.untold(&record.client).is_empty() {
                self.resumed.retain(|(client, _)| *client != record.client);
                self.resumed.push((record.client.clone(), record.arrival));
            }
            let resumed = self.resumed.iter().find(|(client, _)| *client == record.client);
            self.nases.push(Nas {
                name: record.nas.clone(),
                client: record.client.clone(),
                group: None,
                heard: record.arrival,
                silent: false,
                resumed: resumed.map_or(Timestamp::EARLIEST, |(_, at)| *at),
                late_until: Timestamp::EARLIEST,
                interval: None,
                reports: Vec::new(),
                pauses: Vec::new(),
                counted_from: Timestamp::EARLIEST,
            });
        }
        self.nas_heard(number, record.arrival);
        if record.kind == Kind::Interim {
            self.nas_reports(number, record.arrival);
        }
        let nas = &mut self.nases[number];
        nas.group.clone_from(&record.group);
        let late = record.arrival.since(record.event) > LATE;
        if late && nas.late_until < record.arrival.plus(LATE_LASTS / 2) {
            nas.late_until = record.arrival.plus(LATE_LASTS);
        }
        number
    }

    pub(super) fn nas_heard(&mut self, number: usize, arrival: Timestamp) {
        let nas = &mut self.nases[number];
        nas.heard = nas.heard.max(arrival);
        if std::mem::replace(&mut nas.silent, false) {
            nas.resumed = arrival;
            nas.pauses.clear();
            nas.reports.clear();
        }
    }

    /// Row 25.
    pub(super) fn nas_begins_anew(&mut self, nas: usize, record: &Record) {
        let scope = &record.scope;
        for life in self.lives.iter_mut().filter(|life| life.key.0 == nas && life.heard < record.event) {
            let own = &life.scope;
            let name = scope.nas_identifier.is_none()
                || own.nas_identifier.is_none()
                || scope.nas_identifier == own.nas_identifier;
            let station = scope.called_station.is_none() || scope.called_station == own.called_station;
            let port = scope.nas_port.is_none() || scope.nas_port == own.nas_port;
            let context = scope.context.is_none() || scope.context == own.context;
            if name && station && port && context {
                let turn = life.reports_every().unwrap_or(Duration::ZERO);
                let until = record.arrival.plus(turn).plus(RESTART_GRACE);
                life.state = State::Doubt(Why::NasBeganAnew(record.event), until);
            }
        }
    }

    /// An announced interval is the session's, and its NAS's.
    pub(super) fn announce(&mut self, key: &Key, record: &Record) {
        let Some(seconds) = record.interval.filter(|seconds| (60..=86_400).contains(seconds)) else { return };
        let life = self.life_mut(key).unwrap();
        (life.interval, life.announced) = (Some(seconds), true);
        self.nas_reports_every(key.0, seconds);
    }

    /// Two gaps in a row that agree within a fifth are an interval: the larger of them.
    pub(super) fn learn(&mut self, key: &Key, gap: Duration) {
        let gap = u32::try_from(gap.as_secs()).unwrap();
        let life = self.life_mut(key).unwrap();
        if life.announced || gap < 60 {
            return;
        }
        let before = life.interval;
        if gap.abs_diff(life.gap) <= gap / 5 {
            life.interval = Some(gap.max(life.gap));
        }
        life.gap = gap;
        if let Some(seconds) = life.interval.filter(|seconds| Some(*seconds) != before) {
            self.nas_reports_every(key.0, seconds);
        }
    }

    fn nas_reports_every(&mut self, nas: usize, seconds: u32) {
        let before = self.nases[nas].interval;
        if before.is_some_and(|before| before.abs_diff(seconds) <= before / 10) {
            return;
        }
        self.nases[nas].interval = Some(seconds);
        if before.is_none() {
            // Its sessions were believed for a lifetime until now.
            for life in self.lives.iter_mut().filter(|life| life.key.0 == nas) {
                life.interval_of_nas = Some(SECONDS(seconds.into()));
            }
        }
    }
}
