//! The admin API: what an operator asks and changes while traffic flows.
//!
//! ```text
//! GET   /v1/regions               every region: configured, overridden, observed, and its predicted share
//! GET   /v1/regions/{name}        one of them
//! PATCH /v1/regions/{name}        {weight, state, reason, expires_in}
//! GET   /v1/explain               ?ip= &method= &host= &path=
//! GET   /v1/tables                the published versions
//! GET   /v1/tables/{version}      one of them, as it was written
//! POST  /v1/tables                ?reason=   publish the TOML in the body
//! ```
//! Every call needs `Authorization: Bearer <token>` or a client certificate, and whose it is says what may be done with it
//! (see [`access`](crate::access)). Errors are problem documents (RFC 9457) that name the field and show a valid example. A change
//! is in force before its answer is sent.
//!
//! Left out: previews, history on disk.

mod counts;
mod explain;
mod gate;
mod problem;
mod regions;
mod tables;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::get;

pub use counts::Counts;
use problem::Problem;
pub use regions::{
    Configured, Effective, Layer, Observed, ObservedOrigin, ObservedPlacement, Region, Regions,
};
pub use tables::{Published, Tables};

use crate::access::Access;
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
    /// Who finds a client's place.
    pub locator: Arc<dyn Locate>,
    /// Who may come in, and what he may do.
    pub access: Arc<Access>,
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
        .layer(middleware::from_fn_with_state(admin.clone(), gate::gate))
        .with_state(admin)
}

async fn unknown_path() -> Problem {
    let known = "the paths are /v1/regions, /v1/explain and /v1/tables";
    Problem::new(StatusCode::NOT_FOUND, "unknown-path", known)
}

async fn unknown_method() -> Problem {
    let known = "this path does not know that method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "unknown-method", known)
}
