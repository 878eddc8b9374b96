//! `sample --refused N`: some of what was refused lately, by chance, for a human to judge whether that was right.
//!
//! Each row has as good a chance as any other, however often it was tried: one sender who tries all day is one thing to judge.
//!
//! Knows: how some of many are taken by chance. Must not know: how attempts are kept.

use clap::Args;

use super::attempts::in_words;
use super::output::{self, Format};
use super::read::Question;
use super::{Answer, Daemon, Exit, Failure, Shown};
use crate::relay::verdict::{Reason, Verdict};
use crate::server::http::attempts::AttemptRow;

/// So many rows are looked at, the newest.
const LOOKED_AT: u32 = 100_000;
/// From when on, unless it is said.
const SINCE: &str = "24h ago";

/// `sample`
#[derive(Debug, Clone, Args)]
pub struct SampleArgs {
    /// So many of what was refused for good; what was deferred is tried again by itself
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub refused: u16,
    /// From then on [default: 24h ago]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before then [default: now]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    daemon: Daemon,
}

/// Takes some by chance.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &SampleArgs) -> Result<Answer, Failure> {
    let style = args.shown.style()?;
    let mut question = Question::new("/v1/attempts", &args.shown);
    question.with_time("since", "--since", Some(args.since.as_deref().unwrap_or(SINCE)), &style.zone)?;
    question.with_time("until", "--until", args.until.as_deref(), &style.zone)?;
    question.with("limit", Some(LOOKED_AT));
    let rows: Vec<AttemptRow> = question.ask(&args.daemon)?;
    let is_ours = |row: &AttemptRow| {
        let by_mail_server = row.reason == Reason::RecipientRefused.word();
        row.verdict.as_deref() == Some(Verdict::Refuse.word()) && !by_mail_server
    };
    let refused: Vec<AttemptRow> = rows.into_iter().filter(is_ours).collect();
    let there = refused.len();
    let rows = some(refused, usize::from(args.refused), chance);
    let mut text = output::rows(&rows, &style)?;
    if style.format == Format::Table {
        text.push_str(&in_words(&rows));
    }
    if rows.is_empty() {
        let remark = (style.format == Format::Table).then(|| "nothing was refused in this time".to_owned());
        return Ok(Answer { text, remark, exit: Exit::NothingFound });
    }
    let remark = (style.format == Format::Table).then(|| format!("{} of {there}, by chance", rows.len()));
    Ok(Answer { text, remark, exit: Exit::Found })
}

/// So many of these by chance, in their order.
fn some<T>(rows: Vec<T>, wanted: usize, mut below: impl FnMut(usize) -> usize) -> Vec<T> {
    let (mut left, mut wanted) = (rows.len(), wanted);
    let mut taken = Vec::new();
    for row in rows {
        // Each is taken with the chance that is left for those that are left.
        if below(left) < wanted {
            taken.push(row);
            wanted = wanted.saturating_sub(1);
        }
        left = left.saturating_sub(1);
    }
    taken
}

/// A number below this one, which is not zero. What the system has no chance for, stands where it stood.
fn chance(end: usize) -> usize {
    let mut octets = [0; 8];
    if getrandom::fill(&mut octets).is_err() {
        return 0;
    }
    usize::try_from(u64::from_be_bytes(octets)).unwrap_or(usize::MAX).checked_rem(end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_taken_as_are_wanted_each_once_and_in_their_order() {
        for (there, wanted) in [(0, 5), (3, 5), (5, 5), (100, 20)] {
            let taken = some((0..there).collect(), wanted, chance);
            assert_eq!(taken.len(), wanted.min(there));
            assert!(taken.is_sorted_by(|a, b| a < b), "{taken:?}");
        }
    }

    #[test]
    fn each_row_has_the_same_chance() {
        let mut often = [0_u32; 10];
        for _ in 0..2000 {
            some((0..10).collect::<Vec<usize>>(), 3, chance).into_iter().for_each(|row| often[row] += 1);
        }
        // 600 of each are expected; a tenth of a millionth of all runs lies outside of this.
        assert!(often.iter().all(|times| (480..720).contains(times)), "{often:?}");
    }
}
