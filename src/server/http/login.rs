//! Coming in from a browser, and going: a token becomes a session.
//!
//! Knows: the form. Must not know: which tokens are good, or what a session is.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::auth::{Gate, Refusal, Source, form};
use super::problem::{Kind, Problem};
use super::{Staff, pages};

/// Where to go on to, in the query of the page and in its form.
const NEXT: &str = "next";

fn taken(fields: &[(String, String)], name: &str) -> Option<String> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

type Pairs = Vec<(String, String)>;

pub(super) async fn ask(query: Result<Query<Pairs>, QueryRejection>) -> Response {
    let next = query.ok().and_then(|Query(pairs)| taken(&pairs, NEXT));
    pages::login(StatusCode::OK, "", next.as_deref())
}

pub(super) async fn login<S: Staff>(
    State(staff): State<Arc<S>>,
    Extension(gate): Extension<Arc<Gate>>,
    source: Option<Extension<Source>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(Extension(Source(source))) = source else {
        return Problem::new(Kind::NotPermitted, "over the Unix socket the Unix user counts").into_response();
    };
    let fields = form(&body).unwrap_or_default();
    let Some(token) = taken(&fields, "token") else {
        return Problem::parameter("token", "missing").into_response();
    };
    let next = taken(&fields, NEXT);
    // Whoever stands in front of us and speaks TLS says so. Who lies about it only harms a session of their own.
    let secure = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    match gate.login(&*staff, &token, source, secure) {
        Ok(cookie) => {
            let next = next.as_deref().and_then(pages::ours).unwrap_or("/");
            ([(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response()
        }
        Err(Refusal::Problem(problem)) if problem.kind() == Some(Kind::BadToken) => {
            pages::login(StatusCode::UNAUTHORIZED, "This token is not good.", next.as_deref())
        }
        Err(refusal) => refusal.into_response(),
    }
}

pub(super) async fn logout(Extension(gate): Extension<Arc<Gate>>, headers: HeaderMap) -> Response {
    ([(header::SET_COOKIE, gate.logout(&headers))], Redirect::to("/login")).into_response()
}
