//! What was not let go, in partitions, and by what it is found.
//!
//! An attempt stands by the sequence of its entry and its place in that. By what it is asked for it stands as a term, as a
//! message does.
//!
//! Knows: the tables, the terms of an attempt, and how attempts are found in files and in runs. Must not know: how a list
//! is shown.

use std::net::IpAddr;
use std::sync::Arc;

use rusqlite::{Connection, Transaction};

use super::AuditError;
use super::checksum::Checksum;
use super::facts::Position;
use super::messages::digest;
use super::partition::{Partition, Span};
use super::rows::AttemptFilter;
use super::schema::{Moment, column, packed_value, unpacked_value, wide};
use super::shelf::{Rows, View};
use crate::relay::attempts::{Attempt, MINUTE, Reference};
use crate::session::{Name, Timestamp};
use crate::views::Outcome;

/// `term` holds for each attempt all that it is found by; 0 is any attempt.
const TABLES: &str = "
CREATE TABLE attempt (
    sequence INTEGER NOT NULL,
    place INTEGER NOT NULL,
    packed BLOB NOT NULL,
    PRIMARY KEY (sequence, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE term (
    term INTEGER NOT NULL,
    at INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (term, at, sequence, place)
) STRICT, WITHOUT ROWID;
";

pub(super) const BY_TERM: &str = "SELECT t.sequence, t.place, a.packed
    FROM term t CROSS JOIN attempt a ON a.sequence = t.sequence AND a.place = t.place
    WHERE t.term = ?1 AND t.at >= ?2 AND t.at < ?3
    ORDER BY t.at DESC, t.sequence DESC, t.place DESC";

/// By what an attempt is found.
enum By<'a> {
    /// Any.
    Time,
    Reference(Reference),
    Subscriber(&'a Name),
    Address(IpAddr),
}

impl By<'_> {
    fn term(&self) -> i64 {
        match self {
            By::Time => 0,
            By::Reference(reference) => digest(1, &reference.0.to_be_bytes()),
            By::Subscriber(name) => digest(2, name.octets()),
            By::Address(address) => digest(3, &wide(*address).octets()),
        }
    }

    /// The narrowest of what is asked for.
    fn narrowest(filter: &AttemptFilter) -> By<'_> {
        let reference = filter.reference.map(By::Reference);
        reference
            .or(filter.subscriber.as_ref().map(By::Subscriber))
            .or(filter.address.map(By::Address))
            .unwrap_or(By::Time)
    }
}

/// All terms of an attempt, each once.
fn terms(attempt: &Attempt) -> Vec<i64> {
    let mut terms = vec![By::Time.term(), By::Reference(attempt.reference).term()];
    let owners = attempt.owners.iter().filter_map(|owner| owner.subscriber.as_ref());
    terms.extend(owners.map(|name| By::Subscriber(name).term()));
    terms.extend(attempt.address.map(|address| By::Address(address).term()));
    terms.sort_unstable();
    terms.dedup();
    terms
}

/// Attempts that are not written yet, in order of time.
#[derive(Debug, Default)]
pub(super) struct Refused(Vec<Arc<Kept>>);

/// Where an attempt stands: in this entry, at this place.
type Place = (u64, u32);

#[derive(Debug)]
struct Kept {
    place: Place,
    attempt: Attempt,
    terms: Vec<i64>,
}

impl Rows for Refused {
    const KIND: &'static str = "attempts";
    const TABLES: &'static [&'static str] = &[TABLES];

    fn are_in(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Attempts(_))
    }

    fn gather(&mut self, position: Position, outcome: &Outcome) {
        let Outcome::Attempts(attempts) = outcome else { return };
        let kept = (0..).zip(attempts).map(|(place, attempt)| {
            let terms = terms(attempt);
            Arc::new(Kept { place: (position.sequence, place), attempt: attempt.clone(), terms })
        });
        self.0.extend(kept);
    }

    fn sort(&mut self) {
        self.0.sort_by_key(|kept| (kept.attempt.first, kept.place));
    }

    fn add(&mut self, others: &Refused) {
        self.0.extend_from_slice(&others.0);
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    fn span(&self) -> Option<Span> {
        let span = |kept: &Arc<Kept>| Span::of(kept.attempt.first).and(Span::of(kept.attempt.last));
        self.0.iter().map(span).reduce(Span::and)
    }

    fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<(u64, Checksum)> {
        let mut sum = Checksum::default();
        let mut by_place: Vec<&Kept> = self.0.iter().map(AsRef::as_ref).collect();
        by_place.sort_by_key(|kept| kept.place);
        let mut insert = transaction.prepare_cached("INSERT INTO attempt VALUES (?1, ?2, ?3)")?;
        let mut terms = Vec::new();
        for Kept { place: (sequence, place), attempt, terms: of_attempt } in by_place {
            let packed = packed_value(attempt)?;
            sum.add(&[&sequence.to_be_bytes(), &place.to_be_bytes(), &packed]);
            insert.execute((column(*sequence), place, packed))?;
            terms.extend(of_attempt.iter().map(|term| (*term, attempt.first, *sequence, *place)));
        }
        terms.sort_unstable();
        let mut insert = transaction.prepare_cached("INSERT INTO term VALUES (?1, ?2, ?3, ?4)")?;
        for (term, at, sequence, place) in terms {
            insert.execute((term, Moment(at), column(sequence), place))?;
        }
        Ok((self.0.len() as u64, sum))
    }

    fn read_again(connection: &Connection) -> rusqlite::Result<(u64, Checksum)> {
        let (mut count, mut sum) = (0_u64, Checksum::default());
        let mut statement = connection.prepare("SELECT sequence, place, packed FROM attempt")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let (sequence, place): (i64, u32) = (row.get(0)?, row.get(1)?);
            sum.add(&[&sequence.to_be_bytes(), &place.to_be_bytes(), row.get_ref(2)?.as_blob()?]);
            count = count.saturating_add(1);
        }
        Ok((count, sum))
    }
}

