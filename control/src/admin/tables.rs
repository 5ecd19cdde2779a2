//! `/v1/tables`: what was published, publishing, and going back.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::apart::apart;
use super::conditions::Conditions;
use super::extract::Body;
use super::orders::{Outcome, carry_out, tag};
use super::problem::Problem;
use super::{Admin, Shared};
use crate::access::{Action, Caller};
use crate::changes::{Done, Made, Seen, What};
use crate::trial::Trial;
use crate::version::About;

/// How long it may be looked for the smallest difference.
const DIFF_TIMEOUT: Duration = Duration::from_millis(300);

/// The published versions.
#[derive(Debug, Deserialize, Serialize)]
pub struct Tables {
    /// The one in force.
    pub current: u64,
    /// All that are held, newest first.
    pub versions: Vec<Held>,
}

/// A version that is held.
#[derive(Debug, Deserialize, Serialize)]
pub struct Held {
    /// What is told about it.
    #[serde(flatten)]
    pub about: About,
    /// Whether a restart remembers it.
    pub persisted: bool,
}

/// A publish that succeeded.
#[derive(Debug, Deserialize, Serialize)]
pub struct Published {
    /// The new version; it is in force.
    #[serde(flatten)]
    pub about: About,
    /// Whether it survives a restart.
    pub persisted: bool,
    /// What to know about that.
    pub note: String,
    /// How it is watched, if it is.
    #[serde(default)]
    pub watch: Option<Trial>,
}

pub(super) async fn list(State(admin): Shared) -> Response {
    let current = admin.publisher.snapshot().version.about.version;
    let known = admin.changes.known();
    let held = known
        .versions()
        .rev()
        .map(|known| Held { about: known.about.clone(), persisted: !known.is_volatile });
    (tag(Seen::table(current)), Json(Tables { current, versions: held.collect() })).into_response()
}

pub(super) async fn show(
    State(admin): Shared,
    Path(number): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let text = text(&admin, number).await?;
    Ok(([(header::CONTENT_TYPE, "application/toml")], text.to_string()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Against {
    against: Option<String>,
}

/// What has changed from another version, the one before if none is named, to this one.
pub(super) async fn diff(
    State(admin): Shared,
    Path(number): Path<String>,
    against: Result<Query<Against>, QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Query(Against { against }) = against.map_err(|refused| {
        Problem::field("bad-query", "query", refused.body_text(), serde_json::json!("?against=11"))
    })?;
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
    let what = What::Publish { text, source: "request body".to_owned(), is_file: false };
    let outcome = carry_out(&admin, &caller, Some(Action::Publish), conditions, (what, reason)).await?;
    published(outcome)
}

pub(super) async fn rollback(
    State(admin): Shared,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
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
