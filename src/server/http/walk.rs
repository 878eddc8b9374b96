//! Long lists in parts: page by page with a cursor, or as lines that go on until the list ends.
//!
//! Lists run from the newest to the oldest; a story is read the other way round within each page. A cursor says down to which mark, a moment or a sequence, rows were answered, and
//! how many of those at the mark itself: what comes meanwhile is newer and moves nothing.
//!
//! Knows: parts of lists. Must not know: what is in a row.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::api::rfc3339;
use super::parameters::Parameters;
use super::problem::Problem;
use super::question::Ready;
use super::{Staff, Trouble, sheet};
use crate::clock;
use crate::session::Timestamp;

/// Rows of a page when no limit is named.
const LIMIT_DEFAULT: usize = 1000;
/// Rows that are fetched at once for lines.
const LINES_AT_ONCE: usize = 1000;
/// Rows at one mark that a cursor can stand behind. More of them were never one list.
const SKIP_MAX: usize = 1_000_000;
/// From when on a part of the past is lost, so that the answer may lack rows; a moment, or `ever`.
pub const LOST_FROM: &str = "relaywarden-lost-from";
const EVER: &str = "ever";
/// One JSON object a line.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// A list that can be walked.
pub(super) trait Walked: Send + Sync + 'static {
    /// What it is of.
    type Row: Serialize + Default + Send;
    /// Whether a page has a validator: what is asked for again and again, and seldom changes.
    const TAGGED: bool = false;
    /// Whether a page begins with the oldest of its rows.
    const IS_STORY: bool = false;

    /// The newest rows at or below the mark.
    fn rows<S: Staff>(
        &self,
        staff: &S,
        mark: Option<i64>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Self::Row>, Trouble>> + Send;

    /// Since when something is lost that this list would have needed.
    fn lost<S: Staff>(&self, _: &S) -> Option<Timestamp> {
        None
    }

    /// The mark of a row; `None`: the order of this list is another.
    fn mark(&self, row: &Self::Row) -> Option<i64>;
}

/// How far a list was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Cursor {
    mark: Option<i64>,
    skip: usize,
}

/// How much of a list is wanted, and from where on.
pub(super) struct Walk {
    path: String,
    pairs: Vec<(String, String)>,
    limit: Option<usize>,
    from: Cursor,
    lines: bool,
    sheet: bool,
    known: HeaderMap,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mark {
            Some(mark) => write!(f, "{mark}.{}", self.skip),
            None => write!(f, ".{}", self.skip),
        }
    }
}

impl Cursor {
    fn of(text: &str) -> Option<Cursor> {
        let (mark, skip) = text.split_once('.')?;
        let mark = if mark.is_empty() { None } else { Some(mark.parse().ok()?) };
        let skip = skip.parse().ok().filter(|skip| *skip <= SKIP_MAX)?;
        Some(Cursor { mark, skip })
    }

    /// Behind these rows.
    fn after<L: Walked>(self, list: &L, rows: &[L::Row]) -> Cursor {
        let Some(mark) = rows.last().and_then(|row| list.mark(row)) else {
            // Without marks only their number says where we are; what began later is left out from here on.
            let mark = self.mark.or(Some(clock::now().millis()));
            return Cursor { mark, skip: self.skip.saturating_add(rows.len()) };
        };
        let here = rows.iter().rev().take_while(|row| list.mark(row) == Some(mark)).count();
        let before = if self.mark == Some(mark) { self.skip } else { 0 };
        Cursor { mark: Some(mark), skip: here.saturating_add(before) }
    }
}

