//! `/v1/log-level`: how much the log says, and more of it for a while.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steer::Span;
use utoipa::ToSchema;

use super::answers::Answer;
use super::conditions::{Conditions, sound_reason};
use super::extract::Body;
use super::kinds::{Looking, problems};
use super::orders::carry_out;
use super::problem::Problem;
use super::reading::{Fields, REASON, SPAN};
use super::{Admin, Shared};
use crate::access::{Action, Caller};
use crate::changes::What;
use crate::described;
use crate::log_level::{Level, LevelDraft, LevelSet, MAX_LEVEL};

/// How long a level holds if nobody says.
const USUAL: Span = Span::from_secs(30 * 60);

/// How much the log says.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct LogLevel {
    /// What counts now.
    pub level: Level,
    /// What it usually is.
    pub usual: Level,
    /// What somebody has set for a while; `None` if nobody has.
    pub set: Option<LevelSet>,
}

/// A level as it is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LogLevelDraft, example = example)]
pub(super) struct Wanted {
    /// How much the log shall say.
    level: Level,
    /// Why.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 1000)]
    reason: String,
    /// For how long; 30 minutes unless it says otherwise, a day at most.
    #[serde(default = "usual")]
    #[schema(value_type = described::Span)]
    expires_in: Span,
}

impl Fields for Wanted {
    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("level", "one of error, warn, info, debug and trace"), ("reason", REASON), ("expires_in", SPAN)];
}

const fn usual() -> Span {
    USUAL
}

fn example() -> Value {
    json!({"level": "debug", "reason": "why does eu-west flap?", "expires_in": "10m"})
}

/// What a change here is answered with.
type Changed = Answer<LogLevel>;

problems!(
    /// Of setting.
    Setting = ANY | CHANGE, "bad-body", "bad-value", "body-too-large", "no-log"
);

/// How much the log says
#[utoipa::path(get, path = "/v1/log-level", tag = "log-level", operation_id = "showLogLevel",
    responses((status = 200, description = "How much it says.", body = LogLevel), Looking))]
pub(super) async fn show(State(admin): Shared) -> Json<LogLevel> {
    Json(told(&admin))
}

/// Has the log say more, or less, for a while
///
/// It ends by itself, and with the process.
#[utoipa::path(put, path = "/v1/log-level", tag = "log-level", operation_id = "setLogLevel", params(Conditions),
    request_body = Wanted,
    responses((status = 200, description = "It is in force; or what would be.", body = inline(Changed)), Setting))]
pub(super) async fn set(
    State(admin): Shared,
    Extension(caller): Extension<Caller>,
    conditions: Conditions,
    body: Body,
) -> Result<Response, Problem> {
    caller.may(Action::LogLevel)?;
    let Wanted { level, reason, expires_in } = body.read(example)?;
    let reason = sound_reason(&reason, example)?;
    if expires_in == Span::ZERO || expires_in > MAX_LEVEL {
        let detail = "a level holds for longer than nothing and at most a day";
        return Err(Problem::field("bad-value", "expires_in", detail, example()));
    }
    if !admin.log.is_changeable() {
        let detail = "this process has no log of its own";
        return Err(Problem::new(StatusCode::CONFLICT, "no-log", detail));
    }
    let author = caller.name.clone();
    let draft = LevelDraft { level, lasts: expires_in, author, reason: reason.clone() };
    let order = (What::LogLevel(draft), reason);
    let outcome = carry_out(&admin, &caller, Some(Action::LogLevel), conditions, order).await?;
    outcome.answer(|_| Ok(told(&admin)))
}

fn told(admin: &Admin) -> LogLevel {
    let set = admin.log.set_by_somebody();
    let usual = admin.log.usual();
    LogLevel { level: set.as_ref().map_or(usual, |set| set.level), usual, set: set.as_deref().cloned() }
}

#[cfg(test)]
mod tests;