type Found = Vec<(Timestamp, Place, Attempt)>;

/// Those that fit, newest first.
pub(super) fn list(view: &View<Refused>, filter: &AttemptFilter) -> Result<Vec<Attempt>, AuditError> {
    let term = By::narrowest(filter).term();
    // They stand by the first moment, and may reach to the end of its minute.
    let since = filter.since.map_or(Timestamp::EARLIEST, |since| since.minus(MINUTE));
    let until = filter.until.unwrap_or(Timestamp::from_millis(i64::MAX));
    let mut found = Found::new();
    for run in &view.runs {
        let fits =
            run.0.iter().rev().filter(|kept| kept.terms.contains(&term) && filter.admits(&kept.attempt));
        let fits = fits.take(filter.limit);
        found.extend(fits.map(|kept| (kept.attempt.first, kept.place, kept.attempt.clone())));
    }
    newest(&mut found, filter.limit);
    let mut partitions: Vec<&Partition> = view.partitions.iter().map(AsRef::as_ref).collect();
    partitions.sort_by_key(|partition| partition.about.span.map(|span| span.last));
    for partition in partitions.into_iter().rev() {
        let Some(span) = partition.about.span else { continue };
        let oldest = found.last().filter(|_| found.len() >= filter.limit).map(|(at, ..)| *at);
        // This one, and those after it, have nothing newer than what is found.
        if oldest.is_some_and(|oldest| oldest > span.last) {
            break;
        }
        if span.first < until && span.last >= since {
            let least = since.max(oldest.unwrap_or(since));
            partition.ask(|connection| walk(connection, term, (least, until), filter, &mut found))?;
            newest(&mut found, filter.limit);
        }
    }
    Ok(found.into_iter().map(|(.., attempt)| attempt).collect())
}

/// The newest of a partition, until there are enough.
fn walk(
    connection: &Connection,
    term: i64,
    (since, until): (Timestamp, Timestamp),
    filter: &AttemptFilter,
    found: &mut Found,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(BY_TERM)?;
    let mut rows = statement.query((term, Moment(since), Moment(until)))?;
    let mut taken: usize = 0;
    while taken < filter.limit {
        let Some(row) = rows.next()? else { break };
        let attempt: Attempt = unpacked_value(row, 2)?;
        if filter.admits(&attempt) {
            found.push((attempt.first, (row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?), attempt));
            taken = taken.saturating_add(1);
        }
    }
    Ok(())
}

