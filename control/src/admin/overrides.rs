//! The body of a change to overrides, the same for regions and placements.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use steer::Span;
use steer::effective::Forced;
use steer::spec::State;

use super::Admin;
use super::problem::Problem;
use crate::overlay::{OverridePatch, PatchRefused, Target};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    #[serde(default, deserialize_with = "written")]
    weight: Option<Option<u8>>,
    #[serde(default, deserialize_with = "written")]
    state: Option<Option<State>>,
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

/// The answer to a change.
#[derive(Serialize)]
pub(super) struct Patched<T> {
    #[serde(flatten)]
    shown: T,
    overlay: u64,
    persisted: bool,
    note: &'static str,
}

impl<T> Patched<T> {
    pub(super) fn of(admin: &Admin, shown: T) -> Self {
        Self {
            shown,
            overlay: admin.publisher.snapshot().overlay.number,
            persisted: false,
            note: "in force now; overrides are kept in memory, so a restart forgets them",
        }
    }
}

/// Makes the change that a body asks for.
pub(super) fn patch(
    admin: &Admin,
    target: Target,
    body: Result<Bytes, BytesRejection>,
) -> Result<(), Problem> {
    let body = body.map_err(|refused| Problem::new(refused.status(), "bad-body", refused.body_text()))?;
    let example = serde_json::json!({"weight": 50, "reason": "trying the new release", "expires_in": "2h"});
    let Patch { weight, state, health, over, reason, expires_in } = serde_json::from_slice(&body)
        .map_err(|error| Problem::field("bad-body", "body", error.to_string(), example.clone()))?;
    let author = "api".to_owned();
    let asked = OverridePatch { target, weight, state, health, over, expires_in, author, reason };
    let told = asked.clone();
    let refused = |refused: PatchRefused| match refused {
        PatchRefused::Unknown(target) => unknown(admin, &target),
        PatchRefused::Field { field, detail } => Problem::field("bad-value", field, detail, example),
        refused @ PatchRefused::TooMany => {
            Problem::new(StatusCode::CONFLICT, "too-many-overrides", refused.to_string())
        }
    };
    admin.publisher.patch(asked).map_err(refused)?;
    tell(&told);
    Ok(())
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

/// Leaves a change in the log, with the words of the API: absent is unchanged, `-` ends the override.
fn tell(change: &OverridePatch) {
    fn word<T>(value: Option<Option<T>>, word: impl Fn(T) -> String) -> Option<String> {
        value.map(|value| value.map_or_else(|| "-".to_owned(), word))
    }
    let weight = word(change.weight, |weight| weight.to_string());
    let state = word(change.state, |state| state.as_str().to_owned());
    let health = word(change.health, |health| health.as_str().to_owned());
    let over = change.over.map(|span| span.to_string());
    let expires_in = change.expires_in.map(|span| span.to_string());
    let region = change.target.region();
    let pool = match &change.target {
        Target::Region(_) => None,
        Target::Placement { pool, .. } => Some(pool),
    };
    tracing::info!(region, pool, weight, state, health, over, reason = change.reason, expires_in, "override");
}
