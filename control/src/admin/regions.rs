//! `/v1/regions`: what is configured, overridden and observed of each region, apart from each other, and changing it.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use steer::Moment;
use steer::geo::Place;
use steer::ids::{PlacementId, RegionId};
use steer::signals::{Health, RAMP_WHOLE};
use utoipa::ToSchema;

use super::answers::{Answer, InLayers};
use super::conditions::Conditions;
use super::extract::{At, Body};
use super::in_force::{Tagged, Under, tagged};
use super::kinds::{Looking, problems};
use super::overrides::{self, Overriding, Patch, Shown};
use super::problem::Problem;
use super::{Admin, Shared};
use crate::access::Caller;
use crate::described;
use crate::drill::Drill;
use crate::layers::{self, Configured, Effective, LastError, Placement};
use crate::overlay::{Overrides, Target};
use crate::share::{Basis, Shares};
use crate::snapshot::Snapshot;

/// All regions.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Regions {
    /// The table's version.
    pub version: u64,
    /// The overlay's number.
    pub overlay: u64,
    /// The ranking's number.
    pub ranking: u64,
    /// What the predicted shares come from.
    pub predicted_from: Basis,
    /// In the table's order.
    pub regions: Vec<Region>,
}

/// A region.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Where it is.
    #[schema(value_type = described::Place)]
    pub place: Place,
    /// The legal area its data is in.
    pub jurisdiction: Option<String>,
    /// What the table says.
    pub configured: Configured,
    /// What operators changed.
    pub overridden: Overrides,
    /// What counts.
    pub effective: Effective,
    /// The drill that makes it look dead to a part of the clients, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Drill>,
    /// What this edge sees.
    pub observed: Observed,
    /// The pools that are placed there, each in its layers.
    #[serde(default)]
    pub placements: Vec<Placement>,
    /// The part of the traffic it would get, 0 to 1. The answer to a change has it only if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_share: Option<f64>,
}

/// What this edge sees of a region.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Observed {
    /// L: the published round trip from here, in ms.
    pub latency_ms: Option<f64>,
    /// Whether L is measured or suggested by distance.
    pub measured: bool,
    /// How far L is above its lowest of the last hour.
    pub rise_ms: f64,
    /// Per pool.
    pub placements: Vec<ObservedPlacement>,
}

/// What this edge sees of a placement.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct ObservedPlacement {
    /// The pool.
    pub pool: String,
    /// `unknown up suspect down recovering held`.
    pub health: String,
    /// While recovering: the part of its traffic that it takes, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<f64>,
    /// How much later than usual its answers are, in ms, where that is proved; a part of its cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excess_ms: Option<u16>,
    /// Requests running from here.
    pub in_flight: u32,
    /// Per origin.
    pub origins: Vec<ObservedOrigin>,
}

/// What this edge sees of an origin.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct ObservedOrigin {
    /// As written.
    pub address: String,
    /// `unknown up suspect down`.
    pub health: String,
    /// How long ago it last answered, in ms; `None` is never.
    pub last_success_ago_ms: Option<f64>,
    /// The last thing that went wrong here, if anything has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
}

/// One, as it is shown.
type One = Under<Region>;
/// What a change here is answered with.
type Changed = Answer<InLayers<Region>>;

problems!(
    /// Of one.
    Showing = ANY, "bad-path", "unknown-region"
);

/// Every region: configured, overridden, observed, and its predicted share
#[utoipa::path(get, path = "/v1/regions", tag = "regions", operation_id = "listRegions",
    responses((status = 200, description = "Every region.", body = Regions,
        headers(("ETag" = String, description = "What is in force, as If-Match takes it."))), Looking))]
pub(super) async fn list(State(admin): Shared) -> Tagged<Regions> {
    let snapshot = admin.publisher.snapshot();
    let shares = admin.samples.predict(&snapshot);
    let now = admin.publisher.clock().now();
    let ids = (0..snapshot.table().regions.len()).filter_map(RegionId::new);
    let regions = Regions {
        version: snapshot.version.about.version,
        overlay: snapshot.overlay.number,
        ranking: snapshot.ranking.number,
        predicted_from: shares.basis,
        regions: ids.map(|id| region(&snapshot, id, Some(&shares), now)).collect(),
    };
    tagged(&snapshot, regions)
}

/// One region
#[utoipa::path(get, path = "/v1/regions/{region}", tag = "regions", operation_id = "showRegion",
    params(("region" = inline(described::Name), Path, description = "The region's name.")),
    responses((status = 200, description = "The region.", body = inline(One),
        headers(("ETag" = String, description = "What is in force, as If-Match takes it."))), Showing))]
