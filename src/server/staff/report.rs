//! What a day was like: sums of the past, and what holds now.
//!
//! Knows: where each part of it stands. Must not know: how it looks.

use std::sync::Arc;

use jiff::civil::Date;

use super::{StaffDesk, blocking, opened, top};
use crate::audit::rows::Count;
use crate::clock;
use crate::relay::case::{Case, Evidence, Happened, State};
use crate::relay::standing::Held;
use crate::relay::verdict::Reason;
use crate::server::http::api::rfc3339;
use crate::server::http::attempts::TOO_MANY;
use crate::server::http::coverage::GapRow;
use crate::server::http::notices::{Desk, NoticeRow, TestRow};
use crate::server::http::report::{
    CaseLine, CasesRow, FeedRow, OrderLine, OrdersRow, RefusalRow, ReportRow, SentRow,
};
use crate::server::http::top::TopFilter;
use crate::server::http::{Staff as _, Trouble};
use crate::session::{Name, Timestamp};

/// So many senders, cases and orders are named.
const TOP: usize = 10;
const NEWEST: usize = 20;
const ABOUT: usize = 3;

type Span = (Timestamp, Timestamp);

impl Desk for StaffDesk {
    fn notices(&self) -> Vec<NoticeRow> {
        self.notices.rows()
    }

    async fn test_notice(&self, name: &str, by: &Name) -> Option<TestRow> {
        self.notices.test(name, by).await
    }

    async fn report(&self, day: Option<Date>) -> Result<ReportRow, Trouble> {
        if !self.health.is_ready() {
            return Err(Trouble::NotReady);
        }
        let now = clock::now();
        let zone = self.zone();
        let today = jiff::Timestamp::from_millisecond(now.millis())
            .unwrap_or_default()
            .to_zoned_datetime(zone.clone())
            .date();
        let day = day.or_else(|| today.yesterday().ok()).unwrap_or(today);
        let begin = |day: Date| {
            let begins =
                day.to_zoned_datetime(zone.clone()).map_or(i64::MAX, |at| at.timestamp().as_millisecond());
            Timestamp::from_millis(begins)
        };
        // By the clock on the wall: two days of the year are shorter or longer.
        let (since, ends) = (begin(day), day.tomorrow().map_or(now, begin));
        let span = (since, ends.min(now).max(since));
        self.indexed().await;
        let filter = TopFilter { by: Count::Messages, since: span.0, until: span.1, limit: TOP };
        let past = Arc::clone(&self.past);
        let found = move || {
            let past = opened(&past)?;
            let all = past.top(Count::Messages, span.0, span.1, usize::MAX)?;
            let mut sent = SentRow { senders: count(all.len()), ..SentRow::default() };
            for (_, sum) in all {
                sent.messages = sent.messages.saturating_add(sum.messages);
                sent.recipients = sent.recipients.saturating_add(sum.recipients);
                sent.bytes = sent.bytes.saturating_add(sum.octets);
            }
            let top = top::top(past, &filter)?;
            Ok((
                sent,
                top,
                past.refused(span.0, span.1)?,
                past.orders(span.0, span.1)?,
                past.gaps(span.0, span.1)?,
            ))
        };
        let (sent, top, refused, (orders, ran_out), gaps) = blocking(found).await?;
        let mut refusals: Vec<RefusalRow> = refused
            .into_iter()
            .map(|(reason, sum)| RefusalRow {
                reason: reason.map_or(TOO_MANY, Reason::word).to_owned(),
                verdict: reason.map(|reason| reason.verdict().word().to_owned()),
                count: sum.count,
                observed: sum.observed,
            })
            .collect();
        refusals.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
        let feeds = self.nas();
        let unwell = feeds.iter().filter(|row| row.feed != "whole");
        let gap = |(since, until)| Some(GapRow { since: rfc3339(since), until: rfc3339(until)? });
        let behind = |row: &NoticeRow| row.waiting > 0 || row.lost > 0;
        Ok(ReportRow {
            day: day.to_string(),
            zone: zone.iana_name().unwrap_or("local").to_owned(),
            since: rfc3339(span.0),
            until: rfc3339(span.1),
            sent,
            refusals,
            top,
            cases: self.cases_of(span),
            orders: self.orders_of(orders, ran_out, now),
            listed: self.reputation().into_iter().filter(|row| row.state == "listed").collect(),
            feeds: count(feeds.len()),
            feeds_unwell: unwell
                .map(|row| FeedRow {
                    nas: row.nas.clone(),
                    feed: row.feed.clone(),
                    last_heard: row.last_heard.clone(),
                    why: row.why.clone(),
                })
                .collect(),
            gaps: gaps.into_iter().filter_map(gap).collect(),
            notices_behind: self.notices().into_iter().filter(behind).collect(),
        })
    }
}

