//! The admin API: what an operator asks and changes while traffic flows.
//!
//! ```text
//! GET   /v1/regions               every region: configured, overridden, observed, and its predicted share
//! GET   /v1/regions/{name}        one of them
//! PATCH /v1/regions/{name}        {weight, state, health, over, reason, expires_in}
//! GET   /v1/placements/{pool}/{region}    one pool's presence in one region
//! PATCH /v1/placements/{pool}/{region}    as for regions
//! GET   /v1/explain               ?ip= &method= &host= &path=, or ?decision=, or ?request=
//! GET   /v1/overrides             all that operators have overridden
//! GET   /v1/tables                the published versions
//! POST  /v1/tables                ?reason= &source=   publish the TOML in the body
//! GET   /v1/tables/{version}      one of them, as it was written
//! GET   /v1/tables/{version}/diff ?against=  what has changed since the one before, or another
//! POST  /v1/tables/{version}/rollback   ?reason=   publish it again, as a new version
//! GET   /v1/drill                 the drill that runs
//! POST  /v1/drill                 {region, percent, for, reason, guard}; one at a time, watched unless the guard is "off"
//! DELETE /v1/drill                ?reason=   end it
//! GET   /v1/watches               the change under watch, and the last ones
//! DELETE /v1/watches/{number}     ?reason=   end the watch; the change stays
//! GET   /v1/audit                 ?after= &last=   who changed what, when and why
//! GET   /v1/pools, /v1/routes, /v1/origins   ?after= &limit=   what there is, a part at a time
//! GET   /v1/pools/{name}, /v1/routes/{name}  one of them
//! GET   /v1/health              all that this edge sees
//! GET   /v1/geo/{ip}            where an address is taken to be
//! GET   /v1/version             what runs here
//! GET   /v1/log-level           how much the log says
//! PUT   /v1/log-level           {level, reason, expires_in}
//! GET   /v1/events              what happens, while it happens (server-sent events)
//! GET   /v1/openapi.json        all of this, for programs
//! ```
//! What calls that change something may say besides, but for the end of a watch, which refuses all of it:
//! ```text
//! ?dry_run=1          tell what it would do, and do nothing
//! ?force=12.7         do it although a guard refuses; table version 12 is in force, and overlay 7, as a refusal says; or ?force=12
//! ?shares=1           tell what part of the traffic is predicted for the region afterwards
//! ?watch=60s          take it back if it does harm in that time (tables and overrides; a drill always)
//! ?guard=error_rate=1%   what harm is: error_rate, no_route, p99; a bound, or +so much more than before
//! ?volatile=1         do it although it cannot be kept: a restart forgets it
//! If-Match: "12"      only while table version 12 is in force; or "12.7", under the overrides of overlay 7
//! Idempotency-Key: k  if this came before, answer as then
//! ```
//!
//! Every call needs `Authorization: Bearer <token>` or a client certificate, and whose it is says what may be done with it
//! (see [`access`](crate::access)). Errors are problem documents (RFC 9457) that name the field and show a valid example. A change
//! is in force before its answer is sent.
//!
//! Left out: making changes, which [`changes`](crate::changes) does for whoever orders them.

mod about;
mod answers;
mod apart;
mod audit;
mod conditions;
mod counts;
mod drill;
mod events;
mod explain;
mod extract;
mod gate;
mod geo;
mod health;
mod in_force;
mod kinds;
mod log_level;
mod openapi;
mod orders;
mod origins;
mod overrides;
mod pages;
mod placements;
mod pools;
mod problem;
mod reading;
mod regions;
mod routes;
mod tables;
mod watches;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::{Extension, Router, middleware};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use about::Running;
pub use audit::{Audit, Audited};
pub use counts::Counts;
pub use drill::Drilled;
pub use geo::Located;
pub use health::{Health, PlacementHealth, Uplink};
pub use log_level::LogLevel;
pub use openapi::document;
pub use orders::{Carried, Fate, Told};
pub use origins::{Origin, Origins};
pub use overrides::OverrideList;
pub use pools::{Pool, PoolSummary, Pools, Probe};
use problem::Problem;
pub use regions::{Observed, ObservedOrigin, ObservedPlacement, Region, Regions};
pub use routes::{Carries, Does, Excluded, Must, Paths, Route, RouteSummary, Routes};
pub use tables::{Held, Tables};
pub use watches::Watches;

