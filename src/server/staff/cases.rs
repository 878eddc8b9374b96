//! Cases as staff sees them and acts on them.
//!
//! | act | on an open case | on a closed one |
//! |---|---|---|
//! | note, release | yes | yes: what holds on may be lifted after the case was dealt with |
//! | limit, suspend, dismiss, close | yes | no: another case says why |
//!
//! Knows: the table above, and for how long a closed case is kept. Must not know: HTTP, or what opens a case.

use super::StaffDesk;
use crate::clock;
use crate::log::entry::Entry;
use crate::relay::case::{Act, Action, Case, Happened, Opened, RULE, State};
use crate::relay::confidence::Confidence;
use crate::relay::rule::{Rule, Would};
use crate::relay::standing::{Order, Subject};
use crate::server::http::api::{SuspensionRow, rfc3339};
use crate::server::http::cases::{CaseError, CaseFilter, CaseRow, Deed, Doing, Done, Opening};
use crate::server::http::rules::{RuleRow, WouldRow};
use crate::session::{Name, Timestamp};

impl StaffDesk {
    pub(super) fn cases_that_fit(&self, filter: &CaseFilter) -> Vec<CaseRow> {
        let CaseFilter { state, kind, before, limit, .. } = *filter;
        let now = clock::now();
        let named = [
            filter.subscriber.as_ref().map(|name| Subject::Subscriber(self.canonical(name))),
            filter.login.clone().map(Subject::Login),
        ];
        let wanted = self.shared.cases().into_iter().filter(|case| {
            state.is_none_or(|state| case.state == state)
                && kind.is_none_or(|kind| case.kind == kind)
                && before.is_none_or(|before| case.id < before)
                && named.iter().flatten().all(|subject| case.about.contains(subject))
        });
        wanted.take(limit).map(|case| self.case_row(&case, now)).collect()
    }

    /// A case, with what holds of whom it is about.
    pub(super) fn case_row(&self, case: &Case, now: Timestamp) -> CaseRow {
        let standing = self.shared.standing.load();
        let in_force = standing.in_force(now).into_iter();
        let of_them = in_force.filter(|(subject, ..)| case.about.contains(subject));
        let lines = self.shared.lines.load();
        let row = |(subject, held, one)| {
            SuspensionRow::new(subject, held, one).and_access(subject, &lines).and_ties(subject, &standing)
        };
        CaseRow { in_force: of_them.map(row).collect(), ..CaseRow::from(case) }
    }

    pub(super) async fn open_case(&self, opening: Opening) -> Result<Done, CaseError> {
        let Opening { by, subject, reason, ticket, force } = opening;
        let about = self.kept_subject(subject);
        if !force {
            self.check_subject(&about).await.map_err(CaseError::Order)?;
        }
        let at = clock::now();
        let opened = Opened { at, by, about: about.clone(), reason, ticket };
        let reference = self.commit(Entry::CaseOpened(Box::new(opened))).await.ok_or(CaseError::Storage)?;
        Ok(Done { case: reference, reference, at, subject: Some(about) })
    }

    pub(super) async fn act_on_case(&self, doing: Doing) -> Result<Done, CaseError> {
        let Doing { by, case: id, deed, subject, reason, ticket, force } = doing;
        let case = self.shared.case(id).ok_or(CaseError::Unknown)?;
        if case.state == State::Closed && !matches!(deed, Deed::Note | Deed::Release) {
            return Err(CaseError::Closed);
        }
        let at = clock::now();
        // What a case tells of a message is not kept for longer than the message.
        let kept_until = at.plus(self.config.load().retention.messages);
        let act = match deed {
            Deed::Note => Act::Note,
            Deed::Dismiss => Act::Dismiss { about: case.about.clone(), kept_until },
            Deed::Close => Act::Close { kept_until },
            Deed::Limit(until) => self.order_about(&case, subject, Order::Limit { until }, force)?,
            Deed::Suspend(until) => self.order_about(&case, subject, Order::Suspend { until }, force)?,
            Deed::Release => self.order_about(&case, subject, Order::Release, force)?,
        };
        let subject = act.subject().cloned();
        let action = Action { at, by, case: id, act, reason, ticket };
        let reference = self.commit(Entry::Case(action)).await.ok_or(CaseError::Storage)?;
        Ok(Done { case: id, reference, at, subject })
    }

