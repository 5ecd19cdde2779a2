//! Work that takes long, done beside the control thread: compiling, reading files, comparing texts.
//!
//! Two at a time: whoever asks for much waits, and not the health checks, the overrides that end, or the workers.

use axum::http::StatusCode;
use tokio::sync::Semaphore;

use super::problem::Problem;

/// So much runs at once.
static ROOM: Semaphore = Semaphore::const_new(2);

/// Does it, once there is room.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    // It is never closed.
    let _room = ROOM.acquire().await.ok();
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "panic", error.to_string()))
}
