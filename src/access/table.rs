//! What each path asks of whoever comes to it. A path that is not in the table is nobody's.
//!
//! Knows: methods, paths and the least role. Must not know: what is done there.

use serde::{Deserialize, Serialize};

use super::Role;

macro_rules! scopes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal;)+) => {
        /// A part of the API to which a token may be limited.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Scope {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Scope {
            /// All of them.
            pub const ALL: &'static [Scope] = &[$(Scope::$variant,)+];

            /// The word in the API and on the command line.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Scope::$variant => $word,)+ }
            }
        }
    };
}

// They are written into the log by their place: new ones go to the end.
scopes! {
    /// Who owns an address now.
    Lookup = "lookup";
    /// Who owned it then.
    Owner = "owner";
    /// The story of an address.
    Explain = "explain";
    /// Sessions.
    Sessions = "sessions";
    /// Messages.
    Messages = "messages";
    /// Feeds, and holds of a NAS.
    Nas = "nas";
    /// Who may relay, as a list.
    Permitted = "permitted";
    /// Other people's records.
    Import = "import";
    /// Suspensions and limits.
    Suspensions = "suspensions";
    /// Who asked what.
    Questions = "questions";
    /// Tokens.
    Tokens = "tokens";
    /// Metrics. They are open to whoever reaches the port; a token for nothing else does no harm where it is kept.
    Metrics = "metrics";
    /// Pages for people.
    Console = "console";
    /// Complaints about messages.
    Complaints = "complaints";
    /// Cases.
    Cases = "cases";
    /// Who had an address, in the words of other programs. A token for nothing else is what they are given.
    Resolver = "resolver";
    /// For how long the past is kept, and when nothing was heard.
    Coverage = "coverage";
    /// What must be kept longer.
    Preservations = "preservations";
    /// Attempts that were refused or deferred.
    Attempts = "attempts";
    /// Our own addresses on block lists.
    Reputation = "reputation";
    /// What scanners tell of messages. A token for nothing else is what they are given.
    Verdicts = "verdicts";
    /// What a day was like.
    Report = "report";
    /// Who is told what happens.
    Notices = "notices";
}

impl Scope {
    /// The scope of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Scope> {
        Scope::ALL.iter().copied().find(|scope| scope.word() == word)
    }
}

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Anybody may.
    Nothing,
    /// At least this role, within this scope.
    Role(Role, Scope),
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The method, in capitals.
    pub method: &'static str,
    /// The path; a part in braces stands for any one.
    pub path: &'static str,
    /// What it asks for.
    pub needs: Needs,
}

const fn open(method: &'static str, path: &'static str) -> Endpoint {
    Endpoint { method, path, needs: Needs::Nothing }
}

const fn row(method: &'static str, path: &'static str, role: Role, scope: Scope) -> Endpoint {
    Endpoint { method, path, needs: Needs::Role(role, scope) }
}

