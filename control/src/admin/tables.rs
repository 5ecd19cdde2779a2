//! `/v1/tables`: what was published, publishing, and going back.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answers::Answer;
use super::apart::apart;
use super::conditions::{Conditions, Reason};
use super::extract::{Asked, At, Body, Queried};
use super::kinds::{Looking, problems};
use super::orders::{Outcome, carry_out, tag};
use super::problem::Problem;
use super::reading::Fields;
use super::{Admin, Shared};
use crate::access::{Action, Caller};
use crate::changes::{Done, Made, Seen, What};
use crate::version::About;

/// How long it may be looked for the smallest difference.
const DIFF_TIMEOUT: Duration = Duration::from_millis(300);

/// The published versions.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Tables {
    /// The one in force.
    pub current: u64,
    /// All that are held, newest first.
    pub versions: Vec<Held>,
}

/// A version that is held.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Held {
    /// What is told about it.
    #[serde(flatten)]
    pub about: About,
    /// Whether a restart remembers it.
    pub persisted: bool,
}

/// What a change here is answered with.
type Changed = Answer<About>;

problems!(
    /// Of one.
    Showing = ANY, "bad-path", "unknown-version"
);
problems!(
    /// Of what one has changed.
    Comparing = ANY, "bad-path", "bad-query", "unknown-version"
);
problems!(
    /// Of publishing.
    Publishing = ANY | CHANGE, "bad-body", "body-too-large", "bad-table", "guarded"
);
problems!(
    /// Of publishing a former one again.
    RollingBack = ANY | CHANGE, "bad-path", "unknown-version", "bad-table", "guarded"
);

/// The published versions, also of former runs
#[utoipa::path(get, path = "/v1/tables", tag = "tables", operation_id = "listTables",
    responses((status = 200, description = "All that are held.", body = Tables,
        headers(("ETag" = String, description = "The version in force, as If-Match takes it."))), Looking))]
pub(super) async fn list(State(admin): Shared) -> Response {
    let current = admin.publisher.snapshot().version.about.version;
    let known = admin.changes.known();
    let held = known
        .versions()
        .rev()
        .map(|known| Held { about: known.about.clone(), persisted: !known.is_volatile });
    (tag(Seen::table(current)), Json(Tables { current, versions: held.collect() })).into_response()
}

/// A version as it was written
#[utoipa::path(get, path = "/v1/tables/{version}", tag = "tables", operation_id = "showTable",
    params(("version" = u64, Path, description = "Its number.")),
    responses((status = 200, description = "Its text.", body = String, content_type = "application/toml"), Showing))]
pub(super) async fn show(State(admin): Shared, At(number): At<String>) -> Result<impl IntoResponse, Problem> {
    let text = text(&admin, number).await?;
    Ok(([(header::CONTENT_TYPE, "application/toml")], text.to_string()))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Against {
    /// The other version; the one before unless it is named.
    #[param(value_type = Option<u64>)]
    against: Option<String>,
}

impl Fields for Against {
    const FIELDS: &'static [(&'static str, &'static str)] = &[("against", "a version's number")];
}

impl Queried for Against {
    const EXAMPLE: &'static str = "?against=1";
}

/// What has changed from another version, the one before if none is named, to this one
#[utoipa::path(get, path = "/v1/tables/{version}/diff", tag = "tables", operation_id = "diffTable",
    params(("version" = u64, Path, description = "Its number."), Against),
    responses((status = 200, description = "The difference of their texts.", body = String, content_type = "text/x-diff"), Comparing))]
