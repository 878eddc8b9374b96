//! What happens because nothing happens, and gaps.
//!
//! Knows: when each thing is due. Must not know: records. All deadlines are looked through, and the earliest takes effect
//! first; at one moment NASes before sessions before places before tombstones.

use std::time::Duration;

use ipnet::IpNet;
use relaywarden::session::event::Span;
use relaywarden::session::{Name, Timestamp};

use super::claims::End;
use super::{GAP, INTERVAL_ASSUMED, Key, Model, OVERDUE_AT_LEAST, SECONDS, State, Why};

/// A NAS is not called silent before this.
const SILENT_AT_LEAST: Duration = Duration::from_secs(300);

enum Due {
    Nas(usize),
    Life(Key),
    Stand(usize),
    Grave(usize),
}

impl Model {
    /// Everything that is due up to this moment.
    pub(crate) fn advance(&mut self, at: Timestamp) {
        while let Some((time, due)) = self.first_due().filter(|(time, _)| *time <= at) {
            match due {
                Due::Nas(nas) => self.nases[nas].silent = true,
                Due::Life(key) => self.life_due(&key, time),
                Due::Stand(index) => {
                    self.stands.remove(index);
                }
                Due::Grave(index) => {
                    self.graves.remove(index);
                }
            }
        }
    }

    fn first_due(&self) -> Option<(Timestamp, Due)> {
        type Order = (Timestamp, u8, Option<Key>);
        let mut first: Option<(Order, Due)> = None;
        let mut consider = |time: Timestamp, rank: u8, key: Option<Key>, due: Due| {
            let order = (time, rank, key);
            if first.as_ref().is_none_or(|(earliest, _)| order < *earliest) {
                first = Some((order, due));
            }
        };
        for nas in 0..self.nases.len() {
            if let Some(patience) = self.nas_patience(nas).filter(|_| !self.nases[nas].silent) {
                let from = self.nases[nas].heard.max(self.nases[nas].resumed);
                consider(from.plus(patience), 0, None, Due::Nas(nas));
            }
        }
        for life in &self.lives {
            consider(self.life_deadline(life), 1, Some(life.key.clone()), Due::Life(life.key.clone()));
        }
        for (index, stand) in self.stands.iter().enumerate() {
            if let Some(freed) = stand.freed.as_ref().filter(|_| !self.has_losers(stand.place)) {
                consider(freed.kept_until, 2, None, Due::Stand(index));
            }
        }
        for (index, grave) in self.graves.iter().enumerate() {
            consider(grave.until, 3, None, Due::Grave(index));
        }
        first.map(|((time, ..), due)| (time, due))
    }

    /// Three times its longest pause in two intervals. At most, and until these were seen, an interval and a quarter, or
    /// three times the spacing of its sessions.
    fn nas_patience(&self, number: usize) -> Option<Duration> {
        let nas = &self.nases[number];
        let lives = || self.lives.iter().filter(|life| life.key.0 == number);
        let sessions = lives().filter(|life| life.state != State::Pending).count();
        let own = lives().filter(|life| life.interval.is_some()).count();
        let reporting = if own == 0 { sessions } else { sessions.min(own) };
        let interval = SECONDS(nas.interval?.into());
        let spacing = interval.checked_div(u32::try_from(reporting).unwrap())?;
        let mut patience = (spacing * 3).min(interval * 5 / 2).max(interval * 5 / 4);
        if let [.., one, other] = nas.pauses[..] {
            patience = patience.min(one.max(other).max(nas.pause_now()) * 3);
        }
        Some(SILENT_AT_LEAST.max(patience))
    }

    /// An interim update arrived.
    pub(super) fn nas_reports(&mut self, number: usize, arrival: Timestamp) {
        let nas = &mut self.nases[number];
        let Some(interval) = nas.interval.map(|seconds| SECONDS(seconds.into())) else { return };
        if nas.reports.last().is_none_or(|last| *last < nas.resumed) {
            nas.reports = vec![arrival];
            nas.counted_from = arrival;
            return;
        }
        let last = *nas.reports.last().unwrap();
        nas.reports.push(last.max(arrival));
        if arrival.since(nas.counted_from) >= interval {
            nas.pauses.push(nas.pause_now().max(arrival.since(last)));
            nas.reports = vec![last.max(arrival)];
            nas.counted_from = arrival;
        }
    }

    /// A gap is over: what was not heard in it says nothing.
    pub(super) fn rest(&mut self, at: Timestamp, since: Timestamp) {
        let gap = at.since(since);
        if gap <= GAP {
            return;
        }
        self.advance(since);
        self.nases.iter_mut().for_each(|nas| nas.resumed = at);
        for life in &mut self.lives {
            if let State::Doubt(_, until) = &mut life.state {
                *until = until.plus(gap);
            }
        }
    }

