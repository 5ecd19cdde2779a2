//! `/v1/tables`: what was published, and publishing.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::{MAX_TABLE_BYTES, Shared};
use crate::access::{Action, Caller};
use crate::publisher::Draft;
use crate::version::About;

/// The published versions.
#[derive(Debug, Deserialize, Serialize)]
pub struct Tables {
    /// The one in force.
    pub current: u64,
    /// All that are kept, newest first.
    pub versions: Vec<About>,
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
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    reason: Option<String>,
}

pub(super) async fn list(State(admin): Shared) -> Json<Tables> {
    let versions = admin.publisher.versions();
    Json(Tables {
        current: admin.publisher.snapshot().version.about.version,
        versions: versions.iter().rev().map(|version| version.about.clone()).collect(),
    })
}

pub(super) async fn show(
    State(admin): Shared,
    Path(number): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let versions = admin.publisher.versions();
    let found = versions.iter().find(|version| version.about.version.to_string() == number);
    let found = found.ok_or_else(|| {
        let kept = versions.first().map_or(0, |version| version.about.version);
        let detail = format!("no version {number:?} is kept; the oldest is {kept}");
        Problem::new(StatusCode::NOT_FOUND, "unknown-version", detail)
    })?;
    Ok(([(header::CONTENT_TYPE, "application/toml")], found.text.clone()))
}

pub(super) async fn publish(
    State(admin): Shared,
    Extension(caller): Extension<Caller>,
    why: Result<Query<Why>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Published>, Problem> {
    caller.may(Action::Publish)?;
    let example = serde_json::json!("POST /v1/tables?reason=new%20region");
    let Query(why) =
        why.map_err(|refused| Problem::field("bad-query", "query", refused.body_text(), example.clone()))?;
    let reason = why.reason.filter(|reason| !reason.trim().is_empty()).ok_or_else(|| {
        Problem::field(
            "missing-reason",
            "reason",
            "say why: whoever looks at the versions later will ask",
            example,
        )
    })?;
    let body = body.map_err(|refused| {
        let detail = format!("{}; a table may have {MAX_TABLE_BYTES} bytes", refused.body_text());
        Problem::new(refused.status(), "bad-body", detail)
    })?;
    let text = String::from_utf8(body.to_vec()).map_err(|error| {
        Problem::field(
            "bad-body",
            "body",
            format!("it is not UTF-8: {error}"),
            serde_json::json!("[[regions]]"),
        )
    })?;
    let draft = Draft { text, source: "request body".to_owned(), author: caller.name, reason };
    let publisher = admin.publisher.clone();
    // A large table takes milliseconds to compile; the other calls need not wait for it.
    let published = tokio::task::spawn_blocking(move || publisher.publish(draft)).await;
    let about = published
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "panic", error.to_string()))?
        .map_err(|findings| {
            let detail = format!("the table has {} mistakes; the running one stays in force", findings.len());
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-table", detail).with_findings(findings)
        })?;
    tracing::info!(version = about.version, fingerprint = %about.fingerprint, author = %about.author, reason = %about.reason, "table published");
    Ok(Json(Published {
        about,
        persisted: false,
        note: "in force until another table is published; a restart reads the table file".to_owned(),
    }))
}
