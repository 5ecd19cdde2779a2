//! `/v1/placements/{pool}/{region}`: one pool's presence in one region, in its layers, and changing it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use steer::ids::PlacementId;

use super::overrides::{self, Patched};
use super::problem::Problem;
use super::{Admin, Shared};
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
    Path((pool, region)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Patched<Placement>>, Problem> {
    let target = Target::Placement { pool, region };
    overrides::patch(&admin, target.clone(), body)?;
    Ok(Json(Patched::of(&admin, one(&admin, &target)?)))
}

fn one(admin: &Admin, target: &Target) -> Result<Placement, Problem> {
    let snapshot = admin.publisher.snapshot();
    let Target::Placement { pool, region } = target else { return Err(overrides::unknown(admin, target)) };
    let mut placements = snapshot.vitals.placements.iter();
    let at = placements.position(|known| known.key.pool == *pool && known.key.region == *region);
    let id = at.and_then(PlacementId::new).ok_or_else(|| overrides::unknown(admin, target))?;
    Ok(layers::of_placement(&snapshot, id, admin.publisher.clock().now()))
}
