//! This PoP's own way out: whether it is doubted.
//!
//! When nothing answers, neither a region nor a reference, the fault is more likely here than everywhere else. The prober
//! comes to that conclusion; requests and `/readyz` read it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whether this PoP's uplink is suspected.
#[derive(Debug, Default)]
pub struct Uplink {
    suspected: AtomicBool,
}

impl Uplink {
    /// Whether nothing at all answers.
    #[must_use]
    pub fn is_suspected(&self) -> bool {
        self.suspected.load(Relaxed)
    }

    /// For the prober.
    pub fn set_suspected(&self, suspected: bool) {
        self.suspected.store(suspected, Relaxed);
    }
}