    /// The addresses of a client that was never heard, of which no other would know that was.
    pub(super) fn untold(&self, client: &Name) -> Vec<IpNet> {
        let heard = |client: &Name| self.nases.iter().any(|nas| nas.client == *client);
        let Some((_, prefixes)) = self.pools.iter().find(|(name, _)| name == client) else {
            return Vec::new();
        };
        let others = self.pools.iter().filter(|(name, _)| heard(name));
        let known: Vec<_> = others.flat_map(|(_, theirs)| theirs).collect();
        let began = self.resumed.iter().any(|(name, at)| name == client && *at != Timestamp::EARLIEST);
        if !began || heard(client) {
            return Vec::new();
        }
        let untold = prefixes.iter().filter(|prefix| !known.iter().any(|known| known.contains(*prefix)));
        untold.copied().collect()
    }

    fn overdue_after(&self, life: &super::Life) -> Duration {
        let limit = span(self.rules.interim_overdue, life.reports_every().unwrap_or(INTERVAL_ASSUMED));
        match self.rules.interim_overdue {
            Span::Intervals { .. } => limit.max(OVERDUE_AT_LEAST),
            Span::Fixed(_) => limit,
        }
    }

    fn life_deadline(&self, life: &super::Life) -> Timestamp {
        let nas = &self.nases[life.key.0];
        let doubt = match life.state {
            State::Doubt(_, until) => return until,
            State::Active => true,
            State::Pending => false,
        };
        if life.reports_every().is_none() {
            return life.heard.plus(self.rules.lifetime_without_interim);
        }
        let overdue = life.heard.max(nas.resumed).plus(self.overdue_after(life));
        let believed = nas.heard.plus(self.rules.nas_silence_grace);
        match doubt {
            // Row 30.
            true if nas.silent => overdue.max(believed),
            // An interval that became known late makes nobody overdue in hindsight.
            true => overdue.max(nas.heard),
            false => overdue,
        }
    }

    fn life_due(&mut self, key: &Key, time: Timestamp) {
        let life = self.life(key).unwrap();
        match life.state {
            State::Doubt(Why::NasBeganAnew(at), _) => self.give_up(key, at, Some((at, time))),
            State::Doubt(why @ Why::UndatedStart(_), _)
                if life.reports_every().is_none()
                    && time < life.heard.plus(self.rules.lifetime_without_interim) =>
            {
                let until = life.heard.plus(self.rules.lifetime_without_interim);
                self.life_mut(key).unwrap().state = State::Doubt(why, until);
            }
            State::Doubt(Why::HeardAfterStop | Why::UndatedStart(_), _) => {
                let heard = life.heard;
                self.give_up(key, time, Some((heard, time)));
            }
            State::Doubt(Why::Overdue | Why::Unheard, _) => self.give_up(key, time, None),
            State::Active if life.reports_every().is_some() => {
                let own = life.interval.is_some();
                let nas = key.0;
                let close_at = time.plus(self.overdue_after(life));
                let lives = self.lives.iter().filter(|life| life.key.0 == nas);
                let reporting = lives.clone().filter(|life| life.interval.is_some()).count();
                let all = lives.filter(|life| life.state != State::Pending).count();
                let life = self.life_mut(key).unwrap();
                if own || reporting * 2 >= all {
                    life.state = State::Doubt(Why::Overdue, close_at);
                } else {
                    // Row 29: the few that report say nothing about this one.
                    life.interval_of_nas = None;
                }
            }
            State::Active | State::Pending => self.close(key, time, End::Gone),
        }
    }

    /// A life ends; what was sent before it stopped must not open it again.
    fn give_up(&mut self, key: &Key, at: Timestamp, stopped: Option<(Timestamp, Timestamp)>) {
        let life = self.life(key).unwrap().clone();
        self.close(key, at, End::Gone);
        if let Some((stopped, now)) = stopped {
            self.graves.push(super::Grave {
                key: key.clone(),
                stopped,
                arrival: stopped,
                lasted: life.lasted,
                began: life.began,
                known: true,
                until: now.plus(super::DAY),
            });
        }
    }

    /// Row 48.
    pub(super) fn resume(&mut self, at: Timestamp, since: Option<Timestamp>) {
        if since.is_some_and(|since| at.since(since) <= GAP) {
            return;
        }
        self.resumed = self.pools.iter().map(|(client, _)| (client.clone(), at)).collect();
        self.nases.iter_mut().for_each(|nas| nas.resumed = at);
        if since.is_some_and(|since| at.since(since) > self.rules.stale_limit) {
            for index in 0..self.lives.len() {
                let life = &self.lives[index];
                if life.is_active() && life.reports_every().is_some() {
                    let close_at = at.plus(self.overdue_after(life));
                    self.lives[index].state = State::Doubt(Why::Unheard, close_at);
                }
            }
        }
    }
}

impl super::Nas {
    /// The longest pause of the present interval.
    fn pause_now(&self) -> Duration {
        let pauses = self.reports.windows(2).map(|pair| pair[1].since(pair[0]));
        pauses.max().unwrap_or(Duration::ZERO)
    }
}

pub(super) fn span(span: Span, interval: Duration) -> Duration {
    match span {
        Span::Fixed(duration) => duration,
        Span::Intervals { tenths } => interval * tenths / 10,
    }
}
