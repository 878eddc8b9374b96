//! `/v1/openapi.json`: the API as an OpenAPI 3.1 document, made of the table of paths, the rows as the code has them, and
//! what stands in `about` of each path.
//!
//! Knows: how that is spelled in such a document. Must not know: how any path does what it does.

mod about;

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

use self::about::{About, Answered, Given, Kindred, about};
use super::Health;
use super::access::AccessRow;
use super::api::{MessageRow, OrderBody, OrderRow, SessionRow, StoryRow, SuspensionRow, Who};
use super::attempts::AttemptRow;
use super::cases::{ActBody, ActRow, CaseOrderBody, CaseRow, OpenBody};
use super::complaints::{AbuseHq, AbuseIo, ComplaintRow};
use super::coverage::CoverageRow;
use super::import::{ImportAnswer, ImportBody};
use super::maillog::MailBody;
use super::nas::{HoldBody, HoldRow, NasRow};
use super::notices::{NoticeRow, TestRow};
use super::permitted::Line;
use super::preservations::{PreservationBody, PreservationRow};
use super::problem::{Kind, Problem};
use super::questions::{ChainRow, QuestionRow};
use super::report::ReportRow;
use super::reputation::ReputationRow;
use super::rules::{RuleRow, WouldRow};
use super::scanned::{ScannedRow, VerdictBody, VerdictRow};
use super::sheet::CSV;
use super::tokens::{NewToken, RevokeBody, TokenBody, TokenRow};
use super::top::TopRow;
use super::usage::UsageRow;
use super::walk::NDJSON;
use crate::access::table::{ENDPOINTS, Endpoint, Needs, Scope};

const JSON: &str = "application/json";
const TOKEN: &str = "token";
/// A report as it came; which kind it is shows in the content.
const REPORT: &str = "message/rfc822";

fn text(kind: Kindred) -> Schema {
    let object = ObjectBuilder::new();
    let object = match kind {
        Kindred::Text => object.schema_type(Type::String).max_length(Some(1024)),
        Kindred::Moment => {
            object.schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        }
        Kindred::Day => {
            object.schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)))
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
        Answered::Sheet(name) => good.content(JSON, content(rows(name))).content(CSV, content(plain())),
        Answered::Walk(name) => good
            .content(JSON, content(rows(name)))
            .content(NDJSON, content(named(name)))
            .content(CSV, content(plain())),
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
    if let ("GET", "/v1/nas" | "/v1/reputation" | "/v1/suspensions" | "/v1/cases" | "/v1/cases/{id}") =
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

/// Pages are for people, and no part of what programs rely on.
fn is_page(endpoint: &Endpoint) -> bool {
    matches!(endpoint.needs, Needs::Role(_, Scope::Console)) || endpoint.path.starts_with("/assets/")
}

/// The document.
#[must_use]
pub fn openapi() -> OpenApi {
    let mut paths = Paths::new();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| !is_page(endpoint)) {
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
    add::<TopRow>(&mut components);
    add::<UsageRow>(&mut components);
    add::<AttemptRow>(&mut components);
    add::<ScannedRow>(&mut components);
    add::<VerdictBody>(&mut components);
    add::<VerdictRow>(&mut components);
    add::<NasRow>(&mut components);
    add::<HoldBody>(&mut components);
    add::<HoldRow>(&mut components);
    add::<AccessRow>(&mut components);
    add::<SuspensionRow>(&mut components);
    add::<OrderBody>(&mut components);
    add::<OrderRow>(&mut components);
    add::<ImportBody>(&mut components);
    add::<MailBody>(&mut components);
    add::<ImportAnswer>(&mut components);
    add::<Line>(&mut components);
    add::<ReputationRow>(&mut components);
    add::<ReportRow>(&mut components);
    add::<NoticeRow>(&mut components);
    add::<TestRow>(&mut components);
    add::<ComplaintRow>(&mut components);
    add::<CaseRow>(&mut components);
    add::<OpenBody>(&mut components);
    add::<ActBody>(&mut components);
    add::<CaseOrderBody>(&mut components);
    add::<ActRow>(&mut components);
    add::<RuleRow>(&mut components);
    add::<WouldRow>(&mut components);
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
        for endpoint in ENDPOINTS.iter().filter(|endpoint| !is_page(endpoint)) {
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
