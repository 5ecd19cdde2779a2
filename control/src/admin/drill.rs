//! `/v1/drill`: a region that looks dead to some, on purpose and for a while.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steer::Span;
use utoipa::ToSchema;

use super::answers::Answer;
use super::apart::apart;
use super::conditions::{Conditions, Reason, sound_guards, sound_reason};
use super::extract::Body;
use super::in_force::{Tagged, tagged};
use super::kinds::{Looking, problems};
use super::orders::carry_out;
use super::problem::Problem;
use super::reading::{Fields, REASON, SPAN};
use super::{Admin, Shared};
use crate::access::{Action, Caller};
use crate::changes::{Made, What};
use crate::described;
use crate::drill::{Drill, DrillDraft};
use crate::trial::{Guard, Watch};

/// Said instead of a guard by whoever wants none.
const NO_GUARD: &str = "off";

/// The drill that runs.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Drilled {
    /// `None` if none does.
    pub drill: Option<Drill>,
}

/// A drill as it is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DrillDraft, example = example)]
pub(super) struct Wanted {
    /// The region that shall look dead.
    #[schema(value_type = described::Name)]
    region: String,
    /// To this percentage of the keys, above 0 and up to 100.
    #[schema(minimum = 0.01, maximum = 100)]
    percent: f64,
    /// For how long.
    #[serde(rename = "for")]
    #[schema(value_type = described::Span)]
    lasts: Span,
    /// Why.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 1000)]
    reason: String,
    /// What ends it before its time, `off` for nothing.
    #[serde(default)]
    guard: Option<String>,
}

impl Fields for Wanted {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("region", "the name of a region"),
        ("percent", "a number above 0 and up to 100"),
        ("for", SPAN),
        ("reason", REASON),
        ("guard", "a guard such as \"error_rate=+1%\", or \"off\""),
    ];
}

fn example() -> Value {
    json!({"region": "eu-west", "percent": 10, "for": "5m", "reason": "could the others?"})
}

/// One that is right on this edge.
pub(super) fn example_here(admin: &Admin) -> Value {
    let mut example = example();
    if let Some(first) = admin.publisher.snapshot().table().regions.first() {
        example["region"] = json!(first.name);
    }
    example
}

fn guarded_example(admin: &Admin) -> Value {
    let mut example = example_here(admin);
    example["guard"] = json!("error_rate=+1%");
    example
}

/// What a change here is answered with.
type Changed = Answer<Drilled>;

problems!(
    /// Of beginning one.
    Beginning = ANY | CHANGE, "bad-body", "bad-drill", "body-too-large", "out-of-scope", "guarded", "drilled"
);
problems!(
    /// Of ending one.
    Ending = ANY | CHANGE, "out-of-scope", "no-drill"
);

/// The drill that runs
#[utoipa::path(get, path = "/v1/drill", tag = "drill", operation_id = "showDrill",
    responses((status = 200, description = "It; or that none does.", body = Drilled,
        headers(("ETag" = String, description = "What is in force, as If-Match takes it."))), Looking))]
pub(super) async fn show(State(admin): Shared) -> Tagged<Drilled> {
    let snapshot = admin.publisher.snapshot();
    tagged(&snapshot, Drilled { drill: snapshot.drill.as_deref().cloned() })
}

/// Lets a region look dead to a part of the keys, for a while
///
/// It is refused where the other regions could not carry it. There is one at a time, and a restart ends it.
#[utoipa::path(post, path = "/v1/drill", tag = "drill", operation_id = "beginDrill", params(Conditions), request_body = Wanted,
    responses((status = 200, description = "It runs; or what it would do.", body = inline(Changed)), Beginning))]
pub(super) async fn begin(
    State(admin): Shared,
    Extension(caller): Extension<Caller>,
    mut conditions: Conditions,
    body: Body,
) -> Result<Response, Problem> {
    let Wanted { region, percent, lasts, reason, guard } = body.read(|| example_here(&admin))?;
    if conditions.watch.is_some() {
        let detail = "a drill is watched as long as it lasts: its guard stands in the body";
        return Err(Problem::field("bad-watch", "watch", detail, guarded_example(&admin)));
    }
    let guards = match guard.as_deref() {
        Some(NO_GUARD) => None,
        Some(guards) => Some(sound_guards(guards, guarded_example(&admin))?),
        None => Some(vec![Guard::of_drill(percent, share(&admin, region.clone()).await?)]),
    };
    conditions.watch = guards.map(|guards| Watch { lasts, guards });
    let reason = sound_reason(&reason, || example_here(&admin))?;
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

/// The part of the traffic that a region is predicted to get, 0 to 1.
async fn share(admin: &Arc<Admin>, region: String) -> Result<f64, Problem> {
    let admin = admin.clone();
    let predict = move || {
        let snapshot = admin.publisher.snapshot();
        let id = snapshot.table().region_named(&region)?;
        admin.samples.predict(&snapshot).of.get(&id).copied()
    };
    Ok(apart(predict).await?.unwrap_or_default())
}

/// Ends the drill that runs
///
/// It ends even if that cannot be kept; then the answer says so.
#[utoipa::path(delete, path = "/v1/drill", tag = "drill", operation_id = "endDrill", params(Reason, Conditions),
    responses((status = 200, description = "It has ended; or what that would do.", body = inline(Changed)), Ending))]
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
