//! This PoP's own way out: whether it is doubted.
//!
//! When nothing answers, neither a region nor a reference, the fault is more likely here than everywhere else. The prober
//! comes to that conclusion; requests and `/readyz` read it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use steer::Moment;

/// Whether this PoP's uplink is suspected.
#[derive(Debug, Default)]
pub struct Uplink {
    /// In nanoseconds; 0 is not suspected.
    silent_since: AtomicU64,
}

impl Uplink {
    /// Whether nothing at all answers.
    #[must_use]
    pub fn is_suspected(&self) -> bool {
        self.silent_since().is_some()
    }

    /// Since when nothing at all answers, if that is so.
    #[must_use]
    pub fn silent_since(&self) -> Option<Moment> {
        Some(self.silent_since.load(Relaxed)).filter(|nanos| *nanos > 0).map(Moment::from_nanos)
    }

    /// For the prober.
    pub fn set_silent_since(&self, since: Option<Moment>) {
        self.silent_since.store(since.map_or(0, Moment::as_nanos), Relaxed);
    }
}
