//! `kill -9`, fifty times, at points nobody chose, while records pour in: what was acknowledged is there afterwards.
//!
//! Each session belongs to a subscriber of its own, so one lookup tells which session owns an address. A change whose
//! acknowledgement had not arrived may be there or not, and is sent again as a NAS would; the one before it may not
//! be missing in any case.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    use crate::common::asking::Socketmap;
    use crate::common::daemon::Daemon;
    use crate::common::nas::{Attributes, Feed, Status};
    use crate::common::{Dice, PATIENCE};

    const LINES: u32 = 400;
    const WINDOW: usize = 48;
    const CRASHES: u32 = 50;

    /// One address whose owners come and go.
    #[derive(Clone, Copy, Default)]
    struct Line {
        /// Number of the newest session that was started.
        session: u32,
        /// Whether its newest change was a Start.
        online: bool,
        /// Its newest change is not acknowledged yet.
        in_flight: bool,
    }

    impl Line {
        fn next(self) -> Line {
            let session = if self.online { self.session } else { self.session + 1 };
            Line { session, online: !self.online, in_flight: true }
        }

        /// What the map must say.
        fn owner(self, number: u32) -> Option<String> {
            self.online.then(|| format!("u{number}-{}", self.session))
        }

        fn record(self, number: u32) -> Attributes {
            let status = if self.online { Status::Start } else { Status::Stop };
            let user = format!("u{number}-{}", self.session);
            // An Event-Timestamp counts in seconds, and these lines change several times in each: undated, the order of
            // arrival is the order of events.
            Attributes::undated(status, &user, &format!("s-{user}"), address(number))
        }
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(u32::from_be_bytes([100, 64, 0, 0]) + number))
    }

    struct Load {
        feed: Feed<u32>,
        lines: Vec<Line>,
        next: u32,
        acknowledged: u64,
    }

    impl Load {
        /// Keeps the window full until the time is over.
        fn run(&mut self, span: Duration) {
            let end = Instant::now() + span;
            while Instant::now() < end {
                for _ in 0..LINES {
                    if !self.feed.has_room() {
                        break;
                    }
                    self.change();
                }
                self.collect(Duration::from_millis(1));
            }
        }

        fn change(&mut self) {
            let number = self.next;
            self.next = (number + 1) % LINES;
            let line = &mut self.lines[number as usize];
            if !line.in_flight {
                *line = line.next();
                let record = line.record(number);
                self.feed.send(&record, number);
            }
        }

        fn collect(&mut self, patience: Duration) {
            for number in self.feed.acknowledged(patience) {
                self.lines[number as usize].in_flight = false;
                self.acknowledged += 1;
            }
        }

        /// Sends again what is not acknowledged until everything is.
        fn settle(&mut self) {
            let deadline = Instant::now() + PATIENCE;
            while self.feed.unacknowledged().next().is_some() {
                assert!(Instant::now() < deadline, "not acknowledged, though sent again and again");
                self.feed.send_again();
                let round = Instant::now() + Duration::from_millis(500);
                while Instant::now() < round && self.feed.unacknowledged().next().is_some() {
                    self.collect(Duration::from_millis(20));
                }
            }
        }

        /// Asks for every line whose newest change was acknowledged; returns those that are wrong.
        fn wrong(&self, daemon: &Daemon) -> Vec<String> {
            let mut map = Socketmap::connect(daemon.socketmap);
            let settled = (0..LINES).zip(&self.lines).filter(|(_, line)| !line.in_flight);
            settled
                .filter_map(|(number, line)| {
                    let answer = map.ask("subscriber", &address(number).to_string());
                    let found = answer.strip_prefix("OK ").map(str::to_owned);
                    let expected = line.owner(number);
                    (found != expected).then(|| format!("{}: {expected:?}, but {answer:?}", address(number)))
                })
                .collect()
        }
    }

    #[test]
    fn no_acknowledged_change_is_lost_in_fifty_crashes() {
        let mut dice = Dice::cast();
        let mut daemon = Daemon::start();
        let lines = vec![Line::default(); LINES as usize];
        let mut load = Load { feed: Feed::new(daemon.nas(), WINDOW), lines, next: 0, acknowledged: 0 };
        let mut slowest = Duration::ZERO;
        for crash in 1..=CRASHES {
            load.run(Duration::from_millis(5 + dice.below(295)));
            daemon.crash();
            // Answers that had left before the crash are acknowledgements like any other.
            load.collect(Duration::from_millis(5));

            let started = Instant::now();
            daemon.launch();
            daemon.wait_until_ready();
            slowest = slowest.max(started.elapsed());
            let wrong = load.wrong(&daemon);
            assert!(
                wrong.is_empty(),
                "after crash {crash}, of {} acknowledged: {wrong:#?}",
                load.acknowledged
            );
            load.settle();
            let wrong = load.wrong(&daemon);
            assert!(wrong.is_empty(), "after the records of crash {crash} were sent again: {wrong:#?}");
        }
        println!(
            "{CRASHES} crashes, {} acknowledged changes, slowest restart {slowest:?}",
            load.acknowledged
        );
        assert!(load.acknowledged > u64::from(CRASHES) * 10, "too little load to prove anything");
    }
}
