//! The cells of one worker.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use steer::Moment;
use steer::ewma::PeakEwma;

/// What one worker knows of an origin. Two cache lines, shared with nobody who writes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct OriginCells {
    in_flight: AtomicU32,
    ewma_ms: AtomicU64,
    ewma_at: AtomicU64,
    last_success: AtomicU64,
}

impl OriginCells {
    /// A request was sent.
    pub fn begin(&self) {
        self.in_flight.store(self.in_flight.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// It ended, one way or the other.
    pub fn end(&self) {
        self.in_flight.store(self.in_flight.load(Relaxed).saturating_sub(1), Relaxed);
    }

    /// An answer began at `at`, `ms` after its request was sent.
    pub fn answered(&self, ms: f64, at: Moment) {
        self.store(self.ewma().with(ms, at));
        self.last_success.store(at.as_nanos(), Relaxed);
    }

    /// An attempt failed at `at`, after `ms`.
    pub fn failed(&self, ms: f64, at: Moment) {
        self.store(self.ewma().with(ms.max(steer::ewma::FAILURE_PENALTY_MS), at));
    }

    /// Requests running now.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// When the last answer began; `None` is never.
    #[must_use]
    pub fn last_success(&self) -> Option<Moment> {
        Some(self.last_success.load(Relaxed)).filter(|nanos| *nanos > 0).map(Moment::from_nanos)
    }

    /// The peak EWMA of times to the first byte. Another thread may see one word older than the other, which shows it an
    /// average that was right a moment ago.
    #[must_use]
    pub fn ewma(&self) -> PeakEwma {
        PeakEwma {
            ms: f64::from_bits(self.ewma_ms.load(Relaxed)),
            at: Moment::from_nanos(self.ewma_at.load(Relaxed)),
        }
    }

    fn store(&self, ewma: PeakEwma) {
        self.ewma_ms.store(ewma.ms.to_bits(), Relaxed);
        self.ewma_at.store(ewma.at.as_nanos(), Relaxed);
    }
}

/// What one worker knows of a placement.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct PlacementCells {
    in_flight: AtomicU32,
}

impl PlacementCells {
    /// A request began here.
    pub fn begin(&self) {
        self.in_flight.store(self.in_flight.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// It ended.
    pub fn end(&self) {
        self.in_flight.store(self.in_flight.load(Relaxed).saturating_sub(1), Relaxed);
    }

    /// Requests running now.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }
}
