//! What a worker does when the health of a placement changes: it closes unused connections to what is down, so that none of
//! them is left over to fail a request after the return, and wakes the requests that wait for a late answer.

use std::rc::Rc;

use steer::signals::Health;
use tokio::sync::watch;

use super::Worker;

/// Follows changes of health for as long as the worker runs.
pub(crate) async fn follow_health(worker: Rc<Worker>, mut health: watch::Receiver<u64>) {
    while health.changed().await.is_ok() {
        for origin in worker.view.borrow().known() {
            if matches!(origin.placement.health(), Health::Down | Health::Held) {
                origin.forget_idle();
            }
        }
        worker.trouble.notify_waiters();
    }
}
