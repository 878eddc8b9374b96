//! `/v1/openapi.json`: the API as an OpenAPI 3.1 document, made of the table of paths, the rows as the code has them, and
//! what stands here about each path.
//!
//! Knows: what each path takes and answers. Must not know: how it does.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, Info, KnownFormat, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required,
    ResponseBuilder, Responses,
};
use utoipa::{PartialSchema, ToSchema};

use super::Health;
use super::api::{MessageRow, OrderBody, OrderRow, SessionRow, StoryRow, SuspensionRow, Who};
use super::cases::{CaseRow, CloseBody, CloseRow};
use super::complaints::{AbuseHq, AbuseIo, ComplaintRow};
use super::coverage::CoverageRow;
use super::import::{ImportAnswer, ImportBody};
use super::nas::{HoldBody, HoldRow, NasRow};
use super::permitted::Line;
use super::preservations::{PreservationBody, PreservationRow};
use super::problem::{Kind, Problem};
use super::questions::{ChainRow, QuestionRow};
use super::tokens::{NewToken, RevokeBody, TokenBody, TokenRow};
use super::walk::NDJSON;
use crate::access::table::{ENDPOINTS, Endpoint, Needs};

const JSON: &str = "application/json";
const TOKEN: &str = "token";
/// A report as it came; which kind it is shows in the content.
const REPORT: &str = "message/rfc822";

/// What a parameter's value is.
#[derive(Clone, Copy)]
enum Kindred {
    Text,
    Moment,
    Span,
    Number,
    Port,
    Limit,
}

/// A parameter of a query.
struct Given(&'static str, Kindred, &'static str);

