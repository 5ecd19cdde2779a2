//! `/v1/overrides`: all that operators have overridden; and the body of a change, the same for regions and placements.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use steer::Span;
use steer::effective::Forced;
use steer::spec::State as Willingness;
use utoipa::ToSchema;

use super::conditions::Conditions;
use super::extract::Body;
use super::in_force::{Tagged, tagged};
use super::kinds::{Looking, problems};
use super::orders::{Outcome, carry_out};
use super::problem::Problem;
use super::reading::{Fields, REASON, SPAN};
use super::{Admin, Shared};
use crate::access::{Action, Caller};
use crate::changes::{Done, Made, What};
use crate::described;
use crate::overlay::{Change, Listed, OverridePatch, PatchRefused, Target};

/// A change of overrides, as it is asked for: weight, state or health at least.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OverridePatch, example = example)]
pub(super) struct Patch {
    /// 0 to 100; `null` ends the override.
    #[serde(default, deserialize_with = "written")]
    #[schema(value_type = Option<u8>, maximum = 100)]
    weight: Option<Option<u8>>,
    /// Whether it takes requests; `null` ends the override.
    #[serde(default, deserialize_with = "written")]
    #[schema(value_type = Option<described::State>)]
    state: Option<Option<Willingness>>,
    /// What counts instead of what is seen; `null` ends the override.
    #[serde(default, deserialize_with = "written")]
    #[schema(value_type = Option<described::Forced>)]
    health: Option<Option<Forced>>,
    /// How long the weight, or a drain, takes to get there.
    #[serde(default)]
    #[schema(value_type = Option<described::Span>)]
    over: Option<Span>,
    /// Why.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 1000)]
    reason: String,
    /// How long it holds; until it is ended, unless it says otherwise.
    #[serde(default)]
    #[schema(value_type = Option<described::Span>)]
    expires_in: Option<Span>,
}

impl Fields for Patch {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("weight", "a whole number from 0 to 100, or null to end the override"),
        ("state", "one of active, standby, drain and off, or null to end the override"),
        ("health", "up or down, or null to end the override"),
        ("over", SPAN),
        ("reason", REASON),
        ("expires_in", SPAN),
    ];
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
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct OverrideList {
    /// The overlay's number.
    pub overlay: u64,
    /// All of them.
    pub overrides: Vec<Listed>,
}

problems!(
    /// Of overriding.
    Overriding = ANY | CHANGE,
    "bad-path",
    "bad-body",
    "bad-value",
    "body-too-large",
    "out-of-scope",
    "unknown-region",
    "unknown-placement",
    "guarded",
    "too-many-overrides"
);

/// All that operators have overridden
#[utoipa::path(get, path = "/v1/overrides", tag = "overrides", operation_id = "listOverrides",
    responses((status = 200, description = "All of them.", body = OverrideList,
        headers(("ETag" = String, description = "What is in force, as If-Match takes it."))), Looking))]
pub(super) async fn list(State(admin): Shared) -> Tagged<OverrideList> {
    let snapshot = admin.publisher.snapshot();
    let overrides = snapshot.overlay.list(snapshot.table());
    tagged(&snapshot, OverrideList { overlay: snapshot.overlay.number, overrides })
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
