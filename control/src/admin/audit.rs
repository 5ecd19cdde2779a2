//! `/v1/audit`: who changed what, when and why; every line with its place in a chain of hashes.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::apart::apart;
use super::extract::{Asked, Queried};
use super::kinds::problems;
use super::problem::Problem;
use super::reading::Fields;
use crate::changes::Line;
use crate::journal::{Entry, Written};

/// Changes that are told at once, unless somebody says how many.
const USUAL: usize = 100;
const MOST: usize = 1000;

/// A part of the audit.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Audit {
    /// The newest line: its number and its hash. Kept elsewhere, it proves later that nothing before it was changed.
    pub anchor: String,
    /// Oldest first.
    pub changes: Vec<Audited>,
}

/// A change.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Audited {
    /// Its number; `after` takes it.
    pub seq: u64,
    /// The hash of its line, which has the hash of the one before it.
    pub hash: String,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub author: String,
    /// In which role.
    pub role: String,
    /// Why.
    pub reason: String,
    /// What.
    #[serde(flatten)]
    pub change: Line,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Those after the one with this number; the last ones unless it is named.
    after: Option<u64>,
    /// How many; 100 unless it says otherwise.
    #[param(minimum = 1, maximum = 1000)]
    last: Option<usize>,
}

impl Fields for Wanted {
    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("after", "the number of a line"), ("last", "a whole number from 1 to 1000")];
}

impl Queried for Wanted {
    const EXAMPLE: &'static str = "?after=812&last=100";
}

problems!(
    /// Of the list.
    Listing = ANY, "bad-query", "no-audit", "broken-audit"
);

/// Who changed what, when and why; each with its place in a chain of hashes
#[utoipa::path(get, path = "/v1/audit", tag = "audit", operation_id = "listAudit", params(Wanted),
    responses((status = 200, description = "Changes, oldest first.", body = Audit), Listing))]
pub(super) async fn list(
    State(admin): Shared,
    Asked(Wanted { after, last }): Asked<Wanted>,
) -> Result<Json<Audit>, Problem> {
    let last = last.unwrap_or(USUAL);
    if !(1..=MOST).contains(&last) {
        let detail = format!("from 1 to {MOST} changes are told at once");
        return Err(Problem::field("bad-query", "last", detail, serde_json::json!("?last=100")));
    }
    let Some(history) = admin.changes.history().cloned() else {
        if admin.changes.keeps().get().is_some() {
            let detail =
                "what was changed cannot be read: admin.state_dir cannot be opened, which is tried again";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no-audit", detail));
        }
        let detail = "this edge keeps no changes; admin.state_dir names the folder for them";
        return Err(Problem::new(StatusCode::NOT_FOUND, "no-audit", detail));
    };
    let head = history.head();
    // Checkpoints have numbers as well: of the last so many lines, a few may be no changes.
    let from = after.unwrap_or_else(|| head.seq.saturating_sub(last as u64));
    let read = apart(move || history.read(from, last)).await?.map_err(|broken| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "broken-audit", broken.to_string())
    })?;
    let told = |written: Written<Line>| {
        let Entry { time, author, role, reason, data } = written.entry;
        let (seq, hash) = (written.stamp.seq, written.stamp.hash.to_string());
        Audited { seq, hash, time, author, role, reason, change: data }
    };
    Ok(Json(Audit { anchor: head.to_string(), changes: read.into_iter().map(told).collect() }))
}
