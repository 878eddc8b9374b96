//! From a complaint to a subscriber, and what becomes of it: a case.
//!
//! | way | what it rests on | may be forged by |
//! |---|---|---|
//! | token | the header that our mail server added, and the message it was written down with | nobody who has not seen one |
//! | queue-id | a Received header: queue id, time and client address of a message that was written down | whoever knows of one |
//! | message-id | a message that was written down with this Message-ID, whose client's address and time stand in the report, or its token | whoever has seen the header of a message |
//! | address | who had the source address and port at the time of arrival | the reporter |
//!
//! Ways that lead to the same subscriber agree, and the surest of them says how sure it is. If two lead to different ones,
//! nobody is accused and all are told. A Message-ID alone leads to nobody: whoever has seen one can write it into mail of his own, send
//! that by another provider, and have it complained about. A way that leads nowhere says nothing: the source address may be our own server's.
//!
//! Knows: the table above. Must not know: how a report is spelled, or HTTP.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;

use super::{StaffDesk, blocking, opened};
use crate::audit::rows::MessageFilter;
use crate::clock;
use crate::complaint::{self, Complaint, Hop};
use crate::log::entry::Entry;
use crate::relay::case::{self, MESSAGES_MAX, Reported};
use crate::relay::confidence::Confidence;
use crate::relay::message::Message;
use crate::server::http::api::{MessageRow, Who, rfc3339};
use crate::server::http::cases::{CaseError, CaseFilter, CaseRow, Doing, Done, Opening};
use crate::server::http::complaints::{ComplaintRow, Desk, Refused, WayRow};
use crate::server::http::rules::{RuleRow, WouldRow};
use crate::server::http::{Staff, Trouble};
use crate::session::{Name, Realm, Timestamp};

/// Between a Received header and the record of its message lie the content's transfer and a clock's error.
const AROUND_A_HOP: Duration = Duration::from_secs(3600);
/// Around the arrival that a reporter tells; messages further away are other ones.
const AROUND_THE_ARRIVAL: Duration = Duration::from_secs(15 * 60);
/// So many messages are shown.
const SHOWN_MAX: usize = 50;

impl Desk for StaffDesk {
    async fn complain(&self, by: Name, report: Bytes) -> Result<ComplaintRow, Refused> {
        let header = self.config.load().policy.header.clone();
        let read = tokio::task::spawn_blocking(move || complaint::read(&report, header.as_deref()));
        let read = read.await.map_err(|_| Refused::Trouble(Trouble::Storage))?;
        let complaint = read.map_err(Refused::Unreadable)?;
        let (ways, messages) = self.ways(&complaint).await.map_err(Refused::Trouble)?;
        let mut row = judged(ways);
        row.missing = complaint.missing().into_iter().map(str::to_owned).collect();
        row.messages = messages.iter().take(SHOWN_MAX).map(MessageRow::from).collect();
        tell(&mut row, &complaint);
        let key = complaint.key();
        let entry = entry(by, &row, complaint, &messages, key);
        let sequence = self
            .commit(Entry::Complaint(Box::new(entry)))
            .await
            .ok_or(Refused::Trouble(Trouble::Unrecorded))?;
        let case = self.shared.case_of_entry(sequence).map_or(sequence, |case| case.id);
        Ok(ComplaintRow { case, joined: case != sequence, ..row })
    }

    fn cases(&self, filter: &CaseFilter) -> Vec<CaseRow> {
        self.cases_that_fit(filter)
    }

    fn case(&self, id: u64) -> Option<CaseRow> {
        self.shared.case(id).map(|case| self.case_row(&case, clock::now()))
    }

    fn rules(&self) -> Vec<RuleRow> {
        self.rule_rows()
    }

    fn rehearse(&self, rule: &Name) -> Option<Vec<WouldRow>> {
        self.rehearsed(rule)
    }

    async fn open(&self, opening: Opening) -> Result<Done, CaseError> {
        self.open_case(opening).await
    }

    async fn act(&self, doing: Doing) -> Result<Done, CaseError> {
        self.act_on_case(doing).await
    }
}

