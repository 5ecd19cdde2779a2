//! `/v1/watches`: changes under watch, and ending a watch.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::conditions::Conditions;
use super::problem::Problem;
use crate::access::{Action, Caller};
use crate::changes::Seen;
use crate::trial::{NotEnded, Trial, Tried};

/// Changes under watch.
#[derive(Debug, Deserialize, Serialize)]
pub struct Watches {
    /// The one that is watched now; there is one at a time.
    pub running: Option<Trial>,
    /// The last ones that are over, newest first. A restart forgets them; the audit does not.
    pub ended: Vec<Trial>,
}

pub(super) async fn list(State(admin): Shared) -> Json<Watches> {
    let (running, ended) = admin.trials.list();
    Json(Watches { running, ended })
}

/// Ends the watch, and leaves the change in force.
pub(super) async fn end(
    State(admin): Shared,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
    conditions: Conditions,
) -> Result<Json<Trial>, Problem> {
    let reason = conditions.reason()?;
    let current = admin.publisher.snapshot();
    if let Some(expected) = conditions.expects.filter(|expected| !expected.is_still(&current)) {
        let current = Seen::of(&current);
        let detail = format!("version {current} is in force, not {expected}: look again, then decide");
        return Err(Problem::new(StatusCode::PRECONDITION_FAILED, "moved", detail));
    }
    let (running, ended) = admin.trials.list();
    let named = running.into_iter().chain(ended).find(|trial| trial.number.to_string() == number);
    let trial = named.ok_or_else(|| unknown(&number))?;
    caller.may(match &trial.of {
        Tried::Table { .. } => Action::Publish,
        Tried::Override { target, .. } => Action::Override { region: target.region() },
        Tried::Drill { region } => Action::Drill { region },
    })?;
    if conditions.dry_run {
        return Ok(Json(trial));
    }
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