impl Walk {
    /// Takes `limit` and `cursor`.
    ///
    /// # Errors
    /// One of them is wrong, or the cursor is of another question.
    pub(super) fn of(
        path: &str,
        pairs: &[(String, String)],
        headers: &HeaderMap,
        parameters: &mut Parameters,
    ) -> Result<Walk, Problem> {
        let pairs: Vec<_> = pairs.iter().filter(|(name, _)| name != "cursor").cloned().collect();
        let limit = parameters.limit_if_told()?;
        let wrong = || Problem::parameter("cursor", "not one that an answer to this very question had");
        let from = match parameters.text("cursor")? {
            None => Cursor::default(),
            Some(text) => {
                let (cursor, of) = text.rsplit_once('-').ok_or_else(wrong)?;
                Cursor::of(cursor).filter(|_| of == fingerprint(path, &pairs)).ok_or_else(wrong)?
            }
        };
        let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains(NDJSON));
        let lines = headers.get_all(header::ACCEPT).iter().any(accepts);
        let sheet = sheet::is_wanted(headers, parameters)?;
        let validators = headers.get_all(header::IF_NONE_MATCH).iter();
        let known = validators.map(|value| (header::IF_NONE_MATCH, value.clone())).collect();
        Ok(Walk { path: path.to_owned(), pairs, limit, from, lines, sheet, known })
    }

    /// Answers a part of the list, and writes each part down before it leaves.
    pub(super) async fn answer<L: Walked, S: Staff>(
        self,
        list: L,
        ready: Ready,
        staff: Arc<S>,
    ) -> Result<Response, Problem> {
        if self.lines {
            return self.in_lines(list, ready, staff).await;
        }
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let lost = list.lost(&*staff);
        let part = part(&list, &*staff, self.from, limit).await?.ready_to_read::<L>();
        ready.answered(&*staff, part.rows.len()).await?;
        let mut response = match (self.sheet, L::TAGGED) {
            (true, _) => sheet::answer(&self.path, &part.rows),
            (false, true) => tagged(&self.known, &part.rows),
            (false, false) => Json(&part.rows).into_response(),
        };
        if let Some(link) = part.next.and_then(|next| self.link(next)) {
            response.headers_mut().insert(header::LINK, link);
        }
        Ok(with_lost(response, lost))
    }

    /// A part of the list for a page, and the cursor of what comes after it, as a link that carries `told` has it: what
    /// people type is spelled otherwise there.
    pub(super) async fn part<L: Walked, S: Staff>(
        &self,
        list: &L,
        staff: &S,
        rows: usize,
        told: &[(&str, String)],
    ) -> Result<(Vec<L::Row>, Option<String>), Problem> {
        let part = part(list, staff, self.from, self.limit.unwrap_or(rows)).await?.ready_to_read::<L>();
        let told = told.iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<_> = told.map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Ok((part.rows, part.next.map(|next| format!("{next}-{}", fingerprint(&self.path, &pairs)))))
    }

    /// Whether it does not begin at the newest row.
    pub(super) fn goes_on(&self) -> bool {
        self.from != Cursor::default()
    }

    /// RFC 8288: where the list goes on.
    fn link(&self, next: Cursor) -> Option<HeaderValue> {
        let cursor = format!("{next}-{}", fingerprint(&self.path, &self.pairs));
        let mut pairs = self.pairs.clone();
        pairs.push(("cursor".to_owned(), cursor));
        let query = serde_urlencoded::to_string(pairs).ok()?;
        HeaderValue::from_str(&format!("<{}?{query}>; rel=\"next\"", self.path)).ok()
    }

    async fn in_lines<L: Walked, S: Staff>(
        self,
        list: L,
        ready: Ready,
        staff: Arc<S>,
    ) -> Result<Response, Problem> {
        let mut left = self.limit.unwrap_or(usize::MAX);
        let lost = list.lost(&*staff);
        // The first part is awaited here: what is wrong with it is still a problem document.
        let first = part(&list, &*staff, self.from, left.min(LINES_AT_ONCE)).await?;
        ready.answered(&*staff, first.rows.len()).await?;
        let (sender, parts) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut next = first.next;
            left = left.saturating_sub(first.rows.len());
            let mut lines = spelled(&first.rows);
            loop {
                // Whoever reads no more has gone.
                if sender.send(Ok(lines)).await.is_err() {
                    return;
                }
                let Some(from) = next.filter(|_| left > 0) else { return };
                let more = part(&list, &*staff, from, left.min(LINES_AT_ONCE)).await;
                let Ok(part) = more else { break };
                if ready.answered(&*staff, part.rows.len()).await.is_err() {
                    break;
                }
                left = left.saturating_sub(part.rows.len());
                next = part.next;
                lines = spelled(&part.rows);
            }
            // An answer that breaks off is known by its missing end (RFC 9112, 8).
            let _ = sender.send(Err(CutShort)).await;
        });
        let lines = ([(header::CONTENT_TYPE, NDJSON)], Body::new(Lines(parts))).into_response();
        Ok(with_lost(lines, lost))
    }
}

struct Part<R> {
    rows: Vec<R>,
    next: Option<Cursor>,
}

impl<R> Part<R> {
    fn ready_to_read<L: Walked>(mut self) -> Self {
        if L::IS_STORY {
            self.rows.reverse();
        }
        self
    }
}

async fn part<L: Walked, S: Staff>(
    list: &L,
    staff: &S,
    from: Cursor,
    limit: usize,
) -> Result<Part<L::Row>, Problem> {
    // One more than is answered tells whether there is more.
    let wanted = from.skip.saturating_add(limit).saturating_add(1);
    let mut rows = list.rows(staff, from.mark, wanted).await?;
    rows.drain(..from.skip.min(rows.len()));
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = more.then(|| from.after(list, &rows));
    Ok(Part { rows, next })
}

fn spelled<R: Serialize>(rows: &[R]) -> Bytes {
    let mut octets = Vec::new();
    for row in rows {
        // Fields of numbers and strings always have a spelling.
        let _ = serde_json::to_writer(&mut octets, row);
        octets.push(b'\n');
    }
    Bytes::from(octets)
}