/// What a path answers when all is well.
enum Answered {
    /// An object, or an array of them.
    One(&'static str),
    Rows(&'static str),
    /// Rows as an array, or as lines for whoever asks for them.
    Walk(&'static str),
    Lines(&'static str),
    Text(&'static str),
    /// A page, and where a browser goes next.
    Page,
    Document,
}

/// What stands about a path beside the table.
struct About {
    summary: &'static str,
    takes: &'static [Given],
    required: &'static [&'static str],
    body: Option<&'static str>,
    answer: Answered,
    refuses: &'static [Kind],
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
const WITHIN: Given =
    Given("within", Kindred::Span, "All who had it so long before and after that time, such as 2m.");
const IP: Given = Given("ip", Kindred::Text, "An IP address.");
const TIMESTAMP: Given = Given("timestamp", Kindred::Moment, "Then instead of now: RFC 3339 with an offset.");
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
fn about(method: &str, path: &str) -> Option<About> {
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
        ("GET", "/") => About { summary: "The page for people", answer: Answered::Page, ..PLAIN },
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
            summary: "The story of an address, oldest first",
            takes: &[ADDRESS, PORT, REALM, SINCE, UNTIL, LIMIT, PURPOSE],
            required: &["address"],
            answer: Answered::Rows("StoryRow"),
            refuses: PAST_IN_REALM,
            ..PLAIN
        },
        ("GET", "/v1/sessions") => About {
            summary: "Sessions, newest first",
            takes: &[SUBSCRIBER, ADDRESS, REALM, SINCE, UNTIL, LIMIT, CURSOR, PURPOSE],
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
                LOGIN,
                SENDER,
                RECIPIENT,
                RECIPIENT_DOMAIN,
                HELO,
                SINCE,
                UNTIL,
                LIMIT,
                CURSOR,
                PURPOSE,
            ],
            answer: Answered::Walk("MessageRow"),
            refuses: PAST,
            ..PLAIN
        },
        ("GET", "/v1/nas") => About {
            summary: "The feed of each NAS",
            takes: &[Given("nas", Kindred::Text, "Only this one."), PURPOSE],
            answer: Answered::Rows("NasRow"),
            refuses: &[Kind::BadParameter],
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
                Given("subscriber", Kindred::Text, "Only those that may be about this one."),
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
        ("POST", "/v1/cases/{id}/close") => About {
            summary: "Says that a case is dealt with",
            takes: &[ID],
            body: Some("CloseBody"),
            answer: Answered::One("CloseRow"),
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
            summary: "Suspensions in force",
            takes: &[PURPOSE],
            answer: Answered::Rows("SuspensionRow"),
            refuses: &[Kind::BadParameter, Kind::PurposeRequired, Kind::Unrecorded],
            ..PLAIN
        },
        ("POST", "/v1/suspensions") => About {
            summary: "Lets a subscriber or a login send no mail",
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
            summary: "Lets a suspended subscriber or login send again",
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
        ("GET", "/v1/questions") => About {
            summary: "Who asked what, newest first",
            takes: &[
                Given("by", Kindred::Text, "Asked by this user, or with the token of this number."),
                Given("about", Kindred::Text, "About this address, subscriber, login, queue id or token."),
                SINCE,
                UNTIL,
                LIMIT,
                CURSOR,
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

fn text(kind: Kindred) -> Schema {
    let object = ObjectBuilder::new();
    let object = match kind {
        Kindred::Text => object.schema_type(Type::String).max_length(Some(1024)),
        Kindred::Moment => {
            object.schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        }
        Kindred::Span => object.schema_type(Type::String).max_length(Some(1024)),
        Kindred::Number => object.schema_type(Type::Integer).minimum(Some(0)),
        Kindred::Port => object.schema_type(Type::Integer).minimum(Some(1)).maximum(Some(65_535)),
        Kindred::Limit => object.schema_type(Type::Integer).minimum(Some(1)).maximum(Some(100_000)),
    };
    Schema::Object(object.build())
}

fn parameter(given: &Given, endpoint: &Endpoint, required: &[&str]) -> Parameter {
    let Given(name, kind, description) = given;
    let in_path = endpoint.path.contains(&format!("{{{name}}}"));
    let required = if in_path || required.contains(name) { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(*name)
        .parameter_in(if in_path { ParameterIn::Path } else { ParameterIn::Query })
        .required(required)
        .description(Some(*description))
        .schema(Some(text(*kind)))
        .build()
}

fn named(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}

fn rows(name: &str) -> RefOr<Schema> {
    RefOr::T(Schema::Array(ArrayBuilder::new().items(named(name)).build()))
}

fn plain() -> RefOr<Schema> {
    RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(Type::String).build()))
}

fn anything() -> RefOr<Schema> {
    RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(SchemaType::Type(Type::Object)).build()))
}

/// What is answered when all is well.
fn well(responses: &mut Responses, answer: &Answered, endpoint: &Endpoint) {
    let content = |schema| ContentBuilder::new().schema(Some(schema)).build();
    let good = ResponseBuilder::new().description("The answer.");
    let good = match answer {
        Answered::One(name) => good.content(JSON, content(named(name))),
        Answered::Rows(name) => good.content(JSON, content(rows(name))),
        Answered::Walk(name) => good.content(JSON, content(rows(name))).content(NDJSON, content(named(name))),
        Answered::Lines(name) => good.content(NDJSON, content(named(name))),
        Answered::Text(kind) => good.content(*kind, content(plain())),
        Answered::Page => good.content("text/html", content(plain())),
        Answered::Document => good.content(JSON, content(anything())),
    };
    let mut say = |status: &str, response: ResponseBuilder| {
        responses.responses.insert(status.to_owned(), response.build().into());
    };
    say("200", good);
    let said = |description: &str| ResponseBuilder::new().description(description);
    if matches!(answer, Answered::Page) {
        say("303", said("Where a browser goes next."));
    }
    if let ("GET", "/v1/nas" | "/v1/suspensions" | "/v1/cases" | "/v1/cases/{id}") =
        (endpoint.method, endpoint.path)
    {
        say("304", said("What If-None-Match names is still so."));
    }
    if endpoint.path == "/readyz" {
        say("503", said("They are not, and why.").content(JSON, content(named("Health"))));
    }
}

fn operation(endpoint: &Endpoint, about: &About) -> Operation {
    let mut responses = Responses::new();
    well(&mut responses, &about.answer, endpoint);
    let mut kinds = about.refuses.to_vec();
    if endpoint.path != "/healthz" {
        kinds.push(Kind::WrongHost);
    }
    if let Needs::Role(..) = endpoint.needs {
        kinds.extend([Kind::NoToken, Kind::BadToken, Kind::NotPermitted, Kind::TooManyAttempts]);
        kinds.push(Kind::TooSlow);
        if endpoint.method != "GET" {
            kinds.push(Kind::CrossSite);
        }
    }
    let mut by_status: std::collections::BTreeMap<u16, Vec<&str>> = std::collections::BTreeMap::new();
    for kind in kinds {
        let words = by_status.entry(kind.status().as_u16()).or_default();
        if !words.contains(&kind.word()) {
            words.push(kind.word());
        }
    }
    for (status, words) in by_status {
        let content = ContentBuilder::new().schema(Some(named("Problem"))).build();
        let response =
            ResponseBuilder::new().description(words.join(", ")).content("application/problem+json", content);
        responses.responses.entry(status.to_string()).or_insert_with(|| response.build().into());
    }
    if !about.takes.is_empty() {
        // A head of more than 16 KiB is refused before there is a request that could be answered.
        let response = ResponseBuilder::new().description("The head is too large.");
        responses.responses.insert("431".to_owned(), response.build().into());
    }
    let mut operation = OperationBuilder::new().summary(Some(about.summary)).responses(responses);
    for given in about.takes {
        operation = operation.parameter(parameter(given, endpoint, about.required));
    }
    if let Some(body) = about.body {
        let (kind, schema) = match body {
            "form" => ("application/x-www-form-urlencoded", anything()),
            REPORT => (REPORT, plain()),
            name => (JSON, named(name)),
        };
        let content = ContentBuilder::new().schema(Some(schema)).build();
        operation = operation.request_body(Some(
            RequestBodyBuilder::new().content(kind, content).required(Some(Required::True)).build(),
        ));
    }
    match endpoint.needs {
        Needs::Nothing => operation.build(),
        Needs::Role(role, scope) => operation
            .description(Some(format!("Role `{role}` or higher, scope `{}`.", scope.word())))
            .security(SecurityRequirement::new(TOKEN, Vec::<String>::new()))
            .build(),
    }
}

fn add<T: ToSchema + PartialSchema>(components: &mut Components) {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    components.schemas.extend(schemas);
}

/// The document.
#[must_use]
pub fn openapi() -> OpenApi {
    let mut paths = Paths::new();
    for endpoint in ENDPOINTS {
        let Some(about) = about(endpoint.method, endpoint.path) else { continue };
        let method = match endpoint.method {
            "POST" => HttpMethod::Post,
            "DELETE" => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        paths.add_path_operation(endpoint.path, vec![method], operation(endpoint, &about));
    }
    let mut components = Components::new();
    add::<Who>(&mut components);
    add::<SessionRow>(&mut components);
    add::<StoryRow>(&mut components);
    add::<MessageRow>(&mut components);
    add::<NasRow>(&mut components);
    add::<HoldBody>(&mut components);
    add::<HoldRow>(&mut components);
    add::<SuspensionRow>(&mut components);
    add::<OrderBody>(&mut components);
    add::<OrderRow>(&mut components);
    add::<ImportBody>(&mut components);
    add::<ImportAnswer>(&mut components);
    add::<Line>(&mut components);
    add::<ComplaintRow>(&mut components);
    add::<CaseRow>(&mut components);
    add::<CloseBody>(&mut components);
    add::<CloseRow>(&mut components);
    add::<AbuseHq>(&mut components);
    add::<AbuseIo>(&mut components);
    add::<CoverageRow>(&mut components);
    add::<QuestionRow>(&mut components);
    add::<ChainRow>(&mut components);
    add::<TokenBody>(&mut components);
    add::<RevokeBody>(&mut components);
    add::<TokenRow>(&mut components);
    add::<PreservationBody>(&mut components);
    add::<PreservationRow>(&mut components);
    add::<NewToken>(&mut components);
    add::<Health>(&mut components);
    add::<Problem>(&mut components);
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme(TOKEN, bearer);
    OpenApiBuilder::new()
        .info(Info::new("relaywarden", env!("CARGO_PKG_VERSION")))
        .paths(paths)
        .components(Some(components))
        .build()
}

/// It never changes while the program runs.
static TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(openapi().to_json().unwrap_or_default()));

pub(super) async fn show() -> Response {
    (StatusCode::OK, [(header::CONTENT_TYPE, JSON)], TEXT.clone()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_in_the_table_stands_in_the_document() {
        for endpoint in ENDPOINTS {
            assert!(about(endpoint.method, endpoint.path).is_some(), "{endpoint:?}");
        }
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let text = openapi().to_json().unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let mut named = 0;
        for rest in text.split("#/components/schemas/").skip(1) {
            let name = rest.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
            named += 1;
        }
        assert!(named > 40, "only {named}");
    }
}