impl StaffDesk {
    /// Each way that the report allows for, and the messages that match by any of them.
    async fn ways(&self, complaint: &Complaint) -> Result<(Vec<WayRow>, Vec<Message>), Trouble> {
        let now = clock::now();
        let of = |messages: &[Message]| {
            let rows: Vec<MessageRow> = messages.iter().map(MessageRow::from).collect();
            Who::of_messages(&rows, now)
        };
        let way = |way: &str, answer| WayRow { way: way.to_owned(), answer };
        let (mut ways, mut all) = (Vec::new(), Vec::new());
        if let Some(token) = &complaint.token {
            let filter = MessageFilter { token: Some(token.clone()), limit: 100, ..MessageFilter::default() };
            let found = self.found(filter).await?;
            ways.push(way("token", of(&found)));
            add(&mut all, found);
        }
        let mut by_queue_id = Vec::new();
        let mut tried = false;
        for hop in &complaint.hops {
            // Queue ids are used again: without a time one of them is anybody's.
            let (Some(queue_id), Some(at)) = (&hop.queue_id, hop.at) else { continue };
            tried = true;
            let filter = around(at, AROUND_A_HOP);
            let mut found = self.found(MessageFilter { queue_id: Some(queue_id.clone()), ..filter }).await?;
            found.retain(|message| agrees(message, hop));
            add(&mut by_queue_id, found);
        }
        if tried {
            let mut answer = of(&by_queue_id);
            if by_queue_id.is_empty() {
                answer.because =
                    Some("no message with one of these queue ids was written down then".to_owned());
            }
            ways.push(way("queue-id", answer));
            add(&mut all, by_queue_id);
        }
        if let Some(id) = &complaint.message_id {
            let filter =
                MessageFilter { message_id: Some(id.clone()), limit: 100, ..MessageFilter::default() };
            let known = self.found(filter).await?;
            let is_known = !known.is_empty();
            let found: Vec<Message> =
                known.into_iter().filter(|message| bears_out(message, complaint)).collect();
            if is_known {
                let mut answer = of(&found);
                if found.is_empty() {
                    answer.because = Some(NOT_BORNE_OUT.to_owned());
                }
                ways.push(way("message-id", answer));
            }
            add(&mut all, found);
        }
        if let (Some(address), Some(arrival)) = (complaint.address, complaint.arrival) {
            ways.push(way("address", self.owner(Realm::PUBLIC, address, complaint.port, arrival).await?));
            let filter = around(arrival, AROUND_THE_ARRIVAL);
            let mut found = self.found(MessageFilter { address: Some(address), ..filter }).await?;
            found.retain(|message| same(message.port, complaint.port));
            add(&mut all, found);
        }
        Ok((ways, all))
    }

    async fn found(&self, filter: MessageFilter) -> Result<Vec<Message>, Trouble> {
        self.indexed().await;
        let past = Arc::clone(&self.past);
        blocking(move || opened(&past)?.messages(&filter)).await
    }
}

fn around(at: Timestamp, span: Duration) -> MessageFilter {
    MessageFilter {
        since: Some(at.minus(span)),
        until: Some(at.plus(span)),
        limit: 100,
        ..MessageFilter::default()
    }
}

/// What only one of the two tells does not part them.
fn same<T: PartialEq + Copy>(one: Option<T>, other: Option<T>) -> bool {
    one.is_none() || other.is_none() || one == other
}

/// A queue id is soon known to whoever gets a message; the client's address and port beside it must fit, too.
fn agrees(message: &Message, hop: &Hop) -> bool {
    let address = message.address.map(|address| address.to_canonical());
    same(address, hop.address) && same(message.port, hop.port)
}

/// Whether the report says of a message more than its Message-ID: its token, or its client's address at its time.
fn bears_out(message: &Message, complaint: &Complaint) -> bool {
    let address = message.address.map(|address| address.to_canonical());
    let is_client = |told: Option<IpAddr>, port, at: Option<Timestamp>| {
        let near = |at: Timestamp| message.at.since(at).max(at.since(message.at)) <= AROUND_A_HOP;
        address.is_some() && told == address && same(message.port, port) && at.is_some_and(near)
    };
    complaint.token.is_some() && complaint.token == message.token
        || is_client(complaint.address, complaint.port, complaint.arrival)
        || complaint.hops.iter().any(|hop| is_client(hop.address, hop.port, hop.at))
}

const NOT_BORNE_OUT: &str = "a message with this Message-ID was written down, but the report has neither its token nor its client's \
                             address at that time; whoever has seen a Message-ID can write it";

fn add(all: &mut Vec<Message>, found: Vec<Message>) {
    for message in found {
        if !all.contains(&message) {
            all.push(message);
        }
    }
}

/// What the ways come to.
fn judged(ways: Vec<WayRow>) -> ComplaintRow {
    let mut candidates: Vec<String> = Vec::new();
    for name in ways.iter().flat_map(|way| names(&way.answer)) {
        if !candidates.contains(&name) {
            candidates.push(name);
        }
    }
    // The first that names somebody is the surest.
    let surest = ways.iter().find(|way| way.answer.subscriber.is_some());
    let somebody = ways.iter().any(|way| way.answer.names_somebody());
    let agree = surest.and_then(|way| way.answer.subscriber.clone()).filter(|subscriber| {
        let mut told = ways.iter().filter(|way| way.answer.names_somebody());
        told.all(|way| names(&way.answer).contains(subscriber))
    });
    let (subscriber, confidence, because) = match (surest, agree) {
        (Some(way), Some(subscriber)) => {
            let because = match &way.answer.because {
                Some(because) => format!("by {}: {because}", way.way),
                None => format!("by {}", way.way),
            };
            (Some(subscriber), way.answer.confidence.clone(), because)
        }
        (Some(_), None) => {
            (None, word(Confidence::Ambiguous), "the ways lead to different subscribers".to_owned())
        }
        (None, _) if somebody => {
            let because = ways
                .iter()
                .find(|way| way.answer.names_somebody())
                .and_then(|way| way.answer.because.clone());
            let because = because.unwrap_or_else(|| "more than one may have sent it".to_owned());
            (None, word(Confidence::Ambiguous), because)
        }
        (None, _) if ways.is_empty() => {
            (None, word(Confidence::Unknown), "the report has nothing that leads to a subscriber".to_owned())
        }
        (None, _) => {
            let because = ways.iter().find_map(|way| way.answer.because.clone());
            (
                None,
                word(Confidence::Unknown),
                because.unwrap_or_else(|| "no way leads to a subscriber".to_owned()),
            )
        }
    };
    ComplaintRow { subscriber, confidence, because, candidates, ways, ..ComplaintRow::default() }
}

