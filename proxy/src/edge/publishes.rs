//! How often the table file was read, and with what success.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Readings of the table file. The one at the start succeeded, or there would be nobody to ask.
#[derive(Debug)]
pub(crate) struct Publishes {
    ok: AtomicU64,
    refused: AtomicU64,
    last_succeeded: AtomicBool,
}

impl Default for Publishes {
    fn default() -> Self {
        Self { ok: AtomicU64::new(1), refused: AtomicU64::new(0), last_succeeded: AtomicBool::new(true) }
    }
}

impl Publishes {
    pub(crate) fn add(&self, succeeded: bool) {
        let counter = if succeeded { &self.ok } else { &self.refused };
        counter.fetch_add(1, Relaxed);
        self.last_succeeded.store(succeeded, Relaxed);
    }

    pub(crate) fn ok(&self) -> u64 {
        self.ok.load(Relaxed)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    pub(crate) fn last_succeeded(&self) -> bool {
        self.last_succeeded.load(Relaxed)
    }
}
