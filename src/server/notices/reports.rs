//! Sends the report of a day to whoever asks for it: once, at the hour they name, and late rather than never.
//!
//! Knows: when a day is due. Must not know: what a report says.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use tokio::sync::watch;

use super::{Notices, stored};
use crate::access::question::{Asked, Reply};
use crate::access::{Role, Via};
use crate::clock;
use crate::config::Receiver;
use crate::console;
use crate::notice::Kind;
use crate::notice::body::Body;
use crate::server::http::Staff as _;
use crate::server::http::notices::Desk as _;
use crate::server::staff::StaffDesk;
use crate::session::{Name, Timestamp};

/// How often is looked at the clock: a report is no more than that late.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How long a report that could not be put among what waits is left alone, at most.
const WAIT_MOST: Duration = Duration::from_secs(3600);

/// The day whose report is due last: at this hour of the next day.
#[must_use]
pub fn due(now: Timestamp, at: Time, zone: &TimeZone) -> Option<Date> {
    let now = jiff::Timestamp::from_millisecond(now.millis()).ok()?.to_zoned_datetime(zone.clone());
    let days = if now.time() >= at { 1 } else { 2 };
    now.date().checked_sub(jiff::Span::new().days(days)).ok()
}

/// Looks at the clock until it is told to stop.
pub async fn run(notices: Arc<Notices>, desk: Arc<StaffDesk>, mut stopping: watch::Receiver<bool>) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    let all = async {
        let mut refusals: HashMap<Name, Refusal> = HashMap::new();
        loop {
            look.tick().await;
            let (receivers, now) = (notices.config.load().notices.clone(), clock::now());
            for receiver in receivers.iter().filter(|receiver| receiver.events.contains(&Kind::Report)) {
                if refusals.get(&receiver.name).is_some_and(|refusal| now < refusal.until) {
                    continue;
                }
                if send_if_due(&notices, &desk, receiver).await {
                    refusals.remove(&receiver.name);
                } else {
                    let before = refusals.get(&receiver.name).copied();
                    refusals.insert(receiver.name.clone(), Refusal::after(before, now));
                }
            }
        }
    };
    tokio::select! {
        () = all => {}
        _ = stopping.wait_for(|stop| *stop) => {}
    }
}

/// A report is a lot of work and a question that is written down: while the disk refuses it, that is not done at each look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refusal {
    wait: Duration,
    until: Timestamp,
}

impl Refusal {
    fn after(before: Option<Refusal>, now: Timestamp) -> Refusal {
        let wait = before.map_or(LOOK_EVERY, |before| before.wait).saturating_mul(2).min(WAIT_MOST);
        Refusal { wait, until: now.plus(wait) }
    }
}

/// After days without us it is the last one that is told: who needs the others can ask for them. False when one was made and could
/// not be put among what waits.
async fn send_if_due(notices: &Notices, desk: &StaffDesk, receiver: &Receiver) -> bool {
    let Some(day) = due(clock::now(), receiver.report_at, &desk.zone()) else { return true };
    let (name, outbox) = (receiver.name.to_string(), Arc::clone(&notices.outbox));
    let of = name.clone();
    let reported = stored(move || outbox.reported(&of)).await.flatten();
    let spelled = day.to_string();
    match reported {
        // Not known yet, or the disk refuses: the next look will tell.
        None => return true,
        Some(Some(reported)) if reported >= spelled => return true,
        Some(Some(_)) => {}
        // Whoever is new is told from the next day on.
        Some(None) => {
            let outbox = Arc::clone(&notices.outbox);
            let _ = stored(move || outbox.set_reported(&name, &spelled)).await;
            return true;
        }
    }
    let Ok(row) = desk.report(Some(day)).await else { return true };
    let at = clock::now();
    // It names who sent most, and leaves the house: that is written down as any other question.
    let asked = Asked {
        at,
        by: Name::from(format!("notice:{name}").as_str()),
        role: Some(Role::Viewer),
        via: Via::Socket,
        what: Name::from(format!("/v1/report?day={spelled}").as_str()),
        about: Vec::new(),
        purpose: Some(Name::from("daily report")),
        reply: Reply::Rows(u64::try_from(row.top.len()).unwrap_or(u64::MAX)),
    };
    if desk.asked(asked).await.is_err() {
        return false;
    }
    let zone = desk.zone();
    let body =
        Body::report(&spelled, at, console::report::text(&row, &zone), console::report::html(&row, &zone));
    let outbox = Arc::clone(&notices.outbox);
    stored(move || outbox.report(&name, &spelled, &body, at)).await.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due_at(now: &str, at: &str) -> String {
        let now: jiff::Timestamp = now.parse().unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        due(Timestamp::from_millis(now.as_millisecond()), at.parse().unwrap(), &zone).unwrap().to_string()
    }

    #[test]
    fn a_report_that_is_refused_is_made_ever_more_seldom_and_each_hour_at_least() {
        let now = Timestamp::from_seconds(1_795_442_400);
        let mut refusal = None;
        let waits: Vec<u64> = (0..9)
            .map(|_| {
                let next = Refusal::after(refusal, now);
                refusal = Some(next);
                next.until.since(now).as_secs()
            })
            .collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    }

    #[test]
    fn a_day_is_due_at_its_hour_of_the_next_and_not_a_minute_before() {
        assert_eq!(due_at("2026-11-26T05:59:59Z", "07:00"), "2026-11-24");
        assert_eq!(due_at("2026-11-26T06:00:00Z", "07:00"), "2026-11-25");
        assert_eq!(due_at("2026-11-26T22:59:59Z", "07:00"), "2026-11-25");
        // After midnight there, and before it in Greenwich.
        assert_eq!(due_at("2026-11-26T23:30:00Z", "00:00"), "2026-11-26");
    }

    #[test]
    fn an_hour_that_is_not_there_or_twice_makes_no_day_more_or_less() {
        // In March the clock goes from 02:00 to 03:00, in October from 03:00 back to 02:00.
        assert_eq!(due_at("2026-03-29T00:59:59Z", "02:30"), "2026-03-27");
        assert_eq!(due_at("2026-03-29T01:00:00Z", "02:30"), "2026-03-28");
        assert_eq!(due_at("2026-10-25T00:30:00Z", "02:30"), "2026-10-24");
        // The hour comes again: what was told of then is not told again, as its day was noted.
        assert_eq!(due_at("2026-10-25T01:10:00Z", "02:30"), "2026-10-23");
        assert_eq!(due_at("2026-10-25T01:30:00Z", "02:30"), "2026-10-24");
    }
}