fn names(who: &Who) -> Vec<String> {
    let candidates = who.candidates.iter().filter_map(|candidate| candidate.subscriber.clone());
    who.subscriber.iter().cloned().chain(candidates).collect()
}

fn word(confidence: Confidence) -> String {
    confidence.word().to_owned()
}

fn tell(row: &mut ComplaintRow, complaint: &Complaint) {
    let spelled = |name: &Option<Name>| name.as_ref().map(Name::to_string);
    complaint.form.word().clone_into(&mut row.form);
    row.feedback = spelled(&complaint.feedback);
    row.reporter = spelled(&complaint.reporter);
    row.address = complaint.address.map(|address| address.to_string());
    row.port = complaint.port;
    row.arrival = complaint.arrival.and_then(rfc3339);
    row.message_id = spelled(&complaint.message_id);
    row.token = spelled(&complaint.token);
}

fn entry(
    by: Name,
    row: &ComplaintRow,
    complaint: Complaint,
    messages: &[Message],
    key: Option<(Name, Name)>,
) -> case::Complaint {
    let confidence = Confidence::ALL.into_iter().find(|confidence| confidence.word() == row.confidence);
    let about = match &row.subscriber {
        Some(subscriber) => vec![Name::from_text(subscriber)],
        None => row.candidates.iter().take(MESSAGES_MAX).map(|name| Name::from_text(name)).collect(),
    };
    let messages = messages.iter().take(MESSAGES_MAX);
    let found_by = row.ways.iter().filter(|way| way.answer.names_somebody());
    case::Complaint {
        at: clock::now(),
        by,
        about,
        confidence: confidence.unwrap_or(Confidence::Unknown),
        key,
        evidence: Reported {
            form: Name::from(complaint.form.word()),
            feedback: complaint.feedback,
            reporter: complaint.reporter,
            address: complaint.address,
            port: complaint.port,
            arrival: complaint.arrival,
            message_id: complaint.message_id,
            token: complaint.token,
            messages: messages.map(|message| (message.mta.clone(), message.queue_id.clone())).collect(),
            found_by: found_by.map(|way| Name::from(way.way.as_str())).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::http::api::Candidate;

    fn way(way: &str, subscriber: Option<&str>, candidates: &[&str], confidence: &str) -> WayRow {
        let candidate =
            |name: &&str| Candidate { subscriber: Some((*name).to_owned()), ..Candidate::default() };
        let answer = Who {
            subscriber: subscriber.map(str::to_owned),
            confidence: confidence.to_owned(),
            candidates: candidates.iter().map(candidate).collect(),
            ..Who::default()
        };
        WayRow { way: way.to_owned(), answer }
    }

    #[test]
    fn ways_that_agree_name_the_subscriber_and_those_that_do_not_name_nobody() {
        let token = way("token", Some("alice"), &["alice"], "exact");
        let same = way("address", Some("alice"), &["alice"], "until-last-interim");
        let other = way("address", Some("bob"), &["bob"], "exact");
        let among = way("address", None, &["bob", "alice"], "ambiguous");
        let others = way("address", None, &["bob", "carol"], "ambiguous");
        let nobody = way("address", None, &[], "exact");
        let likely = way("address", Some("bob"), &["bob"], "until-last-interim");
        for (ways, subscriber, confidence, candidates) in [
            (vec![token.clone(), same], Some("alice"), "exact", 1),
            (vec![token.clone(), nobody.clone()], Some("alice"), "exact", 1),
            (vec![token.clone(), among.clone()], Some("alice"), "exact", 2),
            (vec![token.clone(), other], None, "ambiguous", 2),
            (vec![token, others], None, "ambiguous", 3),
            (vec![among], None, "ambiguous", 2),
            (vec![likely], Some("bob"), "until-last-interim", 1),
            (vec![nobody], None, "unknown", 0),
            (Vec::new(), None, "unknown", 0),
        ] {
            let row = judged(ways);
            assert_eq!(
                (row.subscriber.as_deref(), row.confidence.as_str(), row.candidates.len()),
                (subscriber, confidence, candidates)
            );
            assert!(!row.because.is_empty());
        }
    }
}
