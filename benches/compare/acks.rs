//! Durable acknowledgements: Starts of new sessions to everybody in turns, closed loop with a fixed window.
//!
//! Knows: who takes part, what each promises when it answers, what ratio is wanted. Must not know: how they work.

use std::time::Duration;

use super::daemon::Daemon;
use super::feed::{Feed, NARROW, Shape, WIDE};
use super::floors::{Floor, Kind};
use super::freeradius::{FreeRadius, Keeps};
use super::postgres::Postgres;
use super::report::{Rates, Report, median};
use super::starts::OCTETS;
use super::{Failure, Scale, say};

/// How long the work behind the acknowledgements is waited for between two measurements.
pub(crate) const SETTLES_WITHIN: Duration = Duration::from_secs(300);

/// Sessions of a feed to somebody else begin here: a second one to the same server reports other sessions.
const APART: u32 = 6_000_000;

/// Somebody who is compared with the daemon.
struct Other {
    name: String,
    /// What its answer means.
    promise: &'static str,
    wanted: Option<f64>,
    /// The windows that are tried, and what came of each.
    tried: Vec<(Shape, Feed, Vec<f64>)>,
}

impl Other {
    fn new(
        name: &str,
        promise: &'static str,
        wanted: Option<f64>,
        server: std::net::SocketAddr,
        shapes: &[Shape],
    ) -> Result<Other, Failure> {
        let feeds = shapes.iter().zip([0, APART]);
        let tried = feeds.map(|(&shape, first)| Ok((shape, Feed::new(server, shape, first)?, Vec::new())));
        Ok(Other { name: name.to_owned(), promise, wanted, tried: tried.collect::<Result<_, Failure>>()? })
    }

    fn turn(&mut self, count: u32, longest: Duration) -> Result<(), Failure> {
        for (_, feed, rates) in &mut self.tried {
            feed.prepare(count)?;
            rates.push(feed.run(longest)?.rate());
        }
        Ok(())
    }

    /// At the window that suits it best.
    fn best(&self) -> Option<&(Shape, Feed, Vec<f64>)> {
        let middle = |tried: &&(Shape, Feed, Vec<f64>)| median(tried.2.iter().copied());
        self.tried.iter().max_by(|one, other| middle(one).total_cmp(&middle(other)))
    }
}

/// Everybody in turns, in an order that moves on.
pub(crate) fn compare(
    scale: &Scale,
    daemon: &Daemon,
    ours: &mut Feed,
    database: Option<&Postgres>,
    report: &mut Report,
) -> Result<(), Failure> {
    let durable = Floor::start(Kind::Durable, &scale.disk)?;
    let least = Floor::start(Kind::Least, &scale.disk)?;
    let mut others = vec![
        Other::new(
            "the least durable server: one thread, batches, one file, an fdatasync per group",
            "the record is durable (fdatasync)",
            Some(0.9),
            durable.address,
            &[WIDE],
        )?,
        Other::new(
            "the least server: one thread, a packet a call",
            "nothing: no record is kept",
            Some(0.6),
            least.address,
            &[WIDE],
        )?,
    ];
    // Kept for as long as they are asked.
    let mut foreign = Vec::new();
    if let Some(database) = database {
        let three = [
            (
                Keeps::Sql,
                "FreeRADIUS into PostgreSQL",
                "the record is durable (a commit, fsync on)",
                Some(35.0),
            ),
            (
                Keeps::Detail,
                "FreeRADIUS writing detail files",
                "the record was written to a file, no fsync",
                Some(8.0),
            ),
            (Keeps::Nothing, "FreeRADIUS that accepts only", "nothing: no record is kept", None),
        ];
        for (keeps, name, promise, wanted) in three {
            let server = FreeRadius::start(&scale.disk, keeps, database)?;
            others.push(Other::new(name, promise, wanted, server.address, &[WIDE, NARROW])?);
            foreign.push(server);
        }
        let version = foreign.first().map(|server| server.version.clone()).unwrap_or_default();
        report.note(format!("{version}; {}.", database.version));
    }

    let count = (scale.sessions / scale.rounds / 2).max(1_000);
    let (mut rates, mut again, mut behind) = (Vec::new(), 0, Some(Duration::ZERO));
    for round in 0..scale.rounds as usize {
        say(&format!("durable acknowledgements, round {} of {}", round + 1, scale.rounds));
        let turns = others.len() + 1;
        for turn in 0..turns {
            let who = (round + turn) % turns;
            if let Some(other) = who.checked_sub(1).and_then(|place| others.get_mut(place)) {
                other.turn(count, scale.longest)?;
            } else {
                ours.prepare(count)?;
                let window = ours.run(scale.longest)?;
                rates.push(window.rate());
                again += window.again;
                // What the daemon does behind its acknowledgements must not slow the others' turns down.
                behind = behind.zip(daemon.settle(SETTLES_WITHIN)).map(|(sum, more)| sum + more);
            }
        }
    }
    tell(&rates, &others, report);
    report.note("relaywarden answers when the record is durable: its log was synced to disk.".to_owned());
    report.note(format!(
        "{} sessions in {} rounds; every answer of everybody compared octet by octet, Response Authenticator included; of \
         the daemon's {} were wrong, and {again} requests had to be sent again. The audit index was complete {} after the \
         last answers (all rounds together).",
        ours.acknowledged,
        scale.rounds,
        ours.wrong,
        behind.map_or_else(|| "not even minutes".to_owned(), |time| format!("{:.1} s", time.as_secs_f64())),
    ));
    if let Some(database) = database {
        check_rows(&others, database, report)?;
    }
    Ok(())
}

fn tell(rates: &[f64], others: &[Other], report: &mut Report) {
    let what = format!("acks/s, Starts of {OCTETS} octets, {} x {} in flight", WIDE.sockets, WIDE.in_flight);
    for other in others {
        let Some((shape, feed, theirs)) = other.best() else { continue };
        let at_best = if other.tried.len() > 1 {
            format!(" (best at {} x {})", shape.sockets, shape.in_flight)
        } else {
            String::new()
        };
        report.compare(&Rates {
            what: &what,
            ours: rates,
            against: &format!("{}{at_best}", other.name),
            promise: other.promise,
            theirs,
            wanted: other.wanted,
        });
        if feed.wrong > 0 {
            report.note(format!("{}: {} wrong answers.", other.name, feed.wrong));
        }
    }
}

/// Whether what FreeRADIUS acknowledged stands in its database: otherwise its rate would be one of another thing.
fn check_rows(others: &[Other], database: &Postgres, report: &mut Report) -> Result<(), Failure> {
    let sql = others.iter().find(|other| other.wanted == Some(35.0));
    let acknowledged: u64 =
        sql.iter().flat_map(|other| &other.tried).map(|(_, feed, _)| feed.acknowledged).sum();
    let rows = database.written()?;
    report.note(format!("FreeRADIUS into PostgreSQL: {acknowledged} acknowledged, {rows} rows written."));
    Ok(())
}
