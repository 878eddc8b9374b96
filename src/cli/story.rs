//! The lines of `explain` as columns, and what each of their words means.
//!
//! Knows: the closed list of what can come of an entry, in words for people. Must not know: formats, or where lines come
//! from.

use jiff::tz::TimeZone;

use super::output::Row;
use super::rows::{local, or_nothing, text};
use super::time::{later, shown};
use crate::server::http::api::StoryRow;

impl Row for StoryRow {
    const HEADINGS: &'static [&'static str] =
        &["AT", "LATE", "RECORD", "SESSION", "SUBSCRIBER", "ADDRESS", "WHAT"];
    const FIELDS: &'static [&'static str] = &[
        "at",
        "arrival",
        "sequence",
        "record",
        "nas",
        "session",
        "subscriber",
        "inside",
        "address",
        "what",
        "since",
        "last_seen",
        "others",
    ];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        let late = match (&self.at, &self.arrival) {
            (Some(at), Some(arrival)) => later(at, arrival),
            _ => None,
        };
        vec![
            local(self.at.as_deref(), zone),
            or_nothing(late.as_deref()),
            self.record.clone(),
            or_nothing(self.session.as_deref().or(self.nas.as_deref())),
            or_nothing(self.subscriber.as_deref()),
            or_nothing(self.address.as_deref()),
            meaning(self, zone),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            text(self.at.as_deref()),
            text(self.arrival.as_deref()),
            self.sequence.to_string(),
            self.record.clone(),
            text(self.nas.as_deref()),
            text(self.session.as_deref()),
            text(self.subscriber.as_deref()),
            text(self.inside.as_deref()),
            text(self.address.as_deref()),
            self.what.clone(),
            text(self.since.as_deref()),
            text(self.last_seen.as_deref()),
            self.others.join(" "),
        ]
    }
}

fn meaning(row: &StoryRow, zone: &TimeZone) -> String {
    let others = row.others.join(" and ");
    let since = row.since.as_deref().map(|at| shown(at, zone));
    let heard = match &row.last_seen {
        Some(at) => format!("; last heard {}", shown(at, zone)),
        None => String::new(),
    };
    let text = match row.what.as_str() {
        "bound" => match &row.inside {
            Some(inside) => return format!("bound: reported for {inside}, and belongs to whoever owns that"),
            None => "owns it from here on",
        },
        "renamed" => "goes on owning it under this name",
        "stopped" => "its Stop: it is free",
        "moved" => "gave it back, or left it for another",
        "superseded" => return format!("superseded: the next session took it{heard}"),
        "reused" => return format!("reused: its id was used for another session{heard}"),
        "nas-restarted" => return format!("nas-restarted: given up, its NAS began anew{heard}"),
        "expired" => return format!("expired: given up, not heard any more{heard}"),
        "past-noted" => match since {
            Some(since) => {
                return format!("past-noted: held it from {since} until then; changes no owner of now");
            }
            None => "held it until then; changes no owner of now",
        },
        "conflict" => return format!("conflict: claimed in turn by {others}; nobody is named"),
        "conflict-over" => "one of them is left, or none",
        "static" => "belongs to this subscriber by configuration",
        "static-over" => "belongs to nobody by configuration any more",
        "translation" => return format!("translation: shared by ports among {others}, by configuration"),
        "translation-over" => return format!("translation-over: no longer shared by ports among {others}"),
        "nas-began-anew" => "this NAS, or a part of it: its older sessions are in doubt until they report",
        "gap" => match since {
            Some(since) => return format!("gap: nothing was received from {since} until then"),
            None => "nothing was received before",
        },
        "outdone" => "changes nothing, as a newer claim stands, or stood there since",
        "waits" => "changes nothing yet, as the session is in doubt and it is somebody else's",
        "before-stop" => "changes nothing, as it was sent before the session's own Stop",
        "before-start" => "changes nothing, as it is the Stop of an earlier session under this id",
        "before-restart" => "changes nothing, as it was sent before its NAS began anew",
        "given-back" => "changes nothing, as it was given back later",
        "nothing-to-free" => "frees nothing, as it was somebody else's by then",
        "overdue" => "in doubt, no interim update came in time",
        "revived" => "in doubt, heard after its own Stop",
        "doubtful-start" => "in doubt, as it may be the old Start, so soon after the Stop",
        "overtaken" => "in doubt, its Stop came after a later sign of life",
        "confirmed" => "in doubt no more",
        // A daemon of a later version.
        other => return other.to_owned(),
    };
    format!("{}: {text}", row.what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::rows::What;
    use crate::session::Timestamp;
    use crate::session::effect::{Ended, Remark};

    #[test]
    fn every_word_has_a_meaning() {
        let (from, last_seen) = (Timestamp::EARLIEST, Timestamp::EARLIEST);
        let inside = "100.64.0.0/10".parse().unwrap();
        let ends = [
            Ended::Stopped,
            Ended::Moved,
            Ended::Superseded,
            Ended::Reused,
            Ended::NasRestarted,
            Ended::Expired,
        ];
        let mut all = vec![
            What::Bound,
            What::Renamed,
            What::Past { from, ended: true, inferred: false },
            What::Restarted,
            What::Gap { since: from },
        ];
        all.extend(ends.map(|how| What::Unbound { how, last_seen }));
        all.extend(Remark::ALL.map(What::Noted));
        for over in [false, true] {
            all.extend([What::Conflict { over }, What::Static { over }, What::Translation { inside, over }]);
        }
        for what in all {
            let row = StoryRow { what: what.word().to_owned(), ..StoryRow::default() };
            let meaning = meaning(&row, &TimeZone::UTC);
            assert!(meaning.starts_with(&format!("{}: ", what.word())), "{what:?}: {meaning}");
        }
    }
}
