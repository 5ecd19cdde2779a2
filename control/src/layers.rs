//! What is configured, overridden and observed of a region or placement, apart from each other, and what counts in the end.
//!
//! Of each value that counts it is told which layer decided it. Nothing is decided here: what counts is read from the same
//! arrays as a decision reads.

use serde::{Deserialize, Serialize};
use steer::effective::{DIAL_WHOLE, Forced};
use steer::ids::{PlacementId, RegionId};
use steer::spec::State;
use steer::{Moment, Table};
use utoipa::ToSchema;

use crate::overlay::{Overlay, Overrides};
use crate::snapshot::Snapshot;
use crate::{described, vitals};

/// A layer that decides: what the table or an operator says, of a region or of a placement, or what this edge sees. It has one name,
/// whether a region or a placement is told of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// What the table says of the region.
    RegionTable,
    /// What the table says of the placement; its weight is told so where nobody overrides one, though the region's counts as well.
    PlacementTable,
    /// What an operator says of the region.
    RegionOverride,
    /// What an operator says of the placement.
    PlacementOverride,
    /// What this edge sees.
    Observed,
}

impl Layer {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RegionTable => "region-table",
            Self::PlacementTable => "placement-table",
            Self::RegionOverride => "region-override",
            Self::PlacementOverride => "placement-override",
            Self::Observed => "observed",
        }
    }

    /// Whether it is what operators say.
    #[must_use]
    pub const fn is_override(self) -> bool {
        matches!(self, Self::RegionOverride | Self::PlacementOverride)
    }
}

/// What the table says of a region or placement.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Configured {
    /// 0 to 100.
    pub weight: u8,
    /// Whether it takes requests.
    #[schema(value_type = described::State)]
    pub state: State,
}

/// What counts for a region, and which layer said so.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Effective {
    /// 0 to 100; while a ramp runs, how far it has come.
    pub weight: u8,
    /// Who decided the weight: an operator also while the ramp of an overridden state takes it away.
    pub weight_by: Layer,
    /// Whether it takes requests; while a ramp leads to an overridden state, the one that counts until then.
    #[schema(value_type = described::State)]
    pub state: State,
    /// Who decided the state that counts now, and not the one that a ramp leads to.
    pub state_by: Layer,
    /// The health that an operator forced; if none, each placement's own counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<described::Forced>)]
    pub health: Option<Forced>,
    /// Who decides health.
    pub health_by: Layer,
}

/// A placement in its layers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Placement {
    /// The pool.
    pub pool: String,
    /// The region.
    pub region: String,
    /// What the table says of the placement itself.
    pub configured: Configured,
    /// What operators changed of the placement itself.
    pub overridden: Overrides,
    /// What this edge sees.
    pub observed: ObservedHealth,
    /// What counts, with what is said of the region.
    pub effective: EffectivePlacement,
}

/// The health of a placement as this edge sees it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct ObservedHealth {
    /// `unknown up suspect down recovering held`.
    pub health: String,
    /// For how long it has been so, in ms; `None` is since this edge knows it.
    pub for_ms: Option<f64>,
    /// What last went wrong at one of its origins, if anything has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
}

/// What last went wrong at an origin.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct LastError {
    /// In words.
    pub what: String,
    /// How long ago, in ms.
    pub ago_ms: f64,
}

impl LastError {
    /// An error as it is told at `now`.
    #[must_use]
    pub(crate) fn of(error: &vitals::LastError, now: Moment) -> Self {
        Self { what: error.what.clone(), ago_ms: now.since(error.at).as_millis_f64() }
    }
}

/// What counts for a placement, and which layer said so.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct EffectivePlacement {
    /// In percent: the product of the placement's and its region's weight.
    pub weight: f64,
    /// Who decided the weight; an operator's word about either counts before the table's.
    pub weight_by: Layer,
    /// The less willing of the placement's and its region's state.
    #[schema(value_type = described::State)]
    pub state: State,
    /// Who decided the state.
    pub state_by: Layer,
    /// The observed health, or the one that an operator forced; `down` before `up`.
    pub health: String,
    /// Who decided the health.
    pub health_by: Layer,
    /// Whether it takes new requests now, be it only after others.
    pub is_usable: bool,
}

