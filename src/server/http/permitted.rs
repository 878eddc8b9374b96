//! `GET /v1/permitted`: every address that may relay now, a line each, for a table that is asked when we can't be.
//!
//! Knows: the lines (a contract) and how a million of them are sent. Must not know: how they are found, or what a mail
//! server makes of them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Staff;
use super::api::rfc3339;
use super::problem::Problem;
use super::question::Question;
use super::walk::NDJSON;
use crate::session::Timestamp;

/// Octets of lines that are sent at once.
const AT_ONCE: usize = 64 * 1024;

/// Who may relay at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permitted {
    /// The moment.
    pub at: Timestamp,
    /// Mail servers are answered "not mine" at the moment, whoever asks.
    pub observed: bool,
    /// The addresses, in order; no prefix lies within another.
    pub prefixes: Vec<IpNet>,
}

/// A line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Line {
    /// The first one.
    Head {
        /// The moment that the answer is about.
        at: String,
        /// `enforce` or `observe`.
        mode: String,
    },
    /// Those between.
    Prefix {
        /// Addresses that may relay.
        #[schema(value_type = String)]
        prefix: IpNet,
    },
    /// The last one: without it the answer is not whole.
    End {
        /// How many lines there were between.
        prefixes: u64,
    },
}

impl Line {
    /// Fields of numbers and strings always have a spelling.
    fn write(&self, octets: &mut Vec<u8>) {
        let _ = serde_json::to_writer(&mut *octets, self);
        octets.push(b'\n');
    }
}

/// An answer names no person, and is asked for every few minutes by a timer: it leaves no record.
pub(super) async fn permitted<S: Staff>(
    State(staff): State<Arc<S>>,
    question: Question,
) -> Result<Response, Problem> {
    question.parameters.finish()?;
    let permitted = staff.permitted().await?;
    Ok(([(header::CONTENT_TYPE, NDJSON)], Body::new(Lines::of(permitted))).into_response())
}

/// The lines, spelled as they are sent.
struct Lines {
    head: Option<Line>,
    prefixes: std::vec::IntoIter<IpNet>,
    end: Option<Line>,
}

impl Lines {
    fn of(permitted: Permitted) -> Self {
        let mode = if permitted.observed { "observe" } else { "enforce" }.to_owned();
        let at = rfc3339(permitted.at).unwrap_or_default();
        let count = u64::try_from(permitted.prefixes.len()).unwrap_or(u64::MAX);
        Lines {
            head: Some(Line::Head { at, mode }),
            prefixes: permitted.prefixes.into_iter(),
            end: Some(Line::End { prefixes: count }),
        }
    }

    fn next(&mut self) -> Option<Line> {
        let between = |lines: &mut Self| lines.prefixes.next().map(|prefix| Line::Prefix { prefix });
        self.head.take().or_else(|| between(self)).or_else(|| self.end.take())
    }
}

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut octets = Vec::with_capacity(AT_ONCE);
        while octets.len() < AT_ONCE
            && let Some(line) = self.next()
        {
            line.write(&mut octets);
        }
        let frame = (!octets.is_empty()).then(|| Ok(Frame::data(Bytes::from(octets))));
        Poll::Ready(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn a_hundred_thousand_lines_are_sent_in_parts_with_a_head_and_an_end() {
        let prefixes: Vec<IpNet> =
            (0..100_000_u32).map(|n| IpNet::from(std::net::IpAddr::from(n.to_be_bytes()))).collect();
        let permitted = Permitted { at: Timestamp::from_seconds(1_795_442_405), observed: true, prefixes };
        let (mut parts, mut text) = (0, Vec::new());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut lines = Lines::of(permitted);
            while let Some(frame) = lines.frame().await {
                let octets = frame.unwrap().into_data().unwrap();
                assert!(octets.len() < AT_ONCE + 100);
                parts += 1;
                text.extend_from_slice(&octets);
            }
        });
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(parts > 10 && lines.len() == 100_002, "{parts} parts, {} lines", lines.len());
        assert_eq!(lines[0], r#"{"at":"2026-11-23T14:00:05.000Z","mode":"observe"}"#);
        assert_eq!(lines[100_000], r#"{"prefix":"0.1.134.159/32"}"#);
        assert_eq!(lines[100_001], r#"{"prefixes":100000}"#);
    }
}