pub(super) async fn show(State(admin): Shared, At(name): At<String>) -> Result<Tagged<One>, Problem> {
    let snapshot = admin.publisher.snapshot();
    let region = one(&admin, &snapshot, &name, true)?;
    Ok(tagged(&snapshot, Under::of(&snapshot, region)))
}

fn one(admin: &Admin, snapshot: &Snapshot, name: &str, with_share: bool) -> Result<Region, Problem> {
    let id = snapshot
        .table()
        .region_named(name)
        .ok_or_else(|| overrides::unknown(admin, &Target::Region(name.to_owned())))?;
    let shares = with_share.then(|| admin.samples.predict(snapshot));
    Ok(region(snapshot, id, shares.as_ref(), admin.publisher.clock().now()))
}

/// Overrides weight, state or health of a region
///
/// What is `null` ends that override; what is not named stays as it is.
#[utoipa::path(patch, path = "/v1/regions/{region}", tag = "regions", operation_id = "overrideRegion",
    params(("region" = inline(described::Name), Path, description = "The region's name."), Conditions),
    request_body = Patch,
    responses((status = 200, description = "It is in force; or what it would do.", body = inline(Changed)), Overriding))]
pub(super) async fn patch(
    State(admin): Shared,
    Extension(caller): Extension<Caller>,
    At(name): At<String>,
    conditions: Conditions,
    body: Body,
) -> Result<Response, Problem> {
    let target = Target::Region(name.clone());
    let with_share = conditions.shares;
    let outcome = overrides::patch(&admin, &caller, target, conditions, &body).await?;
    outcome.answer(|done| Shown::of(done, one(&admin, &admin.publisher.snapshot(), &name, with_share)))
}

fn region(snapshot: &Snapshot, id: RegionId, shares: Option<&Shares>, now: Moment) -> Region {
    let configured = snapshot.table().region(id);
    let ranked = snapshot.ranking.regions.get(id.index()).copied().unwrap_or_default();
    let here = (0..).map_while(PlacementId::new).zip(&snapshot.table().placements);
    let here = here.filter(|(_, placement)| placement.region == id);
    Region {
        name: configured.name.clone(),
        place: configured.place,
        jurisdiction: configured.jurisdiction.clone(),
        configured: Configured { weight: configured.weight, state: configured.state },
        overridden: snapshot.overlay.region(&configured.name).clone(),
        effective: layers::of_region(snapshot, id),
        drill: snapshot.drill.as_deref().filter(|drill| drill.region == configured.name).cloned(),
        placements: here.map(|(id, _)| layers::of_placement(snapshot, id, now)).collect(),
        observed: Observed {
            latency_ms: ranked.latency_ms,
            measured: ranked.measured,
            rise_ms: ranked.rise_ms,
            placements: placements(snapshot, &configured.name, now),
        },
        predicted_share: shares.map(|shares| shares.of.get(&id).copied().unwrap_or(0.0)),
    }
}

fn placements(snapshot: &Snapshot, region: &str, now: Moment) -> Vec<ObservedPlacement> {
    let mut origins: BTreeMap<&str, Vec<ObservedOrigin>> = BTreeMap::new();
    for origin in snapshot.vitals.origins.iter().filter(|origin| origin.key.placement.region == region) {
        origins.entry(&origin.key.placement.pool).or_default().push(ObservedOrigin {
            address: origin.key.address.clone(),
            health: origin.health().as_str().to_owned(),
            last_success_ago_ms: origin.last_success().map(|at| now.since(at).as_millis_f64()),
            last_error: origin.last_error().map(|error| LastError::of(&error, now)),
        });
    }
    let here = (0..).zip(&snapshot.vitals.placements).filter(|(_, placement)| placement.key.region == region);
    here.map(|(index, placement): (usize, _)| {
        let excess = snapshot.ranking.excesses.get(index).map(|excess| excess.ms);
        let observed = placement.observed();
        let recovering = observed.health == Health::Recovering;
        ObservedPlacement {
            pool: placement.key.pool.clone(),
            health: observed.health.as_str().to_owned(),
            ramp: recovering.then(|| f64::from(observed.ramp) / f64::from(RAMP_WHOLE)),
            excess_ms: excess.filter(|ms| *ms > 0),
            in_flight: placement.in_flight(),
            origins: origins.remove(placement.key.pool.as_str()).unwrap_or_default(),
        }
    })
    .collect()
}
