//! What every call passes before a handler sees it: is it a browser's, who sends it, and may he change anything?
//!
//! Handlers find a [`Caller`](crate::access::Caller) among the request's extensions and ask him what he may do with the thing at hand.

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::{Admin, Shared};
use crate::access::failures::Verdict;
use crate::access::{
    CORS_EXPOSED, CORS_HEADERS, CORS_METHODS, Denied, Peer, Refusal, Role, Stranger, is_preflight,
};

/// How long a browser may remember what a preflight was answered.
const PREFLIGHT_SECONDS: &str = "600";

pub(super) async fn gate(State(admin): Shared, request: Request, next: Next) -> Response {
    let verb = request.method().clone();
    let (mut response, role) = match admin.access.browsers().admit(request.uri(), request.headers()) {
        Err(refusal) => (Problem::from(refusal).into_response(), None),
        Ok(None) => known(&admin, request, next).await,
        Ok(Some(page)) => {
            let page = page.to_owned();
            let (mut response, role) = match is_preflight(&verb, request.headers()) {
                true => (preflight(), None),
                false => known(&admin, request, next).await,
            };
            allow(&page, response.headers_mut());
            (response, role)
        }
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    admin.counts.add(role, &verb, response.status());
    response
}

/// Lets in who is known; his role.
async fn known(admin: &Admin, mut request: Request, next: Next) -> (Response, Option<Role>) {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        let detail = "the listener does not say who is connected";
        return (Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no-peer", detail).into_response(), None);
    };
    let caller = match admin.access.who(&peer, request.headers()) {
        Ok(caller) => caller,
        Err(stranger) => return (turned_away(admin, &peer, &stranger), None),
    };
    let role = Some(caller.role);
    let is_question = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if let (false, Err(denied)) = (is_question, caller.may_change()) {
        return (Problem::from(denied).into_response(), role);
    }
    request.extensions_mut().insert(caller);
    (next.run(request).await, role)
}

/// What nobody gets. Nor does he keep the connection: others wait for it.
fn turned_away(admin: &Admin, peer: &Peer, stranger: &Stranger) -> Response {
    let mut response = match admin.access.failed(peer.address, stranger) {
        Verdict::Plain => {
            let kind = match stranger {
                Stranger::Expired { .. } => "expired-token",
                Stranger::CertificateExpired(_) => "expired-certificate",
                Stranger::Unnamed(_) | Stranger::AuthoritiesReplaced => "unknown-certificate",
                Stranger::Nothing | Stranger::Unknown => "unauthorized",
            };
            let challenge = match stranger {
                Stranger::Unknown | Stranger::Expired { .. } => "Bearer error=\"invalid_token\"",
                _ => "Bearer",
            };
            let problem = Problem::new(StatusCode::UNAUTHORIZED, kind, stranger.to_string());
            ([(header::WWW_AUTHENTICATE, challenge)], problem).into_response()
        }
        Verdict::Wait { after, .. } => {
            let seconds = after.as_nanos().div_ceil(1_000_000_000);
            let detail = format!(
                "too many calls from this address without a valid token: come back in {seconds} s; with a valid one, at once"
            );
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-failures", detail);
            ([(header::RETRY_AFTER, seconds.to_string())], problem).into_response()
        }
    };
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What a browser hears before it sends what a listed page wants: it sends no token with that question.
fn preflight() -> Response {
    let fields = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, CORS_METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, CORS_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS),
    ];
    (StatusCode::NO_CONTENT, fields).into_response()
}

/// Lets a listed page read the answer. Not with credentials: a page that is to change something must have a token to send.
fn allow(page: &str, headers: &mut HeaderMap) {
    if let Ok(page) = HeaderValue::from_str(page) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, page);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(CORS_EXPOSED));
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoHost => Self::new(
                StatusCode::BAD_REQUEST,
                "bad-host",
                "a request says in one Host field whom it is meant for",
            ),
            Refusal::Host(host) => {
                let detail = format!(
                    "{host:?} is no address, not \"localhost\", and not in admin.hosts: a page of somebody else's could have \
                     made that name mean this machine; for example: hosts = [\"edge1.ops.example\"]"
                );
                Self::new(StatusCode::MISDIRECTED_REQUEST, "foreign-host", detail)
            }
            Refusal::Origin(origin) => {
                let detail = format!("pages of {origin:?} are not in admin.browser_origins");
                Self::new(StatusCode::FORBIDDEN, "foreign-origin", detail)
            }
            Refusal::CrossSite(site) => {
                let detail = format!("a browser sends this for another site's page (Sec-Fetch-Site: {site})");
                Self::new(StatusCode::FORBIDDEN, "foreign-origin", detail)
            }
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let kind = match denied {
            Denied::Role { .. } => "needs-role",
            Denied::Scope { .. } => "out-of-scope",
        };
        Self::new(StatusCode::FORBIDDEN, kind, denied.to_string())
    }
}