/// Says that an answer may lack rows: a part of the past from this moment on is lost.
pub(super) fn with_lost(mut response: Response, lost: Option<Timestamp>) -> Response {
    // The beginning of what was in the oldest partition is not known.
    let spelled = lost.map(|lost| rfc3339(lost).unwrap_or_else(|| EVER.to_owned()));
    if let Some(value) = spelled.and_then(|spelled| HeaderValue::try_from(spelled).ok()) {
        response.headers_mut().insert(LOST_FROM, value);
    }
    response
}

/// Tells one question from another, whatever its purpose and how many rows are wanted.
fn fingerprint(path: &str, pairs: &[(String, String)]) -> String {
    let mut kept: Vec<_> =
        pairs.iter().filter(|(name, _)| !["limit", "purpose"].contains(&name.as_str())).collect();
    kept.sort();
    let digest = Sha256::digest(format!("{path}{kept:?}"));
    digest.iter().take(4).map(|octet| format!("{octet:02x}")).collect()
}

/// The rest of the list can't be had.
#[derive(Debug)]
struct CutShort;

impl fmt::Display for CutShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rest of the list can't be had")
    }
}

impl std::error::Error for CutShort {}

/// Parts of a body, as they come.
struct Lines(mpsc::Receiver<Result<Bytes, CutShort>>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        self.0.poll_recv(context).map(|part| part.map(|part| part.map(Frame::data)))
    }
}

/// An answer with a validator: whoever has it already is told so (RFC 9110, 13.1.2).
pub(super) fn tagged<T: Serialize>(headers: &HeaderMap, value: &T) -> Response {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let digest = Sha256::digest(&body);
    let tag: String = digest.iter().take(12).map(|octet| format!("{octet:02x}")).collect();
    let tag = format!("\"{tag}\"");
    let has = |value: &HeaderValue| {
        value.to_str().is_ok_and(|value| {
            value.split(',').any(|known| matches!(known.trim().trim_start_matches("W/"), known if known == tag || known == "*"))
        })
    };
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(has);
    let etag = [(header::ETAG, tag)];
    if known {
        return (axum::http::StatusCode::NOT_MODIFIED, etag).into_response();
    }
    (etag, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers below 100, several to a mark.
    struct Numbers {
        each: i64,
    }

    impl Walked for Numbers {
        type Row = i64;

        async fn rows<S: Staff>(&self, _: &S, mark: Option<i64>, limit: usize) -> Result<Vec<i64>, Trouble> {
            Ok(self.newest(mark, limit))
        }

        fn mark(&self, row: &i64) -> Option<i64> {
            (self.each > 0).then(|| row / self.each)
        }
    }

    impl Numbers {
        fn newest(&self, mark: Option<i64>, limit: usize) -> Vec<i64> {
            let below = |row: &i64| mark.is_none_or(|mark| self.each == 0 || row / self.each <= mark);
            (0..100).rev().filter(below).take(limit).collect()
        }

        fn walked(&self, limit: usize) -> Vec<i64> {
            let (mut from, mut all) = (Cursor::default(), Vec::new());
            loop {
                let mut rows = self.newest(from.mark, from.skip + limit + 1);
                rows.drain(..from.skip);
                let more = rows.len() > limit;
                rows.truncate(limit);
                all.extend(&rows);
                if !more {
                    return all;
                }
                from = Cursor::of(&from.after(self, &rows).to_string()).unwrap();
            }
        }
    }

    #[test]
    fn pages_of_any_size_are_the_whole_list_however_many_rows_are_of_one_moment() {
        let whole: Vec<i64> = (0..100).rev().collect();
        for each in [0, 1, 3, 7, 100, 1000] {
            for limit in [1, 2, 3, 7, 50, 99, 100, 101] {
                assert_eq!(Numbers { each }.walked(limit), whole, "{each} of a moment, {limit} at once");
            }
        }
    }

    #[test]
    fn a_cursor_is_of_its_question_whatever_its_purpose() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let one = fingerprint("/v1/messages", &[pair("login", "a"), pair("limit", "5")]);
        assert_eq!(
            one,
            fingerprint("/v1/messages", &[pair("limit", "9"), pair("login", "a"), pair("purpose", "x")])
        );
        assert_ne!(one, fingerprint("/v1/messages", &[pair("login", "b")]));
        assert_ne!(one, fingerprint("/v1/sessions", &[pair("login", "a")]));
    }

    #[test]
    fn what_is_no_cursor_is_none() {
        for text in ["", ".", "x.1", "1.x", "1", "1.-1", "1.1000001", "99999999999999999999.1"] {
            assert_eq!(Cursor::of(text), None, "{text}");
        }
        assert_eq!(Cursor::of("-7.1000000"), Some(Cursor { mark: Some(-7), skip: 1_000_000 }));
    }
}
