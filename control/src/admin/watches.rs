//! `/v1/watches`: changes under watch, and ending a watch.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::conditions::{Reason, refuse_fields, sound_reason};
use super::extract::{Asked, At, Queried as _};
use super::kinds::{Looking, problems};
use super::problem::Problem;
use crate::access::{Action, Caller};
use crate::trial::{NotEnded, Trial, Tried};

/// Changes under watch.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Watches {
    /// The one that is watched now; there is one at a time.
    pub running: Option<Trial>,
    /// The last ones that are over, newest first. A restart forgets them; the audit does not.
    pub ended: Vec<Trial>,
}

problems!(
    /// Of ending one.
    Ending = ANY, "bad-path", "bad-query", "bad-condition", "bad-key", "missing-reason", "needs-role", "out-of-scope",
    "unknown-watch", "watch-over"
);

/// Changes under watch
///
/// The one that is watched now, and the last ones that are over.
#[utoipa::path(get, path = "/v1/watches", tag = "watches", operation_id = "listWatches",
    responses((status = 200, description = "They.", body = Watches), Looking))]
pub(super) async fn list(State(admin): Shared) -> Json<Watches> {
    let (running, ended) = admin.trials.list();
    Json(Watches { running, ended })
}

/// Ends a watch
///
/// The change stays in force, so there is nothing to preview, and no condition but a reason: `If-Match` and
/// `Idempotency-Key` are refused.
#[utoipa::path(delete, path = "/v1/watches/{number}", tag = "watches", operation_id = "endWatch",
    params(("number" = u64, Path, description = "The watch's number."), Reason),
    responses((status = 200, description = "It is over.", body = Trial), Ending))]
pub(super) async fn end(
    State(admin): Shared,
    Extension(caller): Extension<Caller>,
    At(number): At<String>,
    Asked(Reason { reason }): Asked<Reason>,
    headers: HeaderMap,
) -> Result<Json<Trial>, Problem> {
    refuse_fields(&headers, "DELETE /v1/watches/7?reason=seen%20enough")?;
    let reason = sound_reason(&reason, || Reason::EXAMPLE.into())?;
    let (running, ended) = admin.trials.list();
    let named = running.into_iter().chain(ended).find(|trial| trial.number.to_string() == number);
    let trial = named.ok_or_else(|| unknown(&number))?;
    caller.may(match &trial.of {
        Tried::Table { .. } => Action::Publish,
        Tried::Override { target, .. } => Action::Override { region: target.region() },
        Tried::Drill { region } => Action::Drill { region },
    })?;
    let ended = admin.trials.end(trial.number, &caller.name, caller.role.as_str(), &reason).await;
    ended.map(Json).map_err(|error| match error {
        NotEnded::Unknown => unknown(&number),
        NotEnded::Over => {
            let detail = format!("watch {number} is over: {}", trial.note);
            Problem::new(StatusCode::CONFLICT, "watch-over", detail)
        }
        NotEnded::GoingBack => {
            let detail =
                format!("a guard of watch {number} was tripped, and what was before is being put back");
            Problem::new(StatusCode::CONFLICT, "watch-over", detail)
        }
    })
}

/// Another change is watched.
pub(super) fn occupied(running: Option<&Trial>) -> Problem {
    let detail = running.map_or_else(
        || "another change is about to be watched; there is one at a time".to_owned(),
        |trial| {
            let Trial { number, of, ends_at, .. } = trial;
            format!(
                "watch {number}, of {of}, runs until {ends_at:.0}, and there is one at a time: wait, or end it with DELETE \
                 /v1/watches/{number}?reason=..."
            )
        },
    );
    Problem::new(StatusCode::CONFLICT, "watched", detail)
}

fn unknown(number: &str) -> Problem {
    let detail = format!("no watch {number:?} is known; GET /v1/watches lists them");
    Problem::new(StatusCode::NOT_FOUND, "unknown-watch", detail)
}