/// Which layer decided what counts for a placement.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct DecidedBy {
    /// The weight.
    pub weight: Layer,
    /// The state.
    pub state: Layer,
    /// The health.
    pub health: Layer,
}

/// What counts for a region.
#[must_use]
pub fn of_region(snapshot: &Snapshot, id: RegionId) -> Effective {
    let configured = snapshot.table().region(id);
    let over = snapshot.overlay.region(&configured.name).at(snapshot.overlay.at);
    let by = |is_overridden| if is_overridden { Layer::RegionOverride } else { Layer::RegionTable };
    Effective {
        weight: over.weight_over(configured.weight),
        weight_by: by(over.weight.is_some() || over.at_most.is_some()),
        state: over.state.unwrap_or(configured.state),
        state_by: by(over.state.is_some()),
        health: over.health,
        health_by: if over.health.is_some() { Layer::RegionOverride } else { Layer::Observed },
    }
}

/// Which layers decide what counts for a placement.
#[must_use]
pub fn decided_by(table: &Table, overlay: &Overlay, id: PlacementId) -> DecidedBy {
    let placement = table.placement(id);
    let (pool, region) = (&table.pool(placement.pool).name, &table.region(placement.region).name);
    let own = overlay.placement(pool, region).at(overlay.at);
    let regions = overlay.region(region).at(overlay.at);
    let is_moved = |over: &steer::effective::Override| over.weight.is_some() || over.at_most.is_some();
    let region_state = regions.state.unwrap_or(table.region(placement.region).state);
    DecidedBy {
        weight: match (is_moved(&own), is_moved(&regions)) {
            (true, _) => Layer::PlacementOverride,
            (false, true) => Layer::RegionOverride,
            (false, false) => Layer::PlacementTable,
        },
        state: match (region_state > own.state.unwrap_or(placement.state), own.state, regions.state) {
            (true, _, Some(_)) => Layer::RegionOverride,
            (true, _, None) => Layer::RegionTable,
            (false, Some(_), _) => Layer::PlacementOverride,
            (false, None, _) => Layer::PlacementTable,
        },
        health: match (own.health, regions.health) {
            (None, None) => Layer::Observed,
            (own, regions) if regions > own => Layer::RegionOverride,
            _ => Layer::PlacementOverride,
        },
    }
}

/// Whether a placement takes new requests now, be it only after others.
#[must_use]
pub fn is_usable(snapshot: &Snapshot, id: PlacementId) -> bool {
    let standing = snapshot.effective.of_placement(id);
    let takes = matches!(standing.state, State::Active | State::Standby) && standing.dial > 0;
    takes && standing.seen(snapshot.vitals.placements[id.index()].observed()).is_usable()
}

/// A placement in its layers.
#[must_use]
pub fn of_placement(snapshot: &Snapshot, id: PlacementId, now: Moment) -> Placement {
    let configured = snapshot.table().placement(id);
    let vitals = &snapshot.vitals.placements[id.index()];
    let standing = snapshot.effective.of_placement(id);
    let observed = vitals.observed();
    let seen = standing.seen(observed);
    let by = decided_by(snapshot.table(), &snapshot.overlay, id);
    let origins = snapshot.vitals.origins.get(configured.origins.clone()).unwrap_or_default();
    let last_error = origins.iter().filter_map(|origin| origin.last_error()).max_by_key(|error| error.at);
    Placement {
        pool: vitals.key.pool.clone(),
        region: vitals.key.region.clone(),
        configured: Configured { weight: configured.weight, state: configured.state },
        overridden: snapshot.overlay.placement(&vitals.key.pool, &vitals.key.region).clone(),
        observed: ObservedHealth {
            health: observed.health.as_str().to_owned(),
            for_ms: vitals.observed_since().map(|since| now.since(since).as_millis_f64()),
            last_error: last_error.map(|error| LastError::of(&error, now)),
        },
        effective: EffectivePlacement {
            weight: f64::from(standing.dial) * 100.0 / f64::from(DIAL_WHOLE),
            weight_by: by.weight,
            state: standing.state,
            state_by: by.state,
            health: seen.health.as_str().to_owned(),
            health_by: by.health,
            is_usable: is_usable(snapshot, id),
        },
    }
}
