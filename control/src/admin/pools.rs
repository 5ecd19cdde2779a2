//! `/v1/pools`: the applications, and what is there to answer for each.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use steer::ids::{LaneId, PlacementId};
use steer::spec::{ProbeKind, Protocol};
use steer::{Span, Table};
use utoipa::ToSchema;

use super::Shared;
use super::extract::{Asked, At};
use super::in_force::{Tagged, tagged};
use super::kinds::problems;
use super::pages::Paged;
use super::problem::Problem;
use crate::described;
use crate::layers::{self, Placement};
use crate::snapshot::Snapshot;

/// A part of the pools.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Pools {
    /// The table's version.
    pub version: u64,
    /// In the table's order.
    pub pools: Vec<PoolSummary>,
    /// What to ask for the next part with, as `after`; `None` behind the last.
    pub next: Option<String>,
}

/// A pool in a line.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct PoolSummary {
    /// Its name.
    pub name: String,
    /// What is spoken to its origins.
    #[schema(value_type = described::Protocol)]
    pub protocol: Protocol,
    /// Whether its origins are reached over TLS.
    pub tls: bool,
    /// Regions that it is placed in.
    pub regions: usize,
    /// Placements that take new requests now.
    pub usable: usize,
    /// Origins in all regions.
    pub origins: usize,
    /// Requests running from here.
    pub in_flight: u32,
    /// Routes that lead to it.
    pub routes: usize,
}

/// A pool.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Pool {
    /// In a line.
    #[serde(flatten)]
    pub summary: PoolSummary,
    /// How its origins are checked.
    pub probe: Probe,
    /// Where it is placed, each in its layers.
    pub placements: Vec<Placement>,
}

/// How origins are checked.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Probe {
    /// What a probe does.
    #[schema(value_type = described::ProbeKind)]
    pub kind: ProbeKind,
    /// The page that is asked for, or the gRPC service; an empty one is the whole server.
    pub path: String,
    /// The Host that is sent; `None` is the origin's own.
    pub host: Option<String>,
    /// The answers that count as healthy, from and to.
    #[schema(value_type = Vec<Vec<u16>>)]
    pub statuses: Vec<(u16, u16)>,
    /// From one probe to the next.
    #[schema(value_type = described::Span)]
    pub interval: Span,
}

problems!(
    /// Of the list.
    Listing = ANY, "bad-query"
);
problems!(
    /// Of one.
    Showing = ANY, "bad-path", "unknown-pool"
);

/// The pools, a part at a time
#[utoipa::path(get, path = "/v1/pools", tag = "pools", operation_id = "listPools", params(Paged),
    responses((status = 200, description = "A part of the pools.", body = Pools,
        headers(("ETag" = String, description = "What is in force, as If-Match takes it."))), Listing))]
pub(super) async fn list(
    State(admin): Shared,
    Asked(wanted): Asked<Paged>,
) -> Result<Tagged<Pools>, Problem> {
    let snapshot = admin.publisher.snapshot();
    let table = snapshot.table();
    let part = wanted.part(table.pools.len(), |index| table.pools[index].name.clone())?;
    let routes = routes(&snapshot);
    let pools = part.range.map(|index| summary(&snapshot, index, &routes)).collect();
    let pools = Pools { version: snapshot.version.about.version, pools, next: part.next };
    Ok(tagged(&snapshot, pools))
}

/// One pool, with its placements in their layers
#[utoipa::path(get, path = "/v1/pools/{pool}", tag = "pools", operation_id = "showPool",
    params(("pool" = inline(described::Name), Path, description = "The pool's name.")),
    responses((status = 200, description = "The pool.", body = Pool,
        headers(("ETag" = String, description = "What is in force, as If-Match takes it."))), Showing))]
pub(super) async fn show(State(admin): Shared, At(name): At<String>) -> Result<Tagged<Pool>, Problem> {
    let snapshot = admin.publisher.snapshot();
    let table = snapshot.table();
    let index = named(table, &name)?;
    let now = admin.publisher.clock().now();
    let pool = &table.pools[index];
    let placements = pool.placements.clone().filter_map(PlacementId::new);
    let shown = Pool {
        summary: summary(&snapshot, index, &routes(&snapshot)),
        probe: Probe {
            kind: pool.probe.kind,
            path: pool.probe.path.clone(),
            host: pool.probe.host.clone(),
            statuses: pool.probe.statuses.clone(),
            interval: pool.probe.interval,
        },
        placements: placements.map(|id| layers::of_placement(&snapshot, id, now)).collect(),
    };
    Ok(tagged(&snapshot, shown))
}

/// The place of the pool of this name.
pub(super) fn named(table: &Table, name: &str) -> Result<usize, Problem> {
    table.pools.iter().position(|pool| pool.name == name).ok_or_else(|| {
        let known: Vec<&str> = table.pools.iter().map(|pool| pool.name.as_str()).take(20).collect();
        let detail = format!("no pool is named {name:?}; there are {}", known.join(", "));
        Problem::new(StatusCode::NOT_FOUND, "unknown-pool", detail)
    })
}

/// Routes per pool.
fn routes(snapshot: &Snapshot) -> Vec<usize> {
    let table = snapshot.table();
    let mut routes = vec![0; table.pools.len()];
    let lanes = table.routes.iter().filter_map(|route| route.forward()).map(|forward| forward.lane);
    lanes.for_each(|lane: LaneId| routes[table.lane(lane).pool.index()] += 1);
    routes
}

fn summary(snapshot: &Snapshot, index: usize, routes: &[usize]) -> PoolSummary {
    let pool = &snapshot.table().pools[index];
    let placements = pool.placements.clone().filter_map(PlacementId::new);
    let vitals = |id: PlacementId| &snapshot.vitals.placements[id.index()];
    PoolSummary {
        name: pool.name.clone(),
        protocol: pool.protocol,
        tls: pool.tls.is_some(),
        regions: pool.placements.len(),
        usable: placements.clone().filter(|id| layers::is_usable(snapshot, *id)).count(),
        origins: placements.clone().map(|id| snapshot.table().placement(id).origins.len()).sum(),
        in_flight: placements.map(|id| vitals(id).in_flight()).sum(),
        routes: routes.get(index).copied().unwrap_or_default(),
    }
}
