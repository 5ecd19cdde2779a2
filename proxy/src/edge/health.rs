//! `/livez`, `/readyz` and `/metrics`: for load balancers, orchestrators and Prometheus, without a token.
//!
//! *Live* means that the process answers. *Ready* means that clients should be sent here: a table is in force, the first
//! probes are over, and nobody has told this edge to stop. Origins that are down do not make an edge unready: that would
//! withdraw every PoP in the world at the moment their origins fail.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus::Registry;
use tokio::sync::watch;

use super::Phase;
use crate::observe::{Sources, page, registry};

/// What readiness depends on.
#[derive(Clone)]
pub(super) struct Readiness {
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) probed: watch::Receiver<bool>,
}

impl Readiness {
    fn gates(&self) -> [(&'static str, bool); 3] {
        [
            ("table", true),
            ("first_probes", *self.probed.borrow()),
            ("not_draining", *self.phase.borrow() == Phase::Serving),
        ]
    }
}

#[derive(Clone)]
struct Health {
    registry: Arc<Registry>,
    ready: Readiness,
}

pub(super) fn router(sources: Sources, ready: Readiness) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Health { registry: Arc::new(registry(sources)), ready })
}

async fn readyz(State(health): State<Health>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let gates = health.ready.gates();
    let is_ready = gates.iter().all(|(_, open)| *open);
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let is_verbose = query
        .is_some_and(|query| query.split('&').any(|key| key == "verbose" || key.starts_with("verbose=")));
    let mut body = String::new();
    if is_verbose {
        for (gate, open) in gates {
            let _ = writeln!(body, "[{}] {gate}", if open { '+' } else { '-' });
        }
    }
    body.push_str(if is_ready { "ready\n" } else { "not ready\n" });
    (status, body)
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page(&health.registry))
}
