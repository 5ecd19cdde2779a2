//! `/v1/health`: all that this edge sees, on one page: itself, its way out, and every placement with its origins.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use steer::ids::PlacementId;
use utoipa::ToSchema;

use super::Shared;
use super::in_force::{Tagged, tagged};
use super::kinds::Looking;
use super::origins::{Origin, origin};
use crate::layers::{self, LastError, Layer};
use crate::process::Gate;

/// What this edge sees.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Health {
    /// The table's version.
    pub version: u64,
    /// Whether clients should be sent here, as `/readyz` says.
    pub ready: bool,
    /// What that depends on.
    pub gates: Vec<Gate>,
    /// Whether changes are being kept, as `/readyz?verbose` says; not told by an edge that is to keep none. Readiness does not
    /// depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_kept: Option<bool>,
    /// This PoP's own way out.
    pub uplink: Uplink,
    /// Placements per health that counts.
    pub counts: BTreeMap<String, usize>,
    /// In the table's order: by pool, then by region.
    pub placements: Vec<PlacementHealth>,
}

/// This PoP's own way out.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Uplink {
    /// Whether nothing at all answers; then nobody's health changes.
    pub suspected: bool,
    /// For how long, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_for_ms: Option<f64>,
}

/// The health of a placement.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct PlacementHealth {
    /// The pool.
    pub pool: String,
    /// The region.
    pub region: String,
    /// What counts: what is observed, or what an operator forced.
    pub health: String,
    /// Which layer said so.
    pub health_by: Layer,
    /// What is observed: `unknown up suspect down recovering held`.
    pub observed: String,
    /// For how long that has been so, in ms; `None` is since this edge knows it.
    pub for_ms: Option<f64>,
    /// What last went wrong at one of its origins, if anything has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// Whether it takes new requests now, be it only after others.
    pub is_usable: bool,
    /// Requests running there from here.
    pub in_flight: u32,
    /// Its origins.
    pub origins: Vec<Origin>,
}

/// All that this edge sees: itself, its way out, every placement and origin
#[utoipa::path(get, path = "/v1/health", tag = "health", operation_id = "showHealth",
    responses((status = 200, description = "What this edge sees.", body = Health,
        headers(("ETag" = String, description = "What is in force, as If-Match takes it."))), Looking))]
pub(super) async fn show(State(admin): Shared) -> Tagged<Health> {
    let snapshot = admin.publisher.snapshot();
    let now = admin.publisher.clock().now();
    let placement = |id: PlacementId| {
        let told = layers::of_placement(&snapshot, id, now);
        let origins = snapshot.table().origins_of(id);
        PlacementHealth {
            pool: told.pool,
            region: told.region,
            health: told.effective.health,
            health_by: told.effective.health_by,
            observed: told.observed.health,
            for_ms: told.observed.for_ms,
            last_error: told.observed.last_error,
            is_usable: told.effective.is_usable,
            in_flight: snapshot.vitals.placements[id.index()].in_flight(),
            origins: origins.map(|id| origin(&snapshot, id, now)).collect(),
        }
    };
    let ids = (0..snapshot.table().placements.len()).filter_map(PlacementId::new);
    let placements: Vec<PlacementHealth> = ids.map(placement).collect();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for placement in &placements {
        *counts.entry(placement.health.clone()).or_default() += 1;
    }
    let gates = admin.process.gates();
    let silent_since = admin.publisher.uplink().silent_since();
    let health = Health {
        version: snapshot.version.about.version,
        ready: gates.iter().all(|gate| gate.open),
        gates,
        changes_kept: admin.changes.keeps().get(),
        uplink: Uplink {
            suspected: silent_since.is_some(),
            silent_for_ms: silent_since.map(|since| now.since(since).as_millis_f64()),
        },
        counts,
        placements,
    };
    tagged(&snapshot, health)
}
