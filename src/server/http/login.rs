//! Coming in from a browser, and going: a token becomes a session.
//!
//! Knows: the form. Must not know: which tokens are good, or what a session is.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::Staff;
use super::auth::{Csrf, Gate, Refusal, Source, form};
use super::problem::{Kind, Problem};
use crate::access::Asker;

/// Forms go to us and nowhere else; nothing is loaded.
const PAGE_POLICY: &str = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

fn page(status: StatusCode, body: &str) -> Response {
    let text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>relaywarden</title>\
         <meta name=\"viewport\" content=\"width=device-width\"></head>\n<body><main>{body}</main></body></html>\n"
    );
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY)),
    ];
    (status, headers, text).into_response()
}

fn asking(status: StatusCode, remark: &str) -> Response {
    page(
        status,
        &format!(
            "<h1>relaywarden</h1><p role=\"alert\">{remark}</p><form method=\"post\" action=\"/login\">\
             <label>Token <input type=\"password\" name=\"token\" autocomplete=\"current-password\" required></label> \
             <button>Log in</button></form>"
        ),
    )
}

pub(super) async fn ask() -> Response {
    asking(StatusCode::OK, "")
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
    let token = form(&body).and_then(|fields| fields.into_iter().find(|(name, _)| name == "token"));
    let Some((_, token)) = token else {
        return Problem::parameter("token", "missing").into_response();
    };
    // Whoever stands in front of us and speaks TLS says so. Who lies about it only harms a session of their own.
    let secure = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    match gate.login(&*staff, &token, source, secure) {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
        Err(Refusal::Problem(problem)) if problem.kind() == Some(Kind::BadToken) => {
            asking(StatusCode::UNAUTHORIZED, "This token is not good.")
        }
        Err(refusal) => refusal.into_response(),
    }
}

pub(super) async fn logout(Extension(gate): Extension<Arc<Gate>>, headers: HeaderMap) -> Response {
    ([(header::SET_COOKIE, gate.logout(&headers))], Redirect::to("/login")).into_response()
}

/// Until there are pages: who you are, and the way out.
pub(super) async fn home(asker: Asker, Csrf(csrf): Csrf) -> Response {
    // The name holds a note that somebody wrote.
    let name = asker.name.to_string().replace('&', "&amp;").replace('<', "&lt;");
    let body = format!(
        "<h1>relaywarden</h1><p>{name}, {}</p><form method=\"post\" action=\"/logout\">\
         <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\"><button>Log out</button></form>",
        asker.role
    );
    page(StatusCode::OK, &body)
}
