//! `/livez`, `/readyz` and `/metrics`: for load balancers, orchestrators and Prometheus, without a token.
//!
//! *Live* means that the process answers. *Ready* means that clients should be sent here: a table is in force, the first
//! probes are over, nobody has told this edge to stop, and it is not cut off. Origins that are down do not make an edge unready:
//! that would withdraw every PoP in the world at the moment their origins fail. Silence of everything may, for 3 s and more: of
//! the references too where there are some; otherwise only where the operator says so. Nor does a state folder that cannot be
//! used: clients do not need it. `?verbose` says so, for whoever looks.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use control::changes::Keeps;
use control::process::{Gate, Process};
use control::publisher::Publisher;
use prometheus::Registry;
use steer::health::UNREADY_AFTER;
use tokio::sync::watch;

use super::Phase;
use crate::observe::{Sources, page, registry};

/// What readiness depends on; and so the process, as the admin API sees it.
#[derive(Clone)]
pub(super) struct Readiness {
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) probed: watch::Receiver<bool>,
    pub(super) publisher: Arc<Publisher>,
    /// Whether an edge that hears nothing at all is to be left alone.
    pub(super) fails_when_silent: bool,
}

impl Readiness {
    fn gates(&self) -> [(&'static str, bool); 4] {
        let now = self.publisher.clock().now();
        let silent_since = self.publisher.uplink().silent_since();
        let is_cut_off = silent_since.is_some_and(|since| now.since(since) >= UNREADY_AFTER);
        [
            ("table", true),
            ("first_probes", *self.probed.borrow()),
            ("uplink", !(is_cut_off && self.fails_when_silent)),
            ("not_draining", *self.phase.borrow() == Phase::Serving),
        ]
    }
}

impl Process for Readiness {
    fn gates(&self) -> Vec<Gate> {
        let gate = |(name, open): (&str, bool)| Gate { name: name.to_owned(), open };
        Self::gates(self).into_iter().map(gate).collect()
    }

    fn ends(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut phase = self.phase.clone();
        Box::pin(async move {
            // Nobody is left to say so: it has ended.
            let _ = phase.wait_for(|phase| *phase >= Phase::Draining).await;
        })
    }
}

#[derive(Clone)]
struct Health {
    registry: Arc<Registry>,
    ready: Readiness,
    keeps: Keeps,
}

pub(super) fn router(sources: Sources, ready: Readiness) -> Router {
    let keeps = sources.keeps.clone();
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Health { registry: Arc::new(registry(sources)), ready, keeps })
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
        if let Some(are_kept) = health.keeps.get() {
            let _ = writeln!(body, "[{}] changes_kept", if are_kept { '+' } else { '-' });
        }
    }
    body.push_str(if is_ready { "ready\n" } else { "not ready\n" });
    (status, body)
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page(&health.registry))
}
