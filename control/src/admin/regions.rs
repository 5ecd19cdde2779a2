//! `/v1/regions`: what is configured, overridden and observed of each region, apart from each other, and changing it.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Deserializer, Serialize};
use steer::geo::Place;
use steer::health::OriginHealth;
use steer::ids::RegionId;
use steer::signals::{Health, RAMP_WHOLE};
use steer::spec::State as RegionState;
use steer::{Moment, Span};

use super::problem::Problem;
use super::{Admin, Shared};
use crate::access::{Action, Caller};
use crate::overlay::RegionOverrides;
use crate::publisher::RegionPatch;
use crate::share::{Basis, Shares};
use crate::snapshot::Snapshot;

/// All regions.
#[derive(Debug, Deserialize, Serialize)]
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
#[derive(Debug, Deserialize, Serialize)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// The legal area its data is in.
    pub jurisdiction: Option<String>,
    /// What the table says.
    pub configured: Configured,
    /// What operators changed.
    pub overridden: RegionOverrides,
    /// What counts.
    pub effective: Effective,
    /// What this edge sees.
    pub observed: Observed,
    /// The part of the traffic it would get, 0 to 1.
    pub predicted_share: f64,
}

/// What the table says of a region.
#[derive(Debug, Deserialize, Serialize)]
pub struct Configured {
    /// 0 to 100.
    pub weight: u8,
    /// Whether it takes requests.
    pub state: RegionState,
}

/// What counts for a region, and which layer said so.
#[derive(Debug, Deserialize, Serialize)]
pub struct Effective {
    /// 0 to 100.
    pub weight: u8,
    /// Who decided the weight.
    pub weight_by: Layer,
    /// Whether it takes requests.
    pub state: RegionState,
    /// Who decided the state.
    pub state_by: Layer,
}

/// A layer that decides.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The table.
    Table,
    /// An operator.
    Override,
}

/// What this edge sees of a region.
#[derive(Debug, Deserialize, Serialize)]
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
#[derive(Debug, Deserialize, Serialize)]
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
#[derive(Debug, Deserialize, Serialize)]
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

/// What last went wrong at an origin.
#[derive(Debug, Deserialize, Serialize)]
pub struct LastError {
    /// In words.
    pub what: String,
    /// How long ago, in ms.
    pub ago_ms: f64,
}

pub(super) async fn list(State(admin): Shared) -> Json<Regions> {
    let snapshot = admin.publisher.snapshot();
    let shares = admin.samples.predict(&snapshot);
    let now = admin.publisher.clock().now();
    let ids = (0..snapshot.table().regions.len()).filter_map(RegionId::new);
    Json(Regions {
        version: snapshot.version.about.version,
        overlay: snapshot.overlay.number,
        ranking: snapshot.ranking.number,
        predicted_from: shares.basis,
        regions: ids.map(|id| region(&snapshot, id, &shares, now)).collect(),
    })
}

pub(super) async fn show(State(admin): Shared, Path(name): Path<String>) -> Result<Json<Region>, Problem> {
    one(&admin, &name).map(Json)
}

fn one(admin: &Admin, name: &str) -> Result<Region, Problem> {
    let snapshot = admin.publisher.snapshot();
    let id = snapshot.table().region_named(name).ok_or_else(|| unknown(&snapshot, name))?;
    let shares = admin.samples.predict(&snapshot);
    Ok(region(&snapshot, id, &shares, admin.publisher.clock().now()))
}

fn unknown(snapshot: &Snapshot, name: &str) -> Problem {
    let names: Vec<&str> =
        snapshot.table().regions.iter().map(|region| region.name.as_str()).take(20).collect();
    let detail = format!("no region is named {name:?}; there are {}", names.join(", "));
    Problem::new(StatusCode::NOT_FOUND, "unknown-region", detail)
}

/// The body of a change.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    #[serde(default, deserialize_with = "written")]
    weight: Option<Option<u8>>,
    #[serde(default, deserialize_with = "written")]
    state: Option<Option<RegionState>>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    expires_in: Option<Span>,
}

/// Tells `null` (end the override) from a key that is not there (leave it).
fn written<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

/// The longest that an override may last.
const MAX_EXPIRY: Span = Span::from_secs(366 * 24 * 3600);

/// The answer to a change.
#[derive(Serialize)]
pub(super) struct Patched {
    #[serde(flatten)]
    region: Region,
    overlay: u64,
    persisted: bool,
    note: &'static str,
}

