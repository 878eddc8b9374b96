//! Lists and their pages: sessions, messages, stories, top senders, feeds, cases, suspensions, questions.
//!
//! Knows: which columns people look at first. Must not know: how rows are found, or how long a page of them is.

use askama::Template;
use askama::filters::HtmlSafe;

use super::link::{Href, Link};
use super::{Frame, NOTHING, words};
use crate::server::http::api::{MessageRow, SessionRow, StoryRow, SuspensionRow};
use crate::server::http::cases::{CaseRow, EvidenceRow, SignalRow};
use crate::server::http::nas::NasRow;
use crate::server::http::questions::{ChainRow, QuestionRow};
use crate::server::http::reputation::ReputationRow;
use crate::server::http::rules::{RuleRow, WouldRow};
use crate::server::http::top::TopRow;

/// Sessions as a table.
#[derive(Debug, Template)]
#[template(path = "sessions-table.html")]
pub struct SessionTable<'a> {
    /// What is around it.
    pub frame: &'a Frame,
    /// What is in it.
    pub rows: &'a [SessionRow],
}

/// Messages as a table.
#[derive(Debug, Template)]
#[template(path = "messages-table.html")]
pub struct MessageTable<'a> {
    /// What is around it.
    pub frame: &'a Frame,
    /// What is in it.
    pub rows: &'a [MessageRow],
}

/// Their templates have escaped what is in them.
impl HtmlSafe for SessionTable<'_> {}
impl HtmlSafe for MessageTable<'_> {}
impl HtmlSafe for super::chart::Lanes {}
impl HtmlSafe for super::chart::Bars {}

/// The way through a list, and the same rows for programs.
#[derive(Debug, Default)]
pub struct Pager {
    /// Back to the newest rows; `None`: these are they.
    pub first: Option<Href>,
    /// On to older ones; `None`: there are none.
    pub next: Option<Href>,
    /// The rows as CSV.
    pub csv: Href,
    /// The rows as JSON.
    pub json: Href,
}

/// A field of a form that narrows a list.
#[derive(Debug)]
pub struct Field {
    /// Its name in the query.
    pub name: &'static str,
    /// What it is called.
    pub label: &'static str,
    /// What stands in it.
    pub value: String,
    /// What might.
    pub example: &'static str,
}

/// What of a list has a page: sessions or messages.
#[derive(Debug)]
pub enum Rows {
    /// Sessions.
    Sessions(Vec<SessionRow>),
    /// Messages.
    Messages(Vec<MessageRow>),
    /// The story of an address.
    Story(Vec<StoryRow>),
}

/// A list with a form that narrows it.
#[derive(Debug, Template)]
#[template(path = "list.html")]
pub struct List {
    /// What is around it.
    pub frame: Frame,
    /// What it is a list of.
    pub title: &'static str,
    /// Its path.
    pub path: &'static str,
    /// By what it can be narrowed.
    pub fields: Vec<Field>,
    /// What is in it.
    pub rows: Rows,
    /// The way through it.
    pub pager: Pager,
}

impl List {
    fn is_empty(&self) -> bool {
        match &self.rows {
            Rows::Sessions(rows) => rows.is_empty(),
            Rows::Messages(rows) => rows.is_empty(),
            Rows::Story(rows) => rows.is_empty(),
        }
    }

    fn narrowed(&self) -> bool {
        self.fields.iter().any(|field| !field.value.is_empty())
    }
}

/// Who sent most.
#[derive(Debug, Template)]
#[template(path = "top.html")]
pub struct Top {
    /// What is around it.
    pub frame: Frame,
    /// By what; each measure, and whether it is this one.
    pub measures: Vec<(Link, bool)>,
    /// The measure's word.
    pub by: &'static str,
    /// From when to when.
    pub from: String,
    /// Until then.
    pub to: String,
    /// What stands in the field for the begin.
    pub since: String,
    /// What stands in the field for the end.
    pub until: String,
    /// What is in it.
    pub rows: Vec<TopRow>,
    /// The same rows for programs.
    pub pager: Pager,
}

impl Top {
    fn amount(&self, row: &TopRow) -> u64 {
        match self.by {
            "recipients" => row.recipients,
            "bytes" => row.bytes,
            _ => row.messages,
        }
    }

    fn usual(&self, row: &TopRow) -> String {
        row.usual.map_or_else(|| NOTHING.to_owned(), |usual| self.spelled(usual))
    }

    fn spelled(&self, amount: u64) -> String {
        if self.by == "bytes" { words::octets(amount) } else { words::number(amount) }
    }

    /// A part of the most, in percent.
    fn share(&self, amount: u64) -> u64 {
        let most =
            self.rows.iter().map(|row| self.amount(row).max(row.usual.unwrap_or(0))).max().unwrap_or(0);
        amount.saturating_mul(100).checked_div(most).unwrap_or(0)
    }

    /// How much more than usual, where that is worth a word.
    fn times(&self, row: &TopRow) -> Option<String> {
        let usual = row.usual?;
        let amount = self.amount(row);
        match amount.checked_div(usual) {
            None if amount >= 20 => Some("never before".to_owned()),
            Some(times) if times >= 3 && amount >= 20 => Some(format!("{times} \u{d7} the usual")),
            _ => None,
        }
    }
}