impl StaffDesk {
    fn cases_of(&self, (since, until): Span) -> CasesRow {
        let pages = self.config.load().http.url.clone();
        let within = |at: Timestamp| since <= at && at < until;
        let all = self.shared.cases();
        let ended = |case: &&Arc<Case>| {
            let mut ends = case.history.iter().filter(|event| {
                matches!(event.what, Happened::Closed | Happened::Dismissed) && within(event.at)
            });
            case.state == State::Closed && ends.next().is_some()
        };
        let opened: Vec<_> = all.iter().filter(|case| within(case.opened)).collect();
        CasesRow {
            opened: count(opened.len()),
            closed: count(all.iter().filter(ended).count()),
            open: count(all.iter().filter(|case| case.state == State::Open).count()),
            newest: opened.iter().take(NEWEST).map(|case| line(case, pages.as_deref())).collect(),
        }
    }

    fn orders_of(
        &self,
        given: Vec<crate::audit::orders::Ordered>,
        ran_out: u64,
        now: Timestamp,
    ) -> OrdersRow {
        let of =
            |words: &[&str]| count(given.iter().filter(|one| words.contains(&one.order.as_str())).count());
        let (suspended, limited) = (of(&["suspend"]), of(&["limit", "limit-until-delisted"]));
        let released = of(&["release", "delist"]);
        let standing = self.shared.standing.load();
        let in_force = standing.in_force(now);
        let held = |kind: Held| count(in_force.iter().filter(|(_, held, _)| *held == kind).count());
        let newest = given.into_iter().take(NEWEST).map(|order| OrderLine {
            at: rfc3339(order.at),
            order: order.order,
            kind: order.kind,
            subject: order.subject.to_string(),
            until: order.until.and_then(rfc3339),
            by: order.by.to_string(),
            reason: order.reason.to_string(),
        });
        OrdersRow {
            suspended,
            limited,
            released,
            ran_out,
            suspended_now: held(Held::Suspended),
            limited_now: held(Held::Limited),
            newest: newest.collect(),
        }
    }
}

fn line(case: &Case, pages: Option<&str>) -> CaseLine {
    let words = match case.evidence.first() {
        Some(Evidence::Signal(signal)) => signal.words.to_string(),
        Some(Evidence::Listing(listing)) => format!("{} is on {}", listing.address, listing.list),
        Some(Evidence::Complaint(reported)) => {
            let from = reported.reporter.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
            format!("{}{from}", reported.feedback.as_ref().unwrap_or(&reported.form))
        }
        None => case
            .history
            .first()
            .and_then(|event| event.note.as_ref())
            .map(Name::to_string)
            .unwrap_or_default(),
    };
    CaseLine {
        id: case.id,
        opened: rfc3339(case.opened),
        kind: case.kind.word().to_owned(),
        state: case.state.word().to_owned(),
        about: case.about.iter().take(ABOUT).map(|subject| subject.name().to_string()).collect(),
        words,
        link: pages.map(|pages| format!("{pages}/case/{}", case.id)),
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
