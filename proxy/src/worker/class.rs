//! Requests of one kind as one worker knows them: a route at a placement, and how long its answers usually take.
//!
//! Only requests without a body, or with a short one, count: how long an answer to an upload takes says more of the upload.

use std::cell::RefCell;
use std::time::Duration;

use steer::usual::Usual;

/// The soonest that an answer counts as late: below it, waiting says more of this machine than of an origin.
const SOONEST_LATE: Duration = Duration::from_millis(5);
/// When it counts as late while nothing is known of its class.
const UNKNOWN_LATE: Duration = Duration::from_millis(100);

/// A class of requests.
#[derive(Default)]
pub(crate) struct Class(RefCell<Usual>);

impl Class {
    /// An answer began so long after its request was sent. Whether that is slow, and by how many microseconds later than the
    /// median; `None` while nothing is known.
    pub(crate) fn add(&self, us: u64) -> Option<(bool, u64)> {
        let lateness = self.lateness(us);
        self.0.borrow_mut().add(us);
        lateness
    }

    /// How late an answer would be that began so long after its request was sent.
    pub(crate) fn lateness(&self, us: u64) -> Option<(bool, u64)> {
        let usual = self.0.borrow().percentiles()?;
        Some((usual.is_slow(us), us.saturating_sub(usual.median_us)))
    }

    /// When an answer is late, and whether that is known well enough to do something about it: after the 95th percentile, and
    /// not before one and a half round trips.
    pub(crate) fn late_after(&self, latency_ms: Option<f64>) -> (Duration, bool) {
        let path = Duration::from_secs_f64(latency_ms.unwrap_or(0.0).clamp(0.0, 10_000.0) * 1.5 / 1000.0);
        match self.0.borrow().percentiles() {
            Some(usual) => (Duration::from_micros(usual.p95_us).max(path).max(SOONEST_LATE), true),
            None => (path.max(UNKNOWN_LATE), false),
        }
    }
}