    fn order_about(
        &self,
        case: &Case,
        named: Option<Subject>,
        order: Order,
        force: bool,
    ) -> Result<Act, CaseError> {
        let subject = self.whom(case, named)?;
        let may = match order {
            Order::Release => self.check_held(&subject, clock::now()),
            _ if force => Ok(()),
            _ => self.check_range(&subject),
        };
        may.map_err(CaseError::Order)?;
        Ok(Act::Order(subject, order))
    }

    /// Whom an order is about. Of several, or where it may have been somebody else, nobody is meant unless named.
    fn whom(&self, case: &Case, named: Option<Subject>) -> Result<Subject, CaseError> {
        let sure = !matches!(case.confidence, Confidence::Ambiguous | Confidence::Unknown);
        match (named.map(|subject| self.kept_subject(subject)), case.about.as_slice()) {
            (Some(subject), about) if about.contains(&subject) => Ok(subject),
            (Some(_), _) | (None, []) => Err(CaseError::NotAbout),
            (None, [only]) if sure => Ok(only.clone()),
            (None, [_, ..]) => Err(CaseError::WhichOne),
        }
    }

    pub(super) fn rule_rows(&self) -> Vec<RuleRow> {
        let (config, cases) = (self.config.load(), self.shared.cases());
        let row = |rule: &Rule| RuleRow {
            name: rule.name.to_string(),
            when: rule.written.when.clone(),
            then: rule.written.then.clone(),
            mode: if rule.enforce { "enforce" } else { "observe" }.to_owned(),
            max_actions: rule.written.max_actions.clone(),
            cases: u64::try_from(cases.iter().filter(|case| has_acted(rule, case)).count())
                .unwrap_or(u64::MAX),
        };
        config.case_rules.all.iter().map(row).collect()
    }

    pub(super) fn rehearsed(&self, name: &Name) -> Option<Vec<WouldRow>> {
        let config = self.config.load();
        let rule = config.case_rules.get(name)?;
        let cases = self.shared.cases();
        let would = config.case_rules.rehearse(rule, &cases);
        Some(would.iter().map(|would| would_row(would, self.shared.case(would.case).as_deref())).collect())
    }
}

/// Also before a listing that is over.
fn has_acted(rule: &Rule, case: &Case) -> bool {
    let by = |by: &Name| by.octets().strip_prefix(RULE.as_bytes()) == Some(rule.name.octets());
    case.ruled.contains(&rule.name) || case.history.iter().any(|event| by(&event.by))
}

fn would_row(would: &Would, case: Option<&Case>) -> WouldRow {
    let what = match &would.order {
        _ if would.braked => Happened::Called,
        None => Happened::Noted,
        Some((_, Order::Suspend { .. })) => Happened::Suspended,
        Some((_, Order::Limit { .. } | Order::UntilDelisted)) => Happened::Limited,
        Some((_, Order::Release | Order::Delisted)) => Happened::Released,
    };
    let dismissed = |case: &Case| case.history.iter().any(|event| event.what == Happened::Dismissed);
    let outcome = case.map(|case| match dismissed(case) {
        true => Happened::Dismissed.word(),
        false => case.state.word(),
    });
    let order = would.order.as_ref();
    WouldRow {
        case: would.case,
        at: rfc3339(would.at),
        what: what.word().to_owned(),
        kind: order.map(|(subject, _)| subject.kind().to_owned()),
        subject: order.map(|(subject, _)| subject.name().to_string()),
        until: order.and_then(|(_, order)| order.until()).and_then(rfc3339),
        until_delisted: order.is_some_and(|(_, order)| order.is_until_delisted()),
        reason: would.because.to_string(),
        outcome: outcome.unwrap_or("gone").to_owned(),
    }
}
