//! What stands in the document about each path, beside the table of who may.
//!
//! Knows: what each path takes, answers and refuses. Must not know: how that is spelled in the document.

use super::super::problem::Kind;
use super::REPORT;

/// What a parameter's value is.
#[derive(Clone, Copy)]
pub(super) enum Kindred {
    Text,
    Moment,
    Span,
    Number,
    Port,
    Limit,
    Day,
}

/// A parameter of a query.
pub(super) struct Given(pub(super) &'static str, pub(super) Kindred, pub(super) &'static str);

/// What a path answers when all is well.
pub(super) enum Answered {
    /// An object, or an array of them.
    One(&'static str),
    Rows(&'static str),
    /// Rows as an array, or as CSV.
    Sheet(&'static str),
    /// Rows as an array, as lines for whoever asks for them, or as CSV.
    Walk(&'static str),
    Lines(&'static str),
    Text(&'static str),
    /// A page, and where a browser goes next.
    Page,
    Document,
}

/// What stands about a path beside the table.
pub(super) struct About {
    pub(super) summary: &'static str,
    pub(super) takes: &'static [Given],
    pub(super) required: &'static [&'static str],
    pub(super) body: Option<&'static str>,
    pub(super) answer: Answered,
    pub(super) refuses: &'static [Kind],
}

const ADDRESS: Given = Given("address", Kindred::Text, "An IP address.");
const PORT: Given = Given("port", Kindred::Port, "The source port; needed where an address is shared.");
const REALM: Given =
    Given("realm", Kindred::Text, "The VRF of a private address; without it the public space.");
const SINCE: Given = Given("since", Kindred::Moment, "From then on: RFC 3339 with an offset.");
const UNTIL: Given = Given("until", Kindred::Moment, "Before then: RFC 3339 with an offset.");
const LIMIT: Given = Given("limit", Kindred::Limit, "At most so many rows.");
const CURSOR: Given =
    Given("cursor", Kindred::Text, "Where the list goes on: from the Link header of the page before.");
const FORMAT: Given = Given("format", Kindred::Text, "json, or csv; the header Accept says the same.");
const PURPOSE: Given =
    Given("purpose", Kindred::Text, "Why you ask, or the ticket; the header Purpose says the same.");
const SUBSCRIBER: Given = Given("subscriber", Kindred::Text, "Whose.");
const LOGIN: Given = Given("login", Kindred::Text, "With this SASL login.");
const SENDER: Given = Given("sender", Kindred::Text, "From this envelope sender, whatever its case.");
const RECIPIENT: Given = Given("recipient", Kindred::Text, "To this recipient, of the first hundred.");
const RECIPIENT_DOMAIN: Given =
    Given("recipient_domain", Kindred::Text, "To a recipient in this domain, whatever its case.");
const HELO: Given = Given("helo", Kindred::Text, "With this HELO name, whatever its case.");
const QUEUE_ID: Given = Given("queue_id", Kindred::Text, "With this queue id.");
const MESSAGE_TOKEN: Given = Given("token", Kindred::Text, "With this token in the header.");
const MESSAGE_ID: Given = Given("message_id", Kindred::Text, "With this Message-ID, where a milter saw it.");
const WITHIN: Given =
    Given("within", Kindred::Span, "All who had it so long before and after that time, such as 2m.");
const IP: Given = Given("ip", Kindred::Text, "An IP address.");
const TIMESTAMP: Given = Given("timestamp", Kindred::Moment, "Then instead of now: RFC 3339 with an offset.");
const NOTICE: Given = Given("name", Kindred::Text, "A receiver of notices.");
const ID: Given = Given("id", Kindred::Number, "The number of a case.");
const AT: Given = Given("at", Kindred::Moment, "Then instead of now: RFC 3339 with an offset.");

/// What any question about the past can run into.
const PAST: &[Kind] =
    &[Kind::BadParameter, Kind::PurposeRequired, Kind::Unrecorded, Kind::Storage, Kind::Damaged];
const PAST_IN_REALM: &[Kind] = &[
    Kind::BadParameter,
    Kind::PurposeRequired,
    Kind::UnknownRealm,
    Kind::Unrecorded,
    Kind::Storage,
    Kind::Damaged,
];
const PLAIN: About = About {
    summary: "",
    takes: &[],
    required: &[],
    body: None,
    answer: Answered::Text("text/plain"),
    refuses: &[],
};

/// What stands about this path; `None`: nothing, and the test of the document says so.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn about(method: &str, path: &str) -> Option<About> {
    Some(match (method, path) {
        ("GET", "/healthz") => About { summary: "Whether the process lives", ..PLAIN },
        ("GET", "/readyz") => {
            About { summary: "Whether answers are true", answer: Answered::One("Health"), ..PLAIN }
        }
        ("GET", "/metrics") => About {
            summary: "Metrics for Prometheus",
            answer: Answered::Text("application/openmetrics-text"),
            ..PLAIN
        },
        ("GET", "/v1/openapi.json") => {
            About { summary: "This document", answer: Answered::Document, ..PLAIN }
        }
        ("GET", "/login") => {
            About { summary: "Where a browser shows its token", answer: Answered::Page, ..PLAIN }
        }
        ("POST", "/login") => About {
            summary: "Begins a browser's session",
            body: Some("form"),
            answer: Answered::Page,
            refuses: &[
                Kind::BadParameter,
                Kind::BadToken,
                Kind::CrossSite,
                Kind::NotPermitted,
                Kind::TooManyAttempts,
                Kind::BodyTooLarge,
                Kind::Storage,
            ],
            ..PLAIN
        },
        ("POST", "/logout") => About {
            summary: "Ends it",
            answer: Answered::Page,
            refuses: &[Kind::CrossSite, Kind::BodyTooLarge],
            ..PLAIN
        },
        ("GET", "/v1/lookup") => About {
            summary: "Who owns an address now, and may it relay",
            takes: &[ADDRESS, PORT, REALM, PURPOSE],
            required: &["address"],
            answer: Answered::One("Who"),
            refuses: &[Kind::BadParameter, Kind::PurposeRequired, Kind::UnknownRealm, Kind::Unrecorded],
            ..PLAIN
        },
        ("GET", "/v1/owner") => About {
            summary: "Who owned an address then, or whose message has a token",
            takes: &[ADDRESS, PORT, REALM, AT, WITHIN, MESSAGE_TOKEN, PURPOSE],
            answer: Answered::One("Who"),
            refuses: PAST_IN_REALM,
            ..PLAIN
        },
        ("GET", "/v1/explain") => About {
            summary: "The story of an address, oldest first; the next page is what was before",
            takes: &[ADDRESS, PORT, REALM, SINCE, UNTIL, LIMIT, CURSOR, FORMAT, PURPOSE],
            required: &["address"],
            answer: Answered::Walk("StoryRow"),
            refuses: PAST_IN_REALM,
            ..PLAIN
        },
        ("GET", "/v1/sessions") => About {
            summary: "Sessions, newest first",
            takes: &[SUBSCRIBER, ADDRESS, REALM, SINCE, UNTIL, LIMIT, CURSOR, FORMAT, PURPOSE],
            answer: Answered::Walk("SessionRow"),
            refuses: PAST_IN_REALM,
            ..PLAIN
        },
        ("GET", "/v1/messages") => About {
            summary: "Messages, newest first",
            takes: &[
                SUBSCRIBER,
                ADDRESS,
                QUEUE_ID,
                MESSAGE_TOKEN,
                MESSAGE_ID,
                LOGIN,
                SENDER,
                RECIPIENT,
                RECIPIENT_DOMAIN,
                HELO,
                SINCE,
                UNTIL,
                LIMIT,
                CURSOR,
                FORMAT,
                PURPOSE,
            ],
            answer: Answered::Walk("MessageRow"),
            refuses: PAST,
            ..PLAIN
        },
        ("GET", "/v1/usage") => About {
            summary: "How much somebody sent lately, beside the limits",
            takes: &[
                SUBSCRIBER,
                Given("login", Kindred::Text, "Instead of a subscriber: a SASL login."),
                Given(
                    "within",
                    Kindred::Text,
                    "Instead of both: who sends within a trusted host, as host/sender.",
                ),
                FORMAT,
                PURPOSE,
            ],
            answer: Answered::Sheet("UsageRow"),
            refuses: &[Kind::BadParameter, Kind::PurposeRequired, Kind::Unrecorded],
            ..PLAIN
        },
        ("GET", "/v1/top") => About {
            summary: "Who sent most, and what is usual",
            takes: &[
                Given("by", Kindred::Text, "messages (the default), recipients or bytes."),
                SINCE,
                UNTIL,
                LIMIT,
                FORMAT,
                PURPOSE,
            ],
            answer: Answered::Sheet("TopRow"),
            refuses: PAST,
            ..PLAIN
        },
        ("GET", "/v1/attempts") => About {
            summary: "Attempts that were refused or deferred, newest first",
            takes: &[
                Given(
                    "reference",
                    Kindred::Text,
                    "That the text of the refusal ended with: eight hex digits.",
                ),
                SUBSCRIBER,
                ADDRESS,
                Given("reason", Kindred::Text, "For this reason, by its word."),
                SINCE,
                UNTIL,
                LIMIT,
                CURSOR,
                PURPOSE,
            ],
            answer: Answered::Walk("AttemptRow"),
            refuses: PAST,
            ..PLAIN
        },
        ("GET", "/v1/scanned") => About {
            summary: "What scanners found in messages that were sent, newest first",
            takes: &[
                SUBSCRIBER,
                LOGIN,
                ADDRESS,
                QUEUE_ID,
                Given("finding", Kindred::Text, "spam or virus."),
                SINCE,
                UNTIL,
                LIMIT,
                CURSOR,
                PURPOSE,
            ],
            answer: Answered::Walk("ScannedRow"),
            refuses: PAST,
            ..PLAIN
        },
        ("POST", "/v1/verdicts") => About {
            summary: "Takes what rspamd tells of a message, and holds it against whoever sent that",
            body: Some("VerdictBody"),
            answer: Answered::One("VerdictRow"),
            refuses: &[
                Kind::BadBody,
                Kind::BodyTooLarge,
                Kind::NotReady,
                Kind::Storage,
                Kind::Damaged,
                Kind::Unrecorded,
            ],
            ..PLAIN
        },
        ("GET", "/v1/nas") => About {
            summary: "The feed of each NAS",
            takes: &[Given("nas", Kindred::Text, "Only this one."), FORMAT, PURPOSE],
            answer: Answered::Sheet("NasRow"),
            refuses: &[Kind::BadParameter],
            ..PLAIN
        },
        ("GET", "/v1/reputation") => About {
            summary: "Our own addresses on each block list that is asked",
            takes: &[FORMAT, PURPOSE],
            answer: Answered::Sheet("ReputationRow"),
            refuses: &[Kind::BadParameter],
            ..PLAIN
        },
        ("GET", "/v1/report") => About {
            summary: "What a day was like: sums, top senders, refusals, cases, orders, feeds",
            takes: &[
                Given("day", Kindred::Day, "Which, by the clock of the site; without it yesterday."),
                PURPOSE,
            ],
            answer: Answered::One("ReportRow"),
            refuses: &[
                Kind::BadParameter,
                Kind::PurposeRequired,
                Kind::NotReady,
                Kind::Unrecorded,
                Kind::Storage,
                Kind::Damaged,
            ],
            ..PLAIN
        },
        ("GET", "/v1/notices") => About {
            summary: "Who is told what happens, and how far behind each is",
            takes: &[PURPOSE],
            answer: Answered::Rows("NoticeRow"),
            refuses: &[Kind::BadParameter],
            ..PLAIN
        },
        ("POST", "/v1/notices/{name}/test") => About {
            summary: "Sends a test to a receiver, and says what it answered",
            takes: &[NOTICE, PURPOSE],
            answer: Answered::One("TestRow"),
            refuses: &[Kind::BadParameter, Kind::UnknownNotice],
            ..PLAIN
        },
        ("GET", "/v1/permitted") => About {
            summary: "Every address that may relay now",
            takes: &[PURPOSE],
            answer: Answered::Lines("Line"),
            refuses: &[Kind::BadParameter, Kind::NotReady, Kind::Storage],
            ..PLAIN
        },
        ("POST", "/v1/complaints") => About {
            summary: "Takes a report about a message (ARF or X-ARF), finds whose it was and opens a case",
            takes: &[PURPOSE],
            body: Some(REPORT),
            answer: Answered::One("ComplaintRow"),
            refuses: &[
                Kind::BadBody,
                Kind::BadParameter,
                Kind::PurposeRequired,
                Kind::BodyTooLarge,
                Kind::Unrecorded,
                Kind::Storage,
                Kind::Damaged,
            ],
            ..PLAIN
        },
        ("GET", "/v1/cases") => About {
            summary: "Cases, newest first",
            takes: &[
                Given("state", Kindred::Text, "Only those in this state: open or closed."),
                Given(
                    "kind",
                    Kindred::Text,
                    "Only those that were opened by this: complaint, signal, listing or staff.",
                ),
                Given("subscriber", Kindred::Text, "Only those that may be about this one."),
                Given("login", Kindred::Text, "Only those that may be about this SASL login."),
                LIMIT,
                CURSOR,
                PURPOSE,
            ],
            answer: Answered::Walk("CaseRow"),
            refuses: &[Kind::BadParameter, Kind::PurposeRequired, Kind::Unrecorded],
            ..PLAIN
        },
        ("GET", "/v1/cases/{id}") => About {
            summary: "A case",
            takes: &[ID, PURPOSE],
            answer: Answered::One("CaseRow"),
            refuses: &[Kind::BadParameter, Kind::PurposeRequired, Kind::UnknownCase, Kind::Unrecorded],
            ..PLAIN
        },
        ("GET", "/v1/rules") => About {
            summary: "What acts alone on cases",
            takes: &[PURPOSE],
            answer: Answered::Rows("RuleRow"),
            refuses: &[Kind::BadParameter],
            ..PLAIN
        },
        ("GET", "/v1/rules/{name}/dry-run") => About {
            summary: "What a rule would have done to the cases that are kept",
            takes: &[Given("name", Kindred::Text, "The rule's name."), PURPOSE],
            answer: Answered::Rows("WouldRow"),
            refuses: &[Kind::BadParameter, Kind::PurposeRequired, Kind::UnknownRule, Kind::Unrecorded],
            ..PLAIN
        },
        ("POST", "/v1/cases") => About {
            summary: "Opens a case about a subscriber or a login",
            body: Some("OpenBody"),
            answer: Answered::One("ActRow"),
            refuses: &[
                Kind::BadBody,
                Kind::BadParameter,
                Kind::BodyTooLarge,
                Kind::UnknownSubject,
                Kind::Unrecorded,
            ],
            ..PLAIN
        },
        ("POST", "/v1/cases/{id}/note" | "/v1/cases/{id}/dismiss" | "/v1/cases/{id}/close") => About {
            summary: match path.rsplit('/').next() {
                Some("note") => "Adds a note to a case",
                Some("dismiss") => "Says that there was nothing in a case: what they did is usual for them",
                _ => "Says that a case is dealt with",
            },
            takes: &[ID],
            body: Some("ActBody"),
            answer: Answered::One("ActRow"),
            refuses: &[
                Kind::BadBody,
                Kind::BadParameter,
                Kind::BodyTooLarge,
                Kind::UnknownCase,
                Kind::CaseClosed,
                Kind::Unrecorded,
            ],
            ..PLAIN
        },
        ("POST", "/v1/cases/{id}/limit" | "/v1/cases/{id}/suspend" | "/v1/cases/{id}/release") => About {
            summary: match path.rsplit('/').next() {
                Some("limit") => "Lets one whom a case is about send little mail",
                Some("suspend") => "Lets one whom a case is about send no mail",
                _ => "Lets one whom a case is about send as before",
            },
            takes: &[ID],
            body: Some("CaseOrderBody"),
            answer: Answered::One("ActRow"),
            refuses: &[
                Kind::BadBody,
                Kind::BadParameter,
                Kind::BodyTooLarge,
                Kind::UnknownCase,
                Kind::CaseClosed,
                Kind::StaticRange,
                Kind::NotSuspended,
                Kind::Unrecorded,
            ],
            ..PLAIN
        },
        ("GET", "/v1/resolver/abusehq" | "/v1/resolver/abuseio") => About {
            summary: "Who owned an address then, in the words of another program",
            takes: &[IP, TIMESTAMP, PORT, REALM, PURPOSE],
            required: &["ip"],
            answer: Answered::One(if path.ends_with('q') { "AbuseHq" } else { "AbuseIo" }),
            refuses: &[
                Kind::BadParameter,
                Kind::PurposeRequired,
                Kind::UnknownRealm,
                Kind::NotResolved,
                Kind::Unrecorded,
                Kind::Storage,
                Kind::Damaged,
            ],
            ..PLAIN
        },
        ("GET", "/v1/coverage") => About {
            summary: "For how long the past is kept, and when nothing was heard",
            takes: &[SINCE, UNTIL, PURPOSE],
            answer: Answered::One("CoverageRow"),
            refuses: &[Kind::BadParameter, Kind::Storage, Kind::Damaged],
            ..PLAIN
        },
        ("GET", "/v1/suspensions") => About {
            summary: "Suspensions and limits in force",
            takes: &[FORMAT, PURPOSE],
            answer: Answered::Sheet("SuspensionRow"),
            refuses: &[Kind::BadParameter, Kind::PurposeRequired, Kind::Unrecorded],
            ..PLAIN
        },
        ("POST", "/v1/suspensions" | "/v1/suspensions/limit") => About {
            summary: match path.ends_with("/limit") {
                true => "Lets a subscriber or a login send little mail",
                false => "Lets a subscriber or a login send no mail",
            },
            body: Some("OrderBody"),
            answer: Answered::One("OrderRow"),
            refuses: &[
                Kind::BadBody,
                Kind::BadParameter,
                Kind::BodyTooLarge,
                Kind::UnknownSubject,
                Kind::StaticRange,
                Kind::Unrecorded,
            ],
            ..PLAIN
        },
        ("POST" | "DELETE", "/v1/suspensions/release") => About {
            summary: "Lets a suspended or limited subscriber or login send as before",
            body: Some("OrderBody"),
            answer: Answered::One("OrderRow"),
            refuses: &[
                Kind::BadBody,
                Kind::BadParameter,
                Kind::BodyTooLarge,
                Kind::NotSuspended,
                Kind::Unrecorded,
            ],
            ..PLAIN
        },
        ("POST", "/v1/nas/hold" | "/v1/nas/unhold") => About {
            summary: if path == "/v1/nas/hold" { "Believes a NAS for a while" } else { "No longer" },
            body: Some("HoldBody"),
            answer: Answered::One("HoldRow"),
            refuses: &[
                Kind::BadBody,
                Kind::BadParameter,
                Kind::BodyTooLarge,
                Kind::UnknownNas,
                Kind::NotHeld,
                Kind::Unrecorded,
            ],
            ..PLAIN
        },
        ("POST", "/v1/import") => About {
            summary: "Takes a chunk of somebody else's records",
            body: Some("ImportBody"),
            answer: Answered::One("ImportAnswer"),
            refuses: &[
                Kind::BadBody,
                Kind::BadParameter,
                Kind::BodyTooLarge,
                Kind::NotReady,
                Kind::TooSlow,
                Kind::Unrecorded,
            ],
            ..PLAIN
        },
        ("POST", "/v1/import/messages") => About {
            summary: "Takes a chunk of what a mail server logged",
            body: Some("MailBody"),
            answer: Answered::One("ImportAnswer"),
            refuses: &[
                Kind::BadBody,
                Kind::BadParameter,
                Kind::BodyTooLarge,
                Kind::NotReady,
                Kind::TooSlow,
                Kind::Storage,
                Kind::Damaged,
                Kind::Unrecorded,
            ],
            ..PLAIN
        },
        ("GET", "/v1/questions") => About {
            summary: "Who asked what, newest first",
            takes: &[
                Given("by", Kindred::Text, "Asked by this user, or with the token of this number."),
                Given("about", Kindred::Text, "About this address, subscriber, login, queue id or token."),
                SINCE,
                UNTIL,
                LIMIT,
                CURSOR,
                FORMAT,
                PURPOSE,
            ],
            answer: Answered::Walk("QuestionRow"),
            refuses: PAST,
            ..PLAIN
        },
        ("GET", "/v1/questions/verify") => About {
            summary: "Whether the record of questions is whole",
            takes: &[PURPOSE],
            answer: Answered::One("ChainRow"),
            refuses: PAST,
            ..PLAIN
        },
        ("GET", "/v1/preservations") => About {
            summary: "What must be kept although it is older than is to be kept",
            takes: &[PURPOSE],
            answer: Answered::Rows("PreservationRow"),
            refuses: &[Kind::BadParameter, Kind::PurposeRequired, Kind::Unrecorded],
            ..PLAIN
        },
        ("POST", "/v1/preservations") => About {
            summary: "Has all about a subscriber or addresses kept until then",
            body: Some("PreservationBody"),
            answer: Answered::One("PreservationRow"),
            refuses: &[Kind::BadBody, Kind::BadParameter, Kind::BodyTooLarge, Kind::Unrecorded],
            ..PLAIN
        },
        ("POST", "/v1/preservations/lift") => About {
            summary: "Has it kept as long as everything else",
            body: Some("PreservationBody"),
            answer: Answered::One("PreservationRow"),
            refuses: &[
                Kind::BadBody,
                Kind::BadParameter,
                Kind::BodyTooLarge,
                Kind::NotPreserved,
                Kind::Unrecorded,
            ],
            ..PLAIN
        },
        ("GET", "/v1/tokens") => About {
            summary: "Tokens, without their secrets",
            takes: &[PURPOSE],
            answer: Answered::Rows("TokenRow"),
            refuses: &[Kind::BadParameter],
            ..PLAIN
        },
        ("POST", "/v1/tokens") => About {
            summary: "Makes a token, which is shown this once",
            body: Some("TokenBody"),
            answer: Answered::One("NewToken"),
            refuses: &[
                Kind::BadBody,
                Kind::BadParameter,
                Kind::BodyTooLarge,
                Kind::TooManyTokens,
                Kind::Storage,
                Kind::Unrecorded,
            ],
            ..PLAIN
        },
        ("POST", "/v1/tokens/revoke") => About {
            summary: "Takes a token back",
            body: Some("RevokeBody"),
            answer: Answered::One("TokenRow"),
            refuses: &[
                Kind::BadBody,
                Kind::BadParameter,
                Kind::BodyTooLarge,
                Kind::UnknownToken,
                Kind::Unrecorded,
            ],
            ..PLAIN
        },
        _ => return None,
    })
}
