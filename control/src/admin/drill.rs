//! `/v1/drill`: a region that looks dead to some, on purpose and for a while.

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steer::Span;

use super::Shared;
use super::conditions::{Conditions, sound_guards, sound_reason};
use super::extract::Body;
use super::orders::carry_out;
use super::problem::Problem;
use crate::access::{Action, Caller};
use crate::changes::{Made, What};
use crate::drill::{Drill, DrillDraft};
use crate::trial::{Guard, Watch};

/// Said instead of a guard by whoever wants none.
const NO_GUARD: &str = "off";

/// The drill that runs.
#[derive(Debug, Deserialize, Serialize)]
pub struct Drilled {
    /// `None` if none does.
    pub drill: Option<Drill>,
}

/// A drill as it is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The region that shall look dead.
    region: String,
    /// To this percentage of the keys, above 0 and up to 100.
    percent: f64,
    /// For how long.
    #[serde(rename = "for")]
    lasts: Span,
    /// Why.
    #[serde(default)]
    reason: String,
    /// What ends it before its time, `off` for nothing.
    #[serde(default)]
    guard: Option<String>,
}

pub(super) fn example() -> Value {
    json!({"region": "eu-west", "percent": 10, "for": "5m", "reason": "is us-east warm enough?"})
}

fn guarded_example() -> Value {
    let mut example = example();
    example["guard"] = json!("error_rate=+1%");
    example
}

pub(super) async fn show(State(admin): Shared) -> Json<Drilled> {
    let snapshot = admin.publisher.snapshot();
    Json(Drilled { drill: snapshot.drill.as_deref().cloned() })
}

pub(super) async fn begin(
    State(admin): Shared,
    Extension(caller): Extension<Caller>,
    mut conditions: Conditions,
    body: Body,
) -> Result<Response, Problem> {
    let Wanted { region, percent, lasts, reason, guard } = body.read(example)?;
    if conditions.watch.is_some() {
        let detail = "a drill is watched as long as it lasts: its guard stands in the body";
        return Err(Problem::field("bad-watch", "watch", detail, guarded_example()));
    }
    let guards = match guard.as_deref() {
        Some(NO_GUARD) => None,
        Some(guards) => Some(sound_guards(guards, guarded_example())?),
        None => Some(vec![Guard::of_drill(percent)]),
    };
    conditions.watch = guards.map(|guards| Watch { lasts, guards });
    let reason = sound_reason(&reason)?;
    let action = Action::Drill { region: &region.clone() };
    let draft = DrillDraft { region, percent, lasts, author: caller.name.clone(), reason: reason.clone() };
    let order = (What::Drill(draft), reason);
    let outcome = carry_out(&admin, &caller, Some(action), conditions, order).await?;
    outcome.answer(|done| {
        let drill = match &done.made {
            Made::Drill(drill) => Some(Drill::clone(drill)),
            _ => None,
        };
        Ok(Drilled { drill })
    })
}

pub(super) async fn end(
    State(admin): Shared,
    Extension(caller): Extension<Caller>,
    conditions: Conditions,
) -> Result<Response, Problem> {
    let reason = conditions.reason()?;
    // Where none runs, nothing is there to protect, and an order that came before is answered as then.
    let running = admin.publisher.snapshot().drill.clone();
    let region = running.map(|drill| drill.region.clone());
    let action = region.as_deref().map(|region| Action::Drill { region });
    let what = What::EndDrill { region: region.clone() };
    let outcome = carry_out(&admin, &caller, action, conditions, (what, reason)).await?;
    outcome.answer(|_| Ok(Drilled { drill: None }))
}
