//! `/v1/origins`: every origin, what this edge sees of it, and which layer decides whether it is used.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use steer::Moment;
use steer::ids::{OriginId, PlacementId};
use steer::spec::Name;
use utoipa::ToSchema;

use super::extract::{Asked, Queried};
use super::in_force::{Tagged, tagged};
use super::kinds::problems;
use super::pages::Paged;
use super::problem::Problem;
use super::reading::Fields;
use super::{Shared, overrides, pools};
use crate::layers::{self, LastError, Layer};
use crate::overlay::Target;
use crate::snapshot::Snapshot;

/// A part of the origins.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Origins {
    /// The table's version.
    pub version: u64,
    /// How many there are altogether, of those that were asked for.
    pub total: usize,
    /// In the table's order: by pool, then by region.
    pub origins: Vec<Origin>,
    /// What to ask for the next part with, as `after`; `None` behind the last.
    pub next: Option<String>,
}

/// An origin.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Origin {
    /// The pool that it answers for.
    pub pool: String,
    /// The region that it runs in.
    pub region: String,
    /// As written: `host:port`.
    pub address: String,
    /// Where it is reached now; none until a name is first resolved.
    pub resolved: Vec<String>,
    /// What this edge sees: `unknown up suspect down`.
    pub health: String,
    /// For how long it has been so, in ms; `None` is since this edge knows it.
    pub for_ms: Option<f64>,
    /// How long ago it last answered anything, in ms; `None` is never.
    pub last_success_ago_ms: Option<f64>,
    /// What last went wrong there, if anything has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// Requests running there from here.
    pub in_flight: u32,
    /// The time to the first byte of its answers, in ms: the worst of what workers see. `None` before the first.
    pub first_byte_ms: Option<f64>,
    /// Which layer decides about the health of its placement. Where an operator forces that, what is seen here still decides which of
    /// its origins is taken.
    pub health_by: Layer,
    /// Whether its placement takes new requests now.
    pub placement_is_usable: bool,
}

/// Which origins are wanted.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Of this pool alone.
    #[param(value_type = Option<String>, pattern = "^[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?$")]
    pool: Option<String>,
    /// In this region alone.
    #[param(value_type = Option<String>, pattern = "^[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?$")]
    region: Option<String>,
    /// What comes after this one: the `next` of the part before.
    #[param(min_length = 1, max_length = 400)]
    after: Option<String>,
    /// How many; 100 unless it says otherwise.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

impl Fields for Wanted {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("pool", "the name of a pool"),
        ("region", "the name of a region"),
        ("after", "the next of the part before"),
        ("limit", "a whole number from 1 to 1000"),
    ];
}

impl Queried for Wanted {
    const EXAMPLE: &'static str = "?pool=app&region=eu-west&limit=100";
}

problems!(
    /// Of the list.
    Listing = ANY, "bad-query", "unknown-region", "unknown-pool"
);

/// The origins, a part at a time
#[utoipa::path(get, path = "/v1/origins", tag = "origins", operation_id = "listOrigins", params(Wanted),
    responses((status = 200, description = "A part of the origins.", body = Origins,
        headers(("ETag" = String, description = "What is in force, as If-Match takes it."))), Listing))]
pub(super) async fn list(
    State(admin): Shared,
    Asked(wanted): Asked<Wanted>,
) -> Result<Tagged<Origins>, Problem> {
    let Wanted { pool, region, after, limit } = wanted;
    for (field, name) in [("pool", &pool), ("region", &region)] {
        let is_no_name = |name: &String| !Name::from(name.as_str()).is_valid();
        if let Some(name) = name.as_ref().filter(|name| is_no_name(name)) {
            let detail = format!("{name:?} is no name");
            return Err(Problem::field("bad-query", field, detail, Wanted::EXAMPLE.into()));
        }
    }
    let snapshot = admin.publisher.snapshot();
    let table = snapshot.table();
    if let Some(region) = region.as_ref().filter(|region| table.region_named(region).is_none()) {
        return Err(overrides::unknown(&admin, &Target::Region(region.clone())));
    }
    if let Some(pool) = &pool {
        pools::named(table, pool)?;
    }
    let is_wanted = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
    let vitals = &snapshot.vitals.origins;
    let found = (0..vitals.len()).filter(|index| {
        let placement = &vitals[*index].key.placement;
        is_wanted(&pool, &placement.pool) && is_wanted(&region, &placement.region)
    });
    let found: Vec<usize> = found.collect();
    let name = |index: usize| {
        let key = &vitals[found[index]].key;
        format!("{}/{}/{}", key.placement.pool, key.placement.region, key.address)
    };
    let part = Paged { after, limit }.part(found.len(), name)?;
    let now = admin.publisher.clock().now();
    let ids = found[part.range].iter().filter_map(|index| OriginId::new(*index));
    let origins = Origins {
        version: snapshot.version.about.version,
        total: found.len(),
        origins: ids.map(|id| origin(&snapshot, id, now)).collect(),
        next: part.next,
    };
    Ok(tagged(&snapshot, origins))
}

/// An origin as this edge sees it.
pub(super) fn origin(snapshot: &Snapshot, id: OriginId, now: Moment) -> Origin {
    let vitals = &snapshot.vitals.origins[id.index()];
    let placement: PlacementId = snapshot.table().origin(id).placement;
    Origin {
        pool: vitals.key.placement.pool.clone(),
        region: vitals.key.placement.region.clone(),
        address: vitals.key.address.clone(),
        resolved: vitals.addresses.load().iter().map(ToString::to_string).collect(),
        health: vitals.health().as_str().to_owned(),
        for_ms: vitals.health_since().map(|since| now.since(since).as_millis_f64()),
        last_success_ago_ms: vitals.last_success().map(|at| now.since(at).as_millis_f64()),
        last_error: vitals.last_error().map(|error| LastError::of(&error, now)),
        in_flight: vitals.in_flight(),
        first_byte_ms: vitals.ttfb_ms(now),
        health_by: layers::decided_by(snapshot.table(), &snapshot.overlay, placement).health,
        placement_is_usable: layers::is_usable(snapshot, placement),
    }
}