pub(super) async fn patch(
    State(admin): Shared,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Patched>, Problem> {
    caller.may(Action::Override { region: &name })?;
    let body = body.map_err(|refused| Problem::new(refused.status(), "bad-body", refused.body_text()))?;
    let example = serde_json::json!({"weight": 50, "reason": "trying the new release", "expires_in": "2h"});
    let patch: Patch = serde_json::from_slice(&body)
        .map_err(|error| Problem::field("bad-body", "body", error.to_string(), example.clone()))?;
    let wrong = |field: &str, detail: &str| Err(Problem::field("bad-value", field, detail, example.clone()));
    if patch.weight.is_none() && patch.state.is_none() {
        return wrong("weight", "nothing is changed: give weight, state or both; null ends an override");
    }
    if patch.weight.flatten().is_some_and(|weight| weight > 100) {
        return wrong("weight", "a weight is a whole number from 0 to 100");
    }
    if patch.reason.trim().is_empty() || patch.reason.len() > 1000 {
        return wrong("reason", "say why in 1 to 1000 characters: whoever looks at it at night will ask");
    }
    if patch.expires_in.is_some_and(|span| span == Span::ZERO || span > MAX_EXPIRY) {
        return wrong("expires_in", "an override lasts longer than nothing and at most a year");
    }
    let change = RegionPatch {
        weight: patch.weight,
        state: patch.state,
        author: caller.name,
        reason: patch.reason,
        expires_in: patch.expires_in,
    };
    let told = change.clone();
    if admin.publisher.patch(&name, change).is_err() {
        return Err(unknown(&admin.publisher.snapshot(), &name));
    }
    tell(&name, &told);
    Ok(Json(Patched {
        region: one(&admin, &name)?,
        overlay: admin.publisher.snapshot().overlay.number,
        persisted: false,
        note: "in force now; overrides are kept in memory, so a restart forgets them",
    }))
}

/// Leaves a change in the log, with the words of the API: absent is unchanged, `-` ends the override.
fn tell(region: &str, change: &RegionPatch) {
    let weight =
        change.weight.map(|weight| weight.map_or_else(|| "-".to_owned(), |weight| weight.to_string()));
    let state = change.state.map(|state| state.map_or("-", RegionState::as_str));
    let expires_in = change.expires_in.map(|span| span.to_string());
    let (author, reason) = (&change.author, &change.reason);
    tracing::info!(region, weight, state, author, reason, expires_in, "override");
}

fn region(snapshot: &Snapshot, id: RegionId, shares: &Shares, now: Moment) -> Region {
    let configured = snapshot.table().region(id);
    let overridden = snapshot.overlay.region(&configured.name);
    let ranked = snapshot.ranking.regions.get(id.index()).copied().unwrap_or_default();
    let by = |is_overridden| if is_overridden { Layer::Override } else { Layer::Table };
    Region {
        name: configured.name.clone(),
        place: configured.place,
        jurisdiction: configured.jurisdiction.clone(),
        configured: Configured { weight: configured.weight, state: configured.state },
        effective: Effective {
            weight: overridden.weight.as_ref().map_or(configured.weight, |weight| weight.value),
            weight_by: by(overridden.weight.is_some()),
            state: overridden.state.as_ref().map_or(configured.state, |state| state.value),
            state_by: by(overridden.state.is_some()),
        },
        overridden,
        observed: Observed {
            latency_ms: ranked.latency_ms,
            measured: ranked.measured,
            rise_ms: ranked.rise_ms,
            placements: placements(snapshot, &configured.name, now),
        },
        predicted_share: shares.of.get(&id).copied().unwrap_or(0.0),
    }
}

fn placements(snapshot: &Snapshot, region: &str, now: Moment) -> Vec<ObservedPlacement> {
    let mut origins: BTreeMap<&str, Vec<ObservedOrigin>> = BTreeMap::new();
    for origin in snapshot.vitals.origins.iter().filter(|origin| origin.key.placement.region == region) {
        origins.entry(&origin.key.placement.pool).or_default().push(ObservedOrigin {
            address: origin.key.address.clone(),
            health: match origin.health() {
                OriginHealth::Unknown => "unknown",
                OriginHealth::Up => "up",
                OriginHealth::Suspect => "suspect",
                OriginHealth::Down => "down",
            }
            .to_owned(),
            last_success_ago_ms: origin.last_success().map(|at| now.since(at).as_millis_f64()),
            last_error: origin.last_error().map(|error| LastError {
                what: error.what.clone(),
                ago_ms: now.since(error.at).as_millis_f64(),
            }),
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
