//! The admin API: what an operator asks and changes while traffic flows.
//!
//! ```text
//! GET   /v1/regions               every region: configured, overridden, observed, and its predicted share
//! GET   /v1/regions/{name}        one of them
//! PATCH /v1/regions/{name}        {weight, state, reason, expires_in}
//! GET   /v1/explain               ?ip= &method= &host= &path=, or ?decision=, or ?request=
//! GET   /v1/tables                the published versions
//! GET   /v1/tables/{version}      one of them, as it was written
//! POST  /v1/tables                ?reason=   publish the TOML in the body
//! ```
//! Every call needs `Authorization: Bearer <token>`. Errors are problem documents (RFC 9457) that name the field and show a
//! valid example. A change is in force before its answer is sent.
//!
//! Left out: roles, previews, history on disk.

mod counts;
mod explain;
mod problem;
mod regions;
mod tables;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub use counts::Counts;
use problem::Problem;
pub use regions::{
    Configured, Effective, Layer, Observed, ObservedOrigin, ObservedPlacement, Region, Regions,
};
pub use tables::{Published, Tables};
pub use token::Token;

use crate::decisions::Decisions;
use crate::explain::Locate;
use crate::publisher::Publisher;
use crate::share::Samples;

/// The largest table that is accepted, in bytes: 10,000 routes take about 2 MB.
const MAX_TABLE_BYTES: usize = 8 << 20;
/// The largest body of any other call, in bytes.
const MAX_BODY_BYTES: usize = 64 << 10;

/// What the handlers work with.
pub struct Admin {
    /// Where changes go.
    pub publisher: Arc<Publisher>,
    /// What predicted shares come from.
    pub samples: Arc<Samples>,
    /// The last decisions, to be explained.
    pub decisions: Arc<Decisions>,
    /// Who finds a client's place.
    pub locator: Arc<dyn Locate>,
    /// Who may come in.
    pub token: Token,
    /// How often the API was called.
    pub counts: Arc<Counts>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

type Shared = State<Arc<Admin>>;

/// The routes of the API.
pub fn router(admin: Arc<Admin>) -> Router {
    let tables = Router::new()
        .route("/v1/tables", get(tables::list).post(tables::publish))
        .layer(DefaultBodyLimit::max(MAX_TABLE_BYTES));
    Router::new()
        .route("/v1/regions", get(regions::list))
        .route("/v1/regions/{name}", get(regions::show).patch(regions::patch))
        .route("/v1/explain", get(explain::explain))
        .route("/v1/tables/{version}", get(tables::show))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .merge(tables)
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn_with_state(admin.clone(), gate))
        .with_state(admin)
}

/// Lets in whoever knows the token, and counts.
async fn gate(State(admin): Shared, request: Request, next: Next) -> Response {
    let verb = request.method().clone();
    let response = if is_authorized(&admin, request.headers()) {
        next.run(request).await
    } else {
        let problem = Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "this call needs the admin token: send it as \"Authorization: Bearer <token>\"",
        );
        ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response()
    };
    admin.counts.add(&verb, response.status());
    response
}

fn is_authorized(admin: &Admin, headers: &HeaderMap) -> bool {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer "));
    token.is_some_and(|token| admin.token.is(token))
}

async fn unknown_path() -> Problem {
    let known = "the paths are /v1/regions, /v1/explain and /v1/tables";
    Problem::new(StatusCode::NOT_FOUND, "unknown-path", known)
}

async fn unknown_method() -> Problem {
    let known = "this path does not know that method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "unknown-method", known)
}
