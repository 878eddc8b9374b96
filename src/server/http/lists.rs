//! `/v1/sessions`, `/v1/messages` and `/v1/explain`: the lists that go on for long.
//!
//! Knows: their filters, and what marks a place in them. Must not know: how parts of a list are sent.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::api::{self, MessageRow, SessionRow, StoryRow};
use super::problem::Problem;
use super::question::Question;
use super::walk::Walked;
use super::{Staff, Trouble, Wanted, in_order, realm};
use crate::audit::rows::{Listed, MessageFilter, SessionFilter, StoryFilter};
use crate::session::{Realm, Timestamp};

/// The earlier of what was asked for and what a cursor's mark, a moment in milliseconds, allows.
pub(super) fn until(asked: Option<Timestamp>, mark: Option<i64>) -> Option<Timestamp> {
    let mark = mark.map(|mark| Timestamp::from_millis(mark.saturating_add(1)));
    asked.into_iter().chain(mark).min()
}

/// Where a cursor of rows in the order of their moments stands.
pub(super) fn mark(at: Option<&str>) -> Option<i64> {
    api::parse_rfc3339(at?).map(Timestamp::millis)
}

impl Walked for SessionFilter {
    type Row = SessionRow;

    async fn rows<S: Staff>(
        &self,
        staff: &S,
        mark: Option<i64>,
        limit: usize,
    ) -> Result<Vec<SessionRow>, Trouble> {
        staff.sessions(&SessionFilter { until: until(self.until, mark), limit, ..self.clone() }).await
    }

    fn lost<S: Staff>(&self, staff: &S) -> Option<Timestamp> {
        // One that began long before may have lasted until then.
        staff.lost(Listed::Sessions, None, self.until)
    }

    /// By address they are in the order in which they came to hold it.
    fn mark(&self, row: &SessionRow) -> Option<i64> {
        mark(row.valid_from.as_deref()).filter(|_| self.prefix.is_none())
    }
}

impl Walked for MessageFilter {
    type Row = MessageRow;

    async fn rows<S: Staff>(
        &self,
        staff: &S,
        mark: Option<i64>,
        limit: usize,
    ) -> Result<Vec<MessageRow>, Trouble> {
        staff.messages(&MessageFilter { until: until(self.until, mark), limit, ..self.clone() }).await
    }

    fn lost<S: Staff>(&self, staff: &S) -> Option<Timestamp> {
        staff.lost(Listed::Messages, self.since, self.until)
    }

    fn mark(&self, row: &MessageRow) -> Option<i64> {
        mark(Some(&row.at))
    }
}

impl Walked for StoryFilter {
    type Row = StoryRow;
    const IS_STORY: bool = true;

    async fn rows<S: Staff>(
        &self,
        staff: &S,
        mark: Option<i64>,
        limit: usize,
    ) -> Result<Vec<StoryRow>, Trouble> {
        // A mark that is no sequence is before them all.
        let through = mark.map(|mark| u64::try_from(mark).unwrap_or_default());
        let mut rows = staff.explain(&StoryFilter { through, limit, ..self.clone() }).await?;
        rows.reverse();
        Ok(rows)
    }

    fn lost<S: Staff>(&self, staff: &S) -> Option<Timestamp> {
        staff.lost(Listed::Sessions, self.since, self.until)
    }

    fn mark(&self, row: &StoryRow) -> Option<i64> {
        i64::try_from(row.sequence).ok()
    }
}

pub(super) async fn sessions<S: Staff>(
    State(staff): State<Arc<S>>,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let walk = question.walk(&headers)?;
    let parameters = &mut question.parameters;
    let filter = SessionFilter {
        subscriber: parameters.name("subscriber")?,
        prefix: parameters.prefix("address")?,
        realm: realm(&*staff, parameters)?.1,
        since: parameters.time("since")?,
        until: parameters.time("until")?,
        limit: 0,
    };
    in_order(filter.since, filter.until)?;
    if filter.realm != Realm::PUBLIC && filter.prefix.is_none() {
        return Err(Problem::parameter("realm", "says in which space address lies; name that too"));
    }
    let ready = question.ready(&*staff)?;
    walk.answer(filter, ready, staff).await
}

pub(super) async fn messages<S: Staff>(
    State(staff): State<Arc<S>>,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let walk = question.walk(&headers)?;
    let parameters = &mut question.parameters;
    let filter = MessageFilter {
        subscriber: parameters.name("subscriber")?,
        address: parameters.address("address")?,
        queue_id: parameters.name("queue_id")?,
        token: parameters.name("token")?,
        message_id: parameters.message_id("message_id")?,
        login: parameters.name("login")?,
        sender: parameters.name("sender")?,
        recipient: parameters.name("recipient")?.map(|recipient| staff.recipient(&recipient)),
        recipient_domain: parameters.name("recipient_domain")?,
        helo: parameters.name("helo")?,
        since: parameters.time("since")?,
        until: parameters.time("until")?,
        limit: 0,
    };
    in_order(filter.since, filter.until)?;
    let ready = question.ready(&*staff)?;
    walk.answer(filter, ready, staff).await
}

pub(super) async fn explain<S: Staff>(
    State(staff): State<Arc<S>>,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let walk = question.walk(&headers)?;
    let Wanted { realm, address, port, .. } = Wanted::of(&*staff, &mut question.parameters)?;
    let parameters = &mut question.parameters;
    let filter = StoryFilter {
        realm,
        address,
        port,
        since: parameters.time("since")?,
        until: parameters.time("until")?,
        through: None,
        limit: 0,
    };
    in_order(filter.since, filter.until)?;
    let ready = question.ready(&*staff)?;
    walk.answer(filter, ready, staff).await
}
