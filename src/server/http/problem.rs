//! Refusals of the HTTP API as RFC 9457 problem documents.
//!
//! Knows: the closed list of problems, their status and their fixed titles. Must not know: which request led to one.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! problems {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal, $status:ident, $title:literal;)+) => {
        /// What can be wrong with a request, or with us. A closed list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)+];

            /// The last part of its type URI.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Kind::$variant => $word,)+ }
            }

            /// The HTTP status it goes with.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Kind::$variant => StatusCode::$status,)+ }
            }

            /// RFC 9457, 3.1.3: the title does not change from one occurrence to the next.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Kind::$variant => $title,)+ }
            }
        }
    };
}

problems! {
    /// A parameter is missing, repeated, unknown, or says what it can't.
    BadParameter = "bad-parameter", BAD_REQUEST, "A parameter is wrong";
    /// The body is no JSON object of the expected shape.
    BadBody = "bad-body", BAD_REQUEST, "The body can't be understood";
    /// The body is longer than any order.
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// There is nothing at this path.
    NoSuchPath = "no-such-path", NOT_FOUND, "There is nothing at this path";
    /// The path exists, the method does not.
    NoSuchMethod = "no-such-method", METHOD_NOT_ALLOWED, "This path does not take this method";
    /// Nobody of that name was ever seen.
    UnknownSubject = "unknown-subject", NOT_FOUND, "Nobody of that name was ever seen";
    /// Nothing was ever heard of a VRF of that name.
    UnknownRealm = "unknown-realm", NOT_FOUND, "Nothing was ever heard of a realm of that name";
    /// Who is to be released is neither suspended nor limited.
    NotSuspended = "not-suspended", NOT_FOUND, "Nothing is suspended or limited under that name";
    /// No record of a NAS of that name was ever taken.
    UnknownNas = "unknown-nas", NOT_FOUND, "No NAS of that name was ever heard";
    /// The NAS that is to be held no longer is not held.
    NotHeld = "not-held", NOT_FOUND, "This NAS is not held";
    /// Nobody can be named for the address at that time.
    NotResolved = "not-resolved", NOT_FOUND, "Nobody can be named for this address at that time";
    /// There is no case of that number.
    UnknownCase = "unknown-case", NOT_FOUND, "There is no case of that number";
    /// No rule of that name is configured.
    UnknownRule = "unknown-rule", NOT_FOUND, "There is no rule of that name";
    /// No receiver of notices of that name is configured.
    UnknownNotice = "unknown-notice", NOT_FOUND, "There is no notice of that name";
    /// The case is closed already.
    CaseClosed = "case-closed", CONFLICT, "The case is closed already";
    /// The subject is the name of a static range.
    StaticRange = "static-range", CONFLICT, "The name stands for a static range";
    /// No question about a person without its purpose, as the configuration says.
    PurposeRequired = "purpose-required", BAD_REQUEST, "The purpose is missing";
    /// Nobody is known by this request.
    NoToken = "no-token", UNAUTHORIZED, "A token is needed";
    /// A token was shown, and it is not good.
    BadToken = "bad-token", UNAUTHORIZED, "This token is not good";
    /// Too many wrong tokens came from there.
    TooManyAttempts = "too-many-attempts", TOO_MANY_REQUESTS, "Too many failed logins";
    /// A browser was led here under a name that is none of ours.
    WrongHost = "wrong-host", MISDIRECTED_REQUEST, "This is not the host that was asked for";
    /// A page of somebody else sent this.
    CrossSite = "cross-site", FORBIDDEN, "Not sent by a page of ours";
    /// No token of that number is known, or it is good no longer.
    UnknownToken = "unknown-token", NOT_FOUND, "No good token has this number";
    /// Nothing was ordered about this.
    NotPreserved = "not-preserved", NOT_FOUND, "Nothing is ordered to be kept about this";
    /// There are as many tokens as there can be.
    TooManyTokens = "too-many-tokens", CONFLICT, "There are too many tokens";
    /// The asker may not do that.
    NotPermitted = "not-permitted", FORBIDDEN, "Not permitted";
    /// The question, or the order, can't be written down, so it is not answered.
    Unrecorded = "unrecorded", SERVICE_UNAVAILABLE, "It can't be recorded now";
    /// The stored past can't be read now.
    Storage = "storage", SERVICE_UNAVAILABLE, "The storage does not answer now";
    /// A stored row is not what we wrote.
    Damaged = "damaged", INTERNAL_SERVER_ERROR, "Stored data is damaged";
    /// Lookups are not true yet.
    NotReady = "not-ready", SERVICE_UNAVAILABLE, "Not ready yet";
    /// It took too long.
    TooSlow = "too-slow", SERVICE_UNAVAILABLE, "The answer took too long";
}

/// What every type URI begins with. A name, not a place: nothing needs to be fetched to understand it.
const TYPE_PREFIX: &str = "urn:relaywarden:problem:";

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Type URI.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every occurrence of its type.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time, and what to do.
    pub detail: String,
    /// The parameter or member at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
}

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Problem {
            kind: format!("{TYPE_PREFIX}{}", kind.word()),
            title: kind.title().to_owned(),
            status: kind.status().as_u16(),
            detail: detail.into(),
            parameter: None,
        }
    }

    /// A wrong parameter, by name.
    #[must_use]
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Problem { parameter: Some(name.to_owned()), ..Problem::new(Kind::BadParameter, detail) }
    }

    /// Its kind, when it is one of ours.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let word = self.kind.strip_prefix(TYPE_PREFIX)?;
        Kind::ALL.iter().copied().find(|kind| kind.word() == word)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A struct of strings and a number always has a JSON spelling; an empty body would still carry the status.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        // For whoever makes a page of it.
        response.extensions_mut().insert(self.clone());
        if let Some(challenge) = self.kind().and_then(challenge) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// RFC 6750, 3: without a token no error is told; a token that is not good, or does not suffice, is.
fn challenge(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::NoToken => Some("Bearer realm=\"relaywarden\""),
        Kind::BadToken => Some("Bearer realm=\"relaywarden\", error=\"invalid_token\""),
        Kind::NotPermitted => Some("Bearer realm=\"relaywarden\", error=\"insufficient_scope\""),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_again_by_its_type() {
        for kind in Kind::ALL {
            assert_eq!(Problem::new(*kind, "").kind(), Some(*kind));
        }
    }

    #[test]
    fn a_foreign_type_is_no_kind_of_ours() {
        let foreign = Problem { kind: "about:blank".to_owned(), ..Problem::new(Kind::Storage, "") };
        assert_eq!(foreign.kind(), None);
    }

    #[test]
    fn the_document_has_the_members_of_the_rfc() {
        let document = serde_json::to_value(Problem::parameter("port", "not a port")).expect("it is plain");
        assert_eq!(
            document,
            serde_json::json!({
                "type": "urn:relaywarden:problem:bad-parameter",
                "title": "A parameter is wrong",
                "status": 400,
                "detail": "not a port",
                "parameter": "port",
            })
        );
    }
}