/// The newest of these, each once: what is being written may be found in a file and in a run.
fn newest(found: &mut Found, limit: usize) {
    found.sort_by_key(|found| std::cmp::Reverse((found.0, found.1)));
    found.dedup_by_key(|(at, place, _)| (*at, *place));
    found.truncate(limit);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::access::preservation::Preservations;
    use crate::audit::index::Index;
    use crate::audit::past::Past;
    use crate::config::Retention;
    use crate::relay::Profile;
    use crate::relay::message::Owner;
    use crate::relay::verdict::Reason;
    use crate::session::Line;
    use crate::views::Folded;

    const AT: Timestamp = Timestamp::from_seconds(1_795_442_400);

    /// An attempt in the minute of this number.
    fn attempt(number: u32) -> Attempt {
        let subscriber = if number.is_multiple_of(2) { "alice" } else { "bob" };
        let owner = Owner {
            subscriber: Some(Name::from(subscriber)),
            session: None,
            since: AT,
            line: Line::default(),
        };
        let first = AT.plus(MINUTE * number);
        Attempt {
            reference: Reference(number),
            first,
            last: first.plus(Duration::from_secs(30)),
            count: 3,
            reason: Some(if number == 5 { Reason::Suspended } else { Reason::Conflict }),
            mta: Name::from("mx1"),
            profile: Profile::Relay,
            address: Some([192, 0, 2, u8::try_from(number % 3).unwrap()].into()),
            port: None,
            owners: vec![owner],
            login: None,
            helo: Name::from("h"),
            sender: Name::from(""),
            recipient_domain: Name::from("b.example"),
            suspension: None,
            observed: false,
        }
    }

    /// Six minutes, two of them an entry; the entries from `gathering` on are not written yet.
    fn world(gathering: u64) -> (tempfile::TempDir, Index, Past) {
        let data = tempfile::tempdir().unwrap();
        let mut index = Index::open(data.path()).unwrap();
        for sequence in 1..=3 {
            let number = u32::try_from(sequence).unwrap() * 2;
            let outcome = Outcome::Attempts(vec![attempt(number - 1), attempt(number)]);
            index.apply(sequence, &[Folded { sequence, outcome }]).unwrap();
            if sequence + 1 == gathering {
                index.sync(AT).unwrap();
            }
        }
        let past = index.past().unwrap();
        (data, index, past)
    }

    fn found(past: &Past, filter: AttemptFilter) -> Vec<u32> {
        let limit = if filter.limit == 0 { 100 } else { filter.limit };
        let rows = past.attempts(&AttemptFilter { limit, ..filter }).unwrap();
        rows.into_iter().map(|attempt| attempt.reference.0).collect()
    }

    #[test]
    fn they_are_found_by_reference_subscriber_address_reason_and_time_newest_first() {
        let any = AttemptFilter::default;
        for gathering in [0, 2, 4] {
            let (_data, _index, past) = world(gathering);
            assert_eq!(found(&past, any()), [6, 5, 4, 3, 2, 1], "{gathering}");
            assert_eq!(found(&past, AttemptFilter { reference: Some(Reference(4)), ..any() }), [4]);
            assert_eq!(found(&past, AttemptFilter { reference: Some(Reference(7)), ..any() }), [0; 0]);
            let bob = AttemptFilter { subscriber: Some(Name::from("bob")), ..any() };
            assert_eq!(found(&past, AttemptFilter { limit: 2, ..bob.clone() }), [5, 3]);
            assert_eq!(found(&past, bob), [5, 3, 1]);
            let mapped = "::ffff:192.0.2.1".parse().ok();
            assert_eq!(found(&past, AttemptFilter { address: mapped, ..any() }), [4, 1]);
            assert_eq!(found(&past, AttemptFilter { reason: Some(Reason::Suspended), ..any() }), [5]);
            // A customer says when it was: any moment of a row finds it.
            let (last, first) = (attempt(3).last, attempt(5).first);
            let within = AttemptFilter { since: Some(last), until: Some(first), ..any() };
            assert_eq!(found(&past, within), [4, 3]);
            let later = AttemptFilter {
                since: Some(last.plus(Duration::from_millis(1))),
                until: Some(first.plus(Duration::from_millis(1))),
                ..any()
            };
            assert_eq!(found(&past, later), [5, 4]);
        }
    }

    #[test]
    fn what_was_written_is_there_afterwards_and_comes_from_the_log_once() {
        let (data, index, past) = world(4);
        drop((index, past));
        let mut index = Index::open(data.path()).unwrap();
        let outcome = Outcome::Attempts(vec![attempt(5), attempt(6)]);
        index.apply(3, &[Folded { sequence: 3, outcome }]).unwrap();
        assert_eq!(found(&index.past().unwrap(), AttemptFilter::default()), [6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn they_are_kept_as_long_as_messages() {
        let day = Duration::from_secs(24 * 3600);
        let kept = Retention { sessions: day * 99, messages: day * 9, questions: day * 99 };
        let (_data, mut index, past) = world(4);
        // The partition is closed by the first row of another day.
        index.apply(4, &[Folded { sequence: 4, outcome: Outcome::Attempts(vec![attempt(3000)]) }]).unwrap();
        index.sync(AT.plus(day * 2)).unwrap();
        index.retire(AT.plus(day * 8), &kept, &Preservations::default()).unwrap();
        assert_eq!(found(&past, AttemptFilter::default()).len(), 7);
        index.retire(AT.plus(day * 12), &kept, &Preservations::default()).unwrap();
        assert_eq!(found(&past, AttemptFilter::default()), [3000]);
    }
}
