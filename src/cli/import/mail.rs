//! `import --maillog`: what a Postfix logged, sent to the daemon a chunk at a time.
//!
//! A message is spread over several lines, so an interrupted run reads the file again from its beginning, and sends what is
//! complete only behind the line to which the earlier one came.
//!
//! Knows: chunks, and how far a run came. Must not know: what stands in a line, or whose a message was.

use super::maillog::{Clock, Joined, Joiner};
use super::progress::Progress;
use super::reader::Fault;
use super::source::{Line, Source};
use super::state::State;
use super::summary::FileSummary;
use super::{Failure, Import, ImportFailure, Rejects, tell};
use crate::server::http::api::rfc3339;
use crate::server::http::import::ROWS_MAX;
use crate::server::http::maillog::{MailBody, MailRow};
use crate::session::Name;

/// So many lines are read before it is written down how far that was, whether there was a message in them or not.
const LINES_AT_ONCE: u64 = 200_000;

/// One file.
///
/// # Errors
/// See [`Failure`]. `None`: the file is empty.
pub(super) fn run(
    import: &Import<'_>,
    joiner: &mut Joiner,
    rejects: &mut Rejects,
) -> Result<Option<FileSummary>, Failure> {
    let failed = |fault| ImportFailure::File(import.file.to_owned(), fault);
    let mut source = Source::open(import.file).map_err(|error| failed(Fault::File(error)))?;
    if source.beginning().trim_ascii().is_empty() {
        return Ok(None);
    }
    let about = source.about.clone();
    let place = import.state_place();
    let known = import.known(place.as_deref(), &about)?;
    let as_of = import.as_of(&about, known.as_ref());
    let clock = Clock { zone: import.zone, as_of };
    let mut progress = Progress::new(&import.name(), about.size);
    let mut state = State::beginning(&about, rfc3339(as_of).unwrap_or_default());
    if let Some(known) = known {
        progress.say(&format!("{}: goes on behind line {}", import.name(), known.lines));
        state = State { as_of: state.as_of, ..known };
    }
    let resumed_at = state.lines;
    rejects.begin(&import.name(), resumed_at > 0)?;
    import.keep(place.as_deref(), &state)?;
    let mta = import.args.mta.as_deref().map(|name| Name::from_text(name).to_string());
    let (mut rows, mut unreadable, mut line, mut any) = (Vec::new(), Vec::new(), Vec::new(), false);
    loop {
        let what = source.line(&mut line).map_err(|error| failed(Fault::File(error)))?;
        // No line of Postfix is longer than a few kilobytes.
        if what == Line::Whole {
            match joiner.line(&line, source.lines, &clock) {
                Joined::Foreign => {}
                Joined::Noted => any = true,
                Joined::Unreadable(why) => {
                    any = true;
                    if source.lines > resumed_at {
                        unreadable.push((source.lines, why));
                    }
                }
                Joined::Message(row) => {
                    any = true;
                    if source.lines > resumed_at {
                        let mta = mta.clone().unwrap_or_else(|| row.mta.clone());
                        rows.push(MailRow { mta, ..*row });
                    }
                }
            }
        }
        let over = what == Line::End;
        if over && !any {
            return Err(failed(Fault::NoMail).into());
        }
        let many = source.lines.saturating_sub(state.lines) >= LINES_AT_ONCE;
        if over || many || rows.len().max(unreadable.len()) >= ROWS_MAX {
            let rows = std::mem::take(&mut rows);
            let outcomes = send(import, rows, &state)?;
            tell(outcomes, std::mem::take(&mut unreadable), &mut state, &progress, rejects)?;
            if source.lines >= resumed_at {
                (state.octets, state.lines) = (source.offset, source.lines);
            }
            rejects.flush()?;
            import.keep(place.as_deref(), &state)?;
            progress.show(source.read(), state.counts.rows());
        }
        if over {
            break;
        }
    }
    let counts = state.counts;
    Ok(Some(FileSummary {
        file: import.name(),
        format: "maillog".to_owned(),
        as_of: state.as_of,
        dry_run: import.args.dry_run,
        resumed_at,
        rows: counts.rows(),
        accepted: counts.accepted,
        history: counts.history,
        ignored: counts.ignored,
        rejected: counts.rejected,
    }))
}

fn send(
    import: &Import<'_>,
    rows: Vec<MailRow>,
    state: &State,
) -> Result<Vec<crate::server::http::import::Outcome>, Failure> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let expected = rows.len();
    let body = MailBody { file: import.name(), dry_run: import.args.dry_run, rows };
    import.deliver("/v1/import/messages", &body, expected, state)
}
