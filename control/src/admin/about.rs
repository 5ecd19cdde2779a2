//! `/v1/version`: what runs here, since when, and with which table.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::kinds::Looking;
use crate::version::About;

/// What runs here.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Running {
    /// The version of nearside.
    pub version: String,
    /// When this process was started.
    pub started_at: Timestamp,
    /// How long ago that was, in ms.
    pub uptime_ms: f64,
    /// The table in force.
    pub table: About,
    /// The overlay's number.
    pub overlay: u64,
    /// The ranking's number.
    pub ranking: u64,
    /// Whether changes are being kept; not told by an edge that is to keep none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_kept: Option<bool>,
}

/// What runs here, since when, and with which table
#[utoipa::path(get, path = "/v1/version", tag = "version", operation_id = "showVersion",
    responses((status = 200, description = "What runs here.", body = Running), Looking))]
pub(super) async fn show(State(admin): Shared) -> Json<Running> {
    let snapshot = admin.publisher.snapshot();
    let uptime = admin.publisher.clock().uptime();
    Json(Running {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: admin.decisions.started_at(),
        uptime_ms: uptime.as_millis_f64(),
        table: snapshot.version.about.clone(),
        overlay: snapshot.overlay.number,
        ranking: snapshot.ranking.number,
        changes_kept: admin.changes.keeps().get(),
    })
}
