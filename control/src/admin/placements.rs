//! `/v1/placements/{pool}/{region}`: one pool's presence in one region, in its layers, and changing it.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use steer::ids::PlacementId;

use super::answers::{Answer, InLayers};
use super::conditions::Conditions;
use super::extract::{At, Body};
use super::in_force::{Tagged, Under, tagged};
use super::kinds::problems;
use super::overrides::{self, Overriding, Patch, Shown};
use super::problem::Problem;
use super::{Admin, Shared};
use crate::access::Caller;
use crate::described;
use crate::layers::{self, Placement};
use crate::overlay::Target;
use crate::snapshot::Snapshot;

/// One, as it is shown.
type One = Under<Placement>;
/// What a change here is answered with.
type Changed = Answer<InLayers<Placement>>;

problems!(
    /// Of one.
    Showing = ANY, "bad-path", "unknown-placement"
);

/// One pool's presence in one region
#[utoipa::path(get, path = "/v1/placements/{pool}/{region}", tag = "placements", operation_id = "showPlacement",
    params(
        ("pool" = inline(described::Name), Path, description = "The pool's name."),
        ("region" = inline(described::Name), Path, description = "The region's name."),
    ),
    responses((status = 200, description = "The placement, in its layers.", body = inline(One),
        headers(("ETag" = String, description = "What is in force, as If-Match takes it."))), Showing))]
pub(super) async fn show(
    State(admin): Shared,
    At((pool, region)): At<(String, String)>,
) -> Result<Tagged<One>, Problem> {
    let snapshot = admin.publisher.snapshot();
    let placement = one(&admin, &snapshot, &Target::Placement { pool, region })?;
    Ok(tagged(&snapshot, Under::of(&snapshot, placement)))
}

/// Overrides weight, state or health of one pool's presence in one region
#[utoipa::path(patch, path = "/v1/placements/{pool}/{region}", tag = "placements", operation_id = "overridePlacement",
    params(
        ("pool" = inline(described::Name), Path, description = "The pool's name."),
        ("region" = inline(described::Name), Path, description = "The region's name."),
        Conditions
    ),
    request_body = Patch,
    responses((status = 200, description = "It is in force; or what it would do.", body = inline(Changed)), Overriding))]
pub(super) async fn patch(
    State(admin): Shared,
    Extension(caller): Extension<Caller>,
    At((pool, region)): At<(String, String)>,
    conditions: Conditions,
    body: Body,
) -> Result<Response, Problem> {
    let target = Target::Placement { pool, region };
    let outcome = overrides::patch(&admin, &caller, target.clone(), conditions, &body).await?;
    outcome.answer(|done| Shown::of(done, one(&admin, &admin.publisher.snapshot(), &target)))
}

fn one(admin: &Admin, snapshot: &Snapshot, target: &Target) -> Result<Placement, Problem> {
    let Target::Placement { pool, region } = target else { return Err(overrides::unknown(admin, target)) };
    let mut placements = snapshot.vitals.placements.iter();
    let at = placements.position(|known| known.key.pool == *pool && known.key.region == *region);
    let id = at.and_then(PlacementId::new).ok_or_else(|| overrides::unknown(admin, target))?;
    Ok(layers::of_placement(snapshot, id, admin.publisher.clock().now()))
}
