//! From a call to an order, and from what became of it to an answer.

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::apart::apart;
use super::conditions::Conditions;
use super::problem::Problem;
use super::{overrides, watches};
use crate::access::{Action, Caller};
use crate::changes::{Done, Key, Made, Order, Refused, Seen, What};
use crate::effect::Effect;
use crate::journal::Digest;
use crate::overlay::PatchRefused;
use crate::trial::{NotWatched, Trial, Watch};

/// What became of a call that wants a change.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing, as it wished: what would have.
    Told(Box<Told>),
    /// It is in force, and perhaps watched.
    Done(Arc<Done>, Option<Box<Trial>>),
}

/// What a change would do.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = Preview)]
pub struct Told {
    /// Nothing was changed.
    pub dry_run: bool,
    /// The table version in force: what `force` and `If-Match` name.
    pub version: u64,
    /// The overlay's number: what they name behind it, to be sure.
    #[serde(default)]
    pub overlay: u64,
    /// What it would do.
    #[serde(flatten)]
    pub effect: Effect,
}

/// The answer to a change that is in force: what it was made to, and what became of it.
#[derive(Debug, Deserialize, Serialize)]
pub struct Carried<T> {
    /// What the change was made to.
    #[serde(flatten)]
    pub shown: T,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What is told of every change that is in force.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = Carried)]
pub struct Fate {
    /// The overlay's number.
    pub overlay: u64,
    /// Whether a restart remembers it.
    pub persisted: bool,
    /// Where it stands in the audit: its line's number and hash; not there if it is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, pattern = "^[0-9]+:[0-9a-f]{64}$")]
    pub anchor: Option<String>,
    /// What to know about that.
    pub note: String,
    /// How it is watched; not there if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Trial, required = false)]
    pub watch: Option<Trial>,
}

const BUSY_SECONDS: &str = "1";
const KEPT: &str = "kept: a restart remembers it";
const NOT_KEPT: &str = "not kept: a restart forgets it";
const END_NOT_KEPT: &str = "not kept: the audit does not have it";
const ENDS: &str = "a restart ends it";

/// Has a change made, or tells what it would do. Without an action there is nothing to protect.
pub(super) async fn carry_out(
    admin: &Arc<Admin>,
    caller: &Caller,
    action: Option<Action<'_>>,
    conditions: Conditions,
    (what, reason): (What, String),
) -> Result<Outcome, Problem> {
    action.map_or(Ok(()), |action| caller.may(action))?;
    let may_be_watched =
        matches!(what, What::Publish { .. } | What::Rollback { .. } | What::Override(_) | What::Drill(_));
    if conditions.watch.is_some() && !may_be_watched {
        let (detail, example) = ("this change cannot be watched", "?dry_run=1");
        return Err(Problem::field("bad-watch", "watch", detail, example.into()));
    }
    if conditions.source.is_some() && !matches!(what, What::Publish { .. }) {
        let (detail, example) = ("only a table that is published has a source", "?dry_run=1");
        return Err(Problem::field("bad-query", "source", detail, example.into()));
    }
    let key = conditions.key.map(|key| {
        // Which drill it ends is not said by the caller, and is not known any more when the order comes again.
        let said = match &what {
            What::EndDrill { .. } => "the end of a drill".to_owned(),
            other => format!("{other:?}"),
        };
        let watched = conditions.watch.as_ref().map_or_else(String::new, |watch| format!(" {watch:?}"));
        let order = Digest::of(format!("{said} {reason:?} {:?}{watched}", conditions.force).as_bytes());
        Key { name: format!("{}\n{key}", caller.name), order }
    });
    let order = Order {
        what,
        author: caller.name.clone(),
        role: caller.role.as_str().to_owned(),
        reason,
        expects: conditions.expects,
        forces: conditions.force,
        volatile: conditions.volatile,
        key,
    };
    if conditions.dry_run {
        let changes = admin.changes.clone();
        // Before it is looked at: whoever names it then means nothing newer.
        let snapshot = admin.publisher.snapshot();
        let (version, overlay) = (snapshot.version.about.version, snapshot.overlay.number);
        let effect = apart(move || changes.preview(&order)).await?;
        let effect = effect.map_err(|refused| problem(admin, refused))?;
        return Ok(Outcome::Told(Box::new(Told { dry_run: true, version, overlay, effect })));
    }
    let (here, watch) = (admin.clone(), conditions.watch);
    // Not on the caller's time: if he leaves, the change is watched all the same, and the log says as much as the audit says.
    let made = tokio::spawn(async move { make(&here, order, watch).await }).await;
    made.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "panic", error.to_string()))?
}

/// Has a change made, with what belongs to it and is not done where changes are made.
async fn make(admin: &Admin, order: Order, watch: Option<Watch>) -> Result<Outcome, Problem> {
    let made = match watch {
        Some(watch) => admin.trials.make(order, watch).await,
        None => admin.changes.submit(order).await.map(|done| (done, None)).map_err(NotWatched::Refused),
    };
    let (done, trial) = made.map_err(|not_made| match not_made {
        NotWatched::Refused(refused) => problem(admin, refused),
        NotWatched::Occupied(running) => watches::occupied(running.as_deref()),
    })?;
    if let Made::LogLevel(set) = &done.made {
        admin.log.put(set, admin.publisher.clock().now());
    }
    Ok(Outcome::Done(done, trial.map(Box::new)))
}