/// Everything there is.
pub const ENDPOINTS: &[Endpoint] = &[
    open("GET", "/healthz"),
    open("GET", "/readyz"),
    open("GET", "/metrics"),
    open("GET", "/v1/openapi.json"),
    open("GET", "/login"),
    open("POST", "/login"),
    open("POST", "/logout"),
    open("GET", "/assets/page.css"),
    open("GET", "/assets/icon.svg"),
    row("GET", "/", Role::Viewer, Scope::Console),
    row("GET", "/subscriber/{name}", Role::Viewer, Scope::Console),
    row("GET", "/message", Role::Viewer, Scope::Console),
    row("GET", "/messages", Role::Viewer, Scope::Console),
    row("GET", "/sessions", Role::Viewer, Scope::Console),
    row("GET", "/story", Role::Viewer, Scope::Console),
    row("GET", "/top", Role::Viewer, Scope::Console),
    row("GET", "/feeds", Role::Viewer, Scope::Console),
    row("GET", "/cases", Role::Viewer, Scope::Console),
    row("GET", "/case/{id}", Role::Viewer, Scope::Console),
    row("GET", "/rules", Role::Viewer, Scope::Console),
    row("POST", "/cases/open", Role::Operator, Scope::Console),
    row("POST", "/case/{id}/note", Role::Operator, Scope::Console),
    row("POST", "/case/{id}/limit", Role::Operator, Scope::Console),
    row("POST", "/case/{id}/suspend", Role::Operator, Scope::Console),
    row("POST", "/case/{id}/release", Role::Operator, Scope::Console),
    row("POST", "/case/{id}/dismiss", Role::Operator, Scope::Console),
    row("POST", "/case/{id}/close", Role::Operator, Scope::Console),
    row("GET", "/suspensions", Role::Viewer, Scope::Console),
    row("POST", "/suspensions/suspend", Role::Operator, Scope::Console),
    row("POST", "/suspensions/limit", Role::Operator, Scope::Console),
    row("POST", "/suspensions/release", Role::Operator, Scope::Console),
    row("GET", "/questions", Role::Auditor, Scope::Console),
    row("GET", "/v1/lookup", Role::Viewer, Scope::Lookup),
    row("GET", "/v1/owner", Role::Viewer, Scope::Owner),
    row("GET", "/v1/explain", Role::Viewer, Scope::Explain),
    row("GET", "/v1/sessions", Role::Viewer, Scope::Sessions),
    row("GET", "/v1/messages", Role::Viewer, Scope::Messages),
    row("GET", "/v1/top", Role::Viewer, Scope::Messages),
    row("GET", "/v1/usage", Role::Viewer, Scope::Messages),
    row("GET", "/v1/attempts", Role::Viewer, Scope::Attempts),
    row("GET", "/v1/scanned", Role::Viewer, Scope::Messages),
    row("POST", "/v1/verdicts", Role::Operator, Scope::Verdicts),
    row("GET", "/v1/nas", Role::Viewer, Scope::Nas),
    row("GET", "/v1/permitted", Role::Viewer, Scope::Permitted),
    row("GET", "/v1/reputation", Role::Viewer, Scope::Reputation),
    row("GET", "/v1/report", Role::Viewer, Scope::Report),
    row("GET", "/v1/notices", Role::Viewer, Scope::Notices),
    row("POST", "/v1/notices/{name}/test", Role::Operator, Scope::Notices),
    row("GET", "/v1/cases", Role::Viewer, Scope::Cases),
    row("GET", "/v1/cases/{id}", Role::Viewer, Scope::Cases),
    row("GET", "/v1/resolver/abusehq", Role::Viewer, Scope::Resolver),
    row("GET", "/v1/resolver/abuseio", Role::Viewer, Scope::Resolver),
    row("GET", "/v1/coverage", Role::Viewer, Scope::Coverage),
    row("GET", "/v1/suspensions", Role::Viewer, Scope::Suspensions),
    row("POST", "/v1/suspensions", Role::Operator, Scope::Suspensions),
    row("POST", "/v1/suspensions/limit", Role::Operator, Scope::Suspensions),
    row("POST", "/v1/suspensions/release", Role::Operator, Scope::Suspensions),
    row("DELETE", "/v1/suspensions/release", Role::Operator, Scope::Suspensions),
    row("POST", "/v1/nas/hold", Role::Operator, Scope::Nas),
    row("POST", "/v1/nas/unhold", Role::Operator, Scope::Nas),
    row("POST", "/v1/import", Role::Operator, Scope::Import),
    row("POST", "/v1/complaints", Role::Operator, Scope::Complaints),
    row("GET", "/v1/rules", Role::Viewer, Scope::Cases),
    row("GET", "/v1/rules/{name}/dry-run", Role::Viewer, Scope::Cases),
    row("POST", "/v1/cases", Role::Operator, Scope::Cases),
    row("POST", "/v1/cases/{id}/note", Role::Operator, Scope::Cases),
    // An order is one wherever it is given: whoever may do no more than keep cases stops nobody's mail.
    row("POST", "/v1/cases/{id}/limit", Role::Operator, Scope::Suspensions),
    row("POST", "/v1/cases/{id}/suspend", Role::Operator, Scope::Suspensions),
    row("POST", "/v1/cases/{id}/release", Role::Operator, Scope::Suspensions),
    row("POST", "/v1/cases/{id}/dismiss", Role::Operator, Scope::Cases),
    row("POST", "/v1/cases/{id}/close", Role::Operator, Scope::Cases),
    row("POST", "/v1/import/messages", Role::Operator, Scope::Import),
    row("GET", "/v1/questions", Role::Auditor, Scope::Questions),
    row("GET", "/v1/questions/verify", Role::Auditor, Scope::Questions),
    row("GET", "/v1/preservations", Role::Auditor, Scope::Preservations),
    row("POST", "/v1/preservations", Role::Auditor, Scope::Preservations),
    row("POST", "/v1/preservations/lift", Role::Auditor, Scope::Preservations),
    row("GET", "/v1/tokens", Role::Auditor, Scope::Tokens),
    row("POST", "/v1/tokens", Role::Auditor, Scope::Tokens),
    row("POST", "/v1/tokens/revoke", Role::Auditor, Scope::Tokens),
];