pub use crate::layers::{Configured, Effective, LastError, Layer};

use crate::access::Access;
use crate::changes::Changes;
use crate::decisions::Decisions;
use crate::explain::Locate;
use crate::log_level::LogLevels;
use crate::process::Process;
use crate::publisher::Publisher;
use crate::share::Samples;
use crate::trial::Trials;

/// The largest table that is accepted, in bytes: 10,000 routes take about 2 MB.
const MAX_TABLE_BYTES: usize = 8 << 20;
/// The largest body of any other call, in bytes.
const MAX_BODY_BYTES: usize = 64 << 10;

/// What the handlers work with.
pub struct Admin {
    /// What is in force.
    pub publisher: Arc<Publisher>,
    /// Where changes are ordered.
    pub changes: Changes,
    /// Changes under watch.
    pub trials: Arc<Trials>,
    /// What predicted shares come from.
    pub samples: Arc<Samples>,
    /// The last decisions, to be explained.
    pub decisions: Arc<Decisions>,
    /// Who finds a client's place.
    pub locator: Arc<dyn Locate>,
    /// Who may come in, and what he may do.
    pub access: Arc<Access>,
    /// How often the API was called.
    pub counts: Arc<Counts>,
    /// How much the log says.
    pub log: Arc<LogLevels>,
    /// The process around it.
    pub process: Arc<dyn Process>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

type Shared = State<Arc<Admin>>;

/// The routes of the API, and the document of the API beside them.
fn api() -> OpenApiRouter<Arc<Admin>> {
    let tables = OpenApiRouter::default()
        .routes(routes!(tables::list, tables::publish))
        .layer(DefaultBodyLimit::max(MAX_TABLE_BYTES));
    let others = OpenApiRouter::default()
        .routes(routes!(regions::list))
        .routes(routes!(regions::show, regions::patch))
        .routes(routes!(placements::show, placements::patch))
        .routes(routes!(pools::list))
        .routes(routes!(pools::show))
        .routes(routes!(routes::list))
        .routes(routes!(routes::show))
        .routes(routes!(origins::list))
        .routes(routes!(health::show))
        .routes(routes!(explain::explain))
        .routes(routes!(geo::show))
        .routes(routes!(overrides::list))
        .routes(routes!(tables::show))
        .routes(routes!(tables::diff))
        .routes(routes!(tables::rollback))
        .routes(routes!(drill::show, drill::begin, drill::end))
        .routes(routes!(watches::list))
        .routes(routes!(watches::end))
        .routes(routes!(audit::list))
        .routes(routes!(log_level::show, log_level::set))
        .routes(routes!(about::show))
        .routes(routes!(events::listen))
        .routes(routes!(openapi::show))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    OpenApiRouter::with_openapi(openapi::beginning()).merge(others).merge(tables)
}

/// The API.
pub fn router(admin: Arc<Admin>) -> Router {
    let (router, document) = api().split_for_parts();
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(Extension(openapi::Document(openapi::text(&document).into())))
        .layer(middleware::from_fn_with_state(admin.clone(), gate::gate))
        .with_state(admin)
}

async fn unknown_path() -> Problem {
    let known = "nothing has this path; /v1/openapi.json lists those that there are";
    Problem::new(StatusCode::NOT_FOUND, "unknown-path", known)
}

async fn unknown_method() -> Problem {
    let known = "this path does not know that method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "unknown-method", known)
}