pub(super) async fn diff(
    State(admin): Shared,
    At(number): At<String>,
    Asked(Against { against }): Asked<Against>,
) -> Result<impl IntoResponse, Problem> {
    let before = against.unwrap_or_else(|| {
        let known = admin.changes.known();
        let versions = known.versions().map(|known| known.about.version);
        let before = versions.take_while(|version| version.to_string() != number).last();
        before.map_or_else(|| number.clone(), |before| before.to_string())
    });
    let names = (format!("version {before}"), format!("version {number}"));
    let (old, new) = (text(&admin, before).await?, text(&admin, number).await?);
    let diff = apart(move || {
        // Of texts that have nothing in common it is only a good guess which lines moved.
        let diff = similar::TextDiff::configure().timeout(DIFF_TIMEOUT).diff_lines(&*old, &*new);
        diff.unified_diff().context_radius(3).header(&names.0, &names.1).to_string()
    });
    Ok(([(header::CONTENT_TYPE, "text/x-diff; charset=utf-8")], diff.await?))
}

/// Publishes a table; it is in force when this is answered
#[utoipa::path(post, path = "/v1/tables", tag = "tables", operation_id = "publishTable",
    params(
        Reason,
        ("source" = Option<String>, Query, min_length = 1, max_length = 200, example = "table.toml",
            description = "What it was read from: mistakes, versions and the audit name it. `request body` unless it says otherwise."),
        Conditions
    ),
    request_body(description = "The table, in TOML.", content((String = "application/toml"), (String = "text/plain"))),
    responses((status = 200, description = "It is in force; or what it would do.", body = inline(Changed)), Publishing))]
pub(super) async fn publish(
    State(admin): Shared,
    Extension(caller): Extension<Caller>,
    conditions: Conditions,
    Body(body): Body,
) -> Result<Response, Problem> {
    let reason = conditions.reason()?;
    let text = String::from_utf8(body.to_vec()).map_err(|error| {
        let example = serde_json::json!("[[regions]]");
        Problem::field("bad-body", "body", format!("it is not UTF-8: {error}"), example)
    })?;
    let source = conditions.source.clone().unwrap_or_else(|| "request body".to_owned());
    let what = What::Publish { text, source, is_file: false };
    let outcome = carry_out(&admin, &caller, Some(Action::Publish), conditions, (what, reason)).await?;
    published(outcome)
}

/// Publishes a former version again, as a new one
#[utoipa::path(post, path = "/v1/tables/{version}/rollback", tag = "tables", operation_id = "rollBack",
    params(("version" = u64, Path, description = "The number of the former version."), Reason, Conditions),
    responses((status = 200, description = "It is in force; or what it would do.", body = inline(Changed)), RollingBack))]
pub(super) async fn rollback(
    State(admin): Shared,
    Extension(caller): Extension<Caller>,
    At(number): At<String>,
    conditions: Conditions,
) -> Result<Response, Problem> {
    let reason = conditions.reason()?;
    let version = version(&admin, &number)?;
    let what = What::Rollback { version };
    let outcome = carry_out(&admin, &caller, Some(Action::Rollback), conditions, (what, reason)).await?;
    published(outcome)
}

fn published(outcome: Outcome) -> Result<Response, Problem> {
    outcome.answer(|done: &Done| match &done.made {
        Made::Table(about) => Ok(about.clone()),
        _ => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "confused", "a table is no table")),
    })
}

async fn text(admin: &Admin, number: String) -> Result<Arc<str>, Problem> {
    let version = version(admin, &number)?;
    let changes = admin.changes.clone();
    apart(move || changes.text(version)).await?.ok_or_else(|| unknown(admin, &number))
}

fn version(admin: &Admin, number: &str) -> Result<u64, Problem> {
    let known = admin.changes.known();
    let version = number.parse().ok().filter(|version| known.get(*version).is_some());
    version.ok_or_else(|| unknown(admin, number))
}

fn unknown(admin: &Admin, number: &str) -> Problem {
    let known = admin.changes.known();
    let oldest = known.versions().next().map_or(0, |known| known.about.version);
    let detail = format!("no version {number:?} is held; the oldest is {oldest}");
    Problem::new(StatusCode::NOT_FOUND, "unknown-version", detail)
}
