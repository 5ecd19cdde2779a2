//! `/v1/placements/{pool}/{region}`: one pool's presence in one region, in its layers, and changing it.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::{Extension, Json};
use steer::ids::PlacementId;

use super::conditions::Conditions;
use super::extract::Body;
use super::overrides::{self, Shown};
use super::problem::Problem;
use super::{Admin, Shared};
use crate::access::Caller;
use crate::layers::{self, Placement};
use crate::overlay::Target;

pub(super) async fn show(
    State(admin): Shared,
    Path((pool, region)): Path<(String, String)>,
) -> Result<Json<Placement>, Problem> {
    one(&admin, &Target::Placement { pool, region }).map(Json)
}

pub(super) async fn patch(
    State(admin): Shared,
    Extension(caller): Extension<Caller>,
    Path((pool, region)): Path<(String, String)>,
    conditions: Conditions,
    body: Body,
) -> Result<Response, Problem> {
    let target = Target::Placement { pool, region };
    let outcome = overrides::patch(&admin, &caller, target.clone(), conditions, &body).await?;
    outcome.answer(|done| Shown::of(done, one(&admin, &target)))
}

fn one(admin: &Admin, target: &Target) -> Result<Placement, Problem> {
    let snapshot = admin.publisher.snapshot();
    let Target::Placement { pool, region } = target else { return Err(overrides::unknown(admin, target)) };
    let mut placements = snapshot.vitals.placements.iter();
    let at = placements.position(|known| known.key.pool == *pool && known.key.region == *region);
    let id = at.and_then(PlacementId::new).ok_or_else(|| overrides::unknown(admin, target))?;
    Ok(layers::of_placement(&snapshot, id, admin.publisher.clock().now()))
}