/// The feed of each NAS, and what block lists say of us.
#[derive(Debug, Template)]
#[template(path = "feeds.html")]
pub struct Feeds {
    /// What is around it.
    pub frame: Frame,
    /// What is in it.
    pub rows: Vec<NasRow>,
    /// Our own addresses on block lists; empty: none is asked.
    pub reputation: Vec<ReputationRow>,
    /// The same rows for programs.
    pub pager: Pager,
}

impl Feeds {
    fn case(&self, id: &u64) -> Link {
        Link::new(self.frame.href(&format!("/case/{id}"), &[]), &id.to_string())
    }

    fn troubled(&self) -> usize {
        self.rows.iter().filter(|row| row.feed != "whole").count()
    }
}

/// What somebody should look at.
#[derive(Debug, Template)]
#[template(path = "cases.html")]
pub struct Cases {
    /// What is around it.
    pub frame: Frame,
    /// Which; each state, and whether it is this one.
    pub states: Vec<(Link, bool)>,
    /// By what they were opened, likewise.
    pub kinds: Vec<(Link, bool)>,
    /// Only about them; empty: about anybody.
    pub about: String,
    /// What is in it.
    pub rows: Vec<CaseRow>,
    /// The way through it.
    pub pager: Pager,
}

/// One of them.
#[derive(Debug, Template)]
#[template(path = "case.html")]
pub struct Case {
    /// What is around it.
    pub frame: Frame,
    /// It.
    pub row: CaseRow,
    /// The same for programs.
    pub json: Href,
}

impl Cases {
    fn href(&self, row: &CaseRow) -> Link {
        self.frame.case(row.id)
    }

    fn what(row: &CaseRow) -> String {
        row.what().unwrap_or_else(|| NOTHING.to_owned())
    }
}

/// What acts alone on cases.
#[derive(Debug, Template)]
#[template(path = "rules.html")]
pub struct Rules {
    /// What is around it.
    pub frame: Frame,
    /// What is in it.
    pub rows: Vec<RuleRow>,
    /// What one of them would have done, where that was asked.
    pub dry_run: Option<DryRun>,
    /// The same for programs.
    pub json: Href,
}

/// What a rule would have done to the cases that are kept.
#[derive(Debug)]
pub struct DryRun {
    /// Which rule.
    pub rule: String,
    /// To which cases.
    pub rows: Vec<WouldRow>,
}

impl Rules {
    fn rehearsal(&self, row: &RuleRow) -> Href {
        self.frame.href("/rules", &[("dry_run", &row.name)])
    }
}

/// Whom a case may be about.
#[derive(Debug)]
pub struct About {
    /// As its forms carry it: `subscriber:NAME` or `login:NAME`.
    value: String,
    /// As it reads: a login says that it is one.
    text: String,
    /// To the page about them, where there is one.
    link: Link,
}

impl Frame {
    /// A case, and its page.
    #[must_use]
    pub fn case(&self, id: u64) -> Link {
        Link::new(self.href(&format!("/case/{id}"), &[]), &id.to_string())
    }

    /// The case from which something was ordered.
    #[must_use]
    pub fn case_of(&self, order: &SuspensionRow) -> Option<Link> {
        order.case.map(|id| self.case(id))
    }

    /// Everybody whom a case may be about.
    #[must_use]
    pub fn about(&self, row: &CaseRow) -> Vec<About> {
        let subscribers = row.subscribers.iter().map(|name| ("subscriber", name));
        let logins = row.logins.iter().map(|name| ("login", name));
        let within = row.within.iter().map(|name| ("within", name));
        subscribers.chain(logins).chain(within).map(|(kind, name)| self.whom(kind, name)).collect()
    }

    /// One of them.
    #[must_use]
    pub fn whom(&self, kind: &str, name: &str) -> About {
        let text = if kind == "login" { format!("login {name}") } else { name.to_owned() };
        let link = if kind == "subscriber" { self.subscriber(Some(name)) } else { Link::nowhere(&text) };
        About { value: format!("{kind}:{name}"), text, link }
    }
}

impl Case {
    fn is_open(&self) -> bool {
        self.row.state == "open"
    }

    /// The pieces that are signals: many of them look alike.
    fn signals(&self) -> impl Iterator<Item = &SignalRow> {
        self.row.evidence.iter().filter_map(|piece| piece.signal.as_ref())
    }

    /// Those that say more.
    fn others(&self) -> impl Iterator<Item = &EvidenceRow> {
        self.row.evidence.iter().filter(|piece| piece.signal.is_none())
    }

    /// Whether it may have been another one than whom it names.
    fn is_sure(&self) -> bool {
        !["ambiguous", "unknown"].contains(&self.row.confidence.as_str())
    }
}

/// Who may not send, or little.
#[derive(Debug, Template)]
#[template(path = "suspensions.html")]
pub struct Suspensions {
    /// What is around it.
    pub frame: Frame,
    /// What is in it.
    pub rows: Vec<SuspensionRow>,
    /// The same rows for programs.
    pub pager: Pager,
}

/// Who asked what.
#[derive(Debug, Template)]
#[template(path = "questions.html")]
pub struct Questions {
    /// What is around it.
    pub frame: Frame,
    /// By what it can be narrowed.
    pub fields: Vec<Field>,
    /// What is in it.
    pub rows: Vec<QuestionRow>,
    /// Whether the chain is whole, where that was asked.
    pub chain: Option<ChainRow>,
    /// Where that is asked.
    pub verify: Href,
    /// The way through it.
    pub pager: Pager,
}

impl Questions {
    fn count(row: &QuestionRow) -> String {
        row.rows.map_or_else(|| NOTHING.to_owned(), words::number)
    }
}
