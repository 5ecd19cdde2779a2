//! `/v1/overrides`: all that operators have overridden; and the body of a change, the same for regions and placements.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use steer::Span;
use steer::effective::Forced;
use steer::spec::State as Willingness;

use super::conditions::Conditions;
use super::extract::Body;
use super::orders::{Outcome, carry_out};
use super::problem::Problem;
use super::{Admin, Shared};
use crate::access::{Action, Caller};
use crate::changes::{Done, Made, What};
use crate::overlay::{Change, Listed, OverridePatch, PatchRefused, Target};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    #[serde(default, deserialize_with = "written")]
    weight: Option<Option<u8>>,
    #[serde(default, deserialize_with = "written")]
    state: Option<Option<Willingness>>,
    #[serde(default, deserialize_with = "written")]
    health: Option<Option<Forced>>,
    #[serde(default)]
    over: Option<Span>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    expires_in: Option<Span>,
}

/// Tells `null` (end the override) from a key that is not there (leave it).
fn written<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

pub(super) fn example() -> Value {
    serde_json::json!({"weight": 50, "reason": "trying the new release", "expires_in": "2h"})
}

/// Has the change made that a body asks for.
pub(super) async fn patch(
    admin: &Arc<Admin>,
    caller: &Caller,
    target: Target,
    conditions: Conditions,
    body: &Body,
) -> Result<Outcome, Problem> {
    let Patch { weight, state, health, over, reason, expires_in } = body.read(example)?;
    let author = caller.name.clone();
    let region = target.region().to_owned();
    let patch =
        OverridePatch { target, weight, state, health, over, expires_in, author, reason: reason.clone() };
    let action = Action::Override { region: &region };
    carry_out(admin, caller, Some(action), conditions, (What::Override(patch), reason)).await
}

/// What overrides were changed of.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Shown<T> {
    /// In its layers.
    Here(T),
    /// The table does not have it; what is overridden of it all the same.
    Elsewhere(Box<Change>),
}

impl<T> Shown<T> {
    pub(super) fn of(done: &Done, layers: Result<T, Problem>) -> Result<Self, Problem> {
        match (layers, &done.made) {
            (Ok(layers), _) => Ok(Self::Here(layers)),
            (Err(_), Made::Override(change)) => Ok(Self::Elsewhere(change.clone())),
            (Err(problem), _) => Err(problem),
        }
    }
}

/// All overrides.
#[derive(Debug, Deserialize, Serialize)]
pub struct OverrideList {
    /// The overlay's number.
    pub overlay: u64,
    /// All of them.
    pub overrides: Vec<Listed>,
}

pub(super) async fn list(State(admin): Shared) -> Json<OverrideList> {
    let snapshot = admin.publisher.snapshot();
    let overrides = snapshot.overlay.list(snapshot.table());
    Json(OverrideList { overlay: snapshot.overlay.number, overrides })
}

/// Names what there is instead.
pub(super) fn unknown(admin: &Admin, target: &Target) -> Problem {
    let snapshot = admin.publisher.snapshot();
    let table = snapshot.table();
    let (kind, names): (_, Vec<&str>) = match target {
        Target::Region(_) => {
            ("unknown-region", table.regions.iter().map(|region| region.name.as_str()).take(20).collect())
        }
        Target::Placement { pool, .. } => {
            let pool = table.pools.iter().find(|known| known.name == *pool);
            let names = match pool {
                Some(pool) => {
                    let placements = &table.placements[pool.placements.clone()];
                    placements.iter().map(|it| table.region(it.region).name.as_str()).take(20).collect()
                }
                None => table.pools.iter().map(|pool| pool.name.as_str()).take(20).collect(),
            };
            ("unknown-placement", names)
        }
    };
    let detail = format!("{}; there are {}", PatchRefused::Unknown(target.clone()), names.join(", "));
    Problem::new(StatusCode::NOT_FOUND, kind, detail)
}
