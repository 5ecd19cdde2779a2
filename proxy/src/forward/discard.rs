//! An answer that is not passed on, because another origin is asked instead.
//!
//! Its connection is worth keeping: during a storm of errors, closing one for each would make things worse. So a short body is
//! read to its end; a long or slow one costs the connection.

use std::rc::Rc;
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::timeout;

use super::attempt::Answer;
use crate::worker::Worker;

/// The most of a body that is read for the connection's sake, and how long that may take.
const MAX_BYTES: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(1);

/// Lets an answer go.
pub(super) fn discard(worker: &Rc<Worker>, answer: Answer) {
    let worker = worker.clone();
    tokio::task::spawn_local(async move {
        let Answer { response, lease, .. } = answer;
        let mut body = response.into_body();
        let read = async {
            let mut left = MAX_BYTES;
            while let Some(frame) = body.frame().await {
                let bytes = frame.ok()?.data_ref().map_or(0, bytes::Bytes::len);
                left = left.checked_sub(bytes)?;
            }
            Some(())
        };
        if timeout(PATIENCE, read).await.ok().flatten().is_some() {
            drop(lease.in_flight);
            lease.conn.give_back(worker.clock.now());
        }
    });
}
