//! A question about a person: who asks, what, about whom and why. Its answer is computed, then the question is made durable,
//! and then the answer leaves.
//!
//! Knows: where each part of that stands in a request. Must not know: any answer.

use std::net::IpAddr;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};

use super::parameters::Parameters;
use super::problem::{Kind, Problem};
use super::walk::Walk;
use super::{Staff, sheet};
use crate::access::Asker;
use crate::access::question::{Asked, Reply};
use crate::clock;
use crate::session::Name;

/// A ticket's number and a sentence.
const PURPOSE_OCTETS_MAX: usize = 1024;
/// Parameters whose values are whom or what a question is about.
const ABOUT: [&str; 14] = [
    "address",
    "ip",
    "subscriber",
    "login",
    "queue_id",
    "token",
    "message_id",
    "about",
    "by",
    "sender",
    "recipient",
    "recipient_domain",
    "helo",
    "reference",
];
/// Some browsers say so of a page that nobody has asked for yet: no purpose of a person's.
const PREFETCH: &str = "prefetch";

/// A question, as long as its parameters are being taken.
pub(super) struct Question {
    pub(super) parameters: Parameters,
    path: String,
    pairs: Vec<(String, String)>,
    asker: Asker,
    what: Name,
    purpose: Option<Name>,
}

/// A question of which everything is known but its answer.
pub(super) struct Ready {
    asker: Asker,
    what: Name,
    about: Vec<Name>,
    purpose: Option<Name>,
}

/// A request's target as it is written down.
pub(super) fn spelled(uri: &Uri) -> Name {
    Name::from(uri.path_and_query().map_or_else(|| uri.path(), |whole| whole.as_str()))
}

impl<S: Send + Sync> FromRequestParts<S> for Question {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let asker = Asker::from_request_parts(parts, state).await?;
        let what = spelled(&parts.uri);
        let pairs: Result<Query<Vec<(String, String)>>, QueryRejection> =
            Query::from_request_parts(parts, state).await;
        let Query(pairs) =
            pairs.map_err(|_| Problem::parameter("query", "not a query of the form name=value&..."))?;
        let path = parts.uri.path().to_owned();
        let mut parameters = Parameters::new(pairs.clone());
        let given = parameters.text("purpose")?.map(|text| Name::from(text.trim()));
        let header = parts.headers.get("purpose").map(|value| Name::new(value.as_bytes()));
        let purpose = given.or(header).filter(|purpose| !purpose.octets().trim_ascii().is_empty());
        let purpose = purpose.filter(|purpose| *purpose != Name::from(PREFETCH));
        if purpose.as_ref().is_some_and(|purpose| purpose.octets().len() > PURPOSE_OCTETS_MAX) {
            return Err(Problem::parameter("purpose", format!("longer than {PURPOSE_OCTETS_MAX} octets")));
        }
        Ok(Question { parameters, path, pairs, asker, what, purpose })
    }
}

impl Question {
    /// Why it is asked.
    pub(super) fn purpose(&self) -> Option<String> {
        self.purpose.as_ref().map(Name::to_string)
    }

    /// Whether the rows are wanted as a table for a spreadsheet.
    pub(super) fn sheet(&mut self, headers: &HeaderMap) -> Result<bool, Problem> {
        sheet::is_wanted(headers, &mut self.parameters)
    }

    /// How much of a list is wanted, and from where on.
    pub(super) fn walk(&mut self, headers: &HeaderMap) -> Result<Walk, Problem> {
        Walk::of(&self.path, &self.pairs, headers, &mut self.parameters)
    }

    /// Refuses what is left of the parameters, and a question without a purpose where one is required.
    pub(super) fn ready<S: Staff>(self, staff: &S) -> Result<Ready, Problem> {
        let Question { parameters, pairs, asker, what, purpose, .. } = self;
        parameters.finish()?;
        if purpose.is_none() && staff.purpose_required() {
            let detail =
                "say why, or name the ticket: --purpose TEXT, over HTTP the header Purpose or purpose=";
            let problem = Problem::new(Kind::PurposeRequired, detail);
            return Err(Problem { parameter: Some("purpose".to_owned()), ..problem });
        }
        let told = pairs.iter().filter(|(name, value)| ABOUT.contains(&name.as_str()) && !value.is_empty());
        let about = told.flat_map(|(name, value)| about(staff, name, value));
        Ok(Ready { asker, what, about: Vec::new(), purpose }.and_about(about))
    }
}

/// Whom or what a parameter is about: as it was typed, and as it is kept, which is how somebody looks for it a year later.
fn about<S: Staff>(staff: &S, name: &str, value: &str) -> impl Iterator<Item = Name> + use<S> {
    let typed = Name::from_text(value);
    let kept = match name {
        "subscriber" => Some(staff.canonical(&typed)),
        "address" | "ip" => value
            .parse::<IpAddr>()
            .ok()
            .map(|address| Name::from(address.to_canonical().to_string().as_str())),
        _ => None,
    };
    std::iter::once(typed).chain(kept)
}

impl Ready {
    /// The same, also about these: what is asked about may stand in no parameter.
    pub(super) fn and_about(mut self, more: impl IntoIterator<Item = Name>) -> Ready {
        for name in more {
            if !self.about.contains(&name) {
                self.about.push(name);
            }
        }
        self
    }

    /// Writes the question down, with how many rows are its answer. Only then may they leave.
    pub(super) async fn answered<S: Staff>(&self, staff: &S, rows: usize) -> Result<(), Problem> {
        let asked = Asked {
            at: clock::now(),
            by: self.asker.name.clone(),
            role: Some(self.asker.role),
            via: self.asker.via,
            what: self.what.clone(),
            about: self.about.clone(),
            purpose: self.purpose.clone(),
            reply: Reply::Rows(u64::try_from(rows).unwrap_or(u64::MAX)),
        };
        staff.asked(asked).await?;
        Ok(())
    }
}