impl Outcome {
    /// The answer: what would be, or what the change was made to.
    pub(super) fn answer<T: Serialize>(
        self,
        show: impl FnOnce(&Done) -> Result<T, Problem>,
    ) -> Result<Response, Problem> {
        match self {
            Self::Told(told) => Ok(Json(told).into_response()),
            Self::Done(done, watch) => {
                let fate = Fate {
                    overlay: done.overlay,
                    persisted: done.kept.is_some(),
                    anchor: done.kept.map(|stamp| stamp.to_string()),
                    note: match (&done.made, done.kept) {
                        (Made::Drill(_) | Made::LogLevel(_), _) => ENDS,
                        (_, Some(_)) => KEPT,
                        (Made::DrillEnd(_), None) => END_NOT_KEPT,
                        (_, None) => NOT_KEPT,
                    }
                    .to_owned(),
                    watch: watch.map(|watch| *watch),
                };
                let seen = match &done.made {
                    // A table is not meant for the overrides beside it.
                    Made::Table(_)
                    | Made::FileRead(_)
                    | Made::Watch(_)
                    | Made::LogLevel(_)
                    | Made::Tokens(_) => Seen::table(done.version),
                    Made::Override(_) | Made::Drill(_) | Made::DrillEnd(_) => {
                        Seen { version: done.version, overlay: Some(done.overlay) }
                    }
                };
                Ok((tag(seen), Json(Carried { shown: show(&done)?, fate })).into_response())
            }
        }
    }
}

/// What is in force, as a condition names it.
pub(super) fn tag(seen: Seen) -> [(HeaderName, String); 1] {
    [(header::ETAG, format!("\"{seen}\""))]
}

/// Why an order is not carried out.
fn problem(admin: &Admin, refused: Refused) -> Problem {
    match refused {
        Refused::Table(findings) => {
            let detail = format!("the table has {} mistakes; the running one stays in force", findings.len());
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-table", detail).with_findings(findings)
        }
        Refused::UnknownVersion(version) => {
            let known = admin.changes.known();
            let oldest = known.versions().next().map_or(0, |known| known.about.version);
            let detail = format!("no version {version} is held; the oldest is {oldest}");
            Problem::new(StatusCode::NOT_FOUND, "unknown-version", detail)
        }
        Refused::Patch(PatchRefused::Unknown(target)) => overrides::unknown(admin, &target),
        Refused::Patch(PatchRefused::Field { field, detail }) => {
            Problem::field("bad-value", field, detail, overrides::example())
        }
        Refused::Patch(refused @ (PatchRefused::TooMany | PatchRefused::TooLong)) => {
            Problem::new(StatusCode::CONFLICT, "too-many-overrides", refused.to_string())
        }
        Refused::Drill(refused) => Problem::field(
            "bad-drill",
            refused.field(),
            refused.to_string(),
            super::drill::example_here(admin),
        ),
        Refused::NoDrill => Problem::new(StatusCode::CONFLICT, "no-drill", "no such drill runs"),
        Refused::Drilled(region) => {
            let detail = format!("a drill of {region:?} runs; there is one at a time");
            Problem::new(StatusCode::CONFLICT, "drilled", detail)
        }
        Refused::Overtaken => {
            let detail = "what it would put back was changed again: look again, then decide";
            Problem::new(StatusCode::PRECONDITION_FAILED, "moved", detail)
        }
        Refused::Moved { expected, current } => {
            let what = if expected.overlay.is_some() { "table and overlay" } else { "table version" };
            let current = Seen { overlay: expected.overlay.and(current.overlay), ..current };
            let detail = format!("{what} {current} is in force, not {expected}: look again, then decide");
            Problem::new(StatusCode::PRECONDITION_FAILED, "moved", detail)
        }
        Refused::Guarded { seen, violations } => {
            let what: Vec<String> = violations.iter().map(ToString::to_string).collect();
            let detail = format!(
                "it would take away more than is taken away unawares: {}; if it is meant, say force={seen}",
                what.join("; ")
            );
            Problem::new(StatusCode::CONFLICT, "guarded", detail).with_violations(seen, violations)
        }
        Refused::KeyReused => {
            let detail = "this Idempotency-Key came before, with another change";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key-reused", detail)
        }
        Refused::NotKept { is_full, problem } => {
            let status = match is_full {
                true => StatusCode::INSUFFICIENT_STORAGE,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            let detail = format!(
                "nothing was changed, for it could not be kept ({problem}); with volatile=1 it is made and a restart forgets it"
            );
            Problem::new(status, "not-kept", detail)
        }
        Refused::Busy => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many changes at once")
            .retry_after(BUSY_SECONDS),
        Refused::Stopping => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "this edge takes no changes any more")
        }
    }
}
