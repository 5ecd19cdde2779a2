//! Whether changes are being kept, for whoever shows it: a metric, a health page. It is told by the thread that keeps them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

const NOWHERE: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;

/// Whether changes are being kept. A clone tells the same.
#[derive(Clone, Debug)]
pub struct Keeps(Arc<AtomicU8>);

impl Keeps {
    /// Of an edge that is to keep changes or not; none are kept yet.
    pub(super) fn new(is_wanted: bool) -> Self {
        Self(Arc::new(AtomicU8::new(if is_wanted { NO } else { NOWHERE })))
    }

    /// Whether what is in force is written down, and the next change can be; `None` if this edge was told to keep nothing.
    #[must_use]
    pub fn get(&self) -> Option<bool> {
        match self.0.load(Relaxed) {
            NOWHERE => None,
            word => Some(word == YES),
        }
    }

    pub(super) fn set(&self, are_kept: bool) {
        self.0.store(if are_kept { YES } else { NO }, Relaxed);
    }
}