/// What stands in the table about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// This row.
    Row(&'static Endpoint),
    /// The path, with other methods.
    OtherMethods,
    /// Nothing.
    Nothing,
}

/// The row of a request. HEAD is GET without its body (RFC 9110, 9.3.2).
#[must_use]
pub fn find(method: &str, path: &str) -> Found {
    let method = if method == "HEAD" { "GET" } else { method };
    let mut found = Found::Nothing;
    for endpoint in ENDPOINTS.iter().filter(|endpoint| fits(endpoint.path, path)) {
        if endpoint.method == method {
            return Found::Row(endpoint);
        }
        found = Found::OtherMethods;
    }
    found
}

fn fits(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given => {}
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_is_there_twice() {
        for (place, one) in ENDPOINTS.iter().enumerate() {
            let again =
                ENDPOINTS.iter().skip(place + 1).any(|e| (e.method, e.path) == (one.method, one.path));
            assert!(!again, "{one:?}");
        }
    }

    #[test]
    fn a_path_that_is_not_there_is_nobodys_and_a_method_that_is_not_is_told_apart() {
        assert!(matches!(find("GET", "/v1/lookup"), Found::Row(_)));
        assert!(matches!(find("HEAD", "/v1/lookup"), Found::Row(_)));
        assert_eq!(find("PUT", "/v1/lookup"), Found::OtherMethods);
        for path in ["/v1/lookup/", "/v1/lookup/x", "//v1/lookup", "/v1", "", "/v1/LOOKUP"] {
            assert_eq!(find("GET", path), Found::Nothing, "{path}");
        }
    }

    #[test]
    fn a_part_in_braces_is_any_one_part_and_not_an_empty_one() {
        assert!(fits("/subscriber/{name}", "/subscriber/alice"));
        for path in ["/subscriber/", "/subscriber", "/subscriber/alice/x", "/subscribers/alice"] {
            assert!(!fits("/subscriber/{name}", path), "{path}");
        }
    }

    #[test]
    fn nothing_that_changes_something_is_open_but_to_come_in_and_to_go() {
        for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.method != "GET") {
            match endpoint.needs {
                Needs::Nothing => assert!(["/login", "/logout"].contains(&endpoint.path), "{endpoint:?}"),
                Needs::Role(role, _) => assert!(role >= Role::Operator, "{endpoint:?}"),
            }
        }
    }

    #[test]
    fn a_scope_is_found_by_its_word() {
        for scope in Scope::ALL {
            assert_eq!(Scope::of(scope.word()), Some(*scope));
        }
        assert_eq!(Scope::of("all"), None);
    }
}
